//! Arguments of the programs beside the inbox: Mailpit's subcommands by their names.

use super::values::patience;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Where mail is handed in.
#[derive(Args, Debug, Clone)]
pub struct Server {
    /// SMTP server, HOST:PORT or unix:PATH.
    #[arg(
        long,
        short = 'S',
        env = "MP_SENDMAIL_SMTP_ADDR",
        default_value = "localhost:1025",
        value_name = "HOST:PORT"
    )]
    pub smtp_addr: String,
}

/// Arguments of `sendmail`, as programs call the one they know.
#[derive(Args, Debug, Clone)]
pub struct SendmailArgs {
    /// Where to.
    #[command(flatten)]
    pub server: Server,
    /// Sender of the envelope; the address in From unless given.
    #[arg(long, short = 'f', env = "MP_SENDMAIL_FROM", value_name = "ADDRESS")]
    pub from: Option<String>,
    /// The same by its older name.
    #[arg(short = 'r', value_name = "ADDRESS", conflicts_with = "from")]
    pub older_from: Option<String>,
    /// Name of the sender, where the message has no From.
    #[arg(long = "from-name", short = 'F', value_name = "NAME")]
    pub name: Option<String>,
    /// Recipients are those of To, Cc and Bcc as well, and Bcc is taken out; so it is where none is named.
    #[arg(short = 't')]
    pub recipients_of_header: bool,
    /// A line with a dot alone is no end of the message.
    #[arg(short = 'i')]
    pub ignore_dots: bool,
    /// `s`: speak SMTP, by standard input and output. `m`: the usual way.
    #[arg(short = 'b', value_name = "MODE")]
    pub mode: Option<String>,
    /// `i`: as -i. Others (`em`, `db` ...) tell sendmail what to do with errors and queues; errors always end this program.
    #[arg(short = 'o', value_name = "OPTION")]
    pub option: Vec<String>,
    /// Kind of the body; it is sent as it is.
    #[arg(long = "bits", short = 'B', value_name = "KIND")]
    pub body: Option<String>,
    /// What to do with errors (`m`, `p`, `q`, `w`); they always end this program, and are said on standard error.
    #[arg(long, short = 'e', value_name = "WHAT")]
    pub errors: Option<String>,
    /// Say on standard error who was handed what.
    #[arg(long, short = 'v')]
    pub verbose: bool,
    /// Recipients.
    #[arg(value_name = "RECIPIENT")]
    pub recipients: Vec<String>,
}

/// Arguments of `ingest`.
#[derive(Args, Debug, Clone)]
pub struct IngestArgs {
    /// Where to.
    #[command(flatten)]
    pub server: Server,
    /// Only files that were changed within so many days; 0 for all.
    #[arg(long, short = 'r', default_value_t = 0, value_name = "DAYS")]
    pub recent: u64,
    /// Files of one message each, or folders of them (a Maildir too).
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// Arguments of `dump`.
#[derive(Args, Debug, Clone)]
pub struct DumpArgs {
    /// A running inbox.
    #[arg(long, value_name = "URL")]
    pub http: Option<String>,
    /// The database of one that does not run; a URL goes first.
    #[arg(long, short = 'd', env = "MP_DATABASE", value_name = "FILE")]
    pub database: Option<PathBuf>,
    /// Say on standard error which file was written.
    #[arg(long, short = 'v')]
    pub verbose: bool,
    /// Folder that gets a file ID.eml of each message; it is made where it is not there.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// Arguments of `readyz`.
#[derive(Args, Debug, Clone)]
pub struct ReadyzArgs {
    /// Address of the inbox's page.
    #[arg(
        long,
        short = 'l',
        env = "MP_UI_BIND_ADDR",
        default_value = "127.0.0.1:8025",
        value_name = "ADDRESS"
    )]
    pub listen: String,
    /// Path below which it is.
    #[arg(long, env = "MP_WEBROOT", default_value = "/", value_name = "PATH")]
    pub webroot: String,
    /// It speaks HTTPS, whatever its certificate; so it does where MP_UI_TLS_CERT is set.
    #[arg(long)]
    pub https: bool,
    /// The inbox's certificate, of which only matters whether there is one.
    #[arg(long, env = "MP_UI_TLS_CERT", hide = true)]
    pub ui_tls_cert: Option<String>,
    /// Wait until it is ready.
    #[arg(long)]
    pub wait: bool,
    /// Longest to wait, such as 30s or 2m; a number alone is seconds.
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = patience)]
    pub timeout: Duration,
}

//! What may be written on the command line.

pub use crate::cli::ctl::args::{Ctl, CtlArgs};
use crate::cli::inbox::args::{Addresses, InboxArgs};
use crate::cli::inbox::tools::{DumpArgs, IngestArgs, ReadyzArgs, SendmailArgs};
use crate::cli::inbox::values::bind;
use clap::{ArgGroup, Args, Parser, Subcommand};
use clap_complete::Shell;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Version, commit and features.
pub const VERSION: &str = if ringmta_io::sim::CAN_SIMULATE {
    concat!(env!("CARGO_PKG_VERSION"), " (", env!("RINGMTA_BUILD"), ", simulation)")
} else {
    concat!(env!("CARGO_PKG_VERSION"), " (", env!("RINGMTA_BUILD"), ")")
};

/// A durable, policy-driven outbound mail engine: one shard per core on io_uring.
#[derive(Parser, Debug)]
#[command(name = "ringmta", version = VERSION, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; without it, `run`.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// As for `run`.
    #[command(flatten)]
    pub run: RunArgs,
    /// Check the policy instead of running it.
    #[arg(long)]
    pub validate: bool,
    /// Run the policy (or FILE) as a program: call its event `main`.
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pub script: Option<Option<PathBuf>>,
    /// Arguments of the event `main`.
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

/// Subcommands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run the engine with a policy.
    Run(RunArgs),
    /// Run engine, sandbox inbox and webhook receiver on loopback, with the shipped policy.
    Dev(Box<DevArgs>),
    /// Run the sandbox inbox alone: takes all mail, delivers none, shows it on a web page.
    Sandbox(Box<SandboxArgs>),
    /// Hand a message on standard input to the inbox, as the sendmail program others call.
    Sendmail(SendmailArgs),
    /// Bring files of messages into an inbox.
    Ingest(IngestArgs),
    /// Write the messages of an inbox to files.
    Dump(DumpArgs),
    /// Ask whether an inbox is ready, for container engines: exit code 0 or 1.
    Readyz(ReadyzArgs),
    /// Check a policy as a start would, without opening sockets or spools.
    Validate(ValidateArgs),
    /// Run the tests of a policy tree: files whose name ends in _test.lua.
    Test(TestArgs),
    /// Look at this machine and its place in the network: what an engine here needs, line by line, each with what to do.
    ///
    /// Exit code: 0 when mail can be sent from here, 1 when something stands in the way, 2 for wrong arguments.
    Check(Box<CheckArgs>),
    /// Write a policy tree to start from, with DKIM keys and a login of its own, and check it.
    Init(InitArgs),
    /// Ask once whether a running engine is well, for container engines: exit code 0 or 1.
    Healthcheck(HealthcheckArgs),
    /// Ask a running engine, or give it orders, over its HTTP API.
    Ctl(Box<CtlArgs>),
    /// Look at the hooks' dead letters, and send them again: by a running engine, or by a spool's files without one.
    Hooks(HooksArgs),
    /// Look at a spool without an engine; nothing is written to it.
    ///
    /// Exit code: 0 when all is well, 1 when damage was found (or no such message), 2 when the spool
    /// cannot be read.
    Spool(SpoolArgs),
    /// Completions and manual pages, for packages.
    #[command(subcommand, hide = true)]
    Print(Print),
}

/// Arguments of `run`.
#[derive(Args, Debug, Clone, Default)]
pub struct RunArgs {
    /// Policy file.
    #[arg(
        long,
        env = "RINGMTA_POLICY",
        value_name = "FILE",
        default_value = "/opt/kumomta/etc/policy/init.lua"
    )]
    pub policy: PathBuf,
    /// Shards; one per core unless given.
    #[arg(long, value_name = "N")]
    pub shards: Option<usize>,
    /// User to become at once, before any file is touched (required as root). Of root's rights that to bind low ports
    /// is kept until the listeners are bound. Folders must be that user's.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Answer 250 without waiting for stable storage: mail survives a crash of the engine, not
    /// of the machine.
    #[arg(long)]
    pub relaxed: bool,
    /// Allow AUTH without TLS on every listener.
    #[arg(long)]
    pub auth_in_clear: bool,
    /// Memory that mail and requests may take while they are being received, such as 512M; beyond it
    /// clients are told to come back (452, 503). A quarter of what the process may use unless given.
    #[arg(long, value_name = "SIZE", value_parser = ringmta_io::receiving::parse_size)]
    pub receive_memory: Option<usize>,
    /// Say each event of a message on stderr, in a readable line; in production the log files are for that. KUMOD_LOG, where it is
    /// set, decides instead (`info,event=debug`).
    #[arg(long)]
    pub show_events: bool,
    /// Let the engine run programs and write files anywhere its user may, for policies that need that.
    #[arg(long)]
    pub no_confine: bool,
    /// A folder that policies write files to, besides spools, logs and the folder for temporary files; may be repeated.
    #[arg(long, value_name = "DIR")]
    pub may_write: Vec<PathBuf>,
}

/// Arguments of `dev`.
#[derive(Args, Debug)]
pub struct DevArgs {
    /// Folder for spool, logs and the policy tree, kept between runs; `ringmta-dev-UID` of this user in the folder for
    /// temporary files unless given.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Policy file to run instead of the shipped tree.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Shards; one per core unless given.
    #[arg(long, value_name = "N")]
    pub shards: Option<usize>,
    /// ESMTP address.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2525")]
    pub smtp: SocketAddr,
    /// HTTP API address.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8020")]
    pub http: SocketAddr,
    /// Sandbox SMTP address.
    #[arg(long, value_name = "ADDRESS", env = "MP_SMTP_BIND_ADDR", default_value = "127.0.0.1:1025", value_parser = bind)]
    pub sandbox_smtp: SocketAddr,
    /// Sandbox web address.
    #[arg(long, value_name = "ADDRESS", env = "MP_UI_BIND_ADDR", default_value = "127.0.0.1:8025", value_parser = bind)]
    pub sandbox_web: SocketAddr,
    /// Webhook receiver address.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8021")]
    pub receiver: SocketAddr,
    /// What the inbox is told.
    #[command(flatten)]
    pub inbox: InboxArgs,
}

/// Arguments of `sandbox`.
#[derive(Args, Debug)]
pub struct SandboxArgs {
    /// Where it listens.
    #[command(flatten)]
    pub addresses: Addresses,
    /// What it is told.
    #[command(flatten)]
    pub inbox: InboxArgs,
}

/// Arguments of `validate`.
#[derive(Args, Debug)]
pub struct ValidateArgs {
    /// Policy file, or a folder with an init.lua.
    #[arg(value_name = "FILE", conflicts_with = "policy")]
    pub file: Option<PathBuf>,
    /// The same.
    #[arg(long, value_name = "FILE", default_value = "/opt/kumomta/etc/policy/init.lua")]
    pub policy: PathBuf,
    /// Print one JSON object instead of lines.
    #[arg(long)]
    pub json: bool,
    /// Warnings count as errors: exit code 1.
    #[arg(long)]
    pub strict: bool,
}

impl ValidateArgs {
    /// The policy to look at.
    pub fn policy(&self) -> PathBuf {
        let policy = self.file.as_ref().unwrap_or(&self.policy);
        match policy.is_dir() {
            true => policy.join("init.lua"),
            false => policy.clone(),
        }
    }
}

/// Arguments of `test`.
#[derive(Args, Debug)]
pub struct TestArgs {
    /// Folder with the tests.
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
    /// Policy they are about; init.lua in the folder or above it unless given.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Also print what passed.
    #[arg(long, short)]
    pub verbose: bool,
}

/// Arguments of `check`.
#[derive(Args, Debug, Default)]
pub struct CheckArgs {
    /// Policy whose folders and listeners are looked at too; the machine alone unless given.
    #[arg(long, env = "RINGMTA_POLICY", value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Folder on the disk that is to hold the spool, when there is no policy yet.
    #[arg(long, value_name = "DIR", conflicts_with = "policy")]
    pub spool: Option<PathBuf>,
    /// Domain that mail is sent for: its SPF, DKIM and DMARC records are looked at; may be repeated.
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Vec<String>,
    /// DKIM selector of these domains.
    #[arg(long, default_value = "default")]
    pub selector: String,
    /// Name said in EHLO; this host's name unless given.
    #[arg(long, value_name = "NAME")]
    pub helo: Option<String>,
    /// Address that mail leaves from, as others see it; what this host sends from unless given.
    #[arg(long, value_name = "IP")]
    pub address: Option<IpAddr>,
    /// Domain to whose mail servers the way out is tried, or a server; its greeting is read, no mail is sent.
    #[arg(long, value_name = "DOMAIN", default_value = "gmail.com")]
    pub to: String,
    /// Port that is tried there: 25 unless mail leaves by another, such as that of a smart host.
    #[arg(long, value_name = "PORT", default_value_t = 25)]
    pub port: u16,
    /// Name server to ask, IP or IP:PORT, instead of those of /etc/resolv.conf; may be repeated.
    #[arg(long, value_name = "ADDR", value_parser = name_server)]
    pub resolver: Vec<SocketAddr>,
    /// Ask nobody: the machine alone.
    #[arg(long)]
    pub offline: bool,
}

/// An address with port 53 unless it names another.
fn name_server(text: &str) -> Result<SocketAddr, String> {
    let with_port = || text.parse().ok();
    let plain = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    plain
        .ok()
        .or_else(with_port)
        .ok_or_else(|| "an address such as 192.0.2.53 or 127.0.0.1:5353".into())
}

/// Arguments of `init`.
#[derive(Args, Debug, Default)]
pub struct InitArgs {
    /// Folder to write; it must not be there yet, or be empty.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Domain that mail is sent for; each gets a DKIM key. May be repeated. Asked for on a terminal.
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Vec<String>,
    /// DKIM selector of the keys.
    #[arg(long, default_value = "ringmta")]
    pub selector: String,
    /// Server that takes all mail, HOST or HOST:PORT; unless given each domain's own mail servers do.
    #[arg(long, value_name = "HOST")]
    pub smart_host: Option<String>,
    /// URL that events are posted to; none unless given.
    #[arg(long, value_name = "URL")]
    pub webhook: Option<String>,
    /// User the engine will run as: keys are made readable for its group (as root).
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
}

/// Arguments of `healthcheck`.
#[derive(Args, Debug)]
pub struct HealthcheckArgs {
    /// What to ask: an engine's liveness, or `/readyz` of an inbox.
    #[arg(
        long,
        env = "RINGMTA_HEALTH_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:8000/api/check-liveness/v1"
    )]
    pub url: String,
    /// Any answer is good enough: an engine that takes no mail just now (a full disk) is not to be killed.
    #[arg(long)]
    pub alive: bool,
    /// Longest wait, seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    pub timeout: u64,
}

/// What to print.
#[derive(Subcommand, Debug)]
pub enum Print {
    /// Completions for a shell, on stdout.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Manual pages, one per subcommand, into a folder.
    Man {
        /// The folder.
        dir: PathBuf,
    },
}

/// Where a help has that.
const ENGINE: &str = "Which engine, and who asks";

/// Which engine is asked, and who asks.
#[derive(Args, Debug)]
pub struct ApiArgs {
    /// HTTP listener of the engine.
    #[arg(
        long,
        global = true,
        help_heading = ENGINE,
        env = "KUMO_KCLI_ENDPOINT",
        value_name = "URL",
        default_value = "http://127.0.0.1:8000"
    )]
    pub endpoint: String,
    /// Who asks, where the engine wants to know: NAME, or NAME:PASSWORD, which other users of this host may see in the
    /// list of processes.
    #[arg(
        long,
        global = true,
        help_heading = ENGINE,
        value_name = "NAME",
        env = "RINGMTA_CTL_USER",
        hide_env_values = true
    )]
    pub user: Option<String>,
    /// File whose first line is the password.
    #[arg(long, global = true, help_heading = ENGINE, value_name = "FILE", env = "RINGMTA_CTL_PASSWORD_FILE")]
    pub password_file: Option<PathBuf>,
    /// File whose first line is a bearer token.
    #[arg(long, global = true, help_heading = ENGINE, value_name = "FILE", env = "RINGMTA_CTL_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
}

/// Arguments of `hooks`.
#[derive(Args, Debug)]
pub struct HooksArgs {
    /// Which engine, and who asks.
    #[command(flatten)]
    pub api: ApiArgs,
    /// Folder of the spool named `meta`: its files are looked at, and no engine is asked. What is sent again is told by
    /// the next start.
    #[arg(long, value_name = "DIR", requires = "data", global = true)]
    pub meta: Option<PathBuf>,
    /// Folder of the spool named `data`, which says whether an engine runs.
    #[arg(long, value_name = "DIR", requires = "meta", global = true)]
    pub data: Option<PathBuf>,
    /// Print the answer as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub what: HooksWhat,
}

/// What to do with hooks.
#[derive(Subcommand, Debug)]
pub enum HooksWhat {
    /// All hooks: what waits for each, and how many dead letters it has.
    List,
    /// Dead letters of a hook, each with the reason.
    Show {
        /// Its name.
        name: String,
        /// Most letters to show.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Send dead letters of a hook again. Each has the id it had before, so a receiver that knows ids hears none twice.
    Replay {
        /// Its name.
        name: String,
        /// Only these, by id; may be repeated.
        #[arg(long, value_name = "ID")]
        id: Vec<String>,
    },
}

/// Arguments of `spool`.
#[derive(Args, Debug)]
pub struct SpoolArgs {
    /// Policy file whose spools are meant.
    #[arg(long, value_name = "FILE", default_value = "/opt/kumomta/etc/policy/init.lua")]
    pub policy: PathBuf,
    /// Folder of the spool named `data`, instead of the policy's.
    #[arg(long, value_name = "DIR", requires = "meta")]
    pub data: Option<PathBuf>,
    /// Folder of the spool named `meta`, instead of the policy's.
    #[arg(long, value_name = "DIR", requires = "data")]
    pub meta: Option<PathBuf>,
    /// Print one JSON object instead of lines.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub what: SpoolWhat,
}

/// What to do with a spool.
#[derive(Subcommand, Debug)]
pub enum SpoolWhat {
    /// Count what is in each partition, and tell all damage with file and offset.
    Check,
    /// One message: envelope, metadata, attempts, when it is due, headers.
    Show {
        /// Its id.
        id: String,
    },
    /// Write waiting messages to a folder: the message, byte for byte, as ID.eml, what is known of it
    /// as ID.json.
    #[command(group(ArgGroup::new("which").args(["id", "all"]).required(true)))]
    Export {
        /// Only this message.
        id: Option<String>,
        /// All that wait.
        #[arg(long)]
        all: bool,
        /// Of all only those in this scheduled queue.
        #[arg(long, value_name = "NAME", requires = "all")]
        queue: Option<String>,
        /// Folder to write to; it is made if it is not there.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
    },
}

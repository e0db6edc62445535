//! What a sandbox is told to be; what belongs to one part is defined beside it.

use crate::chaos::Triggers;
use crate::limits;
use crate::passwords::Passwords;
use crate::relay::{Forward, Relay};
use crate::tags::TagRules;
use regex::Regex;
use rustls::ServerConfig;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Which messages are kept, and for how long.
#[derive(Debug, Clone)]
pub struct Keeping {
    /// Messages kept; older ones give way. 0 means as many as there may be.
    pub max_messages: usize,
    /// Bytes of all messages that are kept in memory.
    pub max_bytes: usize,
    /// Messages older than this are dropped.
    pub max_age: Option<Duration>,
    /// A message's moment is that of its Date header.
    pub use_message_dates: bool,
    /// A message whose Message-ID is there already is taken, and not kept.
    pub ignore_duplicate_ids: bool,
    /// Which tags messages get by themselves.
    pub tags: TagRules,
}

impl Default for Keeping {
    fn default() -> Keeping {
        Keeping {
            max_messages: limits::SANDBOX_MESSAGES,
            max_bytes: limits::SANDBOX_BYTES,
            max_age: None,
            use_message_dates: false,
            ignore_duplicate_ids: false,
            tags: TagRules::default(),
        }
    }
}

impl Keeping {
    /// The most messages that are kept at once.
    pub fn most(&self) -> usize {
        match self.max_messages {
            0 => limits::SANDBOX_MESSAGES_MAX,
            some => some.min(limits::SANDBOX_MESSAGES_MAX),
        }
    }
}

/// A database's file and how it is written.
#[derive(Debug, Clone)]
pub struct DatabaseFile {
    /// The file.
    pub path: PathBuf,
    /// Level of zstd for the sources of messages, 0 to 3; 0 means as they are.
    pub compression: i32,
    /// A write-ahead log beside it.
    pub wal: bool,
    /// Space of deleted messages is given back.
    pub vacuum: bool,
}

/// Who may use the SMTP side, and how.
#[derive(Clone, Default)]
pub struct Smtp {
    /// Logins; without them any name and password will do.
    pub logins: Option<Passwords>,
    /// Logins may be sent without TLS. Without a file of logins they always may.
    pub insecure_logins: bool,
    /// The certificate for TLS; one of our own making unless given.
    pub tls: Option<Arc<ServerConfig>>,
    /// Nothing is taken before STARTTLS.
    pub require_starttls: bool,
    /// TLS from the first byte.
    pub implicit_tls: bool,
    /// Recipients of one message.
    pub max_recipients: Option<usize>,
    /// Bytes of one message.
    pub max_message_bytes: Option<usize>,
    /// Recipients that are taken.
    pub allowed_recipients: Option<Regex>,
    /// Other recipients are taken too, and dropped.
    pub ignore_rejected: bool,
    /// A message whose header has CR CR LF is refused.
    pub strict_headers: bool,
}

/// Who may inject messages over HTTP.
#[derive(Debug, Clone, Default)]
pub enum SendLogins {
    /// Whoever may use the page.
    #[default]
    AsPage,
    /// Anyone; a name that is given is noted.
    Any,
    /// Those of a file.
    File(Passwords),
}

/// Where metrics are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Prometheus {
    /// Nowhere.
    #[default]
    Off,
    /// At `/metrics` of the web address.
    Here,
    /// At `/metrics` of an address of their own.
    At(SocketAddr),
}

/// Who says whether a message is spam.
#[derive(Clone, Debug)]
pub enum SpamServer {
    /// A spamd, `host:port`.
    Spamd(String),
    /// An rspamd, by the URL in front of its paths.
    Rspamd(String),
}

/// Who is told, and how often.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Where to.
    pub url: String,
    /// Shortest time between two; no limit when zero.
    pub pause: Duration,
    /// How long after the message came.
    pub delay: Duration,
}

/// A mailbox for clients of POP3.
#[derive(Clone)]
pub struct Pop3 {
    /// Where.
    pub address: SocketAddr,
    /// Its logins.
    pub logins: Passwords,
    /// TLS from the first byte.
    pub tls: Option<Arc<ServerConfig>>,
}

/// What a sandbox is told to be.
#[derive(Clone)]
pub struct Settings {
    /// Which messages are kept.
    pub keeping: Keeping,
    /// Where, if not in memory.
    pub database: Option<DatabaseFile>,
    /// A name for this inbox.
    pub label: String,
    /// Path below which everything is: `/`, or `/inbox/`.
    pub webroot: String,
    /// Logins of page and API.
    pub web_logins: Option<Passwords>,
    /// The certificate of page and API; without it they speak plain HTTP.
    pub web_tls: Option<Arc<ServerConfig>>,
    /// Sites whose pages may use the API; `*` for all.
    pub cors: Vec<String>,
    /// The page does not offer to delete everything.
    pub hide_delete_all: bool,
    /// Styles and fonts of elsewhere stay out of a message, whatever its reader asks for.
    pub block_remote_css_and_fonts: bool,
    /// Links of messages may be tried.
    pub link_check: bool,
    /// Also those that lead to private addresses.
    pub internal_requests: bool,
    /// Whatever the certificate there.
    pub untrusted_tls: bool,
    /// Who is asked whether a message is spam.
    pub spam_server: Option<SpamServer>,
    /// Who may inject messages over HTTP.
    pub send_logins: SendLogins,
    /// The SMTP side.
    pub smtp: Smtp,
    /// Where messages are released to.
    pub relay: Option<Relay>,
    /// Where a copy of each message goes.
    pub forward: Option<Forward>,
    /// Errors of SMTP on purpose.
    pub chaos: Option<Triggers>,
    /// Where metrics are.
    pub prometheus: Prometheus,
    /// Who is told of new messages.
    pub webhook: Option<Webhook>,
    /// A mailbox for clients of POP3.
    pub pop3: Option<Pop3>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            keeping: Keeping::default(),
            database: None,
            label: String::new(),
            webroot: "/".into(),
            web_logins: None,
            web_tls: None,
            cors: Vec::new(),
            hide_delete_all: false,
            block_remote_css_and_fonts: false,
            link_check: false,
            internal_requests: false,
            untrusted_tls: false,
            spam_server: None,
            send_logins: SendLogins::default(),
            smtp: Smtp::default(),
            relay: None,
            forward: None,
            chaos: None,
            prometheus: Prometheus::Off,
            webhook: None,
            pop3: None,
        }
    }
}

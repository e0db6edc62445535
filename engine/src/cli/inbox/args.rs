//! The flags themselves: Mailpit's names, long and short, and its environment variables.

use super::values::{age, bind, metrics, place, refused, yes_or_no, Metrics};
use clap::Args;
use ringmta_sandbox::place::Place;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Which messages are kept, and where.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Messages")]
pub struct Keep {
    /// SQLite file that messages are kept in, over restarts; in memory unless given.
    #[arg(long, alias = "db-file", short = 'd', env = "MP_DATABASE", value_name = "FILE")]
    pub database: Option<PathBuf>,
    /// How hard sources are compressed in the database: 0 (not) to 3.
    #[arg(long, env = "MP_COMPRESSION", value_name = "LEVEL", default_value_t = 1, value_parser = clap::value_parser!(i32).range(0..=3))]
    pub compression: i32,
    /// No write-ahead log beside the database, for file systems of a network.
    #[arg(long, env = "MP_DISABLE_WAL", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no)]
    pub disable_wal: bool,
    /// The database keeps the space of deleted messages.
    #[arg(long, env = "MP_DISABLE_AUTO_VACUUM", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no)]
    pub disable_auto_vacuum: bool,
    /// Messages kept, older ones give way; 0 for as many as there may be (a million in a database, 256 MB in memory).
    #[arg(long, short = 'm', env = "MP_MAX_MESSAGES", value_name = "N", default_value_t = 500)]
    pub max: usize,
    /// Messages older than this are dropped, such as 12h or 3d.
    #[arg(long, env = "MP_MAX_AGE", value_name = "AGE", value_parser = age)]
    pub max_age: Option<Duration>,
    /// Megabytes of one message; 0 for as many as there may be.
    #[arg(long, env = "MP_MAX_MESSAGE_SIZE", value_name = "MB", default_value_t = 50)]
    pub max_message_size: usize,
    /// Order messages by their Date headers.
    #[arg(long, env = "MP_USE_MESSAGE_DATES", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no)]
    pub use_message_dates: bool,
    /// Take messages whose Message-ID is there already, and do not keep them.
    #[arg(long, env = "MP_IGNORE_DUPLICATE_IDS", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no)]
    pub ignore_duplicate_ids: bool,
    /// A name for this inbox.
    #[arg(long, env = "MP_LABEL", default_value = "", value_name = "TEXT")]
    pub label: String,
    /// Tags for messages that match searches: `tag1=from:ann, tag2="subject:new order"`.
    #[arg(long, short = 't', env = "MP_TAG", value_name = "TAGS")]
    pub tag: Option<String>,
    /// The same in a YAML file: `filters: [{match: from:ann, tags: orders}]`.
    #[arg(long, env = "MP_TAGS_CONFIG", value_name = "FILE")]
    pub tags_config: Option<PathBuf>,
    /// Tags begin with capitals.
    #[arg(long, env = "MP_TAGS_TITLE_CASE", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no)]
    pub tags_title_case: bool,
    /// No tags by plus-addresses, by X-Tags headers, or both (`plus-addresses,x-tags`).
    #[arg(long, env = "MP_TAGS_DISABLE", value_name = "WHICH")]
    pub tags_disable: Option<String>,
    /// The name of the login becomes a tag.
    #[arg(long, env = "MP_TAGS_USERNAME", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no)]
    pub tags_username: bool,
}

/// Page, API and what they may do.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Page and API")]
pub struct Pages {
    /// Path below which page and API are.
    #[arg(long, env = "MP_WEBROOT", default_value = "/", value_name = "PATH")]
    pub webroot: String,
    /// Logins of page and API: a file as htpasswd writes it.
    #[arg(long, env = "MP_UI_AUTH_FILE", value_name = "FILE")]
    pub ui_auth_file: Option<PathBuf>,
    /// The same, its entries parted by spaces.
    #[arg(long, env = "MP_UI_AUTH", hide_env_values = true, hide = true, value_name = "LOGINS")]
    pub ui_auth: Option<String>,
    /// Certificate of page and API (PEM), or sans:NAME for one of our own making.
    #[arg(long, alias = "ui-ssl-cert", env = "MP_UI_TLS_CERT", value_name = "FILE")]
    pub ui_tls_cert: Option<String>,
    /// Its key.
    #[arg(long, alias = "ui-ssl-key", env = "MP_UI_TLS_KEY", value_name = "FILE")]
    pub ui_tls_key: Option<PathBuf>,
    /// Sites whose pages may use the API, parted by commas; * for all.
    #[arg(long, env = "MP_API_CORS", value_name = "SITES")]
    pub api_cors: Option<String>,
    /// The page does not offer to delete everything.
    #[arg(long, env = "MP_HIDE_DELETE_ALL_BUTTON", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no)]
    pub hide_delete_all_button: bool,
    /// Styles and fonts from elsewhere stay out of messages, whatever the reader asks for.
    #[arg(long, env = "MP_BLOCK_REMOTE_CSS_AND_FONTS", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no)]
    pub block_remote_css_and_fonts: bool,
    /// Links of messages may be tried (not of Mailpit, where they always may).
    #[arg(long, env = "MP_ENABLE_LINK_CHECK", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no)]
    pub enable_link_check: bool,
    /// Also those that lead to private addresses.
    #[arg(long, env = "MP_ALLOW_INTERNAL_HTTP_REQUESTS", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no)]
    pub allow_internal_http_requests: bool,
    /// Also where the certificate is not to be trusted.
    #[arg(long, env = "MP_ALLOW_UNTRUSTED_TLS", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no)]
    pub allow_untrusted_tls: bool,
    /// SpamAssassin to ask, as HOST:PORT of its spamd; or rspamd, as http://HOST:11333.
    #[arg(long, env = "MP_ENABLE_SPAMASSASSIN", value_name = "HOST:PORT")]
    pub enable_spamassassin: Option<String>,
    /// Logins of those who put messages in over HTTP, instead of those of the page.
    #[arg(long, env = "MP_SEND_API_AUTH_FILE", value_name = "FILE")]
    pub send_api_auth_file: Option<PathBuf>,
    /// The same, its entries parted by spaces.
    #[arg(
        long,
        env = "MP_SEND_API_AUTH",
        hide_env_values = true,
        hide = true,
        value_name = "LOGINS"
    )]
    pub send_api_auth: Option<String>,
    /// Anyone may put messages in over HTTP, with any login or none.
    #[arg(long, env = "MP_SEND_API_AUTH_ACCEPT_ANY", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no)]
    pub send_api_auth_accept_any: bool,
    /// Metrics at /metrics, or at an address of their own.
    #[arg(long, env = "MP_ENABLE_PROMETHEUS", value_name = "WHERE", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = metrics)]
    pub enable_prometheus: Option<Metrics>,
    /// URL that is told of new messages.
    #[arg(long, env = "MP_WEBHOOK_URL", hide_env_values = true, value_name = "URL")]
    pub webhook_url: Option<String>,
    /// Messages of a second it is told of; 0 for all.
    #[arg(long, env = "MP_WEBHOOK_LIMIT", value_name = "N", default_value_t = 1.0)]
    pub webhook_limit: f64,
    /// Seconds before it is told.
    #[arg(long, env = "MP_WEBHOOK_DELAY", value_name = "SECONDS", default_value_t = 0.0)]
    pub webhook_delay: f64,
}

/// Who may hand messages in, and what may go wrong.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "SMTP side")]
pub struct Intake {
    /// Logins of those who send; without them any login will do.
    #[arg(long, env = "MP_SMTP_AUTH_FILE", value_name = "FILE")]
    pub smtp_auth_file: Option<PathBuf>,
    /// The same, its entries parted by spaces.
    #[arg(long, env = "MP_SMTP_AUTH", hide_env_values = true, hide = true, value_name = "LOGINS")]
    pub smtp_auth: Option<String>,
    /// Any login will do, which is so where no file of logins is given.
    #[arg(long, env = "MP_SMTP_AUTH_ACCEPT_ANY", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no)]
    pub smtp_auth_accept_any: bool,
    /// Logins may come without TLS, which they may where any will do.
    #[arg(long, env = "MP_SMTP_AUTH_ALLOW_INSECURE", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no)]
    pub smtp_auth_allow_insecure: bool,
    /// Certificate for STARTTLS (PEM), or sans:NAME; one of our own making unless given.
    #[arg(long, alias = "smtp-ssl-cert", env = "MP_SMTP_TLS_CERT", value_name = "FILE")]
    pub smtp_tls_cert: Option<String>,
    /// Its key.
    #[arg(long, alias = "smtp-ssl-key", env = "MP_SMTP_TLS_KEY", value_name = "FILE")]
    pub smtp_tls_key: Option<PathBuf>,
    /// Take nothing before STARTTLS.
    #[arg(long, alias = "smtp-tls-required", env = "MP_SMTP_REQUIRE_STARTTLS", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no)]
    pub smtp_require_starttls: bool,
    /// TLS from the first byte.
    #[arg(long, env = "MP_SMTP_REQUIRE_TLS", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no)]
    pub smtp_require_tls: bool,
    /// Refuse messages whose header has lines that end with CR CR LF.
    #[arg(long, env = "MP_SMTP_STRICT_RFC_HEADERS", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no)]
    pub smtp_strict_rfc_headers: bool,
    /// Recipients of one message.
    #[arg(long, env = "MP_SMTP_MAX_RECIPIENTS", value_name = "N", default_value_t = 100)]
    pub smtp_max_recipients: usize,
    /// Recipients that are taken, a regular expression.
    #[arg(long, env = "MP_SMTP_ALLOWED_RECIPIENTS", value_name = "REGEX")]
    pub smtp_allowed_recipients: Option<String>,
    /// Take the others too, and drop them.
    #[arg(long, env = "MP_SMTP_IGNORE_REJECTED_RECIPIENTS", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no)]
    pub smtp_ignore_rejected_recipients: bool,
    /// Errors on purpose may be switched on over the API.
    #[arg(long, env = "MP_ENABLE_CHAOS", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no)]
    pub enable_chaos: bool,
    /// Errors on purpose from the start: Sender:451:5,Recipient:550:10 (step, code, percent).
    #[arg(long, env = "MP_CHAOS_TRIGGERS", value_name = "TRIGGERS")]
    pub chaos_triggers: Option<String>,
}

/// Where messages are released to, and copied to.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Relay")]
pub struct Outgoing {
    /// Mail server that messages may be released to, a YAML file; its keys may be given as MP_SMTP_RELAY_HOST and so on.
    #[arg(long, env = "MP_SMTP_RELAY_CONFIG", value_name = "FILE")]
    pub smtp_relay_config: Option<PathBuf>,
    /// Relay every message as it comes.
    #[arg(long, env = "MP_SMTP_RELAY_ALL", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no)]
    pub smtp_relay_all: bool,
    /// Relay those to these recipients, a regular expression.
    #[arg(long, env = "MP_SMTP_RELAY_MATCHING", value_name = "REGEX")]
    pub smtp_relay_matching: Option<String>,
    /// Mailbox that gets a copy of each message, a YAML file; its keys may be given as MP_SMTP_FORWARD_TO and so on.
    #[arg(long, env = "MP_SMTP_FORWARD_CONFIG", value_name = "FILE")]
    pub smtp_forward_config: Option<PathBuf>,
    /// Mail server.
    #[arg(long, env = "MP_SMTP_RELAY_HOST", hide = true)]
    pub smtp_relay_host: Option<String>,
    /// Its port.
    #[arg(long, env = "MP_SMTP_RELAY_PORT", hide = true)]
    pub smtp_relay_port: Option<u16>,
    /// STARTTLS.
    #[arg(long, env = "MP_SMTP_RELAY_STARTTLS", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no, hide = true)]
    pub smtp_relay_starttls: bool,
    /// TLS from the first byte.
    #[arg(long, env = "MP_SMTP_RELAY_TLS", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no, hide = true)]
    pub smtp_relay_tls: bool,
    /// Any certificate will do.
    #[arg(long, env = "MP_SMTP_RELAY_ALLOW_INSECURE", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no, hide = true)]
    pub smtp_relay_allow_insecure: bool,
    /// none, plain, login or cram-md5.
    #[arg(long, env = "MP_SMTP_RELAY_AUTH", hide = true)]
    pub smtp_relay_auth: Option<String>,
    /// Login.
    #[arg(long, env = "MP_SMTP_RELAY_USERNAME", hide = true)]
    pub smtp_relay_username: Option<String>,
    /// Its password.
    #[arg(long, env = "MP_SMTP_RELAY_PASSWORD", hide = true, hide_env_values = true)]
    pub smtp_relay_password: Option<String>,
    /// Secret of CRAM-MD5.
    #[arg(long, env = "MP_SMTP_RELAY_SECRET", hide = true, hide_env_values = true)]
    pub smtp_relay_secret: Option<String>,
    /// Sender of the envelope.
    #[arg(long, env = "MP_SMTP_RELAY_RETURN_PATH", hide = true)]
    pub smtp_relay_return_path: Option<String>,
    /// Address in From.
    #[arg(long, env = "MP_SMTP_RELAY_OVERRIDE_FROM", hide = true)]
    pub smtp_relay_override_from: Option<String>,
    /// Expression.
    #[arg(long, env = "MP_SMTP_RELAY_ALLOWED_RECIPIENTS", hide = true)]
    pub smtp_relay_allowed_recipients: Option<String>,
    /// Expression.
    #[arg(long, env = "MP_SMTP_RELAY_BLOCKED_RECIPIENTS", hide = true)]
    pub smtp_relay_blocked_recipients: Option<String>,
    /// Message-IDs stay.
    #[arg(long, env = "MP_SMTP_RELAY_PRESERVE_MESSAGE_IDS", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no, hide = true)]
    pub smtp_relay_preserve_message_ids: bool,
    /// Errors go to the sender.
    #[arg(long, env = "MP_SMTP_RELAY_FWD_SMTP_ERRORS", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no, hide = true)]
    pub smtp_relay_fwd_smtp_errors: bool,
    /// Mail server.
    #[arg(long, env = "MP_SMTP_FORWARD_HOST", hide = true)]
    pub smtp_forward_host: Option<String>,
    /// Its port.
    #[arg(long, env = "MP_SMTP_FORWARD_PORT", hide = true)]
    pub smtp_forward_port: Option<u16>,
    /// STARTTLS.
    #[arg(long, env = "MP_SMTP_FORWARD_STARTTLS", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no, hide = true)]
    pub smtp_forward_starttls: bool,
    /// TLS from the first byte.
    #[arg(long, env = "MP_SMTP_FORWARD_TLS", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no, hide = true)]
    pub smtp_forward_tls: bool,
    /// Any certificate will do.
    #[arg(long, env = "MP_SMTP_FORWARD_ALLOW_INSECURE", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no, hide = true)]
    pub smtp_forward_allow_insecure: bool,
    /// none, plain, login or cram-md5.
    #[arg(long, env = "MP_SMTP_FORWARD_AUTH", hide = true)]
    pub smtp_forward_auth: Option<String>,
    /// Login.
    #[arg(long, env = "MP_SMTP_FORWARD_USERNAME", hide = true)]
    pub smtp_forward_username: Option<String>,
    /// Its password.
    #[arg(long, env = "MP_SMTP_FORWARD_PASSWORD", hide = true, hide_env_values = true)]
    pub smtp_forward_password: Option<String>,
    /// Secret of CRAM-MD5.
    #[arg(long, env = "MP_SMTP_FORWARD_SECRET", hide = true, hide_env_values = true)]
    pub smtp_forward_secret: Option<String>,
    /// Sender of the envelope.
    #[arg(long, env = "MP_SMTP_FORWARD_RETURN_PATH", hide = true)]
    pub smtp_forward_return_path: Option<String>,
    /// Address in From.
    #[arg(long, env = "MP_SMTP_FORWARD_OVERRIDE_FROM", hide = true)]
    pub smtp_forward_override_from: Option<String>,
    /// Mailboxes.
    #[arg(long, env = "MP_SMTP_FORWARD_TO", hide = true)]
    pub smtp_forward_to: Option<String>,
    /// Errors go to the sender.
    #[arg(long, env = "MP_SMTP_FORWARD_FWD_SMTP_ERRORS", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no, hide = true)]
    pub smtp_forward_fwd_smtp_errors: bool,
}

/// What is of no effect here, and what is not offered.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Other")]
pub struct Others {
    /// Say errors alone.
    #[arg(long, short = 'q', env = "MP_QUIET", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no)]
    pub quiet: bool,
    /// Say each message that comes.
    #[arg(long, short = 'v', env = "MP_VERBOSE", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no)]
    pub verbose: bool,
    /// Nobody is asked for newer versions anyway.
    #[arg(long, env = "MP_DISABLE_VERSION_CHECK", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no, hide = true)]
    pub disable_version_check: bool,
    /// Answers are never compressed.
    #[arg(long, env = "MP_DISABLE_HTTP_COMPRESSION", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no, hide = true)]
    pub disable_http_compression: bool,
    /// There is none.
    #[arg(long, env = "MP_DISABLE_LINK_CHECK_RATE_LIMIT", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no, hide = true)]
    pub disable_link_check_rate_limit: bool,
    /// Names of clients are never looked up.
    #[arg(long, env = "MP_SMTP_DISABLE_RDNS", num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no, hide = true)]
    pub smtp_disable_rdns: bool,
    /// Of no effect in Mailpit itself: there is always a check.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", default_value = "false", require_equals = true, value_name = "YES", hide_possible_values = true, value_parser = yes_or_no, hide = true)]
    pub disable_html_check: bool,
    /// Not offered.
    #[arg(long, env = "MP_LOG_FILE", hide = true, value_parser = |text: &str| refused(text, "logs go to stderr: redirect it, as in 2>>FILE"))]
    pub log_file: Option<String>,
    /// Not offered.
    #[arg(long, env = "MP_TENANT_ID", hide = true, value_parser = |text: &str| refused(text, "inboxes do not share a database: give each a --database of its own"))]
    pub tenant_id: Option<String>,
    /// Not offered.
    #[arg(long, env = "MP_DEMO_MODE", hide = true, value_parser = |text: &str| refused(text, "there is no such mode: leave it out"))]
    pub demo_mode: Option<String>,
}

/// A mailbox of POP3.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "POP3")]
pub struct Mailbox {
    /// POP3 address; POP3 is spoken where logins are given.
    #[arg(long, env = "MP_POP3_BIND_ADDR", default_value = "127.0.0.1:1110", value_name = "ADDRESS", value_parser = bind)]
    pub pop3: SocketAddr,
    /// Logins of POP3: a file as htpasswd writes it.
    #[arg(long, env = "MP_POP3_AUTH_FILE", value_name = "FILE")]
    pub pop3_auth_file: Option<PathBuf>,
    /// The same, its entries parted by spaces.
    #[arg(long, env = "MP_POP3_AUTH", hide_env_values = true, hide = true, value_name = "LOGINS")]
    pub pop3_auth: Option<String>,
    /// Certificate of POP3 (PEM), or sans:NAME for one of our own making; with it TLS from the first byte.
    #[arg(long, env = "MP_POP3_TLS_CERT", value_name = "FILE")]
    pub pop3_tls_cert: Option<String>,
    /// Its key.
    #[arg(long, env = "MP_POP3_TLS_KEY", value_name = "FILE")]
    pub pop3_tls_key: Option<PathBuf>,
}

/// Everything the inbox can be told.
#[derive(Args, Debug, Clone)]
pub struct InboxArgs {
    /// Messages.
    #[command(flatten)]
    pub keep: Keep,
    /// Page and API.
    #[command(flatten)]
    pub pages: Pages,
    /// SMTP side.
    #[command(flatten)]
    pub intake: Intake,
    /// What leaves.
    #[command(flatten)]
    pub outgoing: Outgoing,
    /// POP3.
    #[command(flatten)]
    pub mailbox: Mailbox,
    /// The rest.
    #[command(flatten)]
    pub others: Others,
}

/// Where the sandbox listens.
#[derive(Args, Debug, Clone)]
pub struct Addresses {
    /// SMTP address, or unix:PATH:PERMISSIONS.
    #[arg(long, short = 's', env = "MP_SMTP_BIND_ADDR", default_value = "127.0.0.1:1025", value_name = "ADDRESS", value_parser = place)]
    pub smtp: Place,
    /// Web and API address, or unix:PATH:PERMISSIONS.
    #[arg(long, short = 'l', alias = "listen", env = "MP_UI_BIND_ADDR", default_value = "127.0.0.1:8025", value_name = "ADDRESS", value_parser = place)]
    pub web: Place,
}

//! What a policy asked for at start-up.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::classify::ClassifierRules;
use crate::http_listener::HttpListener;
use crate::listener::EsmtpListener;
use crate::logs::{AccountingLog, HttpLogHook, LocalLogs, LogDispositionHook, LogHook};
use crate::spool::Spool;

/// The outcome of `pre_init` and `init`.
#[derive(Clone, Debug, Default)]
pub struct InitConfig {
    /// ESMTP listeners, in order.
    pub esmtp_listeners: Vec<EsmtpListener>,
    /// HTTP listeners, in order.
    pub http_listeners: Vec<HttpListener>,
    /// Spools; names are unique.
    pub spools: Vec<Spool>,
    /// Log files.
    pub local_logs: Vec<LocalLogs>,
    /// Who was let in.
    pub accounting_log: Option<AccountingLog>,
    /// Database of how much mail was received and delivered in each month.
    pub volumes_db: Option<PathBuf>,
    /// Lua log hooks; names are unique.
    pub log_hooks: Vec<LogHook>,
    /// HTTP log hooks served by the engine; names are unique.
    pub http_log_hooks: Vec<HttpLogHook>,
    /// Events that get records at once; names are unique.
    pub log_disposition_hooks: Vec<LogDispositionHook>,
    /// Tasks to start once the engine is up: event name and argument.
    pub spawn_tasks: Vec<(String, serde_json::Value)>,
    /// Filter for diagnostics asked for by the policy.
    pub diagnostic_log_filter: Option<String>,
    /// Message bodies in memory above which they leave it (bytes, all shards).
    pub memory_soft_limit: Option<u64>,
    /// Message bodies in memory above which new mail is refused (bytes, all shards).
    pub memory_hard_limit: Option<u64>,
    /// MTA-STS policies are asked for; `None` = the default, yes.
    pub mta_sts_enabled: Option<bool>,
    /// Files that are watched for changes; `None` = those beside the policy file.
    pub monitor_globs: Option<Vec<String>>,
    /// Name servers to ask; empty = those of the system.
    pub name_servers: Vec<SocketAddr>,
    /// Rules that sort failures into categories.
    pub bounce_classifier: Option<Arc<ClassifierRules>>,
}

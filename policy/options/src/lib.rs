//! Options: what a policy configures, read from plain values and checked. Nothing here knows of the policy's language.
//!
//! One declaration per option is the truth for its type, default, validation and documentation.
//!
//! - The machinery: [`plain`] (values without a VM), [`table`] (tables of options), [`value`] (how one value is read), [`suggest`]
//!   (nearest names)
//! - One file per constructor: `queue`, `egress_path`, `egress_source`, `listener`, `http_listener`, `spool`, `logs`, `dkim`,
//!   `resolver`, ...
//! - Types of options: `cidr`, `duration`, `enums`, `rate`, `secret`, `key_source`, `cipher`, `protocol`
//! - What is made of them: [`init`] (what start-up asked for), [`ceilings`] (what a configuration allows at most), [`gcra`] (rates
//!   kept), [`classify`] (rules that sort failures)
//! - [`mta_sts`] what a domain says about the hosts that take its mail
//! - [`limits`]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod access;
pub mod ceilings;
mod cidr;
mod cipher;
pub mod classify;
mod dkim;
mod duration;
mod egress_path;
mod egress_source;
mod ehlo;
mod enums;
pub mod gcra;
mod http_listener;
pub mod init;
mod key_source;
pub mod limits;
mod listener;
mod logs;
mod made;
pub mod mta_sts;
pub mod plain;
mod protocol;
mod queue;
mod rate;
mod resolv_conf;
mod resolver;
mod secret;
mod spool;
pub mod suggest;
pub mod table;
pub mod value;

pub use ceilings::Ceilings;
pub use cidr::{CidrMap, CidrSet};
pub use cipher::cipher_suites;
pub use classify::{ClassifierRules, ShardClassifier};
pub use dkim::DkimSigner;
pub use duration::{format_duration, parse_duration};
pub use egress_path::EgressPath;
pub use egress_source::{EgressPool, EgressSource, PoolEntry, SuspendOnFailure, UNSPECIFIED};
pub use enums::*;
pub use gcra::{Gcra, GcraSpec};
pub use http_listener::HttpListener;
pub use init::InitConfig;
pub use key_source::KeySource;
pub use listener::{
    listen_address, EsmtpListener, JsonMap, ListenerDomain, Overrides, PeerLimits, TraceHeaders,
};
pub use logs::{
    AccountingLog, HttpLogHook, LocalLogs, LogDispositionHook, LogHook, LogRecordSelect, Patterns,
    RecordParams, RECORD_TYPES,
};
pub use made::{MadeAt, Placed};
pub use mta_sts::{StsMode, StsPolicy};
pub use plain::Plain;
pub use protocol::{LuaProtocol, MaildirProtocol, MxEntry, Protocol};
pub use queue::QueueConfig;
pub use rate::{Limit, Throttle};
pub use resolv_conf::{interface_number, ResolvConf};
pub use resolver::{NameServer, NamedResolverConfig, ResolverConfig, ResolverOptions};
pub use secret::{SecretText, SecretUrl};
pub use spool::{MinFree, Spool};
pub use table::{Notes, OptionDef, OptionTable, Support};
pub use value::OptionValue;

#[cfg(test)]
mod tests;

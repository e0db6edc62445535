//! The policy host: everything a policy author meets, and the engine's way to it.
//!
//! # Layout
//!
//! From below: each may use what stands before it.
//!
//! - [`limits`], [`event_table`] (all events there are), [`host`] (what the engine provides), [`confinement`] (what the process may not do, and how that is said)
//! - [`dns`], [`net`] (connections of clients), [`template`], [`process`] (what all shards share)
//! - [`vm`]: the VM, its context, conversions, the budget of a handler
//! - `families`: the functions a policy calls, one file or folder each
//! - [`loading`]: a policy made of its files · [`events`]: the engine's questions to it
//! - [`validate`], [`proving`] (a policy's own tests), [`document`] (what is generated from the tables and the live VM)
//!
//! Values of mail are [`ringmta_mail`], options [`ringmta_options`]; both are re-exported, so that users of a policy need no more
//! than this crate.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod confinement;
pub mod dns;
pub mod document;
pub mod event_table;
pub mod events;
mod families;
pub mod host;
pub mod limits;
pub mod loading;
pub mod net;
pub mod process;
pub mod proving;
pub mod template;
#[cfg(test)]
mod test_peers;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod validate;
pub mod vm;

pub use ringmta_mail::{
    address, conn_meta, headers, id, message, mime, queue_name, redact, schedule, time,
};
pub use ringmta_mail::{
    AddressError, AuthInfo, Changes, ConnMeta, EnvelopeAddress, HeaderBlock, Message, MessageId,
    Meta, QueueName, Scheduling,
};
pub use ringmta_options as options;
pub use ringmta_options::mta_sts;
pub use ringmta_options::*;

pub use dns::names::{is_name, site_name};
pub use dns::question::{DnsAnswer, DnsFailure, DnsKind, DnsQuestion, DnsResult, NameServers};
pub use dns::zones::Zones;
pub use events::queue::LuaConnection;
pub use families::files::monitor;
pub use host::{ApiCall, Host, HttpClient, HttpOptions, NoHost, OrderKind, Work};
pub use loading::policy::Policy;
pub use net::trust;
pub use process::helpers::Helpers;
pub use process::shared::{Latency, Shared, LATENCY_BOUNDS};
pub use template::log_line::LogTemplate;
pub use vm::context::Mode;
pub use vm::error::{Disconnect, LuaFailure, PolicyError, Rejection};

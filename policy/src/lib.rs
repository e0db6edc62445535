//! The policy host: everything a policy author meets, and the message object.
//!
//! # Layout
//!
//! - Values: [`id`], [`address`], [`message`], [`schedule`], [`queue_name`], [`conn_meta`], [`headers`], [`time`]
//! - Options: [`options`] (one table per constructor), `ceilings` (what they allow at most), [`init`] (what start-up asked for), [`events_table`]
//! - Log lines: [`log_template`], [`redact`]
//! - Shared by all shards: [`shared`], [`helpers`], [`gcra`], `memo`
//! - The VM: [`vm`] (setup and calls), `slice` (the budget of a handler), `lent` (messages as arguments), `lua_value` (conversions), [`policy`] (loading),
//!   `events_smtp`, `events_queue` (typed events), `kumo` (what Lua sees), `extras` (helper modules)
//! - [`confinement`] (what the process may not do, and how that is said)
//! - [`error`], [`host`] (what the engine provides), [`limits`]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod address;
pub mod amqp;
mod auth;
#[cfg(test)]
mod bad_input_tests;
mod ceilings;
pub mod classify;
pub mod confinement;
pub mod conn_meta;
#[cfg(test)]
mod contract_tests;
pub mod counter;
pub mod dkim;
pub mod dns;
pub mod document;
pub mod error;
mod events_queue;
mod events_smtp;
pub mod events_table;
#[cfg(test)]
mod example_tests;
mod extras;
pub mod gcra;
pub mod headers;
pub mod helpers;
pub mod host;
pub mod id;
pub mod init;
pub mod kafka;
mod kumo;
#[cfg(test)]
mod kumo_tests;
mod lent;
pub mod limits;
pub mod log_template;
mod lua_value;
mod memo;
pub mod message;
pub mod mime;
pub mod monitor;
pub mod mpsc;
#[cfg(test)]
mod msg_tests;
pub mod mta_sts;
mod named;
pub mod nats;
pub mod options;
#[cfg(test)]
mod peers;
mod places;
pub mod plain;
pub mod policy;
pub mod proving;
pub mod queue_name;
pub mod redact;
pub mod redis;
pub mod resolvers;
pub mod schedule;
pub mod shaping;
#[cfg(test)]
mod shaping_tests;
pub mod shared;
mod slice;
mod strftime;
pub mod template;
#[cfg(test)]
mod testing;
pub mod time;
#[cfg(test)]
mod tls_tests;
pub mod trust;
pub mod validate;
#[cfg(test)]
mod validate_tests;
pub mod vm;
#[cfg(test)]
mod vm_tests;
mod wire;
pub mod zones;

pub use address::{AddressError, EnvelopeAddress};
pub use ceilings::Ceilings;
pub use classify::{ClassifierRules, ShardClassifier};
pub use conn_meta::{AuthInfo, ConnMeta};
pub use dns::{site_name, DnsAnswer, DnsFailure, DnsKind, DnsQuestion, DnsResult};
pub use error::{Disconnect, LuaFailure, PolicyError, Rejection};
pub use events_queue::LuaConnection;
pub use gcra::{Gcra, GcraSpec};
pub use headers::HeaderBlock;
pub use helpers::Helpers;
pub use host::{ApiCall, Host, NoHost, OrderKind};
pub use id::MessageId;
pub use init::InitConfig;
pub use log_template::LogTemplate;
pub use message::{Changes, Message, Meta};
pub use mta_sts::{StsMode, StsPolicy};
pub use options::*;
pub use plain::Plain;
pub use policy::Policy;
pub use queue_name::QueueName;
pub use resolvers::NameServers;
pub use schedule::Scheduling;
pub use shared::{Latency, Shared, LATENCY_BOUNDS};
pub use vm::Mode;
pub use zones::Zones;

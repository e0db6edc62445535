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
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod amqp;
mod auth;
#[cfg(test)]
mod bad_input_tests;
pub mod confinement;
#[cfg(test)]
mod contract_tests;
pub mod counter;
mod delivery_status;
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
pub mod helpers;
pub mod host;
pub mod kafka;
mod kumo;
#[cfg(test)]
mod kumo_tests;
mod lent;
pub mod limits;
pub mod log_template;
mod lua_value;
mod memo;
pub mod monitor;
pub mod mpsc;
#[cfg(test)]
mod msg_tests;
pub mod mta_sts;
mod named;
pub mod nats;
#[cfg(test)]
mod peers;
mod places;
pub mod policy;
pub mod proving;
pub mod redis;
pub mod resolvers;
pub mod shaping;
#[cfg(test)]
mod shaping_tests;
pub mod shared;
mod slice;
pub mod template;
#[cfg(test)]
mod testing;
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

pub use ringmta_mail::{
    address, conn_meta, headers, id, message, mime, queue_name, redact, schedule, time,
};
pub use ringmta_mail::{
    AddressError, AuthInfo, Changes, ConnMeta, EnvelopeAddress, HeaderBlock, Message, MessageId,
    Meta, QueueName, Scheduling,
};
pub use ringmta_options as options;
pub use ringmta_options::*;

pub use dns::{site_name, DnsAnswer, DnsFailure, DnsKind, DnsQuestion, DnsResult};
pub use error::{Disconnect, LuaFailure, PolicyError, Rejection};
pub use events_queue::LuaConnection;
pub use helpers::Helpers;
pub use host::{ApiCall, Host, NoHost, OrderKind};
pub use log_template::LogTemplate;
pub use mta_sts::{StsMode, StsPolicy};
pub use policy::Policy;
pub use resolvers::NameServers;
pub use shared::{Latency, Shared, LATENCY_BOUNDS};
pub use vm::Mode;
pub use zones::Zones;

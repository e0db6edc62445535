//! What happened, told: log files, hooks, counters.
//!
//! - [`record`] one event as JSON · [`sinks`] what goes where · [`log_file`] zstd log files · [`metrics`] counters of a shard
//! - [`hook_log`] the durable event log hooks read, `event_files` its files, [`position`] a place in it
//! - [`hook`] one hook, `hook_run` its tasks, `hook_send` one request, `hook_connections` those it keeps; [`window`] its
//!   events that are under way · [`backoff`] when it may send · [`dead_letters`] events nobody takes
//! - [`context`] what every part of a shard may need to know of it, [`policy_cell`] its policy
//! - [`observe`] what whoever watches a simulated world is told · `spoken` events as lines for people
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod backoff;
pub mod context;
pub mod dead_letters;
mod event_files;
pub mod hook;
mod hook_connections;
pub mod hook_log;
pub mod hook_run;
mod hook_send;
pub mod limits;
pub mod log_file;
pub mod metrics;
pub mod observe;
pub mod policy_cell;
pub mod position;
pub mod record;
pub mod sinks;
mod spoken;
pub mod window;

pub use context::Context;
pub use sinks::Events;

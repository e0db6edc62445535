//! What happened, told: log files, hooks, counters.
//!
//! - [`record`] one event as JSON · [`sinks`] what goes where · [`log_file`] zstd log files, `gathered` their lines until they are written · [`metrics`] counters of a shard
//! - [`hook_log`] the durable event log hooks read, `event_files` its files, [`position`] a place in it
//! - [`hook`] one hook, `hook_run` its tasks; [`window`] its events that are under way · [`queued`] those that are messages
//!   in queues, `hook_queue` what becomes of them · `post` a request of the engine's own, `signature` of whom it is · [`backoff`] when it may send ·
//!   [`retry_after`] what its receiver asks for · [`dead_letters`] events nobody takes · [`event_key`] what tells one event
//!   from another
//! - [`context`] what every part of a shard may need to know of it, [`policy_cell`] its policy
//! - [`watch`] those who watch as things happen
//! - [`observe`] what whoever watches a simulated world is told · `spoken` events as lines for people
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod backoff;
pub mod context;
pub mod dead_letters;
mod event_files;
pub mod event_key;
mod gathered;
pub mod history;
pub mod hook;
pub mod hook_log;
mod hook_queue;
pub mod hook_run;
pub mod limits;
pub mod log_file;
pub mod log_index;
pub mod log_keep;
pub mod log_search;
pub mod log_series;
pub mod logs;
pub mod metrics;
pub mod observe;
pub mod policy_cell;
pub mod position;
mod post;
pub mod queued;
pub mod recent;
pub mod record;
pub mod retry_after;
mod signature;
pub mod sinks;
pub mod spans;
mod spoken;
pub mod watch;
pub mod window;

pub use context::Context;
pub use sinks::Events;

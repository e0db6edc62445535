//! What happened, told: log files, hooks, counters.
//!
//! Layout: [`record`] one event as JSON · [`segment`] zstd log files · [`hook_log`] the durable
//! event log hooks read, `event_files` its files · [`hook`] hooks and their cursors · [`window`] their events that are under way ·
//! [`backoff`] when they may send · `hook_send` one request of theirs · [`dead_letters`] events nobody
//! takes · [`metrics`] counters of a shard · [`sinks`] what goes where.

pub mod backoff;
pub mod dead_letters;
mod event_files;
pub mod hook;
pub mod hook_log;
mod hook_send;
pub mod metrics;
pub mod record;
pub mod segment;
pub mod sinks;
pub mod window;

pub use sinks::Events;

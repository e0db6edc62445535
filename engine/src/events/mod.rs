//! What happened, told: log files, hooks, counters.
//!
//! Layout: [`record`] one event as JSON · [`segment`] zstd log files · [`hook_log`] the durable
//! event log hooks read · [`hook`] hooks and their cursors · [`metrics`] counters of a shard ·
//! [`sinks`] what goes where.

pub mod hook;
pub mod hook_log;
pub mod metrics;
pub mod record;
pub mod segment;
pub mod sinks;

pub use sinks::Events;

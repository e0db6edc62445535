//! Every wait and size of the harness.

use std::time::Duration;

/// Longest an engine may take to open its listener.
pub const START: Duration = Duration::from_secs(30);
/// Longest a run may take until everything is delivered.
pub const RUN: Duration = Duration::from_secs(120);
/// Longest an engine may take to stop before it is killed.
pub const STOP: Duration = Duration::from_secs(10);
/// How often a condition is looked at.
pub const LOOK: Duration = Duration::from_millis(10);
/// Connections the webhook receiver serves at once.
pub const WEBHOOK_CONNECTIONS: usize = 64;
/// Longest header line and body the webhook receiver takes, bytes.
pub const WEBHOOK_BYTES: u64 = 64 * 1024 * 1024;

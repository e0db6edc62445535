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
pub const WEBHOOK_CONNECTIONS: usize = 512;
/// Longest header line and body the webhook receiver takes, bytes.
pub const WEBHOOK_BYTES: u64 = 64 * 1024 * 1024;
/// Length of a latency measurement. At some thousand messages a second the 99.9th percentile is that
/// of several.
pub const LATENCY: Duration = Duration::from_secs(3);
/// Time for the connections of a latency measurement to be there before the first message is due.
pub const SETTLE: Duration = Duration::from_millis(500);
/// Bytes of smtp-sink's running count that are read at once; each count overwrites the one before.
pub const COUNT_BYTES: usize = 4096;
/// Most connections smtp-sink holds back in its backlog.
pub const SMTP_SINK_BACKLOG: &str = "1000";
/// Samples per second and core of a profile: not a divisor of anything that happens regularly.
pub const SAMPLES_PER_SECOND: u32 = 1999;

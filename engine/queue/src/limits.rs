//! Numeric limits of queues, orders and limits over all shards: each with its unit in its name and its reason beside it. A limit an operator
//! may set has its default in the option tables; what is here cannot be exceeded by any policy.

/// Most shards a process may run.
pub const SHARDS_MAX: usize = 256;
/// Resolution of the timer wheel that holds deferred messages.
pub const TIMER_TICK_MS: u64 = 100;
/// Bodies a shard keeps in memory for messages awaiting their first attempt.
pub const RESIDENT_BODY_BYTES: usize = 256 * 1024 * 1024;
/// Past this many bytes of resident bodies, new mail gets 451 until egress catches up.
pub const RESIDENT_BODY_HARD_BYTES: usize = 1024 * 1024 * 1024;
/// Size of the file of operators' orders above which a start writes it anew with those in force.
pub const ORDER_LOG_BYTES: u64 = 64 * 1024;
/// Time between two writes of what bounces have failed, seconds; a crash forgets what was counted since.
pub const ORDER_COUNT_SECS: u64 = 5;
/// Bytes of a shard's file of these counts: some 100,000 queues.
pub const ORDER_COUNT_BYTES: usize = 8 * 1024 * 1024;
/// Shortest retry delay, milliseconds. (Otherwise a message waits for its queue's `retry_interval`.)
pub const RETRY_FLOOR_MS: u64 = 100;
/// How long a host that could not be reached is tried last, seconds.
pub const DEAD_HOST_SECONDS: u64 = 60;
/// How long a peer that has a message whole may still answer after an operator has ended the connection, seconds.
pub const ABORTED_ANSWER_SECONDS: u64 = 5;
/// Hosts tried for one connection attempt.
pub const CANDIDATE_HOSTS_MAX: usize = 32;
/// Failures of a source that are remembered at once, whatever its threshold.
pub const HEALTH_FAILURES_MAX: usize = 1000;
/// Longest a message waits for a source whose selection rate is used up before it looks again,
/// milliseconds: by then the policy may have allowed more.
pub const SELECTION_WAIT_MAX_MS: u64 = 600_000;
/// How long a message waits where no source can be chosen at all.
pub const NO_SOURCE_PAUSE: std::time::Duration = std::time::Duration::from_secs(60);
/// Messages that are failed, expired or held at a time on each shard: each is read from disk for its record.
pub const WORK_TASKS: usize = 64;
/// Messages in the list of those that are failed, expired or held up to which one that is too old is added to it. The others
/// come back by the timer: a million that are too old at once take no more memory than a million that wait.
pub const EXPIRING_LISTED: usize = 65_536;
/// How fast these come back, each second and shard: faster than disks give them away, so that the list never runs empty.
pub const EXPIRING_PER_SEC: u64 = 125_000;
/// Pause before somebody who waits for a turn at looking through the timer asks again, milliseconds.
pub const TIMER_TURN_MS: u64 = 1;
/// Sends over a policy's own connections that are under way at once while the receiver answers at once, per shard.
pub const SENDS_MIN: usize = 8;
/// Failed sends of events in a row until their receiver is left alone for a while: one that fails among others is the
/// fault of what is in it.
pub const SENDS_FAILING: u32 = 2;

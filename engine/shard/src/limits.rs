//! Numeric limits of what all stages do with a shard: each with its unit in its name and its reason beside it. A limit an operator
//! may set has its default in the option tables; what is here cannot be exceeded by any policy.

/// Longest a listener's certificate and key may take to be read anew.
pub const CERTIFICATE_LOAD_SECS: u64 = 60;
/// Messages woken from the wheel in one turn, so that a herd does not hold the shard.
pub const WAKE_BATCH: usize = 256;
/// Messages that a sweep takes from the front of one line because they are too old.
pub const EXPIRED_AT_ONCE: usize = 65_536;
/// Messages of one queue that `throttle_insert_ready_queue` is asked about at a time.
pub const THROTTLE_TASKS: usize = 64;
/// Longest a queue waits for its rate before it looks again: by then the policy may have allowed more.
pub const PACE_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(600);
/// Time until a message that the disk cannot give back now is looked at again: the disk may answer later.
pub const UNREADABLE_RETRY_MS: u64 = 60_000;
/// A ready queue that has been empty for this long is forgotten.
pub const READY_REAP_SECS: u64 = 600;
/// Time between two looks at limits and throttles that nobody uses any more.
pub const REGISTRY_SWEEP_SECS: u64 = 60;
/// Messages after which a connection looks whether others wait for its lease: a batch that is worth a
/// connection of its own.
pub const LEASE_TURN_MESSAGES: usize = 50;
/// Time after which it looks in any case, so that a slow site makes nobody wait for long.
pub const LEASE_TURN_MS: u64 = 5000;
/// Longest a handler of policy may take over one message on its way to delivery; then it goes on without.
pub const DELIVERY_HANDLER_SECS: u64 = 120;
/// Graceful end of all deliveries in flight at stop.
pub const STOP_GRACE_MS: u64 = 4000;
/// Waiting requests in a shard's mesh inbox before senders are refused.
pub const MESH_INBOX_MAX: usize = 65_536;
/// How long the answer of an injection that carries a key is known: longer than any caller repeats one.
pub const ANSWERS_KEEP_SECS: u64 = 24 * 3600;
/// Answers that are known at most: two a second for a day, each some 200 bytes of memory beside its text.
pub const ANSWERS_MAX: usize = 200_000;
/// Bytes of their texts at most; the file may have twice as many.
pub const ANSWERS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Time between two warnings that answers are forgotten early.
pub const ANSWERS_TOLD_SECS: u64 = 3600;
/// Bytes of accounting records that wait for the disk; more are lost, and that is said.
pub const ACCOUNTING_PENDING_BYTES: usize = 8 * 1024 * 1024;
/// Age at which a segment of the accounting log is closed unless the policy says otherwise.
pub const ACCOUNTING_SEGMENT_SECS: u64 = 24 * 3600;
/// Time between two writes of the accounting log.
pub const ACCOUNTING_WRITE_MS: u64 = 250;
/// Time between two writes of the volumes of mail; a crash loses what was counted since.
pub const VOLUMES_WRITE_SECS: u64 = 5;
/// The same while the database cannot be written to.
pub const VOLUMES_RETRY_SECS: u64 = 60;
/// Longest a write waits for another shard's, or for somebody who reads the database, milliseconds.
pub const VOLUMES_BUSY_MS: u64 = 2000;
/// Credentials a shard remembers to have been right; each is 16 bytes. Beyond them it begins anew.
pub const RIGHT_LOGINS_MAX: usize = 65_536;
/// Findings of one kind that the self check of a shard tells.
pub const SELF_CHECK_TOLD_MAX: usize = 20;

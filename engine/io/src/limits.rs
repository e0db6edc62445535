//! Numeric limits of the seam to the outside: rings, sockets, disks, memory of what is being received: each with its unit in its name and its reason beside it. A limit an operator
//! may set has its default in the option tables; what is here cannot be exceeded by any policy.

/// Entries of a shard's submission ring. Deep enough for every open session to have one poll
/// armed between two submissions without forcing an early `io_uring_enter`.
pub const RING_DEPTH: usize = 1024;
/// How long a shard waits on its own ring before its executor goes to sleep, microseconds: the latest that
/// what comes by the executor (timers, files but for the spool's writes, other threads) is seen meanwhile.
pub const RING_WAIT_MICROS: u64 = 1000;
/// How long a shard waits for further events while they come thick, microseconds.
pub const RING_GATHER_MICROS: u64 = 200;
/// Events it waits for so at most.
pub const RING_GATHER_MAX: usize = 32;
/// Rounds of ready tasks, where they are short, before a shard looks at its ring though more are ready.
pub const RING_LAPS: u32 = 8;
/// How often a busy executor looks at its own rings and timers, milliseconds, and a shard at the ring of its own at the
/// least, unless one round of ready tasks takes longer. A look of the executor costs a bell and turns of the
/// executor's rings; what waits for one is timers, letters and opened files.
pub const EXECUTOR_TURN_MILLIS: u64 = 4;
/// The executor's own preemption timer, seconds: so long that it never fires, for what it does when it fires at
/// the wrong instant is to sleep with ready tasks (see `io/pump.rs`).
pub const EXECUTOR_PREEMPT_SECONDS: u64 = 10;
/// How often a shard's backstop wakes it, milliseconds: the longest it can sleep with ready tasks.
pub const BACKSTOP_MILLIS: u64 = 1000;
/// How long a shard must have stood still for the backstop to call it a stall, milliseconds.
pub const BACKSTOP_STALL_MILLIS: u64 = 100;
/// How often the pump must have run since it rang for a late look at rings and timers to be a stall, and no lack of a core.
pub const BACKSTOP_STALL_LAPS: u32 = 8;
/// How late the backstop may wake and still be what woke the shard, milliseconds.
pub const BACKSTOP_SLACK_MILLIS: u64 = 5;
/// How long a shard's executor may take to run its first task before the start is given up, seconds.
pub const SHARD_BEGIN_SECONDS: u64 = 10;
/// Reads and writes of a socket that did not wait, in a row, before the shard's other tasks get a turn.
pub const SOCKET_CALLS_PER_TURN: u32 = 32;
/// Connections the kernel holds for a listener that has not yet accepted them; net.core.somaxconn caps it.
pub const LISTEN_BACKLOG: i32 = 4096;
/// Longest what a client still sends is read when its connection has been left, milliseconds: several ways there and back.
pub const LINGER_MS: u64 = 1000;
/// Connections of a shard that are read so at once: each holds a descriptor and a few KB, and is counted nowhere else.
pub const LINGERING_MAX: usize = 1024;
/// Size of a disk block: the unit of O_DIRECT writes and of the torn-write argument.
pub const BLOCK_BYTES: usize = 4096;
/// Longest a shard waits for any one disk operation before the callers are told it failed. Longer than the
/// kernel tries one command again (30 s each time) and than a disk of a busy cloud host stalls, shorter than the
/// ten minutes a client waits for the reply to its message (RFC 5321 section 4.5.3.2.6).
pub const DISK_TIMEOUT_SECS: u64 = 120;
/// Longest a start waits for a port that someone listens on: it may be an engine that was killed a
/// moment ago.
pub const PORT_FREE_MS: u64 = 3000;
/// How often it asks.
pub const PORT_ASK_MS: u64 = 50;
/// TLS handshake deadline, both directions.
pub const TLS_HANDSHAKE_SECS: u64 = 30;
/// The part of the process's memory that what is being received may take when the operator does not say.
pub const RECEIVING_SHARE: usize = 4;
/// A peer holds little that has no more than this part of that memory: the last quarter is kept for such peers.
pub const RECEIVING_LITTLE: usize = 16;
/// Words in which what each peer holds is counted.
pub const RECEIVING_PEERS: usize = 8192;
/// Bytes of a message being received that are not counted: what each session may have anyway.
pub const RECEIVING_FREE_BYTES: usize = 16 * 1024;
/// Bytes counted at once, so that few steps touch what all shards share.
pub const RECEIVING_STEP_BYTES: usize = 64 * 1024;
/// How often a sender that holds a part of that memory is looked at, seconds.
pub const RECEIVING_LOOK_SECS: u64 = 2;
/// Bytes per second that such a sender must reach when the memory begins to be short. It doubles at each look.
pub const RECEIVING_LEAST_SPEED: u64 = 1024;
/// How often it doubles at most: up to 4 MiB/s, beyond which the memory is short for other reasons than slow senders.
pub const RECEIVING_DOUBLINGS_MAX: u64 = 12;
/// Longest an ending shard waits for what its helper thread has begun.
pub const STOP_SETTLE_MS: u64 = 500;
/// How long freed memory is kept for what comes next before the system gets it back.
pub const MEMORY_KEEP_MS: std::ffi::c_long = 10_000;

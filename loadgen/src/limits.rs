//! Every numeric limit of the tool, with its unit in the name and its reason beside it.

/// Bytes a worker asks of the kernel in one read. One buffer per worker, shared by its connections, so the size
/// costs memory once; large enough that a 10 KB message never needs a second read.
pub const READ_BUFFER_BYTES: usize = 256 * 1024;

/// Readiness events taken from the kernel in one turn of a worker's loop.
pub const EVENTS_PER_TURN: usize = 1024;

/// Reads of one connection before the others get their turn.
pub const READS_PER_TURN: usize = 16;

/// Pending connections the kernel may hold for the sink; the kernel caps it by `net.core.somaxconn`.
pub const LISTEN_BACKLOG_CONNECTIONS: i32 = 4096;

/// Longest time between two looks at the stop flag, the deadlines and the ledgers.
pub const TICK_MS: u64 = 100;

/// Time between two sweeps over all connections for passed deadlines: O(connections), so not at every tick.
pub const SWEEP_MS: u64 = 500;

/// A ledger line reaches the file no later than this after it was appended (while its worker is alive).
pub const LEDGER_FLUSH_MS: u64 = 100;

/// Ledger bytes held back at most before they are written regardless of the time.
pub const LEDGER_BUFFER_BYTES: usize = 64 * 1024;

/// Longest line accepted from a server (RFC 5321 asks for 512; real ones send more), without its line end.
pub const REPLY_LINE_BYTES: usize = 4096;

/// Most lines of one reply; a server that sends more is taken for a babbler.
pub const REPLY_LINES: usize = 128;

/// Longest command line the sink takes (RFC 5321 asks for 512; SMTPUTF8 and AUTH need more).
pub const COMMAND_LINE_BYTES: usize = 16 * 1024;

/// Longest header line in which the sink looks for the loadgen id; longer ones are skipped.
pub const HEADER_LINE_BYTES: usize = 4096;

/// Replies waiting for a client that does not read, before the sink stops reading from it.
pub const UNREAD_REPLY_BYTES: usize = 64 * 1024;

/// Plaintext rustls may hold back per connection while the socket does not take it.
pub const TLS_BUFFER_BYTES: usize = 256 * 1024;

/// Message size the sink advertises and enforces where it must hold a message (`--save`).
pub const SINK_MESSAGE_BYTES: usize = 256 * 1024 * 1024;

/// Recipients of one message, in the source and in the sink.
pub const RECIPIENTS_PER_MESSAGE: u32 = 10_000;

/// First pause before a failed connection is tried again.
pub const BACKOFF_MIN_MS: u64 = 20;

/// Longest pause before a failed connection is tried again: a restarted engine is found within this time.
pub const BACKOFF_MAX_MS: u64 = 1_000;

/// After the end of the run, the time given to messages in flight to get their reply.
pub const DRAIN_MS: u64 = 10_000;

/// Largest latency the histogram can tell, in microseconds (one hour); above it counts as this.
pub const LATENCY_MAX_US: u64 = 3_600_000_000;

/// Significant decimal digits kept by the latency histogram.
pub const LATENCY_DIGITS: u8 = 3;

/// Characters kept of an example reply text.
pub const EXAMPLE_CHARS: usize = 200;

/// Longest line of a generated body, in characters.
pub const BODY_LINE_CHARS: usize = 76;

/// Largest generated body.
pub const BODY_BYTES: usize = 1024 * 1024 * 1024;

/// Missing ids that `verify` lists by name.
pub const MISSING_SHOWN: usize = 20;

/// Pause between two looks at growing ledgers (`verify --wait`).
pub const VERIFY_POLL_MS: u64 = 100;

/// Pause between two updates of the progress line.
pub const PROGRESS_MS: u64 = 200;

/// Most worker threads.
pub const WORKERS: usize = 256;

/// Most connections of a source.
pub const CONNECTIONS: usize = 60_000;

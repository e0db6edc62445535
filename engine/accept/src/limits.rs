//! Numeric limits of mail that comes in: each with its unit in its name and its reason beside it. A limit an operator
//! may set has its default in the option tables; what is here cannot be exceeded by any policy.

/// Reply bytes that may wait in memory for a client that does not read.
pub const REPLY_BACKLOG_BYTES: usize = 64 * 1024;
/// A session that says nothing for this long gives its receive buffer back.
pub const SESSION_QUIET_SECS: u64 = 5;
/// Longest a whole session may last.
pub const SESSION_TOTAL_SECS: u64 = 24 * 3600;
/// Longest a client may take to send one message.
pub const DATA_TOTAL_SECS: u64 = 3600;
/// Bytes of a transaction's messages in memory before some are stored while the others are made.
pub const STAGE_BYTES: usize = 8 * 1024 * 1024;
/// Received headers in a message before it is taken for a loop (RFC 5321 6.3 asks for >= 100).
pub const RECEIVED_HEADERS_MAX: usize = 100;
/// Largest header of a message, bytes: what policies, signatures and records read again and again. Exim's default.
pub const HEADER_BYTES_MAX: usize = 1024 * 1024;
/// A shard with this many more sessions than the emptiest one hands new sockets over.
pub const ACCEPT_IMBALANCE_MAX: u64 = 8;
/// Recipients of one HTTP injection request.
pub const INJECT_RECIPIENTS_MAX: usize = 10_000;
/// Messages of an HTTP injection that are stored together: enough that one write serves hundreds.
pub const INJECT_BATCH_MESSAGES: usize = 500;
/// Their bytes at most: they are in memory twice until they are written.
pub const INJECT_BATCH_BYTES: usize = 8 * 1024 * 1024;
/// How long an HTTP injection makes messages before the shard's other tasks get a turn, milliseconds.
pub const INJECT_SLICE_MS: u64 = 5;
/// Longest key of a request that may be repeated: room for several UUIDs.
pub const IDEMPOTENCY_KEY_BYTES: usize = 255;
/// Longest name of the header that traces reports: it leaves room on its line.
pub const TRACE_HEADER_NAME_BYTES: usize = 64;
/// Longest policy may take over the message of one recipient, as over one that came by SMTP unless its listener says
/// otherwise.
pub const INJECT_HANDLER_SECS: u64 = 300;
/// Longest a recipient of an HTTP injection waits for the policy's rate limit; beyond it the recipient is refused.
pub const INJECT_RATE_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(60);
/// How often free disk space is looked at.
pub const DISK_FREE_CHECK_SECS: u64 = 1;
/// Bytes of a report's own header that its records are made of: each of a thousand records reads it.
pub const REPORT_HEADER_BYTES: usize = 16 * 1024;
/// Bytes of a report that are parsed: a thousand recipients fit.
pub const REPORT_BYTES_MAX: usize = 1024 * 1024;
/// Recipients of one report that records are made of.
pub const REPORT_RECIPIENTS_MAX: usize = 1000;
/// Messages of the deferred queue that a shard asks policy about at once.
pub const DEFERRED_INJECT_TASKS: usize = 64;
/// Time until a message of the deferred queue is asked about again when its handler has failed, milliseconds.
pub const DEFERRED_INJECT_RETRY_MS: u64 = 10_000;
/// Wait for the disk to take a message before its client is told 451, seconds: as long as clients wait
/// for the reply to the final dot (RFC 5321 section 4.5.3.2.6).
pub const STORE_WAIT_SECS: u64 = 600;
/// Events of a hook that a shard asks policy about at once, whether it wants them.
pub const LOG_RECORD_ASKS: usize = 64;
/// Longest such a question may take, seconds; then the event is set aside.
pub const LOG_RECORD_ASK_SECS: u64 = 60;

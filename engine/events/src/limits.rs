//! Numeric limits of records, logs and hooks: each with its unit in its name and its reason beside it. A limit an operator
//! may set has its default in the option tables; what is here cannot be exceeded by any policy.

/// An event segment file (feeds hooks) is closed at this size.
pub const EVENT_SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
/// zstd level of log files whose policy leaves the choice to us: log lines compress at 1.4 GB/s, to a
/// little less than zstd's own choice (3) at 0.9 GB/s makes of them.
pub const LOG_COMPRESSION_LEVEL: i32 = 1;
/// Headers a record carries at most, whatever the policy's patterns match: senders choose how many there are.
pub const RECORD_HEADERS_MAX: usize = 256;
/// Of their names so many are compared one by one; further ones are looked up.
pub const COMPARED_NAMES: usize = 16;
/// Bytes of the headers a record carries, names and values; those that do not fit are left out.
pub const RECORD_HEADER_BYTES: usize = 64 * 1024;
/// Bytes of lines of one series of log files that are written at once, without the usual pause.
pub const LOG_MUCH_BYTES: usize = 1024 * 1024;
/// Bytes of lines from which on whoever makes more waits for the disk: some tenths of a second of all that a shard can
/// say.
pub const LOG_BEHIND_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of lines from which on new mail is turned away.
pub const LOG_REFUSE_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of lines that wait at the most; further ones are lost, which is counted and told.
pub const LOG_PENDING_BYTES: usize = 64 * 1024 * 1024;
/// Longest that lines are waited for while the disk takes none, milliseconds.
pub const LOG_FOLLOW_MS: u64 = 5000;
/// Log lines that wait for a `filter_event` at once; further ones are written unasked.
pub const LOG_FILTERS_MAX: usize = 10_000;
/// Longest a `filter_event` may take over a line, seconds; then it is written.
pub const LOG_FILTER_SECS: u64 = 60;
/// Longest a `log_disposition` event may take, seconds.
pub const LOG_DISPOSITION_SECS: u64 = 60;
/// Open log segments are cut at least this often when the policy sets no duration.
pub const LOG_SEGMENT_SECS: u64 = 60;
/// Hook retry: first pause.
pub const HOOK_RETRY_MIN_MS: u64 = 500;
/// Hook retry: longest pause.
pub const HOOK_RETRY_MAX_MS: u64 = 30_000;
/// Longest pause a receiver may ask for with Retry-After, milliseconds: it may have its clock wrong.
pub const HOOK_RETRY_AFTER_MAX_MS: u64 = 3_600_000;
/// Requests of a hook that fail one after the other until it pauses as a whole: one that fails among others is the
/// fault of what is in it.
pub const HOOK_FAILURES_TO_PAUSE: u32 = 2;
/// Tries of an event that a receiver refuses for good before it is set aside: what is being deployed refuses a few.
pub const HOOK_REFUSED_TRIES: u32 = 3;
/// Tries of an event that fails while others are taken before it is set aside (about 15 seconds).
pub const HOOK_TRIES_MAX: u32 = 6;
/// Event bytes a hook reads at once.
pub const HOOK_READ_BYTES: usize = 1024 * 1024;
/// Memory of what a hook wrote last that is kept for its reader, per shard: beyond it the disk has to be read.
pub const HOOK_LATEST_BYTES: usize = 4 * HOOK_READ_BYTES;
/// Event bytes a hook holds in memory, per shard.
pub const HOOK_WINDOW_BYTES: usize = 16 * 1024 * 1024;
/// Events between the oldest that is not taken and the newest that is read, per shard.
pub const HOOK_WINDOW_EVENTS: usize = 262_144;
/// The same of events that are messages in queues, which take about six times as much.
pub const HOOK_QUEUED_BYTES: usize = 8 * 1024 * 1024;
/// Events that may have been told since the oldest that was not, before that one goes to the end of the log when it fails
/// again: a restart tells no more than these anew.
pub const HOOK_SPAN_EVENTS: usize = 4096;
/// Requests a hook has under way at once, over all shards, while its receiver answers at once.
pub const HOOK_REQUESTS_MIN: usize = 8;
/// For a slow receiver there is one more for so much of the time it takes, microseconds: one that takes 200 ms is told of 1,000
/// a second, with one event each, and some to spare.
pub const HOOK_MICROS_PER_REQUEST: u64 = 800;
/// Up to this.
pub const HOOK_REQUESTS_MAX: usize = 320;
/// Connections of a policy's own to one receiver, over all shards, unless the policy sets another limit: one that takes
/// 200 ms is told of 1,000 events a second, with some to spare.
pub const HOOK_CONNECTIONS_MAX: usize = 320;
/// Shortest time between two flushes of the event log that a hook asks for, milliseconds: what comes meanwhile goes
/// with the next.
pub const HOOK_FLUSH_GAP_MS: u64 = 5;
/// Such times between two of them while so many events wait for their requests that these go on without more, or a batch has
/// time to fill.
pub const HOOK_BUSY_GAPS: u32 = 4;
/// How many those are.
pub const HOOK_READY_ENOUGH: usize = 256;
/// How often the place up to which a hook's events are taken is written down, milliseconds. A crash repeats what was
/// taken since.
pub const HOOK_COMMIT_MS: u64 = 50;
/// Longest a stop waits for requests that are under way, milliseconds; they are told again by the next start.
pub const HOOK_SETTLE_MS: u64 = 500;
/// Bytes of a receiver's answer that are read, to keep the connection.
pub const HOOK_ANSWER_BYTES: u64 = 64 * 1024;
/// How long an idle connection to a receiver is kept, seconds: receivers close theirs after some more.
pub const HOOK_CONNECTION_IDLE_SECS: u64 = 15;
/// Segments an event log has when it is at its limit, at the least.
pub const HOOK_SEGMENTS: u64 = 16;
/// Bytes of disk a hook's event log holds back per shard for when the disk is full: events of the mail whose delivery
/// makes room.
pub const HOOK_BALLAST_BYTES: u64 = 4 * 1024 * 1024;
/// How long the disk may be full before events are given up for room, milliseconds: until they are written no
/// delivered message can be let go of.
pub const HOOK_FULL_MS: u64 = 60_000;
/// Size at which a file of events that were set aside is ended; the one before it is removed then.
pub const HOOK_DEAD_LETTER_BYTES: u64 = 256 * 1024 * 1024;
/// How often it is said at the most that events are given up, seconds.
pub const HOOK_TELL_SECS: u64 = 10;
/// How long an event that is sent on its way anew may wait for its receiver in a queue, seconds.
pub const HOOK_REPLAY_SECS: u64 = 7 * 86_400;
/// Bytes of dead letters that are read to count them, of each hook: more are told as more.
pub const HOOK_COUNTED_BYTES: u64 = 64 * 1024 * 1024;
/// Dead letters that one answer shows.
pub const HOOK_SHOWN_MAX: usize = 1000;
/// Events refused for good that are set aside with one write.
pub const HOOK_ASIDE_EVENTS: usize = 500;
/// Disposition handlers of a shard that run at once: each holds its message, body and all.
pub const LOG_DISPOSITIONS_MAX: usize = 256;
/// Time between two looks for log files that are not to be kept any more, seconds.
pub const LOG_KEEP_SECS: u64 = 5;
/// Frames that may wait for one who watches sessions or records.
pub const WATCHER_FRAMES_MAX: usize = 4096;
/// Bytes of such frames.
pub const WATCHER_BYTES_MAX: usize = 8 * 1024 * 1024;

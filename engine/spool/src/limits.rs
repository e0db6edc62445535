//! Numeric limits of the spool: each with its unit in its name and its reason beside it. A limit an operator
//! may set has its default in the option tables; what is here cannot be exceeded by any policy.

/// A data segment file. A record never spans two.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// First size of a commit batch's buffer.
pub const BATCH_START_BYTES: usize = 128 * 1024;
/// A batch larger than this is sealed; what comes later goes to the next.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Metadata of one message, encoded.
pub const META_BYTES_MAX: usize = 256 * 1024;
/// Recipients in one record.
pub const RECORD_RECIPIENTS_MAX: usize = 16_384;
/// Empty segments kept for reuse per shard; more are deleted.
pub const SEGMENTS_SPARE_MAX: usize = 2;
/// Highest number a segment or journal file may have: far beyond what a partition lives to see, so a
/// higher one is damage, and counting on from any valid one cannot overflow.
pub const SEQUENCE_MAX: u32 = u32::MAX / 2;
/// A journal file is checkpointed when it passes this size.
pub const JOURNAL_BYTES: u64 = 16 * 1024 * 1024;
/// Frames that a checkpoint of a whole journal file has, at the least: what is put together at once, and held
/// in memory for it, is bounded by that and by what one segment holds.
pub const CHECKPOINT_FRAMES: u64 = 64;
/// Longest a journal entry waits for its flush. A crash can repeat at most the deliveries of
/// this window.
pub const JOURNAL_DELAY_MS: u64 = 10;
/// Journal bytes that may wait for a flush before one is forced.
pub const JOURNAL_PENDING_BYTES: usize = 256 * 1024;
/// Longest somebody who notes very much waits for the journal while the disk takes nothing of it, milliseconds.
pub const JOURNAL_FOLLOW_MS: u64 = 100;
/// And while it does.
pub const JOURNAL_FOLLOW_MAX_SECS: u64 = 60;
/// Segments whose live bytes fall below this share are compacted, percent.
pub const COMPACT_BELOW_PERCENT: u64 = 25;
/// A partition of fewer segments is not compacted: there is little to win.
pub const COMPACT_FROM_SEGMENTS: usize = 4;
/// How often segments worth compacting are looked for.
pub const COMPACT_EVERY_SECS: u64 = 5;
/// Segments compacted before compaction rests until the next look.
pub const COMPACT_ROUND_MAX: usize = 256;
/// Bytes moved with one write.
pub const COMPACT_BATCH_BYTES: usize = 1024 * 1024;

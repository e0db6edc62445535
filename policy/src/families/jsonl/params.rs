//! Options of readers and writers.

use std::time::Duration;

use ringmta_options::*;

use crate::limits::{JSONL_FILE_BYTES, JSONL_POLL, MAX_JSONL_LINE_BYTES};

/// A result whose error is told to the policy.
pub(super) type Failable<T> = std::result::Result<T, String>;

option_table! {
    /// What is read, and how it is handed on.
    pub struct TailerParams for "kumo.jsonl.new_tailer" {
        /// Folder with the segments.
        directory: String = String::new(); Support::Required,
        /// Which files in it: a glob pattern.
        pattern: String = "*".into(),
        /// Records of a batch at most.
        max_batch_size: usize = 100,
        /// How long a batch that is not full is waited for (duration).
        max_batch_latency: Duration = Duration::from_secs(1),
        /// Remembers the place in a hidden file of this name in the folder.
        checkpoint_name: Option<String> = None,
        /// How often the folder is looked at (duration).
        poll_watcher: Duration = JSONL_POLL,
        /// Begin with the newest segment, whatever was remembered.
        tail: bool = false,
    }
}

option_table! {
    /// What is read by several consumers.
    pub struct MultiTailerParams for "kumo.jsonl.new_multi_tailer" {
        /// Folder with the segments.
        directory: String = String::new(); Support::Required,
        /// Which files in it: a glob pattern.
        pattern: String = "*".into(),
        /// How often the folder is looked at (duration).
        poll_watcher: Duration = JSONL_POLL,
        /// Begin with the newest segment, whatever was remembered.
        tail: bool = false,
    }
}

option_table! {
    /// One consumer.
    pub struct ConsumerParams for "kumo.jsonl.new_multi_tailer.consumers" {
        /// Its name.
        name: String = String::new(); Support::Required,
        /// Records of a batch at most.
        max_batch_size: usize = 100,
        /// How long a batch that is not full is waited for (duration).
        max_batch_latency: Duration = Duration::from_secs(1),
        /// Remembers the place in a hidden file of this name in the folder.
        checkpoint_name: Option<String> = None,
    }
}

option_table! {
    /// How segments are written.
    pub struct WriterParams for "kumo.jsonl.new_writer" {
        /// Folder of the segments; made when it is not there.
        log_dir: String = String::new(); Support::Required,
        /// Bytes of a segment before compression.
        max_file_size: u64 = JSONL_FILE_BYTES,
        /// zstd level; 0 is the library's own choice.
        compression_level: u16 = 3,
        /// Bytes of a line at most.
        max_record_size: usize = MAX_JSONL_LINE_BYTES,
        /// How long a segment is written to (duration).
        max_segment_duration: Option<Duration> = None,
        /// Ending of file names.
        suffix: String = String::new(),
        /// Time zone of file names.
        tz: Option<String> = None; Support::NoEffect("file names are in UTC"),
    }
}

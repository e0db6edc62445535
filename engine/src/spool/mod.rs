//! The durable store: a log, not a tree of files.
//!
//! Each shard has a partition in both spools. `data` holds segments of whole-message records; a
//! message is accepted when its record is on stable storage. `meta` holds the journal of what
//! happened to messages since.
//!
//! Layout: [`record`] one message as bytes · [`segment`] one file of records · [`group_commit`]
//! one write for every message that waits · [`journal`] what happened since · [`reclaim`] which
//! segments are still needed · [`compact`] messages moved out of segments few still need ·
//! [`moved`] where they are now · [`load`] a message read back · [`partition`] the whole of it, as a
//! shard uses it · [`planted`] a mistake for tests.
//!
//! Reading it at start: [`header`] whose file it is · [`scan`] the records of a segment · [`replay`]
//! the journal's entries · [`survey`] what all files of a partition say together · [`damage`] what is
//! told of it · [`version`] what is not opened · [`recover`] how a shard takes it over · [`inspect`] the same for people.

pub mod compact;
pub mod damage;
pub mod group_commit;
pub mod header;
pub mod inspect;
pub mod journal;
pub mod load;
pub mod moved;
pub mod partition;
pub mod planted;
pub mod reclaim;
pub mod record;
pub mod recover;
pub mod replay;
pub mod scan;
pub mod segment;
pub mod survey;
pub mod version;

pub use partition::Partition;

use crate::accept::reply::Refusal;

/// Where a record lies. Ordered by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    /// Sequence number of the segment.
    pub segment: u32,
    /// Byte offset of the record in its segment.
    pub offset: u32,
    /// Bytes of the record.
    pub bytes: u32,
}

/// Why a message could not be made durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// The disk has no room for it.
    Full,
    /// The disk failed; the text says how.
    Disk(String),
    /// The record would not fit a segment.
    TooLarge,
    /// The shard is stopping.
    Stopping,
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StoreError::Full => f.write_str("disk full"),
            StoreError::Disk(reason) => write!(f, "disk failed: {reason}"),
            StoreError::TooLarge => f.write_str("message too large for the spool"),
            StoreError::Stopping => f.write_str("stopping"),
        }
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => StoreError::Full,
            _ => StoreError::Disk(error.to_string()),
        }
    }
}

impl StoreError {
    /// What the sender is told.
    pub fn refusal(&self) -> Refusal {
        match self {
            StoreError::Full => Refusal::SpoolFull,
            StoreError::Disk(_) => Refusal::SpoolFailed,
            StoreError::TooLarge => Refusal::Data(crate::accept::dot_reader::DataFault::TooLarge),
            StoreError::Stopping => Refusal::Stopping,
        }
    }
}

//! Where a record lies in the spool.

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

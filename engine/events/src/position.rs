//! A place in an event log.

/// A place in the log: (segment number, byte offset).
pub type Position = (u64, u64);

//! The durable store: a log, not a tree of files.
//!
//! Each shard has a partition in both spools. `data` holds segments of whole-message records; a
//! message is accepted when its record is on stable storage. `meta` holds the journal of what
//! happened to messages since.
//!
//! - [`log`] what is written while a shard runs: records in segments, and the journal
//! - [`start`] what is read when it starts: scanned, replayed, surveyed, taken over
//! - [`inspect`] the same for people
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod error;
pub mod inspect;
pub mod limits;
pub mod location;
pub mod log;
pub mod start;
#[cfg(test)]
mod testing;

pub use error::StoreError;
pub use location::Location;
pub use log::partition::Partition;

//! What must hold of the engine's readers for any bytes at all. One module per target; those of
//! `ci/fuzz` are led by coverage, the test of this module by chance.
#![allow(clippy::expect_used, clippy::unwrap_used)] // A check ends what runs it.

pub mod command;
pub mod conversation;
pub mod dot_reader;
pub mod journal;
pub mod record;
pub mod reply;
pub mod seeds;
pub mod segment;

/// A target: takes any bytes, and panics when something does not hold of them.
pub type Check = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Check); 7] = [
    ("record", record::check),
    ("journal", journal::check),
    ("segment", segment::check),
    ("dot_reader", dot_reader::check),
    ("command", command::check),
    ("reply", reply::check),
    ("conversation", conversation::check),
];

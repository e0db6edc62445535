//! Runs of the engine, or parts of it, in simulated worlds, each from a seed, each checked against
//! what was promised.
//!
//! Layout: [`spool`] partitions alone: tasks that store, attempt and finish, crashes at any
//! operation, damage · [`engine`] a whole engine between clients and next hops · [`failure`] what a
//! run that failed says.

pub mod engine;
pub mod failure;
pub mod spool;
#[cfg(test)]
mod tests;

pub use failure::Failure;

use crate::io::sim::planted::Bug;
use std::panic::{catch_unwind, AssertUnwindSafe};

/// What is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Partitions of the spool, with crashes.
    Spool,
    /// Partitions of the spool, with damage to what is on disk.
    Damage,
    /// A whole engine, with clients and next hops, crashes and restarts.
    Engine,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 3] = [Kind::Spool, Kind::Damage, Kind::Engine];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Spool => "spool",
            Kind::Damage => "damage",
            Kind::Engine => "engine",
        }
    }

    /// The kind called `name`.
    pub fn parse(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// How to run a seed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// A mistake to plant.
    pub planted: Option<Bug>,
    /// Tell the story on stderr.
    pub verbose: bool,
}

/// What came of a run that held every promise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Hash of its story: the same for the same seed.
    pub hash: u64,
    /// Crashes survived.
    pub crashes: u64,
    /// Messages that were acknowledged.
    pub messages: u64,
}

/// Runs one seed.
///
/// # Errors
/// The first promise that was broken.
pub fn run(kind: Kind, seed: u64, options: Options) -> Result<Summary, Failure> {
    let result = catch_unwind(AssertUnwindSafe(|| match kind {
        Kind::Spool => spool::run(seed, options),
        Kind::Damage => spool::damage::run(seed, options),
        Kind::Engine => engine::run(seed, options),
    }));
    let result = result.unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    });
    result.map_err(|what| Failure { kind, seed, what, planted: options.planted })
}

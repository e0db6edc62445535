//! What is simulated, how, and what came of it.

use ringmta_io::sim::planted::Bug;

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

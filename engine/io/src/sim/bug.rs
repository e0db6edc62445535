//! Mistakes made on purpose: each is one that somebody could make in earnest, and the simulation
//! must find it, or the unit test that holds the same property. They exist in tests only.

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// The reply to DATA leaves before the record is on stable storage.
    ReplyBeforeSync,
    /// A batch begins in the last block of the one before, which is written again.
    TailRewritten,
    /// The first frame of a checkpoint, by which it counts, is written before the others.
    CheckpointFirst,
    /// A message is declared done before it is delivered.
    DoneBeforeDelivery,
    /// A ready queue is looked up before policy is asked, and made after it although another task has made it meanwhile.
    StaleLookup,
    /// An idle connection is not told that another shard waits for its lease.
    IdleKeepsLease,
    /// A busy connection ends for a shard that has its share already.
    TurnsForNothing,
    /// Suspensions are not looked at.
    SuspendedTried,
    /// A reload that fails on one shard stays in force on the others.
    ReloadByShard,
    /// When a connection breaks, the answers read before are thrown away.
    AnswersForgotten,
    /// Recipients that policy refuses are left out, and the transaction gets its 250.
    RefusedLeftOut,
    /// Recipients whose handler fails are left out, and the transaction gets its 250.
    FailedLeftOut,
    /// Each message that a rate holds up is deferred by itself.
    BacklogDeferred,
    /// A flush of an event log that nobody waits for any more loses its events.
    FlushNotCancelSafe,
    /// Rates go by the wall clock.
    WallClockRates,
    /// An intermediate reply completes a command.
    IntermediateSucceeds,
    /// A connection whose answers are out of step goes on.
    OutOfStepGoesOn,
    /// A 421 is taken for the end of the connection, and for nobody's answer.
    ClosingForgotten,
}

/// Every mistake and its name, for people.
const NAMES: [(Bug, &str); 18] = [
    (Bug::ReplyBeforeSync, "reply"),
    (Bug::TailRewritten, "tail"),
    (Bug::CheckpointFirst, "checkpoint"),
    (Bug::DoneBeforeDelivery, "done"),
    (Bug::StaleLookup, "stray"),
    (Bug::IdleKeepsLease, "idle"),
    (Bug::TurnsForNothing, "turns"),
    (Bug::SuspendedTried, "suspended"),
    (Bug::ReloadByShard, "reload"),
    (Bug::AnswersForgotten, "answers"),
    (Bug::RefusedLeftOut, "partial"),
    (Bug::FailedLeftOut, "failed"),
    (Bug::BacklogDeferred, "backlog"),
    (Bug::FlushNotCancelSafe, "flush"),
    (Bug::WallClockRates, "wall"),
    (Bug::IntermediateSucceeds, "354"),
    (Bug::OutOfStepGoesOn, "step"),
    (Bug::ClosingForgotten, "closing"),
];

impl Bug {
    /// Every mistake.
    pub fn all() -> impl Iterator<Item = Bug> {
        NAMES.iter().map(|(bug, _)| *bug)
    }

    /// Its name, for people.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(bug, _)| *bug == self).map_or("", |(_, name)| name)
    }

    /// The mistake called `name`.
    pub fn parse(name: &str) -> Option<Bug> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(bug, _)| *bug)
    }
}

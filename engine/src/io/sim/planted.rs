//! Mistakes made on purpose: each is one that somebody could make in earnest, and the simulation
//! must find it. They exist in tests only.

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// The reply to DATA leaves before the record is on stable storage.
    ReplyBeforeSync,
    /// A batch begins in the last block of the one before, which is written again.
    TailRewritten,
    /// A message is declared done before it is delivered.
    DoneBeforeDelivery,
}

impl Bug {
    /// Every mistake.
    pub const ALL: [Bug; 3] = [Bug::ReplyBeforeSync, Bug::TailRewritten, Bug::DoneBeforeDelivery];

    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Bug::ReplyBeforeSync => "reply",
            Bug::TailRewritten => "tail",
            Bug::DoneBeforeDelivery => "done",
        }
    }

    /// The mistake called `name`.
    pub fn parse(name: &str) -> Option<Bug> {
        Bug::ALL.into_iter().find(|bug| bug.name() == name)
    }
}

/// Whether this build can make mistakes on purpose.
pub const CAN_PLANT: bool = cfg!(any(test, feature = "planted-bugs"));

/// Whether `bug` is planted in this world. Always false, at no cost, outside of tests.
#[inline]
pub fn is_planted(bug: Bug) -> bool {
    #[cfg(any(test, feature = "planted-bugs"))]
    {
        super::active() && super::current().is_some_and(|world| world.planted.get() == Some(bug))
    }
    #[cfg(not(any(test, feature = "planted-bugs")))]
    {
        let _ = bug;
        false
    }
}

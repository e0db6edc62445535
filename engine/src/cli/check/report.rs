//! The lines of a check.

use std::fmt::Display;

/// Lines, said as they are found, and how many of each kind.
#[derive(Default)]
pub(super) struct Report {
    pub(super) fine: usize,
    pub(super) odd: usize,
    pub(super) bad: usize,
}

impl Report {
    pub(super) fn fine(&mut self, what: &str, found: impl Display) {
        self.fine += 1;
        say!("ok    {what}: {found}");
    }

    /// Mail can be sent, but worse than it could be, or it cannot be told.
    pub(super) fn warn(&mut self, what: &str, found: impl Display, cure: impl Display) {
        self.odd += 1;
        say!("LOOK  {what}: {found}\n        -> {cure}");
    }

    /// Stands in the way of mail.
    pub(super) fn bad(&mut self, what: &str, found: impl Display, cure: impl Display) {
        self.bad += 1;
        say!("BAD   {what}: {found}\n        -> {cure}");
    }
}

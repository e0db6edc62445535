//! Faults on demand. Each decision is a function of seed and counter alone, so a run can be repeated, and a message
//! that was refused once has a new chance at its next attempt.

use crate::rng;
use clap::ValueEnum;

/// A step of the dialogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Phase {
    /// Before the greeting.
    Banner,
    /// EHLO or HELO.
    Ehlo,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// The final dot.
    Dot,
}

/// Where refusals can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailAt {
    /// In reply to RCPT.
    Rcpt,
    /// In reply to DATA.
    Data,
    /// In reply to the final dot.
    Dot,
    /// In reply to MAIL.
    Mail,
}

/// What to do with an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Take it.
    Pass,
    /// Refuse it for now.
    Temporary,
    /// Refuse it for good.
    Permanent,
    /// Answer 421 and close.
    Close421,
}

/// How the connection of a message is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// Not at all.
    No,
    /// While its data is read.
    MidData,
    /// After its final dot, without a reply.
    AfterDot,
}

/// How often what goes wrong, in percent.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// Seed of all decisions.
    pub seed: u64,
    /// Temporary refusals.
    pub tempfail: f64,
    /// Permanent refusals.
    pub permfail: f64,
    /// Answers of 421, with the connection closed.
    pub close_421: f64,
    /// Connections dropped without an answer.
    pub drop: f64,
    /// Where refusals happen.
    pub at: FailAt,
}

/// Drops are drawn apart from refusals.
const DROP_STREAM: u64 = 0xD60B;

impl Faults {
    /// The verdict on the `counter`-th attempt at `at`.
    #[must_use]
    pub fn verdict(&self, counter: u64) -> Verdict {
        let point = rng::percent(rng::draw(self.seed, counter));
        if point < self.tempfail {
            Verdict::Temporary
        } else if point < self.tempfail + self.permfail {
            Verdict::Permanent
        } else if point < self.tempfail + self.permfail + self.close_421 {
            Verdict::Close421
        } else {
            Verdict::Pass
        }
    }

    /// Whether and how the connection of the `counter`-th message is dropped.
    #[must_use]
    pub fn drop(&self, counter: u64) -> Drop {
        let draw = rng::draw(self.seed ^ DROP_STREAM, counter);
        if rng::percent(draw) >= self.drop {
            return Drop::No;
        }
        // The lowest bit has no part in the percentage.
        match draw & 1 {
            0 => Drop::MidData,
            _ => Drop::AfterDot,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAULTS: Faults = Faults {
        seed: 7,
        tempfail: 5.0,
        permfail: 2.0,
        close_421: 1.0,
        drop: 4.0,
        at: FailAt::Dot,
    };

    #[test]
    fn decisions_repeat() {
        for counter in 0..1_000 {
            assert_eq!(FAULTS.verdict(counter), FAULTS.verdict(counter));
            assert_eq!(FAULTS.drop(counter), FAULTS.drop(counter));
        }
    }

    #[test]
    fn decisions_are_as_frequent_as_asked() {
        let verdicts: Vec<_> = (0..100_000).map(|counter| FAULTS.verdict(counter)).collect();
        let share = |wanted| verdicts.iter().filter(|&&verdict| verdict == wanted).count();
        assert!((4_700..5_300).contains(&share(Verdict::Temporary)));
        assert!((1_800..2_200).contains(&share(Verdict::Permanent)));
        assert!((850..1_150).contains(&share(Verdict::Close421)));
        let drops = |wanted| (0..100_000).filter(|&counter| FAULTS.drop(counter) == wanted).count();
        assert!((1_800..2_200).contains(&drops(Drop::MidData)));
        assert!((1_800..2_200).contains(&drops(Drop::AfterDot)));
    }

    #[test]
    fn extremes() {
        let none = Faults { tempfail: 0.0, permfail: 0.0, close_421: 0.0, drop: 0.0, ..FAULTS };
        let all = Faults { tempfail: 100.0, drop: 100.0, ..FAULTS };
        for counter in 0..10_000 {
            assert_eq!((none.verdict(counter), none.drop(counter)), (Verdict::Pass, Drop::No));
            assert_eq!(all.verdict(counter), Verdict::Temporary);
            assert_ne!(all.drop(counter), Drop::No);
        }
    }
}

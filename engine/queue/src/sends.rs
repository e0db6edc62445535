//! What a ready queue knows of the receiver behind a policy's own connections: how many sends are under way, and how many
//! more may be. A receiver that answers at once is told over few connections, a slow one over many.

use crate::limits::{SENDS_FAILING, SENDS_MIN};
use std::cell::Cell;

/// Of one ready queue on one shard.
#[derive(Debug, Default)]
pub struct Sends {
    /// Under way.
    now: Cell<usize>,
    /// Messages sent at once.
    pub batch: Cell<usize>,
    /// Failures since the last success.
    pub failures: Cell<u32>,
    /// What a send takes, smoothed, microseconds.
    micros: Cell<u64>,
}

impl Sends {
    /// Whether the receiver takes nothing, as far as is known.
    pub fn is_failing(&self) -> bool {
        self.failures.get() >= SENDS_FAILING
    }

    /// Sends that may be under way: one more for each millisecond the receiver takes; one while it takes nothing, enough
    /// to learn that it is back.
    pub fn allowed(&self) -> usize {
        match self.is_failing() {
            true => 1,
            false => SENDS_MIN + (self.micros.get() / 1000) as usize,
        }
    }

    /// Whether no further send may begin now.
    pub fn is_enough(&self) -> bool {
        self.now.get() >= self.allowed()
    }

    /// A send begins.
    pub fn begin(&self) {
        self.now.set(self.now.get() + 1);
    }

    /// A send has ended, after so many nanoseconds.
    pub fn end(&self, nanos: u64) {
        self.now.set(self.now.get().saturating_sub(1));
        self.micros.set((self.micros.get() * 7 + nanos / 1000) / 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_receivers_are_told_more_at_once_and_failing_ones_one_by_one() {
        let sends = Sends::default();
        (0..SENDS_MIN).for_each(|_| sends.begin());
        assert!(sends.is_enough());
        for _ in 0..100 {
            sends.end(200_000_000);
        }
        assert!((190..=SENDS_MIN + 200).contains(&sends.allowed()), "{sends:?}");
        assert!(!sends.is_enough());
        sends.failures.set(SENDS_FAILING);
        assert_eq!(sends.allowed(), 1);
    }
}

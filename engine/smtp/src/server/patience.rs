//! How much of what is refused a session bears, before it is closed with 421.

use crate::limits::{
    AUTH_DELAY_MS, REFUSAL_DELAY_MS, SESSION_ERRORS_MAX, SESSION_GUESSES_MAX,
    SESSION_REFUSALS_FREE, SESSION_REFUSALS_MAX,
};
use crate::reply::Refusal;
use std::time::Duration;

/// What a session has been refused. Protocol errors and refusals of policy count since a message was last accepted, wrong
/// passwords since its beginning.
#[derive(Debug, Default)]
pub struct Patience {
    errors: u32,
    refusals: u32,
    guesses: u32,
    penalty: Duration,
}

impl Patience {
    /// A protocol error. `Some`: it was one too many.
    pub fn error(&mut self) -> Option<Refusal> {
        self.errors += 1;
        (self.errors >= SESSION_ERRORS_MAX).then_some(Refusal::TooManyErrors)
    }

    /// A refusal of policy. Those of a client that tries what it finds come in hundreds; their replies wait.
    pub fn refusal(&mut self) -> Option<Refusal> {
        self.refusals += 1;
        if self.refusals > SESSION_REFUSALS_FREE {
            self.penalty = Duration::from_millis(REFUSAL_DELAY_MS);
        }
        (self.refusals >= SESSION_REFUSALS_MAX).then_some(Refusal::TooManyErrors)
    }

    /// A wrong password. Its reply waits longer each time.
    pub fn guess(&mut self) -> Option<Refusal> {
        self.guesses += 1;
        self.penalty = Duration::from_millis(AUTH_DELAY_MS) * self.guesses;
        (self.guesses >= SESSION_GUESSES_MAX).then_some(Refusal::TooManyGuesses)
    }

    /// A message was accepted.
    pub fn accepted(&mut self) {
        (self.errors, self.refusals) = (0, 0);
    }

    /// How long the replies that wait are to be held back.
    pub fn take_penalty(&mut self) -> Duration {
        std::mem::take(&mut self.penalty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_and_is_won_back_by_mail() {
        let mut patience = Patience::default();
        for _ in 1..SESSION_REFUSALS_MAX {
            assert_eq!(patience.refusal(), None);
        }
        assert!(patience.take_penalty() > Duration::ZERO && patience.take_penalty().is_zero());
        patience.accepted();
        assert_eq!(patience.refusal(), None);
        assert!(patience.take_penalty().is_zero());
        for _ in 1..SESSION_GUESSES_MAX {
            assert_eq!(patience.guess(), None);
        }
        patience.accepted();
        assert_eq!(patience.guess(), Some(Refusal::TooManyGuesses));
        for _ in 1..SESSION_ERRORS_MAX {
            assert_eq!(patience.error(), None);
        }
        assert_eq!(patience.error(), Some(Refusal::TooManyErrors));
    }
}

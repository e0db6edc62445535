//! The time a message may take to come.

use crate::limits;
use std::time::Duration;

/// Since when the message that is being received comes: its number in the session, and monotonic nanoseconds. A client that
/// pipelines is in data whenever it is read from; each of its messages has a time of its own.
#[derive(Default)]
pub struct DataClock(Option<(usize, u64)>);

impl DataClock {
    /// What is left of the time for message `number`.
    pub fn left(&mut self, number: usize, now: u64) -> Duration {
        let (_, started) = match self.0 {
            Some(known) if known.0 == number => known,
            _ => *self.0.insert((number, now)),
        };
        let spent = Duration::from_nanos(now.saturating_sub(started));
        Duration::from_secs(limits::DATA_TOTAL_SECS).saturating_sub(spent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_has_a_time_of_its_own() {
        let mut clock = DataClock::default();
        let total = Duration::from_secs(limits::DATA_TOTAL_SECS);
        let hour = total.as_nanos() as u64;
        assert_eq!(clock.left(0, 5), total);
        assert_eq!(clock.left(0, 5 + hour / 2), total / 2);
        assert_eq!(clock.left(1, 5 + hour), total);
        assert_eq!(clock.left(1, 5 + 2 * hour), Duration::ZERO);
    }
}

//! The time a message may take to come.

use crate::limits;
use ringmta_io::receiving::Pace;
use std::time::Duration;

/// The message that is being received. A client that pipelines is in data whenever it is read from; each of its messages has
/// a time of its own.
#[derive(Default)]
pub struct DataClock {
    /// Its number in the session, and since when it comes, monotonic nanoseconds.
    since: Option<(usize, u64)>,
    pace: Pace,
}

impl DataClock {
    /// What is left of the time for message `number`.
    pub fn left(&mut self, number: usize, now: u64) -> Duration {
        let (_, started) = match self.since {
            Some(known) if known.0 == number => known,
            _ => *self.since.insert((number, now)),
        };
        let spent = Duration::from_nanos(now.saturating_sub(started));
        Duration::from_secs(limits::DATA_TOTAL_SECS).saturating_sub(spent)
    }

    /// Whether message `number`, of which `received` bytes are here, comes too slowly for the memory it holds.
    pub fn is_too_slow(&mut self, number: usize, received: usize, now: u64) -> bool {
        self.pace.is_too_slow(number, received, now)
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

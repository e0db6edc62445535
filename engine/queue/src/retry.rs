//! When a message is tried again, and when it is given up. Pure arithmetic.

use crate::limits::RETRY_FLOOR_MS;
use ringmta_mail::Scheduling;
use ringmta_options::QueueConfig;

/// What becomes of a message whose attempt failed for now. Times are unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try again at this time.
    Retry(u64),
    /// The next attempt would come at this time, after the message's end of life.
    Expire(u64),
}

/// Decides after `attempts` finished attempts (at least one), at `now_millis`. `delay_millis`
/// overrides the queue's backoff; the result falls into the message's delivery window.
pub fn after_failure(
    config: &QueueConfig,
    scheduling: Option<&Scheduling>,
    end_of_life_millis: u64,
    attempts: u16,
    now_millis: u64,
    delay_millis: Option<u64>,
) -> Next {
    let backoff = config.delay_for_attempt(u32::from(attempts)).as_millis() as u64;
    let delay = delay_millis.unwrap_or(backoff).max(RETRY_FLOOR_MS);
    let due = now_millis.saturating_add(delay);
    let due = scheduling.map_or(due, |scheduling| scheduling.next(due));
    if due > end_of_life_millis {
        Next::Expire(due)
    } else {
        Next::Retry(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn config() -> QueueConfig {
        QueueConfig {
            retry_interval: Duration::from_secs(60),
            max_retry_interval: Some(Duration::from_secs(200)),
            ..QueueConfig::default()
        }
    }

    #[test]
    fn doubles_up_to_the_cap() {
        let due = |attempts| match after_failure(&config(), None, u64::MAX, attempts, 0, None) {
            Next::Retry(due) => due,
            Next::Expire(_) => panic!("expired"),
        };
        assert_eq!([due(1), due(2), due(3), due(9)], [60_000, 120_000, 200_000, 200_000]);
    }

    #[test]
    fn expires_when_the_next_attempt_would_be_too_late() {
        let next = |now| after_failure(&config(), None, 1_000_000, 1, now, None);
        assert_eq!(next(940_000), Next::Retry(1_000_000));
        assert_eq!(next(940_001), Next::Expire(1_000_001));
    }

    #[test]
    fn a_retry_falls_into_the_window() {
        let monday = serde_json::json!(
            {"dow": "Mon", "tz": "UTC", "start": "00:00", "end": "00:02"});
        let monday = Scheduling::from_json(&monday).unwrap();
        // The fifth of January 1970 was a Monday.
        let opens = 4 * 86_400_000;
        let next = |now, end| after_failure(&config(), Some(&monday), end, 1, now, None);
        assert_eq!(next(opens - 61_000, u64::MAX), Next::Retry(opens));
        assert_eq!(next(opens + 59_000, u64::MAX), Next::Retry(opens + 119_000));
        let week = 7 * 86_400_000;
        assert_eq!(next(opens + 60_000, u64::MAX), Next::Retry(opens + week));
        assert_eq!(next(opens + 60_000, opens + week - 1), Next::Expire(opens + week));
    }
}

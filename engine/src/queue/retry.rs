//! When a message is tried again, and when it is given up. Pure arithmetic.

use crate::limits::RETRY_FLOOR_MS;
use ringmta_policy::QueueConfig;

/// What becomes of a message whose attempt failed for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try again at this time, unix milliseconds.
    Retry(u64),
    /// The next attempt would come after the message's end of life.
    Expire {
        /// Age the message would have at that attempt, milliseconds.
        age_millis: u64,
    },
}

/// Decides for a message made at `created_millis` after `attempts` finished attempts (at least
/// one), at `now_millis`. `delay_millis` overrides the queue's backoff.
pub fn after_failure(
    config: &QueueConfig,
    created_millis: u64,
    attempts: u16,
    now_millis: u64,
    delay_millis: Option<u64>,
) -> Next {
    let backoff = config.delay_for_attempt(u32::from(attempts)).as_millis() as u64;
    let delay = delay_millis.unwrap_or(backoff).max(RETRY_FLOOR_MS);
    let due = now_millis.saturating_add(delay);
    let age_millis = due.saturating_sub(created_millis);
    if age_millis > max_age_millis(config) {
        Next::Expire { age_millis }
    } else {
        Next::Retry(due)
    }
}

/// Whether a message has outlived its queue's `max_age`.
pub fn is_expired(config: &QueueConfig, created_millis: u64, now_millis: u64) -> bool {
    now_millis.saturating_sub(created_millis) > max_age_millis(config)
}

fn max_age_millis(config: &QueueConfig) -> u64 {
    config.max_age.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn config() -> QueueConfig {
        QueueConfig {
            retry_interval: Duration::from_secs(60),
            max_retry_interval: Some(Duration::from_secs(200)),
            max_age: Duration::from_secs(1000),
            ..QueueConfig::default()
        }
    }

    #[test]
    fn doubles_up_to_the_cap() {
        let due = |attempts| match after_failure(&config(), 0, attempts, 0, None) {
            Next::Retry(due) => due,
            Next::Expire { .. } => panic!("expired"),
        };
        assert_eq!([due(1), due(2), due(3), due(9)], [60_000, 120_000, 200_000, 200_000]);
    }

    #[test]
    fn expires_when_the_next_attempt_would_be_too_late() {
        assert_eq!(after_failure(&config(), 0, 1, 940_000, None), Next::Retry(1_000_000));
        let late = after_failure(&config(), 0, 1, 940_001, None);
        assert_eq!(late, Next::Expire { age_millis: 1_000_001 });
        assert!(!is_expired(&config(), 0, 1_000_000));
        assert!(is_expired(&config(), 0, 1_000_001));
    }
}

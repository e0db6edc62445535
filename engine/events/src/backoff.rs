//! When a hook may send again: pauses that grow while its receiver does not take anything, and how many requests may be
//! under way. No I/O in it.

use crate::limits::{
    HOOK_FAILURES_TO_PAUSE, HOOK_MICROS_PER_REQUEST, HOOK_REQUESTS_MAX, HOOK_REQUESTS_MIN,
    HOOK_RETRY_AFTER_MAX_MS, HOOK_RETRY_MAX_MS, HOOK_RETRY_MIN_MS,
};
use std::time::Duration;

/// The state of one hook on one shard. Times are monotonic nanoseconds.
#[derive(Debug, Default)]
pub struct Backoff {
    /// Failures since the last success, requests that were under way together counted once.
    failures: u32,
    /// When the last of them was.
    failed_nanos: u64,
    /// Nothing is sent before.
    until_nanos: u64,
    /// Requests that succeeded.
    successes: u64,
    /// What a request takes, smoothed, microseconds.
    latency_micros: u64,
}

impl Backoff {
    /// Requests that may be under way at `now`, of `shards` shards that share the limit. While nothing succeeds it is
    /// one: enough to learn that the receiver is back.
    pub fn allowed(&self, now_nanos: u64, shards: usize) -> usize {
        if now_nanos < self.until_nanos {
            return 0;
        }
        if self.is_failing() {
            return 1;
        }
        let wanted = HOOK_REQUESTS_MIN + (self.latency_micros / HOOK_MICROS_PER_REQUEST) as usize;
        wanted.min(HOOK_REQUESTS_MAX).div_ceil(shards.max(1)).max(2)
    }

    /// Whether the receiver takes nothing, as far as is known.
    pub fn is_failing(&self) -> bool {
        self.failures >= HOOK_FAILURES_TO_PAUSE || self.until_nanos > 0
    }

    /// When something may be sent.
    pub fn until_nanos(&self) -> u64 {
        self.until_nanos
    }

    /// Requests that have succeeded so far.
    pub fn successes(&self) -> u64 {
        self.successes
    }

    /// A request begun at `started` has succeeded at `now`.
    pub fn succeeded(&mut self, started_nanos: u64, now_nanos: u64) {
        self.failures = 0;
        self.until_nanos = 0;
        self.successes += 1;
        let micros = now_nanos.saturating_sub(started_nanos) / 1000;
        self.latency_micros = (self.latency_micros * 7 + micros) / 8;
    }

    /// A request begun at `started` has failed at `now`; the receiver may have said after what time it is to be
    /// asked again. `random` spreads the pauses. The answer is the pause of the whole hook, when there is a new one.
    pub fn failed(
        &mut self,
        started_nanos: u64,
        now_nanos: u64,
        after: Option<Duration>,
        random: u64,
    ) -> Option<Duration> {
        let is_news = self.failures == 0 || started_nanos >= self.failed_nanos;
        if is_news {
            self.failures += 1;
            self.failed_nanos = now_nanos;
        }
        let pause = match after {
            Some(after) => {
                let most = Duration::from_millis(HOOK_RETRY_AFTER_MAX_MS);
                spread(after.min(most), random)
            }
            None if is_news && self.failures >= HOOK_FAILURES_TO_PAUSE => {
                pause_of(self.failures + 1 - HOOK_FAILURES_TO_PAUSE, random)
            }
            None => return None,
        };
        let until = now_nanos.saturating_add(pause.as_nanos() as u64);
        (until > self.until_nanos).then(|| self.until_nanos = until).map(|()| pause)
    }
}

/// The pause after so many failures.
pub fn pause_of(failures: u32, random: u64) -> Duration {
    let doubled = HOOK_RETRY_MIN_MS << failures.saturating_sub(1).min(16);
    spread(Duration::from_millis(doubled.min(HOOK_RETRY_MAX_MS)), random)
}

/// Up to a quarter more, so that those who failed together do not come back together.
fn spread(pause: Duration, random: u64) -> Duration {
    let quarter = pause.as_millis() as u64 / 4 + 1;
    pause + Duration::from_millis(random % quarter)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn one_failure_among_others_pauses_nothing() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.failed(0, MS, None, 0), None);
        assert!(backoff.allowed(MS, 1) >= HOOK_REQUESTS_MIN);
        // Those that were under way with it tell nothing new.
        assert_eq!(backoff.failed(0, 2 * MS, None, 0), None);
        assert!(!backoff.is_failing());
    }

    #[test]
    fn pauses_grow_until_something_succeeds() {
        let mut backoff = Backoff::default();
        let mut now = 0;
        let mut pauses = Vec::new();
        for _ in 0..10 {
            let pause = backoff.failed(now, now, None, 0);
            pauses.push(pause.map_or(0, |pause| pause.as_millis()));
            if let Some(pause) = pause {
                assert_eq!(backoff.allowed(now, 1), 0);
                now += pause.as_nanos() as u64;
                assert_eq!(backoff.allowed(now, 1), 1, "one, to see whether it is back");
            }
            now += MS;
        }
        assert_eq!(pauses[..8], [0, 500, 1000, 2000, 4000, 8000, 16_000, 30_000]);
        backoff.succeeded(now, now + MS);
        assert!(backoff.allowed(now + MS, 1) >= HOOK_REQUESTS_MIN);
    }

    #[test]
    fn what_the_receiver_asks_for_counts() {
        let mut backoff = Backoff::default();
        let asked = Some(Duration::from_secs(7));
        assert_eq!(backoff.failed(0, 0, asked, 0), Some(Duration::from_secs(7)));
        assert_eq!(backoff.allowed(6999 * MS, 1), 0);
        // Another that was under way asks for less.
        assert_eq!(backoff.failed(0, MS, Some(Duration::from_secs(1)), 0), None);
        assert_eq!(backoff.allowed(7000 * MS, 1), 1);
        let long = backoff.failed(8000 * MS, 8000 * MS, Some(Duration::from_secs(1 << 40)), 0);
        assert_eq!(long, Some(Duration::from_millis(HOOK_RETRY_AFTER_MAX_MS)));
    }

    #[test]
    fn slow_receivers_are_asked_more_at_once() {
        let mut backoff = Backoff::default();
        for round in 0..100 {
            backoff.succeeded(round, round + 200 * MS);
        }
        assert!((200..=HOOK_REQUESTS_MAX).contains(&backoff.allowed(0, 1)));
        assert!(backoff.allowed(0, 2) >= 100);
    }
}

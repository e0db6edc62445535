//! The generic cell rate algorithm over one atomic word: exact across threads, no lock, no timer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A rate: `limit` events per `period`, of which `burst` may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GcraSpec {
    /// Events per period; 0 lets nothing through.
    pub limit: u64,
    /// The period.
    pub period: Duration,
    /// Events that may come back to back; at least 1.
    pub burst: u64,
}

/// State of one limiter: the theoretical arrival time of the next event, in nanoseconds of the caller's clock.
#[derive(Debug, Default)]
pub struct Gcra {
    next_nanos: AtomicU64,
}

impl Gcra {
    /// A limiter that has seen no event.
    pub const fn new() -> Gcra {
        Gcra { next_nanos: AtomicU64::new(0) }
    }

    /// Takes one event at `now_nanos`, or says how long to wait before asking again. The clock must be the same for all
    /// callers of one limiter, and it must be monotonic: were it set back, everybody would wait until it is where it was.
    pub fn try_acquire(&self, spec: &GcraSpec, now_nanos: u64) -> Result<(), Duration> {
        self.try_acquire_many(spec, now_nanos, 1)
    }

    /// As [`Gcra::try_acquire`] for `n` events that must pass together. More than a burst at once can never pass as such;
    /// then the events are let through when the bucket is full, and paid for afterwards.
    pub fn try_acquire_many(
        &self,
        spec: &GcraSpec,
        now_nanos: u64,
        n: u64,
    ) -> Result<(), Duration> {
        let Some(interval) = spec.interval_nanos() else { return Err(spec.period) };
        let tolerance = interval.saturating_mul(spec.burst.max(1));
        let cost = interval.saturating_mul(n);
        let mut seen = self.settled(spec, now_nanos);
        loop {
            let new = seen.max(now_nanos).saturating_add(cost);
            let allowed_from = new.saturating_sub(tolerance.max(cost));
            if allowed_from > now_nanos {
                return Err(Duration::from_nanos(allowed_from - now_nanos));
            }
            match self.next_nanos.compare_exchange_weak(
                seen,
                new,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(()),
                Err(other) => seen = other,
            }
        }
    }

    /// As [`Gcra::try_acquire`], but takes nothing.
    pub fn would_pass(&self, spec: &GcraSpec, now_nanos: u64) -> Result<(), Duration> {
        let Some(interval) = spec.interval_nanos() else { return Err(spec.period) };
        let ahead = self.settled(spec, now_nanos).saturating_sub(now_nanos);
        let tolerance = interval.saturating_mul(spec.burst.max(1));
        match ahead.saturating_add(interval).saturating_sub(tolerance) {
            0 => Ok(()),
            wait => Err(Duration::from_nanos(wait)),
        }
    }

    /// Gives back one event that was taken at `taken_nanos` under this rate and did not come about: it is as if it had not
    /// been asked for. After an interval nothing is given back: by then the limiter may have forgotten the event, and what
    /// came back would let one more through than the burst.
    pub fn give_back(&self, spec: &GcraSpec, taken_nanos: u64, now_nanos: u64) {
        let Some(interval) = spec.interval_nanos() else { return };
        if now_nanos.saturating_sub(taken_nanos) > interval {
            return;
        }
        let less = |seen: u64| Some(seen.saturating_sub(interval));
        let _ = self.next_nanos.fetch_update(Ordering::AcqRel, Ordering::Relaxed, less);
    }

    /// The state as it is under this rate: what another rate has left owes no more than this one can ever owe. So a rate that
    /// is raised counts from then on.
    fn settled(&self, spec: &GcraSpec, now_nanos: u64) -> u64 {
        let seen = self.next_nanos.load(Ordering::Relaxed);
        let Some(interval) = spec.interval_nanos() else { return seen };
        let most = now_nanos.saturating_add(interval.saturating_mul(spec.burst.max(1)));
        if seen <= most {
            return seen;
        }
        match self.next_nanos.compare_exchange(seen, most, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => most,
            Err(other) => other.min(most),
        }
    }

    /// Whether it is as if it had never seen an event: nothing is lost when it is forgotten.
    pub fn is_unused(&self, now_nanos: u64) -> bool {
        self.next_nanos.load(Ordering::Relaxed) <= now_nanos
    }

    /// Events that would pass at `now_nanos`, and how long until the limiter is as if unused.
    pub fn peek(&self, spec: &GcraSpec, now_nanos: u64) -> (u64, Duration) {
        let Some(interval) = spec.interval_nanos() else { return (0, spec.period) };
        let ahead = self.settled(spec, now_nanos).saturating_sub(now_nanos);
        let left = interval.saturating_mul(spec.burst.max(1)).saturating_sub(ahead) / interval;
        (left, Duration::from_nanos(ahead))
    }
}

impl GcraSpec {
    /// Nanoseconds between two events at the steady rate; `None` when nothing may pass.
    fn interval_nanos(&self) -> Option<u64> {
        let period = u64::try_from(self.period.as_nanos()).unwrap_or(u64::MAX);
        period.checked_div(self.limit).map(|n| n.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: GcraSpec = GcraSpec { limit: 10, period: Duration::from_secs(1), burst: 3 };

    #[test]
    fn burst_then_steady() {
        let g = Gcra::new();
        let now = 1_000_000_000_000;
        for _ in 0..3 {
            assert_eq!(g.try_acquire(&SPEC, now), Ok(()));
        }
        assert_eq!(g.try_acquire(&SPEC, now), Err(Duration::from_millis(100)));
        assert_eq!(g.would_pass(&SPEC, now), Err(Duration::from_millis(100)));
        assert_eq!(g.would_pass(&SPEC, now + 100_000_000), Ok(()));
        assert_eq!(g.try_acquire(&SPEC, now + 100_000_000), Ok(()));
        assert_eq!(g.peek(&SPEC, now + 100_000_000), (0, Duration::from_millis(300)));
    }

    #[test]
    fn a_rate_that_is_raised_counts_at_once() {
        let g = Gcra::new();
        let hourly = GcraSpec { limit: 2, period: Duration::from_secs(3600), burst: 2 };
        let now = 1_000_000_000_000;
        assert!(g.try_acquire(&hourly, now).is_ok() && g.try_acquire(&hourly, now).is_ok());
        assert_eq!(g.try_acquire(&hourly, now), Err(Duration::from_secs(1800)));
        assert_eq!(g.would_pass(&SPEC, now), Err(Duration::from_millis(100)));
        assert_eq!(g.try_acquire(&SPEC, now + 100_000_000), Ok(()));
        // Nor does a clock that was set back make anybody wait for more than the rate asks.
        assert_eq!(g.try_acquire(&SPEC, 5), Err(Duration::from_millis(100)));
    }

    #[test]
    fn what_is_given_back_may_be_taken_again_and_no_more() {
        let g = Gcra::new();
        let now = 1_000_000_000_000;
        for _ in 0..3 {
            assert!(g.try_acquire(&SPEC, now).is_ok());
        }
        g.give_back(&SPEC, now, now);
        assert!(g.try_acquire(&SPEC, now).is_ok() && g.try_acquire(&SPEC, now).is_err());
        // What has come back in time adds nothing to a burst.
        let later = now + 10_000_000_000;
        assert!(g.try_acquire(&SPEC, later).is_ok());
        g.give_back(&SPEC, later, later);
        assert_eq!((0..9).filter(|_| g.try_acquire(&SPEC, later).is_ok()).count(), 3);
        // What the limiter has forgotten meanwhile is not given back: the burst would be one larger.
        let again = later + 10_000_000_000;
        assert_eq!((0..9).filter(|_| g.try_acquire(&SPEC, again).is_ok()).count(), 3);
        g.give_back(&SPEC, later, again);
        assert!(g.try_acquire(&SPEC, again).is_err());
    }

    #[test]
    fn zero_lets_nothing_through() {
        let g = Gcra::new();
        let spec = GcraSpec { limit: 0, ..SPEC };
        assert_eq!(g.try_acquire(&spec, 5), Err(Duration::from_secs(1)));
    }

    #[test]
    fn exact_across_threads() {
        let g = std::sync::Arc::new(Gcra::new());
        let spec = GcraSpec { limit: 1000, period: Duration::from_secs(1), burst: 1000 };
        let taken: usize = (0..4)
            .map(|_| {
                let g = g.clone();
                std::thread::spawn(move || {
                    (0..1000).filter(|_| g.try_acquire(&spec, 7).is_ok()).count()
                })
            })
            .collect::<Vec<_>>()
            .into_iter()
            .map(|t| t.join().unwrap())
            .sum();
        assert_eq!(taken, 1000);
    }

    #[test]
    fn more_than_a_burst_passes_when_full_and_is_paid_for() {
        let g = Gcra::new();
        assert_eq!(g.try_acquire_many(&SPEC, 10_000_000_000, 5), Ok(()));
        assert!(g.try_acquire(&SPEC, 10_000_000_000).is_err());
    }
}

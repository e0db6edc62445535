//! A counter over a rolling span of time, in buckets of whole seconds.

use std::sync::{Mutex, PoisonError};

/// The counts of one series.
pub struct Series {
    bucket_seconds: u64,
    buckets: Mutex<Ring>,
}

struct Ring {
    counts: Vec<u64>,
    /// Number of the newest bucket: time divided by the bucket's length.
    newest: u64,
}

impl Ring {
    /// Empties the buckets whose time has passed.
    fn advance(&mut self, to: u64) {
        let n = self.counts.len() as u64;
        let passed = to.saturating_sub(self.newest).min(n);
        for i in 1..=passed {
            let slot = ((to - passed + i) % n) as usize;
            self.counts[slot] = 0;
        }
        self.newest = self.newest.max(to);
    }
}

impl Series {
    /// A series of `buckets` (at least 1) buckets of `bucket_seconds` (at least 1), the newest holding `initial`.
    pub fn new(buckets: usize, bucket_seconds: u64, initial: u64, now: u64) -> Series {
        let bucket_seconds = bucket_seconds.max(1);
        let newest = now / bucket_seconds;
        let mut counts = vec![0; buckets.max(1)];
        let slot = (newest % counts.len() as u64) as usize;
        counts[slot] = initial;
        Series { bucket_seconds, buckets: Mutex::new(Ring { counts, newest }) }
    }

    fn at<R>(&self, now: u64, f: impl FnOnce(&mut Ring) -> R) -> R {
        let mut ring = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        ring.advance(now / self.bucket_seconds);
        f(&mut ring)
    }

    /// Number and length (seconds) of its buckets.
    pub fn shape(&self) -> (usize, u64) {
        let ring = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        (ring.counts.len(), self.bucket_seconds)
    }

    /// Changes the newest bucket; a count never falls below 0.
    pub fn change(&self, now: u64, f: impl FnOnce(u64) -> u64) {
        self.at(now, |r| {
            let slot = (r.newest % r.counts.len() as u64) as usize;
            r.counts[slot] = f(r.counts[slot]);
        })
    }

    /// The sum of the newest buckets that cover `seconds`; of all when `None`.
    pub fn sum(&self, now: u64, seconds: Option<u64>) -> u64 {
        self.at(now, |r| {
            let all = r.counts.len() as u64;
            let n = seconds.map_or(all, |s| s.div_ceil(self.bucket_seconds).clamp(1, all));
            let slot = |back: u64| ((r.newest + all - back % all) % all) as usize;
            (0..n).fold(0, |sum: u64, back| sum.saturating_add(r.counts[slot(back)]))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_counts_pass_away() {
        let s = Series::new(3, 10, 5, 1000);
        s.change(1009, |n| n + 1);
        assert_eq!(s.sum(1009, None), 6);
        s.change(1010, |n| n + 2);
        s.change(1020, |n| n + 4);
        assert_eq!((s.sum(1020, None), s.sum(1020, Some(10)), s.sum(1020, Some(11))), (12, 4, 6));
        assert_eq!(s.sum(1030, None), 6);
        assert_eq!(s.sum(1049, None), 4);
        assert_eq!(s.sum(1050, None), 0);
        assert_eq!(s.sum(99_999, None), 0);
    }

    #[test]
    fn a_clock_that_goes_back_loses_nothing() {
        let s = Series::new(2, 1, 0, 100);
        s.change(100, |n| n + 1);
        s.change(90, |n| n + 1);
        assert_eq!(s.sum(100, None), 2);
    }
}

//! When a worker may start its next message, and which one it is.

use std::time::{Duration, Instant};

/// A message to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// Its number within the run, from 0.
    pub seq: u64,
    /// When its latency clock started.
    pub start: Instant,
}

/// One worker's share of the run: every `workers`-th message, beginning with its own number.
#[derive(Debug)]
pub struct Pace {
    worker: u64,
    workers: u64,
    /// Messages this worker has started.
    started: u64,
    /// Messages this worker has to start at most.
    share: u64,
    /// Seconds between two messages of the whole run; zero for full speed.
    interval_s: f64,
    begin: Instant,
    end: Option<Instant>,
    stopped: bool,
}

impl Pace {
    /// The share of `worker` (from 0) of `workers`; `rate` in messages per second of the whole run.
    #[must_use]
    pub fn new(
        worker: usize,
        workers: usize,
        count: Option<u64>,
        rate: Option<f64>,
        begin: Instant,
    ) -> Self {
        let (worker, workers) = (worker as u64, workers.max(1) as u64);
        let share = count.map_or(u64::MAX, |count| count.saturating_sub(worker).div_ceil(workers));
        Self {
            worker,
            workers,
            started: 0,
            share,
            interval_s: rate.map_or(0.0, f64::recip),
            begin,
            end: None,
            stopped: false,
        }
    }

    /// Starts no message that is due after `end`.
    #[must_use]
    pub fn until(mut self, end: Option<Instant>) -> Self {
        self.end = end;
        self
    }

    /// Starts no message any more.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// When the next message is due.
    #[must_use]
    pub fn next_due(&self) -> Instant {
        let number = self.started.saturating_mul(self.workers).saturating_add(self.worker);
        // A time beyond what a clock holds is never reached either way.
        let offset = Duration::try_from_secs_f64(number as f64 * self.interval_s);
        offset.ok().and_then(|offset| self.begin.checked_add(offset)).unwrap_or(self.begin)
    }

    /// Whether all messages of the share were started, or time is up.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        self.stopped || self.started >= self.share || self.end.is_some_and(|end| now >= end)
    }

    /// Whether all messages of the share were started.
    #[must_use]
    pub fn ran_out(&self) -> bool {
        self.started >= self.share
    }

    /// The next message, if one is due.
    pub fn take(&mut self, now: Instant) -> Option<Job> {
        if self.is_over(now) {
            return None;
        }
        let start = if self.interval_s > 0.0 { self.next_due() } else { now };
        if start > now {
            return None;
        }
        let seq = self.started * self.workers + self.worker;
        self.started += 1;
        Some(Job { seq, start })
    }

    /// Whether messages are due at given times.
    #[must_use]
    pub fn is_timed(&self) -> bool {
        self.interval_s > 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_do_not_overlap() {
        let now = Instant::now();
        let mut all = Vec::new();
        for worker in 0..3 {
            let mut pace = Pace::new(worker, 3, Some(10), None, now);
            while let Some(job) = pace.take(now) {
                all.push(job.seq);
            }
            assert!(pace.is_over(now));
        }
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn timed_messages_are_due_at_their_time() {
        let begin = Instant::now();
        let mut pace =
            Pace::new(0, 1, None, Some(10.0), begin).until(Some(begin + Duration::from_secs(1)));
        assert_eq!(pace.take(begin).unwrap().seq, 0);
        assert_eq!(pace.take(begin), None);
        // Late: the clock still starts when it was due.
        let late = begin + Duration::from_millis(350);
        let starts: Vec<_> =
            std::iter::from_fn(|| pace.take(late)).map(|job| job.start - begin).collect();
        assert_eq!(starts, [100, 200, 300].map(Duration::from_millis));
        assert_eq!(pace.take(begin + Duration::from_secs(2)), None);
    }
}

//! Sources that policy wants left alone for a while when they fail: their address is not on this host, or their proxy does
//! not do its work. One state per source for all shards, looked up when a ready queue is made.

use crate::limits::HEALTH_FAILURES_MAX;
use ringmta_options::SuspendOnFailure;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What a failed connection says about its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The address to leave from is not on this host.
    Unplumbed,
    /// The proxy cannot be reached, or does not do what it is asked for.
    Proxy,
}

impl Fault {
    /// All there are.
    pub const ALL: [Fault; 2] = [Fault::Unplumbed, Fault::Proxy];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Unplumbed => "Unplumbed",
            Fault::Proxy => "ProxyUnhealthy",
        }
    }
}

/// How a source does, by [`Fault`].
#[derive(Debug, Default)]
pub struct Health {
    /// It is not chosen before this time. All times here are monotonic milliseconds: a clock that is
    /// set back must not keep a source away.
    until_millis: [AtomicU64; 2],
    /// When it failed lately.
    failures: [Mutex<VecDeque<u64>>; 2],
    /// Failures ever.
    failed: [AtomicU64; 2],
    /// How often it began to be left alone.
    suspensions: [AtomicU64; 2],
}

/// What is counted of one kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Connections that failed so.
    pub failed: u64,
    /// Times the source was left alone for it.
    pub suspensions: u64,
    /// It is being left alone for it.
    pub suspended: bool,
}

impl Health {
    /// How long it is still left alone.
    pub fn suspended_for(&self, now_millis: u64) -> Option<Duration> {
        let until = self.until_millis.iter().map(|until| until.load(Ordering::Relaxed)).max();
        let left = until.unwrap_or(0).saturating_sub(now_millis);
        (left > 0).then(|| Duration::from_millis(left))
    }

    /// What was counted.
    pub fn tally(&self, fault: Fault, now_millis: u64) -> Tally {
        let at = fault as usize;
        Tally {
            failed: self.failed[at].load(Ordering::Relaxed),
            suspensions: self.suspensions[at].load(Ordering::Relaxed),
            suspended: self.until_millis[at].load(Ordering::Relaxed) > now_millis,
        }
    }

    /// Counts a failure, whether or not there is a rule about it.
    pub fn count(&self, fault: Fault) {
        self.failed[fault as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Notes a failure that `rule` is about. `true` when the source is left alone from now on.
    pub fn failed(&self, fault: Fault, rule: &SuspendOnFailure, now_millis: u64) -> bool {
        if let Some(threshold) = &rule.threshold {
            let failures = &self.failures[fault as usize];
            let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
            let most = usize::try_from(threshold.limit).unwrap_or(usize::MAX);
            let most = most.clamp(1, HEALTH_FAILURES_MAX);
            let since = now_millis.saturating_sub(threshold.period.as_millis() as u64);
            failures.push_back(now_millis);
            while failures.len() > most || failures.front().is_some_and(|at| *at < since) {
                failures.pop_front();
            }
            if failures.len() < most {
                return false;
            }
            failures.clear();
        }
        let until = now_millis.saturating_add(rule.duration.as_millis() as u64);
        let begins =
            self.until_millis[fault as usize].fetch_max(until, Ordering::Relaxed) <= now_millis;
        if begins {
            self.suspensions[fault as usize].fetch_add(1, Ordering::Relaxed);
        }
        begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmta_options::Throttle;

    #[test]
    fn at_once_or_after_some() {
        let minute = Duration::from_secs(60);
        let at_once = SuspendOnFailure { threshold: None, duration: minute };
        let health = Health::default();
        assert_eq!(health.suspended_for(1000), None);
        assert!(health.failed(Fault::Unplumbed, &at_once, 1000));
        assert_eq!(health.suspended_for(1000), Some(minute));
        assert!(!health.failed(Fault::Unplumbed, &at_once, 2000), "it is already");
        assert_eq!(health.suspended_for(62_000), None);
        health.count(Fault::Unplumbed);
        let tally = Tally { failed: 1, suspensions: 1, suspended: true };
        assert_eq!(health.tally(Fault::Unplumbed, 2000), tally);
        assert_eq!(health.tally(Fault::Unplumbed, 62_000), Tally { suspended: false, ..tally });
        let nothing = Tally { failed: 0, suspensions: 0, suspended: false };
        assert_eq!(health.tally(Fault::Proxy, 2000), nothing);

        let third = Throttle::parse("3/10s").unwrap();
        let third = SuspendOnFailure { threshold: Some(third), duration: minute };
        let health = Health::default();
        // The first is forgotten by the time of the third; those of another kind do not count.
        for (at, suspended) in [(0, false), (9_000, false), (11_000, false), (12_000, true)] {
            assert_eq!(health.failed(Fault::Proxy, &third, at), suspended, "at {at}");
            assert!(!health.failed(Fault::Unplumbed, &third, at * 20));
        }
    }
}

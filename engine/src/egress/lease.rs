//! Limits that hold over all shards: how many connections, how many messages per time.
//!
//! Each limit is a few atomics shared by the shards that use it. A shard that finds all leases
//! taken leaves its mark; who gives a lease back hands it to a waiting shard instead of freeing
//! it, so that no shard's mail starves, however small the limit.

use super::health::{Fault, Health};
use crate::events::metrics::Snapshot;
use crossbeam::utils::CachePadded;
use ringmta_policy::{Gcra, Limit, Throttle};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Words of the mask of waiting shards.
const MASK_WORDS: usize = crate::limits::SHARDS_MAX / 64;

/// One named limit.
#[derive(Debug, Default)]
pub struct Shared {
    leases: CachePadded<AtomicU64>,
    waiting: CachePadded<[AtomicU64; MASK_WORDS]>,
    rate: CachePadded<Gcra>,
}

impl Shared {
    /// Takes a lease when fewer than `limit` are out.
    pub fn try_lease(&self, limit: Limit) -> bool {
        let take = |out: u64| (out < limit.limit).then_some(out + 1);
        self.leases.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok()
    }

    /// Marks `shard` as waiting for a lease.
    pub fn wait(&self, shard: usize) {
        self.waiting[shard / 64].fetch_or(1 << (shard % 64), Ordering::AcqRel);
    }

    /// Takes the mark of `shard` away.
    pub fn unwait(&self, shard: usize) {
        self.waiting[shard / 64].fetch_and(!(1 << (shard % 64)), Ordering::AcqRel);
    }

    /// Whether any shard but `me` waits.
    pub fn is_wanted(&self, me: usize) -> bool {
        self.waiting.iter().enumerate().any(|(word, mask)| {
            let own = if word == me / 64 { 1 << (me % 64) } else { 0 };
            mask.load(Ordering::Acquire) & !own != 0
        })
    }

    /// Gives a lease back. When another shard waits the lease stays out and that shard's number
    /// is returned: it must be told. Shards are taken in turn from `me` on.
    #[must_use]
    pub fn give_back(&self, me: usize) -> Option<usize> {
        let shards = MASK_WORDS * 64;
        for step in 1..=shards {
            let shard = (me + step) % shards;
            let bit = 1 << (shard % 64);
            let mask = &self.waiting[shard / 64];
            if mask.load(Ordering::Acquire) & bit != 0
                && mask.fetch_and(!bit, Ordering::AcqRel) & bit != 0
            {
                return Some(shard);
            }
        }
        self.free();
        None
    }

    /// Frees a lease without handing it to anyone: by the shard it was handed to, which then
    /// takes it at once, or by one that took it in vain.
    pub fn free(&self) {
        self.leases.fetch_sub(1, Ordering::AcqRel);
    }

    /// Leases out now.
    pub fn leases(&self) -> u64 {
        self.leases.load(Ordering::Acquire)
    }

    /// Takes one event of the rate, or says how long to wait.
    pub fn try_rate(&self, rate: &Throttle, now_nanos: u64) -> Result<(), Duration> {
        self.rate.try_acquire(&rate.spec(), now_nanos)
    }

    /// As [`Shared::try_rate`], but takes nothing.
    pub fn would_pass(&self, rate: &Throttle, now_nanos: u64) -> Result<(), Duration> {
        self.rate.would_pass(&rate.spec(), now_nanos)
    }
}

/// Every limit of the process, by name. Looked at when a ready queue is made, never per message.
#[derive(Debug, Default)]
pub struct Registry {
    entries: Mutex<HashMap<String, Arc<Shared>>>,
    sources: Mutex<HashMap<String, Arc<Health>>>,
}

impl Registry {
    /// The limit called `name`.
    pub fn get(&self, name: &str) -> Arc<Shared> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.entry(name.to_string()).or_default().clone()
    }

    /// How the source called `name` does.
    pub fn source(&self, name: &str) -> Arc<Health> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.entry(name.to_string()).or_default().clone()
    }

    /// Adds how the sources do to `sum`.
    pub fn add_to(&self, sum: &mut Snapshot, now_millis: u64) {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        for (source, health) in sources.iter() {
            for fault in Fault::ALL {
                let tally = health.tally(fault, now_millis);
                if tally.failed == 0 {
                    continue;
                }
                let labels =
                    |kind| vec![("source", source.clone()), (kind, fault.name().to_string())];
                sum.count_by(
                    "egress_source_connection_failures_total",
                    labels("kind"),
                    tally.failed,
                );
                let (total, now) = (tally.suspensions, u64::from(tally.suspended));
                sum.count_by("egress_source_health_suspensions_total", labels("reason"), total);
                sum.gauge_by("egress_source_health_suspended", labels("reason"), now);
            }
        }
    }

    /// Forgets limits that nobody uses.
    pub fn sweep(&self) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.retain(|_, health| Arc::strong_count(health) > 1);
        drop(sources);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, shared| Arc::strong_count(shared) > 1 || shared.leases() > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_the_limit_and_handed_to_who_waits() {
        let shared = Shared::default();
        let limit = Limit::new(2);
        assert!(shared.try_lease(limit) && shared.try_lease(limit) && !shared.try_lease(limit));
        shared.wait(3);
        assert!(shared.is_wanted(0) && !shared.is_wanted(3));
        assert_eq!(shared.give_back(0), Some(3));
        assert_eq!(shared.leases(), 2, "a lease handed over stays out");
        assert_eq!(shared.give_back(3), None);
        assert_eq!(shared.leases(), 1);
    }

    #[test]
    fn waiting_shards_take_turns() {
        let shared = Shared::default();
        assert!(shared.try_lease(Limit::new(1)));
        for shard in [0, 1, 70] {
            shared.wait(shard);
        }
        assert_eq!(shared.give_back(0), Some(1));
        assert_eq!(shared.give_back(1), Some(70));
        assert_eq!(shared.give_back(70), Some(0));
    }
}

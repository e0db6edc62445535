//! State all shards share: helper threads, memoized results, named throttles, the configuration epoch.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ringmta_options::gcra::Gcra;
use ringmta_options::Throttle;

use super::named_objects::NamedObjects;
use crate::dns::resolvers::Resolvers;
use crate::dns::zones::Zones;
use crate::limits::MAX_LATENCY_LABELS;
use crate::process::access::AccessSettings;
use crate::process::helpers::Helpers;
use crate::process::memo::MemoStore;
use ringmta_options::StsPolicy;

/// Process-wide state of the policy host. One per process, handed to every VM.
pub struct Shared {
    helpers: Helpers,
    epoch: AtomicU64,
    throttles: RwLock<HashMap<String, Arc<Gcra>>>,
    memos: RwLock<HashMap<String, Arc<MemoStore>>>,
    warned: Mutex<HashSet<String>>,
    zones: RwLock<Option<Arc<Zones>>>,
    sts_policies: RwLock<Option<Arc<HashMap<String, StsPolicy>>>>,
    latencies: Mutex<BTreeMap<String, Latency>>,
    recipient_rate: RwLock<Option<Throttle>>,
    /// How access lists are gone about.
    pub access: AccessSettings,
    /// Resolvers by their names.
    pub(crate) resolvers: Resolvers,
    /// Queues, counters and pools by their names.
    pub(crate) named: NamedObjects,
}

/// Upper bounds of the buckets of [`Latency`], in seconds; one more counts everything.
pub const LATENCY_BOUNDS: [f64; 11] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// How long something of the policy's own took: a histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latency {
    /// Events up to each of [`LATENCY_BOUNDS`].
    pub buckets: [u64; LATENCY_BOUNDS.len()],
    /// All events.
    pub count: u64,
    /// Their sum, in seconds.
    pub sum: f64,
}

impl Shared {
    /// Starts the helper threads.
    pub fn new(helper_threads: usize) -> Arc<Shared> {
        Arc::new(Shared {
            helpers: Helpers::new(helper_threads),
            epoch: AtomicU64::new(1),
            throttles: RwLock::default(),
            memos: RwLock::default(),
            warned: Mutex::default(),
            zones: RwLock::default(),
            sts_policies: RwLock::default(),
            latencies: Mutex::default(),
            recipient_rate: RwLock::default(),
            access: AccessSettings::default(),
            resolvers: Resolvers::default(),
            named: NamedObjects::default(),
        })
    }

    /// The helper threads.
    pub fn helpers(&self) -> &Helpers {
        &self.helpers
    }

    /// The configuration epoch; changes when cached configurations must be asked for again.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Goes on from an epoch of an earlier life.
    pub fn resume_epoch(&self, epoch: u64) {
        self.epoch.fetch_max(epoch, Ordering::AcqRel);
    }

    /// Starts a new configuration epoch.
    pub fn bump_epoch(&self) -> u64 {
        self.epoch.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The limiter of a named throttle; the same for every caller of the name.
    pub fn throttle(&self, name: &str) -> Arc<Gcra> {
        let read = self.throttles.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(g) = read.get(name) {
            return g.clone();
        }
        drop(read);
        let mut write = self.throttles.write().unwrap_or_else(PoisonError::into_inner);
        write.entry(name.to_owned()).or_default().clone()
    }

    /// Forgets named throttles that nobody holds and that are as if unused at `now_nanos` of the monotonic clock.
    pub fn sweep(&self, now_nanos: u64) {
        let mut throttles = self.throttles.write().unwrap_or_else(PoisonError::into_inner);
        throttles.retain(|_, gcra| Arc::strong_count(gcra) > 1 || !gcra.is_unused(now_nanos));
    }

    /// How many named throttles are known.
    pub fn throttle_count(&self) -> usize {
        self.throttles.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The store of a memoized function, by its name.
    pub(crate) fn memo(&self, name: &str, capacity: usize) -> Arc<MemoStore> {
        let mut memos = self.memos.write().unwrap_or_else(PoisonError::into_inner);
        memos.entry(name.to_owned()).or_insert_with(|| Arc::new(MemoStore::new(capacity))).clone()
    }

    /// The zones of a test, when the policy set some: all DNS questions are answered from them.
    pub fn zones(&self) -> Option<Arc<Zones>> {
        self.zones.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers DNS questions from these zones from now on.
    pub fn set_zones(&self, zones: Zones) {
        *self.zones.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(zones));
    }

    /// The MTA-STS policies of a test by domain, when the policy set some: no other is looked for.
    pub fn sts_policies(&self) -> Option<Arc<HashMap<String, StsPolicy>>> {
        self.sts_policies.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Knows these MTA-STS policies, and no others, from now on.
    pub fn set_sts_policies(&self, policies: HashMap<String, StsPolicy>) {
        *self.sts_policies.write().unwrap_or_else(PoisonError::into_inner) =
            Some(Arc::new(policies));
    }

    /// Counts a time measured by `kumo.time.start_timer`. Labels beyond the limit are counted under one name.
    pub(crate) fn note_latency(&self, label: &str, seconds: f64) {
        let mut all = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        let label =
            if all.len() < MAX_LATENCY_LABELS || all.contains_key(label) { label } else { "other" };
        let l = all.entry(label.to_owned()).or_default();
        for (n, bound) in l.buckets.iter_mut().zip(LATENCY_BOUNDS) {
            *n += u64::from(seconds <= bound);
        }
        l.count += 1;
        l.sum += seconds;
    }

    /// The histograms of `kumo.time.start_timer`, by label.
    pub fn latencies(&self) -> BTreeMap<String, Latency> {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Limits the recipients HTTP injection generates, over all shards; `None` ends the limit.
    pub(crate) fn set_recipient_rate(&self, rate: Option<Throttle>) {
        *self.recipient_rate.write().unwrap_or_else(PoisonError::into_inner) = rate;
    }

    /// Takes the right to generate one recipient by HTTP injection, or says how long to wait before asking again.
    ///
    /// # Errors
    /// The time to wait.
    pub fn take_recipient(&self, now_nanos: u64) -> Result<(), std::time::Duration> {
        let rate = *self.recipient_rate.read().unwrap_or_else(PoisonError::into_inner);
        match rate {
            None => Ok(()),
            Some(rate) => self.throttle("\0http recipients").try_acquire(&rate.spec(), now_nanos),
        }
    }

    /// Logs a warning once per process.
    pub(crate) fn warn_once(&self, text: &str) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.insert(text.to_owned()) {
            tracing::warn!("{text}");
        }
    }

    /// The warnings given so far, sorted (for `validate`).
    pub fn warnings(&self) -> Vec<String> {
        let warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<String> = warned.iter().cloned().collect();
        all.sort();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttles_are_shared_by_name() {
        let s = Shared::new(1);
        assert!(Arc::ptr_eq(&s.throttle("a"), &s.throttle("a")));
        assert!(!Arc::ptr_eq(&s.throttle("a"), &s.throttle("b")));
    }

    #[test]
    fn a_throttle_is_forgotten_when_nothing_is_lost_by_it() {
        let s = Shared::new(1);
        let rate = Throttle::parse("1/s").unwrap().spec();
        assert!(s.throttle("a").try_acquire(&rate, 5).is_ok());
        let held = s.throttle("b");
        s.sweep(6);
        assert_eq!(s.throttle_count(), 2, "one still owes a second, one is held");
        s.sweep(2_000_000_000);
        assert_eq!(s.throttle_count(), 1);
        drop(held);
        s.sweep(2_000_000_000);
        assert_eq!(s.throttle_count(), 0);
    }

    #[test]
    fn epochs_and_warnings() {
        let s = Shared::new(1);
        assert_eq!(s.bump_epoch(), s.epoch());
        s.warn_once("w");
        s.warn_once("w");
        assert_eq!(s.warnings(), ["w"]);
    }
}

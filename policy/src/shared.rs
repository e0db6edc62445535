//! State all shards share: helper threads, memoized results, named throttles, the configuration epoch.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::gcra::Gcra;
use crate::helpers::Helpers;
use crate::memo::MemoStore;
use crate::zones::Zones;

/// Process-wide state of the policy host. One per process, handed to every VM.
pub struct Shared {
    helpers: Helpers,
    epoch: AtomicU64,
    throttles: RwLock<HashMap<String, Arc<Gcra>>>,
    memos: RwLock<HashMap<String, Arc<MemoStore>>>,
    warned: Mutex<HashSet<String>>,
    zones: RwLock<Option<Arc<Zones>>>,
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
    fn epochs_and_warnings() {
        let s = Shared::new(1);
        assert_eq!(s.bump_epoch(), s.epoch());
        s.warn_once("w");
        s.warn_once("w");
        assert_eq!(s.warnings(), ["w"]);
    }
}

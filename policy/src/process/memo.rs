//! Process-wide results of memoized functions: bounded, expiring, filled by one caller at a time.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use ringmta_options::plain::Plain;

/// A cached result.
#[derive(Clone)]
struct Entry {
    values: Arc<Vec<Plain>>,
    expires_nanos: u64,
    epoch: u64,
}

/// Two generations of entries: when the young one is full it becomes the old one. An entry that is used moves to the young
/// generation, so what is in use stays. Bounded memory with O(1) work.
#[derive(Default)]
struct State {
    young: HashMap<Vec<u8>, Entry>,
    old: HashMap<Vec<u8>, Entry>,
    filling: HashMap<Vec<u8>, Vec<Waker>>,
}

/// The store behind one memoized function.
pub(crate) struct MemoStore {
    state: Mutex<State>,
    half: usize,
}

/// Outcome of a look-up.
pub(crate) enum Lookup {
    /// The result is there.
    Hit(Arc<Vec<Plain>>),
    /// Nobody is working on it: the caller must, and finish through the guard.
    Fill(FillGuard),
    /// Somebody else is working on it.
    Wait,
}

impl MemoStore {
    /// A store for about `capacity` results.
    pub fn new(capacity: usize) -> MemoStore {
        MemoStore { state: Mutex::default(), half: capacity.div_ceil(2).max(1) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks a key up. Entries of another epoch than `epoch` (0 = any) count as expired.
    pub fn lookup(self: &Arc<Self>, key: &[u8], now_nanos: u64, epoch: u64) -> Lookup {
        let mut s = self.lock();
        if let Some(values) = s.find(key, now_nanos, epoch, self.half) {
            return Lookup::Hit(values);
        }
        if s.filling.contains_key(key) {
            return Lookup::Wait;
        }
        s.filling.insert(key.to_vec(), Vec::new());
        Lookup::Fill(FillGuard { store: self.clone(), key: key.to_vec() })
    }

    /// A result that is there, without taking on a fill.
    pub fn peek(&self, key: &[u8], now_nanos: u64, epoch: u64) -> Option<Arc<Vec<Plain>>> {
        self.lock().find(key, now_nanos, epoch, self.half)
    }

    /// Completes when the fill of `key` that is under way ends, however it ends.
    pub fn wait(self: &Arc<Self>, key: &[u8]) -> impl Future<Output = ()> {
        WaitFill { store: self.clone(), key: key.to_vec() }
    }
}

impl State {
    fn find(&mut self, key: &[u8], now: u64, epoch: u64, half: usize) -> Option<Arc<Vec<Plain>>> {
        let live = |e: &Entry| e.expires_nanos > now && (epoch == 0 || e.epoch == epoch);
        if let Some(e) = self.young.get(key) {
            return live(e).then(|| e.values.clone());
        }
        let (key, e) = self.old.remove_entry(key)?;
        if !live(&e) {
            return None;
        }
        let values = e.values.clone();
        self.insert(key, e, half);
        Some(values)
    }

    fn insert(&mut self, key: Vec<u8>, entry: Entry, half: usize) {
        if self.young.len() >= half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, entry);
    }
}

/// Held by the one caller that computes a result. Dropping it without a result lets the next caller try.
pub(crate) struct FillGuard {
    store: Arc<MemoStore>,
    key: Vec<u8>,
}

impl FillGuard {
    /// Stores the result.
    pub fn finish(self, values: Arc<Vec<Plain>>, expires_nanos: u64, epoch: u64) {
        let half = self.store.half;
        self.store.lock().insert(self.key.clone(), Entry { values, expires_nanos, epoch }, half);
    }
}

impl Drop for FillGuard {
    fn drop(&mut self) {
        let waiters = self.store.lock().filling.remove(&self.key).unwrap_or_default();
        waiters.into_iter().for_each(Waker::wake);
    }
}

struct WaitFill {
    store: Arc<MemoStore>,
    key: Vec<u8>,
}

impl Future for WaitFill {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.store.lock().filling.get_mut(&self.key) {
            None => Poll::Ready(()),
            Some(waiters) => {
                waiters.retain(|w| !w.will_wake(cx.waker()));
                waiters.push(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(cap: usize) -> Arc<MemoStore> {
        Arc::new(MemoStore::new(cap))
    }

    fn fill(s: &Arc<MemoStore>, key: &[u8], v: i64, expires: u64) {
        match s.lookup(key, 0, 0) {
            Lookup::Fill(g) => g.finish(Arc::new(vec![Plain::Int(v)]), expires, 7),
            _ => panic!("expected to fill"),
        }
    }

    fn hit(s: &Arc<MemoStore>, key: &[u8], now: u64, epoch: u64) -> Option<Plain> {
        match s.lookup(key, now, epoch) {
            Lookup::Hit(v) => Some(v[0].clone()),
            _ => None,
        }
    }

    #[test]
    fn hit_expiry_epoch() {
        let s = store(10);
        fill(&s, b"k", 1, 100);
        assert_eq!(hit(&s, b"k", 99, 0), Some(Plain::Int(1)));
        assert_eq!(hit(&s, b"k", 99, 7), Some(Plain::Int(1)));
        assert_eq!(hit(&s, b"k", 99, 8), None);
        assert_eq!(hit(&s, b"k", 100, 0), None);
    }

    #[test]
    fn one_filler_at_a_time_and_a_failed_fill_passes_the_turn_on() {
        let s = store(10);
        let Lookup::Fill(first) = s.lookup(b"k", 0, 0) else { panic!() };
        assert!(matches!(s.lookup(b"k", 0, 0), Lookup::Wait));
        let wait = s.wait(b"k");
        drop(first);
        futures::executor::block_on(wait);
        assert!(matches!(s.lookup(b"k", 0, 0), Lookup::Fill(_)));
    }

    #[test]
    fn bounded_and_what_is_used_stays() {
        let s = store(4);
        for i in 0..100u8 {
            fill(&s, &[i], i as i64, u64::MAX);
            assert!(hit(&s, &[0], 0, 0).is_some(), "after {i}");
        }
        let state = s.lock();
        assert!(state.young.len() + state.old.len() <= 4);
    }
}

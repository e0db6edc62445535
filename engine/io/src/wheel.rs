//! The deadlines of one shard. Nearly none of them ever passes, and every wait on the network has
//! one: setting and taking one back must cost next to nothing, firing may be late by a tick.
//!
//! A ring of buckets, one per tick; what is due later than one turn of the ring stays in its bucket
//! and is looked at once per turn. Entries are linked lists in a slab, so that one leaves in O(1).

use std::task::Waker;
use std::time::Duration;

/// Length of a tick, milliseconds.
pub const TICK_MS: u64 = 50;
const BUCKETS: usize = 1024;
const NONE: u32 = u32::MAX;

/// A deadline that was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id(u32);

struct Slot {
    due: u64,
    waker: Option<Waker>,
    next: u32,
    prev: u32,
    fired: bool,
}

/// The deadlines that are set.
pub struct Wheel {
    slots: Vec<Slot>,
    free: Vec<u32>,
    buckets: Vec<u32>,
    /// The last tick looked at.
    tick: u64,
    waiting: usize,
}

impl Default for Wheel {
    fn default() -> Wheel {
        Wheel {
            slots: Vec::new(),
            free: Vec::new(),
            buckets: vec![NONE; BUCKETS],
            tick: 0,
            waiting: 0,
        }
    }
}

impl Wheel {
    /// Whether no deadline is set.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Sets a deadline `limit` after `now_ms` (any clock that does not go back): `waker` is woken then
    /// or up to two ticks later, never before.
    pub fn set(&mut self, now_ms: u64, limit: Duration, waker: &Waker) -> Id {
        if self.waiting == 0 {
            self.tick = now_ms / TICK_MS;
        }
        let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX / 2).min(u64::MAX / 2);
        // Round up to a tick, plus one, because CLOCK_MONOTONIC_COARSE may be a few milliseconds behind.
        let due = ((now_ms + millis) / TICK_MS + 2).max(self.tick + 1);
        let slot = Slot { due, waker: Some(waker.clone()), next: NONE, prev: NONE, fired: false };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        };
        self.link(at);
        self.waiting += 1;
        Id(at)
    }

    /// Whether the deadline has passed.
    pub fn has_passed(&self, id: Id) -> bool {
        self.slots[id.0 as usize].fired
    }

    /// `waker` is the one to wake from now on. Gives the one before, which may end a task when it is
    /// dropped: not to be done while the wheel is borrowed.
    pub fn wake_instead(&mut self, id: Id, waker: &Waker) -> Option<Waker> {
        let known = &mut self.slots[id.0 as usize].waker;
        match known {
            Some(known) if known.will_wake(waker) => None,
            _ => known.replace(waker.clone()),
        }
    }

    /// Takes a deadline back, passed or not; its id means nothing afterwards. Gives its waker, see
    /// [`Wheel::wake_instead`].
    pub fn take_back(&mut self, id: Id) -> Option<Waker> {
        if !self.slots[id.0 as usize].fired {
            self.unlink(id.0);
            self.waiting -= 1;
        }
        self.free.push(id.0);
        self.slots[id.0 as usize].waker.take()
    }

    /// The tick at which something may be due next, if anything is.
    pub fn next(&self) -> Option<u64> {
        if self.waiting == 0 {
            return None;
        }
        let turn = self.tick + 1..=self.tick + BUCKETS as u64;
        turn.into_iter().find(|tick| self.buckets[*tick as usize % BUCKETS] != NONE)
    }

    /// The tick at which a deadline that is set is due.
    pub fn due(&self, id: Id) -> u64 {
        self.slots[id.0 as usize].due
    }

    /// Looks at every tick up to `now_ms` and gives the wakers of the deadlines that have passed.
    pub fn advance(&mut self, now_ms: u64) -> Vec<Waker> {
        let now = now_ms / TICK_MS;
        let mut woken = Vec::new();
        // After a long pause one turn sees every bucket.
        let from = self.tick.max(now.saturating_sub(BUCKETS as u64));
        for tick in from..now {
            let mut at = self.buckets[(tick + 1) as usize % BUCKETS];
            while at != NONE {
                let next = self.slots[at as usize].next;
                if self.slots[at as usize].due <= now {
                    self.unlink(at);
                    self.waiting -= 1;
                    self.slots[at as usize].fired = true;
                    woken.extend(self.slots[at as usize].waker.take());
                }
                at = next;
            }
        }
        self.tick = self.tick.max(now);
        woken
    }

    fn link(&mut self, at: u32) {
        let bucket = self.slots[at as usize].due as usize % BUCKETS;
        let head = std::mem::replace(&mut self.buckets[bucket], at);
        self.slots[at as usize].next = head;
        if head != NONE {
            self.slots[head as usize].prev = at;
        }
    }

    fn unlink(&mut self, at: u32) {
        let Slot { due, next, prev, .. } = self.slots[at as usize];
        match prev {
            NONE => self.buckets[due as usize % BUCKETS] = next,
            prev => self.slots[prev as usize].next = next,
        }
        if next != NONE {
            self.slots[next as usize].prev = prev;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::Arc;

    struct Count(AtomicUsize);

    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn waker() -> Waker {
        Waker::from(Arc::new(Count(AtomicUsize::new(0))))
    }

    fn fire(wheel: &mut Wheel, now_ms: u64) -> usize {
        let wakers = wheel.advance(now_ms);
        let count = wakers.len();
        wakers.into_iter().for_each(Waker::wake);
        count
    }

    #[test]
    fn each_fires_once_never_early_and_at_most_two_ticks_late() {
        let mut wheel = Wheel::default();
        let limits = [0, 1, 49, 50, 51, 1000, 51_200, 51_250, 300_000, 3_600_000];
        for start in [0, 17, 99_983] {
            for limit in limits {
                let id = wheel.set(start, Duration::from_millis(limit), &waker());
                let mut now = start;
                while fire(&mut wheel, now) == 0 {
                    assert!(!wheel.has_passed(id));
                    now += 7;
                }
                assert!(now >= start + limit, "{limit} ms from {start}: fired at {now}");
                assert!(now <= start + limit + 2 * TICK_MS + 7, "{limit} ms from {start}: {now}");
                assert!(wheel.has_passed(id));
                assert_eq!(fire(&mut wheel, now + 10_000_000), 0);
                wheel.take_back(id);
                assert!(wheel.is_empty());
            }
        }
    }

    #[test]
    fn what_is_taken_back_does_not_fire_and_its_room_is_used_again() {
        let mut wheel = Wheel::default();
        for round in 0..1000u64 {
            // All in one bucket: the first, a middle one and the last of a list leave.
            let ids: Vec<Id> =
                (0..5).map(|_| wheel.set(round, Duration::from_secs(5), &waker())).collect();
            for at in [4, 0, 2] {
                wheel.take_back(ids[at]);
            }
            assert_eq!(fire(&mut wheel, round + 6_000), 2);
            wheel.take_back(ids[1]);
            wheel.take_back(ids[3]);
        }
        assert!(wheel.is_empty());
        assert!(wheel.slots.len() <= 5);
    }

    #[test]
    fn a_long_pause_fires_everything_that_is_due() {
        let mut wheel = Wheel::default();
        let ids: Vec<Id> =
            (1..=3000).map(|s| wheel.set(0, Duration::from_secs(s), &waker())).collect();
        assert_eq!(fire(&mut wheel, 2_000_200), 2000);
        assert!(wheel.has_passed(ids[0]) && !wheel.has_passed(ids[2999]));
        assert_eq!(fire(&mut wheel, 4_000_000), 1000);
        ids.into_iter().for_each(|id| drop(wheel.take_back(id)));
        assert!(wheel.is_empty());
    }

    #[test]
    fn what_is_due_next_is_known() {
        let mut wheel = Wheel::default();
        assert_eq!(wheel.next(), None);
        let late = wheel.set(1_000, Duration::from_secs(30), &waker());
        assert_eq!(wheel.next(), Some(wheel.due(late)));
        let soon = wheel.set(1_000, Duration::from_secs(1), &waker());
        assert_eq!(wheel.next(), Some(wheel.due(soon)));
        assert!(wheel.due(soon) < wheel.due(late));
        let first = wheel.due(soon) * TICK_MS;
        assert_eq!(fire(&mut wheel, first), 1);
        assert_eq!(wheel.next(), Some(wheel.due(late)));
        wheel.take_back(late);
        assert_eq!(wheel.next(), None);
        // Due after more than a turn: looked at once before.
        let far = wheel.set(40_000, Duration::from_secs(100), &waker());
        let looked_at = wheel.next().unwrap();
        assert!(looked_at < wheel.due(far));
        assert_eq!(fire(&mut wheel, looked_at * TICK_MS), 0);
        assert_eq!(wheel.next(), Some(wheel.due(far)));
    }

    #[test]
    fn the_last_waker_is_woken() {
        let mut wheel = Wheel::default();
        let (first, last) =
            (Arc::new(Count(AtomicUsize::new(0))), Arc::new(Count(AtomicUsize::new(0))));
        let id = wheel.set(0, Duration::from_secs(1), &Waker::from(first.clone()));
        assert!(wheel.wake_instead(id, &Waker::from(last.clone())).is_some());
        fire(&mut wheel, 5_000);
        assert_eq!((first.0.load(Ordering::Relaxed), last.0.load(Ordering::Relaxed)), (0, 1));
    }
}

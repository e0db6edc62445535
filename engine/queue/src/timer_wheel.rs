//! When each waiting message is due.
//!
//! Time is cut into ticks; the messages of one tick share a queue, and the ticks are ordered.
//! Inserting costs one look-up among the ticks in use (at most one per tick of the longest
//! backoff, however many messages wait); popping takes whole ticks.

use crate::blocks::Blocks;
use crate::limits::TIMER_TICK_MS;
use std::collections::BTreeMap;

/// Things that are due at some wall-clock time.
#[derive(Debug)]
pub struct TimerWheel<T> {
    ticks: BTreeMap<u64, Blocks<T>>,
    len: usize,
}

impl<T> Default for TimerWheel<T> {
    fn default() -> Self {
        TimerWheel { ticks: BTreeMap::new(), len: 0 }
    }
}

impl<T> TimerWheel<T> {
    /// Adds `item`, due at `due_millis`; it never comes before that, and within one tick after.
    pub fn insert(&mut self, due_millis: u64, item: T) {
        self.ticks.entry(tick_of(due_millis)).or_default().push_back(item);
        self.len += 1;
    }

    /// Moves up to `most` items that are due at `now_millis` to `out`, earliest tick first.
    pub fn pop_due(&mut self, now_millis: u64, most: usize, out: &mut Vec<T>) {
        let now = now_millis / TIMER_TICK_MS;
        while out.len() < most {
            let Some(mut entry) = self.ticks.first_entry() else { return };
            if *entry.key() > now {
                return;
            }
            let items = entry.get_mut();
            let take = items.len().min(most - out.len());
            out.extend((0..take).filter_map(|_| items.pop_front()));
            self.len -= take;
            if items.is_empty() {
                entry.remove();
            }
        }
    }

    /// Wall-clock milliseconds of the next tick that holds something.
    pub fn next_due(&self) -> Option<u64> {
        self.ticks.keys().next().map(|tick| tick * TIMER_TICK_MS)
    }

    /// How many items wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Every waiting item with the milliseconds of its tick.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.ticks
            .iter()
            .flat_map(|(tick, items)| items.iter().map(move |item| (tick * TIMER_TICK_MS, item)))
    }

    /// Goes on with a look at all that waits, from where the last slice of it ended: at up to `most` items, each with the
    /// milliseconds of its tick, until `see` has found something. Between slices things come and go: what comes into a tick
    /// that was looked at is not seen, and where something has gone from the tick that is looked at one behind it may be
    /// missed.
    pub fn look<R>(
        &self,
        from: &mut LookedAt,
        most: usize,
        mut see: impl FnMut(u64, &T) -> Option<R>,
    ) -> Slice<R> {
        let mut left = most;
        for (tick, items) in self.ticks.range(from.tick..) {
            if *tick != from.tick {
                *from = LookedAt { tick: *tick, items: 0 };
            }
            for item in items.iter_from(from.items) {
                if left == 0 {
                    return Slice::More;
                }
                left -= 1;
                from.items += 1;
                if let Some(found) = see(tick * TIMER_TICK_MS, item) {
                    return Slice::Found(found);
                }
            }
        }
        Slice::Over
    }

    /// A way through all that waits now.
    pub fn sweep(&self) -> Sweep {
        let ticks: Vec<_> = self.ticks.iter().map(|(tick, items)| (*tick, items.len())).collect();
        Sweep { ticks: ticks.into_iter(), tick: 0, in_tick: 0 }
    }

    /// Goes on with a sweep: looks at up to `most` items, and takes out those for which `wanted` says so, given the tick and
    /// the item. None when all was looked at. What is put in between two such slices is not seen; nothing else may be
    /// taken out.
    pub fn take_some(
        &mut self,
        sweep: &mut Sweep,
        most: usize,
        mut wanted: impl FnMut(u64, &T) -> bool,
    ) -> Option<Vec<T>> {
        let (mut taken, mut left) = (Vec::new(), most);
        while left > 0 {
            if sweep.in_tick == 0 {
                let Some(next) = sweep.ticks.next() else { break };
                (sweep.tick, sweep.in_tick) = next;
            }
            let Some(items) = self.ticks.get_mut(&sweep.tick) else {
                sweep.in_tick = 0;
                continue;
            };
            // Each is looked at once; those that stay come behind the others, in their order.
            while sweep.in_tick > 0 && left > 0 {
                (sweep.in_tick, left) = (sweep.in_tick - 1, left - 1);
                match items.pop_front() {
                    Some(item) if wanted(sweep.tick, &item) => taken.push(item),
                    Some(item) => items.push_back(item),
                    None => sweep.in_tick = 0,
                }
            }
            if items.is_empty() {
                self.ticks.remove(&sweep.tick);
            }
        }
        self.len -= taken.len();
        (left < most).then_some(taken)
    }
}

/// How far a look at all that waits has come: so many items of this tick, and all before it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct LookedAt {
    tick: u64,
    items: usize,
}

/// What came of a slice of a look.
#[derive(Debug, PartialEq, Eq)]
pub enum Slice<R> {
    /// This.
    Found(R),
    /// Nothing yet, and there is more.
    More,
    /// Nothing, and that was all.
    Over,
}

/// The tick of what is due at `due_millis`.
pub fn tick_of(due_millis: u64) -> u64 {
    due_millis.div_ceil(TIMER_TICK_MS)
}

/// How far somebody has come who looks at all that waits.
#[derive(Debug)]
pub struct Sweep {
    /// The ticks to come, and how many there were in each.
    ticks: std::vec::IntoIter<(u64, usize)>,
    /// The one that is looked at,
    tick: u64,
    /// and how many of it are left.
    in_tick: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_where(wheel: &mut TimerWheel<u64>, wanted: impl Fn(&u64) -> bool) -> Vec<u64> {
        let taken = wheel.take_some(&mut wheel.sweep(), usize::MAX, |_, item| wanted(item));
        taken.unwrap_or_default()
    }

    #[test]
    fn never_early_and_in_order() {
        let mut wheel = TimerWheel::default();
        for due in [5000u64, 100, 101, 250, 4999, 100] {
            wheel.insert(due, due);
        }
        let mut out = Vec::new();
        wheel.pop_due(99, 100, &mut out);
        assert!(out.is_empty());
        wheel.pop_due(300, 2, &mut out);
        assert_eq!(out, [100, 100]);
        wheel.pop_due(300, 100, &mut out);
        assert_eq!(out, [100, 100, 101, 250]);
        assert_eq!(wheel.next_due(), Some(5000));
        assert_eq!(wheel.len(), 2);
        assert_eq!(take_where(&mut wheel, |due| *due == 4999), [4999]);
        assert_eq!(wheel.len(), 1);
        assert_eq!(take_where(&mut wheel, |due| tick_of(*due) == 50), [5000]);
    }

    #[test]
    fn a_look_in_slices_sees_each_once() {
        let mut wheel = TimerWheel::default();
        (0..5000u64).for_each(|n| wheel.insert(100 * (n % 3), n));
        let (mut from, mut slices, mut seen) = (LookedAt::default(), 1, Vec::new());
        loop {
            let before = seen.len();
            let slice = wheel.look(&mut from, 100, |due, n| {
                assert!(*n > 5_000 || due == 100 * (n % 3));
                seen.push(*n);
                None::<()>
            });
            assert!(seen.len() - before <= 100);
            match slice {
                Slice::More => slices += 1,
                Slice::Over => break,
                Slice::Found(()) => unreachable!("nothing is looked for"),
            }
            // What comes into ticks to come is seen as well; what is due before goes, and nothing is seen twice.
            if slices == 5 {
                wheel.insert(5_000, 5_002);
            }
        }
        assert_eq!(slices, 51);
        seen.sort_unstable();
        assert!(seen.into_iter().eq((0..5000).chain([5_002])));
        let mut from = LookedAt::default();
        let find = |wheel: &TimerWheel<u64>, from: &mut LookedAt| {
            wheel.look(from, 2_000, |due, n| (*n == 1_000).then_some(due))
        };
        assert_eq!(find(&wheel, &mut from), Slice::More);
        assert_eq!(find(&wheel, &mut from), Slice::Found(100));
        // A tick that is gone is gone on from.
        let mut due = Vec::new();
        wheel.pop_due(100, usize::MAX, &mut due);
        assert_eq!(find(&wheel, &mut from), Slice::Over);
    }

    #[test]
    fn a_sweep_in_parts_sees_each_once() {
        let mut wheel = TimerWheel::default();
        for n in 0..1000u64 {
            wheel.insert(100 * (n % 7), n);
        }
        let (mut sweep, mut taken, mut seen) = (wheel.sweep(), Vec::new(), 0);
        while let Some(some) = wheel.take_some(&mut sweep, 10, |_, n| {
            seen += 1;
            n % 3 == 0
        }) {
            assert!(some.len() <= 10);
            // What comes meanwhile, into a tick that is over, one that is looked at, and later ones.
            some.iter().for_each(|n| wheel.insert(100 * (n % 9), 3 * n));
            taken.extend(some);
        }
        assert_eq!(seen, 1000);
        assert_eq!(taken.len(), 334);
        assert_eq!(wheel.len(), 1000, "each that was taken has put one in");
        let mut left: Vec<u64> = wheel.iter().map(|(_, n)| *n).filter(|n| n % 3 != 0).collect();
        left.sort_unstable();
        assert!(left.into_iter().eq((0..1000).filter(|n| n % 3 != 0)));
        // Those of one tick keep their order.
        let mut due = Vec::new();
        take_where(&mut wheel, |n| n % 3 == 0);
        wheel.pop_due(0, 1000, &mut due);
        assert!(due.is_sorted(), "{due:?}");
    }
}

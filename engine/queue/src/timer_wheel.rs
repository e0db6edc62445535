//! When each waiting message is due.
//!
//! Time is cut into ticks; the messages of one tick share a vector, and the ticks are ordered.
//! Inserting costs one look-up among the ticks in use (at most one per tick of the longest
//! backoff, however many messages wait); popping takes whole ticks.

use crate::limits::TIMER_TICK_MS;
use std::collections::BTreeMap;

/// Things that are due at some wall-clock time.
#[derive(Debug)]
pub struct TimerWheel<T> {
    ticks: BTreeMap<u64, Vec<T>>,
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
        self.ticks.entry(due_millis.div_ceil(TIMER_TICK_MS)).or_default().push(item);
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
            out.extend(items.drain(..take));
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

    /// Takes out every item for which `wanted` says so.
    pub fn take_where(&mut self, mut wanted: impl FnMut(&T) -> bool) -> Vec<T> {
        self.take(|_, item| wanted(item))
    }

    /// The same, each with the milliseconds of its tick.
    pub fn take_with_due(&mut self, mut wanted: impl FnMut(&T) -> bool) -> Vec<(u64, T)> {
        let mut dues = Vec::new();
        let taken = self.take(|tick, item| {
            let is_wanted = wanted(item);
            if is_wanted {
                dues.push(tick * TIMER_TICK_MS);
            }
            is_wanted
        });
        dues.into_iter().zip(taken).collect()
    }

    /// Takes out every item that lies where `due_of` says it was put; none says that it is not meant.
    pub fn take_due_at(&mut self, due_of: impl Fn(&T) -> Option<u64>) -> Vec<T> {
        self.take(|tick, item| due_of(item).is_some_and(|due| tick == due.div_ceil(TIMER_TICK_MS)))
    }

    fn take(&mut self, mut wanted: impl FnMut(u64, &T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        self.ticks.retain(|tick, items| {
            let mut at = 0;
            while at < items.len() {
                if wanted(*tick, &items[at]) {
                    taken.push(items.swap_remove(at));
                } else {
                    at += 1;
                }
            }
            !items.is_empty()
        });
        self.len -= taken.len();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(wheel.take_where(|due| *due == 4999), [4999]);
        assert_eq!(wheel.len(), 1);
        assert!(wheel.take_due_at(|_| Some(4999 - TIMER_TICK_MS)).is_empty());
        assert!(wheel.take_due_at(|_| None).is_empty(), "one that is not meant stays");
        assert_eq!(wheel.take_due_at(|due| Some(*due)), [5000]);
    }
}

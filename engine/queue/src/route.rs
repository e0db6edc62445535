//! The choice of a ready queue for a message: smooth weighted round robin over the sources of its route.

use crate::limits::{NO_SOURCE_PAUSE, SELECTION_WAIT_MAX_MS};
use crate::model::{ReadyQueue, Route, RouteEntry};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// Why no ready queue can be had now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoSource {
    /// No source may be chosen for so long.
    Later(Duration),
    /// Operators hold all of them. The name of the first to be free.
    Held(String),
}

impl RouteEntry {
    /// Its standing in the round after this one.
    fn after_turn(&self) -> i64 {
        self.current.get().saturating_add(self.weight)
    }
}

impl Route {
    /// A route over ready queues and their weights (all above zero).
    pub fn new(entries: Vec<(u32, Rc<ReadyQueue>)>) -> Route {
        let entries: Vec<_> = entries
            .into_iter()
            .map(|(weight, ready)| RouteEntry {
                weight: i64::from(weight),
                current: Cell::new(0),
                ready,
            })
            .collect();
        let rationed = entries.iter().any(|entry: &RouteEntry| entry.ready.is_rationed());
        Route { entries, rationed, last_turn: Cell::new(0) }
    }

    /// The next ready queue by smooth weighted round robin; those with room come first, and those
    /// that are held, or whose source may not be chosen now, are passed over.
    ///
    /// # Errors
    /// Why there is none.
    pub fn pick(&self) -> Result<Rc<ReadyQueue>, NoSource> {
        let is_held = || self.entries.iter().any(|entry| entry.ready.is_held());
        if self.rationed || is_held() {
            return self.next_allowed();
        }
        match self.entries.as_slice() {
            [only] => Ok(only.ready.clone()),
            _ => self.next().ok_or(NoSource::Later(NO_SOURCE_PAUSE)),
        }
    }

    /// Whether one of its ready queues has room.
    pub fn has_room(&self) -> bool {
        self.entries.iter().any(|entry| entry.ready.has_room())
    }

    /// A turn, unix milliseconds, for a message that must wait at least `wait` for a source. Each
    /// message gets a turn of its own: a whole queue that woke for each free place would be
    /// nothing but noise.
    pub fn turn(&self, now_millis: u64, wait: Duration) -> u64 {
        let intervals = self.entries.iter().map(|entry| entry.ready.selection_interval());
        let each = intervals.min().unwrap_or_default().as_millis() as u64;
        let earliest = now_millis + wait.as_millis() as u64 + 1;
        let turn = earliest.max(self.last_turn.get() + each);
        let turn = turn.min(now_millis + SELECTION_WAIT_MAX_MS).max(now_millis + 1);
        self.last_turn.set(turn);
        turn
    }

    fn next_allowed(&self) -> Result<Rc<ReadyQueue>, NoSource> {
        let held = self.entries.iter().filter(|entry| entry.ready.is_held());
        let first = held.clone().min_by_key(|entry| entry.ready.held_until.get());
        if let Some(first) = first.filter(|_| held.count() == self.entries.len()) {
            return Err(NoSource::Held(first.ready.name.clone()));
        }
        let total: i64 = self.entries.iter().map(|entry| entry.weight).sum();
        let mut order: Vec<&RouteEntry> =
            self.entries.iter().filter(|entry| !entry.ready.is_held()).collect();
        order.sort_by_key(|entry| (!entry.ready.has_room(), -entry.after_turn()));
        let mut least: Option<Duration> = None;
        for entry in order {
            if let Some(wait) = entry.ready.suspended_for() {
                least = Some(least.map_or(wait, |least| least.min(wait)));
                continue;
            }
            // One without room is charged when it has: by `Queues::refill`.
            let allowed = if entry.ready.has_room() { entry.ready.try_select() } else { Ok(()) };
            match allowed {
                Ok(()) => {
                    self.entries.iter().for_each(|entry| entry.current.set(entry.after_turn()));
                    entry.current.set(entry.current.get() - total);
                    return Ok(entry.ready.clone());
                }
                Err(wait) => least = Some(least.map_or(wait, |least| least.min(wait))),
            }
        }
        Err(NoSource::Later(least.unwrap_or(NO_SOURCE_PAUSE)))
    }

    fn next(&self) -> Option<Rc<ReadyQueue>> {
        let total: i64 = self.entries.iter().map(|entry| entry.weight).sum();
        for entry in &self.entries {
            entry.current.set(entry.current.get() + entry.weight);
        }
        let best = self
            .entries
            .iter()
            .max_by_key(|entry| (entry.ready.has_room(), entry.current.get()))?;
        best.current.set(best.current.get() - total);
        Some(best.ready.clone())
    }

    /// Its ready queues.
    pub fn ready(&self) -> impl Iterator<Item = &Rc<ReadyQueue>> {
        self.entries.iter().map(|entry| &entry.ready)
    }
}

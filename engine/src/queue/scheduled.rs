//! A scheduled queue: the messages of one campaign, tenant and domain.

use super::ready::ReadyQueue;
use crate::egress::lease;
use crate::limits::{NO_SOURCE_PAUSE, SELECTION_WAIT_MAX_MS};
use crate::spool::Location;
use ringmta_policy::{Message, MessageId, QueueConfig, QueueName};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A message that waits for delivery. Without its [`Loaded`] part it is all a deferred message
/// costs in memory.
pub struct Item {
    /// Its record in the spool.
    pub at: Location,
    /// Its id.
    pub id: MessageId,
    /// Finished attempts.
    pub attempts: u16,
    /// How often its record was written anew.
    pub generation: u16,
    /// The queue it belongs to.
    pub queue: Rc<ScheduledQueue>,
    /// The message itself while it is in memory.
    pub loaded: Option<Box<Loaded>>,
}

/// A message in memory; its bytes are counted against the shard's budget until it is dropped.
pub struct Loaded {
    /// The message.
    pub message: Message,
    bytes: usize,
    budget: Rc<Cell<usize>>,
}

impl Loaded {
    /// Counts `message` against `budget`.
    pub fn new(message: Message, budget: &Rc<Cell<usize>>) -> Loaded {
        let bytes = message.body_size();
        budget.set(budget.get() + bytes);
        Loaded { message, bytes, budget: budget.clone() }
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.budget.set(self.budget.get().saturating_sub(self.bytes));
    }
}

impl Item {
    /// When it was accepted, unix milliseconds.
    pub fn created_millis(&self) -> u64 {
        self.id.created_unix_nanos() / 1_000_000
    }
}

/// One scheduled queue.
pub struct ScheduledQueue {
    /// Its name.
    pub name: Rc<str>,
    /// Its name, taken apart.
    pub parts: QueueName,
    /// Its messages wait for policy's first word on them.
    pub deferred_inject: bool,
    /// Tasks that ask it.
    pub injecting: Cell<usize>,
    /// Configuration in force.
    pub config: RefCell<Rc<QueueConfig>>,
    /// Where its mail goes; `None` until found.
    pub route: RefCell<Option<Rc<Route>>>,
    /// Until when configuration and route are taken as they are (monotonic nanoseconds).
    pub fresh_until: Cell<u64>,
    /// Epoch its configuration was asked for in.
    pub epoch: Cell<u64>,
    /// Number of the policy its route was found by.
    pub serial: Cell<u64>,
    /// Someone is finding the route.
    pub resolving: Cell<bool>,
    /// Messages that wait, in order, for the route, for their turn of the queue's rate, or for room
    /// in a ready queue. None of them has been charged for anything.
    pub waiting: RefCell<VecDeque<Item>>,
    /// A task wakes the first of them then, when the rate lets it go (monotonic nanoseconds; 0 for none).
    pub paced_until: Cell<u64>,
    /// A task goes on with them after others had their turn.
    pub moving: Cell<bool>,
    /// Messages that policy is being asked about on their way to a ready queue.
    pub passing: Cell<usize>,
    /// Messages of this queue anywhere.
    pub count: Cell<usize>,
    /// Last time it was used (monotonic nanoseconds).
    pub last_used: Cell<u64>,
    /// Its rate limit, shared by all shards.
    pub rate: Arc<lease::Shared>,
    /// Last thing that held its mail up, for people who ask.
    pub last_trouble: RefCell<String>,
}

impl ScheduledQueue {
    /// A queue not yet configured.
    pub fn new(name: &str, rate: Arc<lease::Shared>) -> ScheduledQueue {
        ScheduledQueue {
            name: name.into(),
            parts: QueueName::parse(name),
            deferred_inject: name == crate::accept::deferred::QUEUE,
            injecting: Cell::new(0),
            config: RefCell::default(),
            route: RefCell::default(),
            fresh_until: Cell::new(0),
            epoch: Cell::new(0),
            serial: Cell::new(0),
            resolving: Cell::new(false),
            waiting: RefCell::default(),
            paced_until: Cell::new(0),
            moving: Cell::new(false),
            passing: Cell::new(0),
            count: Cell::new(0),
            last_used: Cell::new(0),
            rate,
            last_trouble: RefCell::default(),
        }
    }

    /// The last instant of life of a message made at `created_millis`, as far as the queue says.
    pub fn end_of_life(&self, created_millis: u64) -> u64 {
        created_millis.saturating_add(self.config.borrow().max_age.as_millis() as u64)
    }

    /// Whether policy has ever said how it is configured.
    pub fn is_configured(&self) -> bool {
        self.epoch.get() > 0
    }

    /// The configuration in force.
    pub fn config(&self) -> Rc<QueueConfig> {
        self.config.borrow().clone()
    }
}

/// Why no ready queue can be had now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoSource {
    /// No source may be chosen for so long.
    Later(Duration),
    /// Operators hold all of them. The name of the first to be free.
    Held(String),
}

/// The ready queues a scheduled queue may use, by weight.
pub struct Route {
    entries: Vec<RouteEntry>,
    /// Some source may be chosen only so often.
    rationed: bool,
    /// The last turn given to a message that no source was free for, unix milliseconds.
    last_turn: Cell<u64>,
}

struct RouteEntry {
    weight: i64,
    current: Cell<i64>,
    ready: Rc<ReadyQueue>,
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

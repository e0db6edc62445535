//! A scheduled queue: the messages of one campaign, tenant and domain.

use super::ready::ReadyQueue;
use crate::egress::lease;
use crate::spool::Location;
use ringmta_policy::{Message, MessageId, QueueConfig, QueueName};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

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
    /// Configuration in force.
    pub config: RefCell<Rc<QueueConfig>>,
    /// Where its mail goes; `None` until found.
    pub route: RefCell<Option<Rc<Route>>>,
    /// Until when configuration and route are taken as they are (monotonic nanoseconds).
    pub fresh_until: Cell<u64>,
    /// Epoch its configuration was asked for in.
    pub epoch: Cell<u64>,
    /// Someone is finding the route.
    pub resolving: Cell<bool>,
    /// Messages that wait for the route, or for room in a ready queue.
    pub waiting: RefCell<VecDeque<Item>>,
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
            config: RefCell::default(),
            route: RefCell::default(),
            fresh_until: Cell::new(0),
            epoch: Cell::new(0),
            resolving: Cell::new(false),
            waiting: RefCell::default(),
            count: Cell::new(0),
            last_used: Cell::new(0),
            rate,
            last_trouble: RefCell::default(),
        }
    }

    /// The configuration in force.
    pub fn config(&self) -> Rc<QueueConfig> {
        self.config.borrow().clone()
    }
}

/// The ready queues a scheduled queue may use, by weight.
pub struct Route {
    entries: Vec<RouteEntry>,
}

struct RouteEntry {
    weight: i64,
    current: Cell<i64>,
    ready: Rc<ReadyQueue>,
}

impl Route {
    /// A route over ready queues and their weights (all above zero).
    pub fn new(entries: Vec<(u32, Rc<ReadyQueue>)>) -> Route {
        let entries = entries
            .into_iter()
            .map(|(weight, ready)| RouteEntry {
                weight: i64::from(weight),
                current: Cell::new(0),
                ready,
            })
            .collect();
        Route { entries }
    }

    /// The next ready queue by smooth weighted round robin; those with room come first.
    pub fn pick(&self) -> Option<Rc<ReadyQueue>> {
        if let [only] = self.entries.as_slice() {
            return Some(only.ready.clone());
        }
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

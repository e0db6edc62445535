//! A scheduled queue: the messages of one campaign, tenant and domain.

use crate::model::Item;
use crate::model::Kept;
use crate::model::Loaded;
use crate::model::ScheduledQueue;
use crate::quota::lease;
use ringmta_mail::{Message, QueueName};
use ringmta_options::QueueConfig;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// The queue of mail that was acknowledged before policy saw it.
pub const DEFERRED_QUEUE: &str = "deferred_smtp_inject.kumomta.internal";

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

impl Kept {
    /// Bytes of its record in the spool.
    pub fn bytes(self) -> u32 {
        match self {
            Kept::Record(at) => at.bytes,
            Kept::Event(_) => 0,
        }
    }
}

impl Item {
    /// When it was accepted, unix milliseconds.
    pub fn created_millis(&self) -> u64 {
        self.id.created_unix_nanos() / 1_000_000
    }

    /// Whether it is an event of a hook, and no mail.
    pub fn is_event(&self) -> bool {
        matches!(self.at, Kept::Event(_))
    }
}

impl ScheduledQueue {
    /// A queue not yet configured.
    pub fn new(name: &str, rate: Arc<lease::SharedLimit>) -> ScheduledQueue {
        ScheduledQueue {
            name: name.into(),
            parts: QueueName::parse(name),
            deferred_inject: name == DEFERRED_QUEUE,
            asked: Cell::new(false),
            injecting: Cell::new(0),
            config: RefCell::default(),
            made: RefCell::default(),
            route: RefCell::default(),
            fresh_until: Cell::new(0),
            epoch: Cell::new(0),
            serial: Cell::new(0),
            resolving: Cell::new(false),
            resolving_since: Cell::new(0),
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

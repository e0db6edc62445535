//! Schedules of messages that have one: first attempt, delivery window, expiry. A message without costs nothing here.

use crate::model::{Item, ScheduledQueue};
use ringmta_io::Map;
use ringmta_mail::{MessageId, Scheduling};
use std::cell::RefCell;
use std::rc::Rc;

/// Schedules by message.
#[derive(Default)]
pub struct Windows(RefCell<Map<MessageId, Rc<Scheduling>>>);

impl Windows {
    /// Remembers the schedule of a message, or that it has none any more.
    pub fn note(&self, id: MessageId, scheduling: Option<Rc<Scheduling>>) {
        match scheduling {
            Some(scheduling) => drop(self.0.borrow_mut().insert(id, scheduling)),
            None => self.forget(id),
        }
    }

    /// The message is gone.
    pub fn forget(&self, id: MessageId) {
        if !self.0.borrow().is_empty() {
            self.0.borrow_mut().remove(&id);
        }
    }

    /// The schedule of a message, when it has one.
    pub fn get(&self, id: MessageId) -> Option<Rc<Scheduling>> {
        let known = self.0.borrow();
        // Most engines never see a schedule: no look-up then.
        (!known.is_empty()).then(|| known.get(&id).cloned()).flatten()
    }

    /// The last instant of a message's life, unix milliseconds: its own, else what its queue's `max_age` says.
    pub fn end_of_life(&self, item: &Item) -> u64 {
        self.end_of(item.id, &item.queue)
    }

    /// The same of message `id`, which belongs to `queue`.
    pub fn end_of(&self, id: MessageId, queue: &ScheduledQueue) -> u64 {
        let own = self.get(id).and_then(|scheduling| scheduling.expires);
        own.unwrap_or_else(|| queue.end_of_life(id.created_unix_nanos() / 1_000_000))
    }

    /// Whether a message has outlived its end.
    pub fn is_expired(&self, item: &Item, now_millis: u64) -> bool {
        now_millis > self.end_of_life(item)
    }
}

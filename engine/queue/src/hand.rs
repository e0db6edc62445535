//! Messages that a task has in its hand: they lie in no queue until it puts them back or ends them.

use crate::model::{Item, Kept, ScheduledQueue};
use ringmta_io::{steady_millis, Map};
use ringmta_mail::MessageId;
use std::cell::RefCell;
use std::rc::Rc;

/// What is known of a message in a task's hand, for people who ask.
#[derive(Clone)]
pub struct InTask {
    /// What is kept of it.
    pub at: Kept,
    /// Finished attempts.
    pub attempts: u16,
    /// The queue it belongs to.
    pub queue: Rc<ScheduledQueue>,
    /// Since when the task has it, unix milliseconds.
    pub since_millis: u64,
}

/// How often a message is held, and what is known of it.
type Held = Rc<RefCell<Map<MessageId, (u32, InTask)>>>;

/// Those of one shard, by id. Each is there once, or something is wrong.
#[derive(Default)]
pub struct InHand(Held);

impl InHand {
    /// Says that a message is in a task's hand while the answer lives.
    pub fn take(&self, item: &Item) -> Hand {
        let Item { at, id, attempts, ref queue, .. } = *item;
        let known = || {
            let (queue, since_millis) = (queue.clone(), steady_millis());
            (0, InTask { at, attempts, queue, since_millis })
        };
        self.0.borrow_mut().entry(id).or_insert_with(known).0 += 1;
        Hand { held: self.0.clone(), id }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Each of them with how often it is held.
    pub fn list(&self) -> Vec<(MessageId, u32)> {
        self.0.borrow().iter().map(|(id, (times, _))| (*id, *times)).collect()
    }

    /// Whether a task has it.
    pub fn has(&self, id: MessageId) -> bool {
        self.0.borrow().contains_key(&id)
    }

    /// What is known of a message that a task has.
    pub fn get(&self, id: MessageId) -> Option<InTask> {
        self.0.borrow().get(&id).map(|(_, known)| known.clone())
    }
}

/// One message in a task's hand.
pub struct Hand {
    held: Held,
    id: MessageId,
}

impl Drop for Hand {
    fn drop(&mut self) {
        let mut held = self.held.borrow_mut();
        match held.get_mut(&self.id) {
            Some((times, _)) if *times > 1 => *times -= 1,
            _ => drop(held.remove(&self.id)),
        }
    }
}

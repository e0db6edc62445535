//! Messages that a task has in its hand: they lie in no queue until it puts them back or ends them.

use ringmta_io::Map;
use ringmta_mail::MessageId;
use std::cell::RefCell;
use std::rc::Rc;

type Held = Rc<RefCell<Map<MessageId, u32>>>;

/// Those of one shard, by id. Each is there once, or something is wrong.
#[derive(Default)]
pub struct InHand(Held);

impl InHand {
    /// Says that a message is in a task's hand while the answer lives.
    pub fn take(&self, id: MessageId) -> Hand {
        *self.0.borrow_mut().entry(id).or_default() += 1;
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
        self.0.borrow().iter().map(|(id, times)| (*id, *times)).collect()
    }

    /// Whether a task has it.
    pub fn has(&self, id: MessageId) -> bool {
        self.0.borrow().contains_key(&id)
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
            Some(times) if *times > 1 => *times -= 1,
            _ => drop(held.remove(&self.id)),
        }
    }
}

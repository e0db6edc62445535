//! What whoever watches a simulated world is told of messages. In the real world nobody watches, and it costs nothing.

use crate::record::Record;
use ringmta_io::sim;
use ringmta_mail::MessageId;
use std::cell::RefCell;
use std::rc::Rc;

/// A step of a message.
pub enum Note<'a> {
    /// An event.
    Event {
        /// On this shard.
        shard: usize,
        /// What happened.
        record: &'a Record<'a>,
    },
    /// A message waits for its next attempt; the journal was told.
    Deferred {
        /// On this shard.
        shard: usize,
        /// The message.
        id: MessageId,
        /// Its attempts.
        attempts: u16,
        /// When it is due, unix milliseconds.
        due_millis: u64,
    },
    /// A message was written anew, and the journal told of its attempts if there were any; it may still wait, or leave.
    Rewritten {
        /// On this shard.
        shard: usize,
        /// The message.
        id: MessageId,
        /// Its attempts, and when it is due, unix milliseconds; none where the new record stands alone.
        state: Option<(u16, u64)>,
    },
    /// A hook's receiver has taken events.
    Told {
        /// Each as JSON.
        events: &'a [String],
    },
    /// A message has left the queues; the journal was told.
    Finished {
        /// On this shard.
        shard: usize,
        /// The message.
        id: MessageId,
    },
}

type Observer = Rc<dyn Fn(&Note<'_>)>;

thread_local! {
    static OBSERVER: RefCell<Option<Observer>> = const { RefCell::new(None) };
}

/// Ends the watching when dropped.
pub struct Watching(());

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = OBSERVER.try_with(|slot| slot.borrow_mut().take());
    }
}

/// `observer` is told of every step of every message of this thread's world, while the answer lives.
#[must_use]
pub fn watch(observer: impl Fn(&Note<'_>) + 'static) -> Watching {
    OBSERVER.with(|slot| *slot.borrow_mut() = Some(Rc::new(observer)));
    Watching(())
}

/// Whether somebody watches the messages.
#[inline]
pub fn observed() -> bool {
    sim::active() && OBSERVER.with(|slot| slot.borrow().is_some())
}

/// Tells whoever watches the messages of a step of one.
#[inline]
pub fn tell(note: &Note<'_>) {
    if !sim::active() {
        return;
    }
    let observer = OBSERVER.with(|slot| slot.borrow().clone());
    if let Some(observer) = observer {
        observer(note);
    }
}

//! Who is told when the sandbox's messages change: websockets and `wait` requests.

use crate::captured::Stored;
use crate::json;
use crate::limits::{SANDBOX_ERRORS_QUEUED, SANDBOX_EVENTS_QUEUED};
use serde_json::{json, Value};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};

/// A change.
pub enum Event<'a> {
    /// A message came.
    New(&'a Stored),
    /// The read state of the message of this id changed.
    Read(&'a str, bool),
    /// The tags of the message of this id changed.
    Tags(&'a str, &'a [String]),
    /// The message of this id was deleted.
    Delete(&'a str),
    /// Old messages gave way to new ones.
    Prune,
    /// Everything was deleted.
    Truncate,
    /// A client was refused something: over which protocol, where it is, what it was told.
    Error(&'a str, Option<IpAddr>, &'a str),
}

/// The list of those who listen.
#[derive(Default)]
pub struct Hub {
    listeners: RefCell<Vec<Weak<Inbox>>>,
}

/// What one listener has not yet taken.
#[derive(Default)]
pub struct Inbox {
    queue: RefCell<VecDeque<Rc<str>>>,
    pruned: Cell<bool>,
    changed: Cell<bool>,
    overflowed: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Hub {
    /// Listens from now on, until the inbox is dropped.
    pub fn listen(&self) -> Rc<Inbox> {
        let inbox = Rc::new(Inbox::default());
        self.listeners.borrow_mut().push(Rc::downgrade(&inbox));
        inbox
    }

    /// Tells everyone. The text of an event is made once, and only when someone listens.
    pub fn publish(&self, event: Event<'_>) {
        let mut text: Option<Rc<str>> = None;
        self.listeners.borrow_mut().retain(|listener| {
            let Some(inbox) = listener.upgrade() else { return false };
            if matches!(event, Event::Error(..)) && inbox.waiting() >= SANDBOX_ERRORS_QUEUED {
                return true;
            }
            if matches!(event, Event::Prune) {
                // One per evicted message would double the traffic under load.
                inbox.pruned.set(true);
            } else {
                let text = text.get_or_insert_with(|| Rc::from(event.to_json().to_string()));
                inbox.push(text.clone());
            }
            inbox.wake();
            true
        });
    }
}

impl Inbox {
    fn waiting(&self) -> usize {
        self.queue.borrow().len()
    }

    fn push(&self, text: Rc<str>) {
        let mut queue = self.queue.borrow_mut();
        if queue.len() >= SANDBOX_EVENTS_QUEUED {
            self.overflowed.set(true);
            queue.clear();
        }
        if !self.overflowed.get() {
            queue.push_back(text);
        }
    }

    fn wake(&self) {
        self.changed.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Waits until something has changed since the last call. For one task at a time.
    pub async fn changed(&self) {
        poll_fn(|cx| {
            if self.changed.replace(false) {
                return Poll::Ready(());
            }
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// The next event's text.
    pub fn next(&self) -> Option<Rc<str>> {
        self.queue.borrow_mut().pop_front()
    }

    /// Old messages have gone since the last call.
    pub fn take_pruned(&self) -> bool {
        self.pruned.replace(false)
    }

    /// This listener was too slow: events are lost, it must start over.
    pub fn overflowed(&self) -> bool {
        self.overflowed.get()
    }

    /// For a listener who only wants to know that something changed.
    pub fn forget(&self) {
        self.queue.borrow_mut().clear();
        self.pruned.set(false);
        self.overflowed.set(false);
    }
}

impl Event<'_> {
    fn to_json(&self) -> Value {
        match self {
            Event::New(message) => typed("new", json::summary(message)),
            Event::Read(id, read) => typed("update", json!({"ID": id, "Read": read})),
            Event::Tags(id, tags) => typed("update", json!({"ID": id, "Tags": tags})),
            Event::Delete(id) => typed("delete", json!({"ID": id})),
            Event::Prune => typed("prune", Value::Null),
            Event::Truncate => typed("truncate", Value::Null),
            Event::Error(kind, client, text) => {
                let address = client.map(|ip| ip.to_canonical().to_string()).unwrap_or_default();
                typed(
                    "error",
                    json!({"Level": "error", "Type": kind, "IP": address, "Message": text}),
                )
            }
        }
    }
}

/// `{"Type": ..., "Data": ...}`.
pub fn typed(kind: &str, data: Value) -> Value {
    json!({"Type": kind, "Data": data})
}

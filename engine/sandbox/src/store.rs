//! The sandbox's memory: a ring of messages bounded by number and bytes, newest last.

use crate::captured::Stored;
use crate::events::{Event, Hub};
use crate::message::{parse, Envelope, SessionInfo};
use crate::search::Search;
use ringmta_io as io;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

/// What has happened since the start.
#[derive(Debug, Default, Clone)]
pub struct Counters {
    /// Messages taken.
    pub accepted: u64,
    /// Their bytes.
    pub accepted_bytes: u64,
    /// Messages deleted by a request.
    pub deleted: u64,
    /// Messages that gave way to newer ones.
    pub evicted: u64,
}

#[derive(Default)]
struct Ring {
    messages: VecDeque<Rc<Stored>>,
    by_id: HashMap<String, Rc<Stored>>,
    bytes: usize,
    unread: usize,
    counters: Counters,
}

/// The messages of one sandbox. Single-threaded: its shard owns it.
pub struct Store {
    ring: RefCell<Ring>,
    max_messages: usize,
    max_bytes: usize,
    /// Who is told of changes.
    pub hub: Rc<Hub>,
}

impl Store {
    /// An empty store for so many messages and bytes.
    pub fn new(max_messages: usize, max_bytes: usize) -> Store {
        let ring = RefCell::new(Ring::default());
        Store { ring, max_messages: max_messages.max(1), max_bytes, hub: Rc::new(Hub::default()) }
    }

    /// Keeps a message and gives back its id. Never fails: older messages make room.
    pub fn add(&self, envelope: Envelope, session: SessionInfo, source: Vec<u8>) -> String {
        let parsed = parse(&source, &envelope);
        let derived = parsed.text.len() + parsed.html.len() + parsed.search_text.len();
        let message = Rc::new(Stored {
            id: new_id(),
            created_ms: io::unix_nanos() / 1_000_000,
            weight: source.len() + derived,
            source: source.into(),
            envelope,
            session,
            tags: RefCell::new(parsed.tags.clone()),
            parsed,
            read: Cell::new(false),
        });
        let id = message.id.clone();
        let evicted = {
            let mut ring = self.ring.borrow_mut();
            ring.counters.accepted += 1;
            ring.counters.accepted_bytes += message.source.len() as u64;
            ring.push(message.clone());
            ring.evict(self.max_messages, self.max_bytes)
        };
        self.hub.publish(Event::New(&message));
        if evicted {
            self.hub.publish(Event::Prune);
        }
        id
    }

    /// The message of that id.
    pub fn get(&self, id: &str) -> Option<Rc<Stored>> {
        self.ring.borrow().by_id.get(id).cloned()
    }

    /// All messages, newest first.
    pub fn all(&self) -> Vec<Rc<Stored>> {
        self.ring.borrow().messages.iter().rev().cloned().collect()
    }

    /// Matching messages, newest first.
    pub fn find(&self, search: &Search) -> Vec<Rc<Stored>> {
        let ring = self.ring.borrow();
        ring.messages.iter().rev().filter(|message| search.matches(message)).cloned().collect()
    }

    /// (messages, unread ones).
    pub fn totals(&self) -> (usize, usize) {
        let ring = self.ring.borrow();
        (ring.messages.len(), ring.unread)
    }

    /// Bytes kept.
    pub fn bytes(&self) -> usize {
        self.ring.borrow().bytes
    }

    /// What has happened since the start.
    pub fn counters(&self) -> Counters {
        self.ring.borrow().counters.clone()
    }

    /// Sets the read state.
    pub fn set_read(&self, message: &Stored, read: bool) {
        if message.read.replace(read) == read {
            return;
        }
        {
            let mut ring = self.ring.borrow_mut();
            if !ring.by_id.contains_key(&message.id) {
                return;
            }
            ring.unread = if read { ring.unread.saturating_sub(1) } else { ring.unread + 1 };
        }
        self.hub.publish(Event::Read(message));
    }

    /// Replaces the tags.
    pub fn set_tags(&self, message: &Stored, tags: &[String]) {
        *message.tags.borrow_mut() = tags.to_vec();
        self.hub.publish(Event::Tags(message));
    }

    /// Forgets these messages; ids that are not there are ignored.
    pub fn delete(&self, ids: &[String]) {
        for id in ids {
            let removed = self.ring.borrow_mut().remove(id);
            if removed {
                self.hub.publish(Event::Delete(id));
            }
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        {
            let mut ring = self.ring.borrow_mut();
            let counters = Counters {
                deleted: ring.counters.deleted + ring.messages.len() as u64,
                ..ring.counters.clone()
            };
            *ring = Ring { counters, ..Ring::default() };
        }
        self.hub.publish(Event::Truncate);
    }
}

impl Ring {
    fn push(&mut self, message: Rc<Stored>) {
        self.bytes += message.weight;
        self.unread += 1;
        self.by_id.insert(message.id.clone(), message.clone());
        self.messages.push_back(message);
    }

    /// Drops the oldest messages until the bounds hold, but never the newest one.
    fn evict(&mut self, max_messages: usize, max_bytes: usize) -> bool {
        let mut evicted = false;
        while self.messages.len() > 1
            && (self.messages.len() > max_messages || self.bytes > max_bytes)
        {
            let Some(oldest) = self.messages.pop_front() else { break };
            self.forget(&oldest);
            self.counters.evicted += 1;
            evicted = true;
        }
        evicted
    }

    fn remove(&mut self, id: &str) -> bool {
        let Some(message) = self.by_id.get(id).cloned() else { return false };
        self.messages.retain(|other| other.id != id);
        self.forget(&message);
        self.counters.deleted += 1;
        true
    }

    fn forget(&mut self, message: &Stored) {
        self.by_id.remove(&message.id);
        self.bytes -= message.weight;
        if !message.read.get() {
            self.unread -= 1;
        }
    }
}

/// A new id: 22 characters that cannot be mistaken for one another, the shape clients know.
fn new_id() -> String {
    const ALPHABET: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let digits = |mut number: u64| {
        (0..11).map(move |_| {
            let digit = ALPHABET[(number % ALPHABET.len() as u64) as usize];
            number /= ALPHABET.len() as u64;
            char::from(digit)
        })
    };
    digits(io::random_u64()).chain(digits(io::random_u64())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(store: &Store, source: &[u8]) -> String {
        store.add(Envelope::default(), SessionInfo::default(), source.to_vec())
    }

    #[test]
    fn the_byte_bound_drops_the_oldest_but_never_the_newest() {
        let store = Store::new(100, 10_000);
        let first = add(&store, &[b'x'; 6000]);
        let second = add(&store, &[b'y'; 6000]);
        assert_eq!(store.totals(), (1, 1));
        assert!(store.get(&first).is_none() && store.get(&second).is_some());
        let huge = add(&store, &[b'z'; 50_000]);
        assert_eq!(store.totals(), (1, 1));
        assert!(store.get(&huge).is_some());
        store.clear();
        assert_eq!((store.totals(), store.bytes()), ((0, 0), 0));
        assert_eq!((store.counters().accepted, store.counters().evicted), (3, 2));
    }

    #[test]
    fn counts_stay_right_over_changes() {
        let store = Store::new(3, usize::MAX);
        let ids: Vec<String> = (0..4).map(|_| add(&store, b"Subject: x\r\n\r\n")).collect();
        let message = store.get(&ids[3]).unwrap();
        store.set_read(&message, true);
        store.set_read(&message, true);
        assert_eq!(store.totals(), (3, 2));
        store.delete(&[ids[3].clone(), ids[3].clone(), ids[0].clone()]);
        assert_eq!(store.totals(), (2, 2));
        // A message that is gone may still be in someone's hands.
        store.set_read(&message, false);
        assert_eq!(store.totals(), (2, 2));
    }

    #[test]
    fn a_slow_listener_is_told_that_it_lost_events() {
        let store = Store::new(10, usize::MAX);
        let inbox = store.hub.listen();
        for _ in 0..=crate::limits::SANDBOX_EVENTS_QUEUED {
            add(&store, b"x");
        }
        assert!(inbox.overflowed());
        assert!(inbox.next().is_none());
    }
}

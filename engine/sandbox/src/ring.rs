//! The sandbox's memory: a ring of messages bounded by number and bytes, newest last.

use crate::captured::Stored;
use crate::choice::{Added, Change, Page, Which};
use crate::json::summary;
use crate::search::Search;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;

/// The messages of a sandbox that keeps them in memory.
pub struct Ring {
    messages: VecDeque<Rc<Stored>>,
    by_id: HashMap<String, Rc<Stored>>,
    bytes: usize,
    unread: usize,
    max_messages: usize,
    max_bytes: usize,
}

impl Ring {
    /// An empty one for so many messages and bytes.
    pub fn new(max_messages: usize, max_bytes: usize) -> Ring {
        Ring {
            messages: VecDeque::new(),
            by_id: HashMap::new(),
            bytes: 0,
            unread: 0,
            max_messages,
            max_bytes,
        }
    }

    /// (messages, unread ones, bytes).
    pub fn totals(&self) -> (usize, usize, usize) {
        (self.messages.len(), self.unread, self.bytes)
    }

    /// Keeps a message; older ones make room.
    pub fn add(&mut self, message: Rc<Stored>) -> Added {
        self.bytes += message.weight();
        self.unread += 1;
        self.by_id.insert(message.id.clone(), message.clone());
        // Where the moment is the Date header's, a message may belong further back.
        let behind = self.messages.iter().rev();
        let later = behind.take_while(|other| other.created_ms > message.created_ms).count();
        let newest = message.id.clone();
        self.messages.insert(self.messages.len() - later, message);
        Added { duplicate: false, evicted: self.evict(|_| false, &newest) }
    }

    /// Drops what came before this moment; gives back how many.
    pub fn expire(&mut self, before_ms: u64) -> usize {
        self.evict(|oldest| oldest.created_ms < before_ms, "")
    }

    /// Drops the oldest messages until the bounds hold and `old` says no, but never `newest`.
    fn evict(&mut self, old: impl Fn(&Stored) -> bool, newest: &str) -> usize {
        let mut evicted = 0;
        while let Some(oldest) = self.messages.front() {
            let full = self.messages.len() > self.max_messages || self.bytes > self.max_bytes;
            if !(full || old(oldest)) || oldest.id == newest {
                break;
            }
            let Some(oldest) = self.messages.pop_front() else { break };
            self.forget(&oldest);
            evicted += 1;
        }
        evicted
    }

    /// Whether a message with this Message-ID is there.
    pub fn knows(&self, message_id: &str) -> bool {
        self.messages.iter().any(|message| message.parsed.message_id == message_id)
    }

    /// The message of that id.
    pub fn get(&self, id: &str) -> Option<Rc<Stored>> {
        self.by_id.get(id).cloned()
    }

    fn find<'a>(&'a self, search: &'a Search) -> impl Iterator<Item = &'a Rc<Stored>> {
        self.messages.iter().rev().filter(|message| search.matches(message))
    }

    /// The newest message that matches.
    pub fn newest(&self, search: &Search) -> Option<Rc<Stored>> {
        self.find(search).next().cloned()
    }

    /// Some of those that match, newest first, and how many there are.
    pub fn page(&self, search: &Search, start: usize, limit: usize) -> Page {
        let mut page = Page::default();
        for message in self.find(search) {
            if page.matching >= start && page.messages.len() < limit {
                page.messages.push(summary(message));
            }
            page.matching += 1;
            page.unread += usize::from(!message.read.get());
        }
        page
    }

    fn chosen(&self, which: &Which) -> Vec<Rc<Stored>> {
        match which {
            Which::Ids(ids) => ids.iter().filter_map(|id| self.get(id)).collect(),
            Which::Matching(search) => self.find(search).cloned().collect(),
        }
    }

    /// Forgets messages; gives back their ids.
    pub fn delete(&mut self, which: &Which) -> Vec<String> {
        let mut gone = Vec::new();
        for message in self.chosen(which) {
            if self.by_id.contains_key(&message.id) {
                self.forget(&message);
                gone.push(message.id.clone());
            }
        }
        if !gone.is_empty() {
            let by_id = &self.by_id;
            self.messages.retain(|message| by_id.contains_key(&message.id));
        }
        gone
    }

    /// Sets the read state; gives back whose has changed.
    pub fn set_read(&mut self, which: &Which, read: bool) -> Vec<String> {
        let mut changed = Vec::new();
        for message in self.chosen(which) {
            if message.read.replace(read) != read {
                self.unread = if read { self.unread.saturating_sub(1) } else { self.unread + 1 };
                changed.push(message.id.clone());
            }
        }
        changed
    }

    /// Changes tags; gives back whose, and to what.
    pub fn retag(&mut self, change: &Change) -> Vec<(String, Vec<String>)> {
        let meant = match change {
            Change::Set(ids, _) => Which::Ids(ids.clone()),
            Change::Rename(..) | Change::Delete(_) => Which::Matching(Search::default()),
        };
        let mut changed = Vec::new();
        for message in self.chosen(&meant) {
            let tags = change.apply(&message.tags.borrow());
            if let Some(tags) = tags {
                *message.tags.borrow_mut() = tags.clone();
                changed.push((message.id.clone(), tags));
            }
        }
        changed
    }

    /// Every tag in use and how many messages have it; how it is spelled differs in case at most.
    pub fn tags(&self) -> BTreeMap<String, usize> {
        let mut folded: BTreeMap<String, (String, usize)> = BTreeMap::new();
        for message in &self.messages {
            for tag in message.tags.borrow().iter() {
                let known = folded.entry(tag.to_lowercase()).or_insert((tag.clone(), 0));
                known.1 += 1;
            }
        }
        folded.into_values().collect()
    }

    fn forget(&mut self, message: &Stored) {
        self.by_id.remove(&message.id);
        self.bytes -= message.weight();
        if !message.read.get() {
            self.unread -= 1;
        }
    }
}

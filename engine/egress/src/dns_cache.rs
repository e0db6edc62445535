//! What name servers have answered, kept for as long as they allow, and bounded in number and in bytes: a zone's answers, and
//! how many names it has, are its owner's choice.

use crate::limits::DNS_CACHE_BYTES;
use hickory_proto::rr::RecordType;
use std::collections::HashMap;

/// A name, in lower case and without its last dot, and what was asked of it.
pub type Key = (String, RecordType);

/// Bytes of an entry beside its name and its answer.
const ENTRY_BYTES: usize = 128;

/// Answers by question. Nothing is kept for longer than it may be, but what has ended stays until the room is needed.
pub struct DnsCache<A> {
    entries: HashMap<Key, Entry<A>>,
    most: usize,
    /// Bytes of all entries.
    bytes: usize,
}

struct Entry<A> {
    answer: A,
    /// Monotonic nanoseconds.
    until: u64,
    bytes: usize,
}

impl<A: Clone> DnsCache<A> {
    /// Keeps so many answers.
    pub fn new(most: usize) -> DnsCache<A> {
        DnsCache { entries: HashMap::new(), most, bytes: 0 }
    }

    /// The answer, when it is known and not too old at the monotonic time `now`.
    pub fn get(&self, key: &Key, now: u64) -> Option<A> {
        let entry = self.entries.get(key).filter(|entry| entry.until > now)?;
        Some(entry.answer.clone())
    }

    /// Keeps an answer of so many bytes. When there is no room, what is too old goes, and then everything.
    pub fn put(&mut self, key: Key, (answer, bytes): (A, usize), (now, until): (u64, u64)) {
        let bytes = bytes + key.0.len() + ENTRY_BYTES;
        if self.most == 0 || bytes > DNS_CACHE_BYTES {
            return;
        }
        self.remove(&key);
        let is_full = |cache: &Self| {
            cache.entries.len() >= cache.most || cache.bytes + bytes > DNS_CACHE_BYTES
        };
        if is_full(self) {
            self.entries.retain(|_, entry| entry.until > now);
            self.bytes = self.entries.values().map(|entry| entry.bytes).sum();
        }
        if is_full(self) {
            (self.entries, self.bytes) = (HashMap::new(), 0);
        }
        self.bytes += bytes;
        self.entries.insert(key, Entry { answer, until, bytes });
    }

    fn remove(&mut self, key: &Key) {
        if let Some(before) = self.entries.remove(key) {
            self.bytes -= before.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        (name.to_string(), RecordType::TXT)
    }

    #[test]
    fn an_answer_is_known_until_it_is_too_old() {
        let mut cache = DnsCache::new(2);
        cache.put(key("a.test"), (1, 0), (0, 10));
        assert_eq!((cache.get(&key("a.test"), 9), cache.get(&key("a.test"), 10)), (Some(1), None));
        cache.put(key("b.test"), (2, 0), (5, 100));
        cache.put(key("b.test"), (3, 0), (5, 100));
        // What is too old makes room.
        cache.put(key("c.test"), (4, 0), (20, 100));
        assert_eq!(cache.get(&key("a.test"), 5), None);
        assert_eq!(
            (cache.get(&key("b.test"), 20), cache.get(&key("c.test"), 20)),
            (Some(3), Some(4))
        );
        cache.put(key("d.test"), (5, 0), (20, 100));
        assert_eq!((cache.get(&key("c.test"), 20), cache.get(&key("d.test"), 20)), (None, Some(5)));
    }

    #[test]
    fn its_bytes_are_bounded() {
        let mut cache = DnsCache::new(1_000_000);
        let size = DNS_CACHE_BYTES / 100;
        for number in 0..1000 {
            cache.put(key(&number.to_string()), (number, size), (0, 100));
            let held: usize = cache.entries.values().map(|entry| entry.bytes).sum();
            assert!(held == cache.bytes && held <= DNS_CACHE_BYTES, "{held}");
            assert_eq!(cache.get(&key(&number.to_string()), 0), Some(number));
        }
        assert!(cache.entries.len() > 1);
        cache.put(key("large"), (0, DNS_CACHE_BYTES), (0, 100));
        assert_eq!(cache.get(&key("large"), 0), None);
        let mut none = DnsCache::new(0);
        none.put(key("a.test"), (1, 0), (0, 100));
        assert_eq!(none.get(&key("a.test"), 0), None);
    }
}

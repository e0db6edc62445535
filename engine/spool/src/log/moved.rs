//! Where records are that compaction has moved. Queues go on to call a message by the place they
//! know; it is looked up here when the message is next needed.

use crate::location::Location;
use ringmta_io::Map;
use std::cell::RefCell;

type Key = (u32, u32);

fn key(at: Location) -> Key {
    (at.segment, at.offset)
}

/// The forwarding table of a partition. Empty but for messages that wait and were moved.
#[derive(Default)]
pub struct Moved {
    tables: RefCell<Tables>,
}

#[derive(Default)]
struct Tables {
    /// From the place queues know to the present one.
    present: Map<Key, Location>,
    /// From the present place to the one queues know.
    known: Map<Key, Key>,
    /// Present places of records that are being copied, with the place of the copy once it is known.
    moving: Map<Key, Option<Location>>,
}

impl Moved {
    /// The present place of the record that queues know at `at`.
    pub fn current(&self, at: Location) -> Location {
        self.tables.borrow().present.get(&key(at)).copied().unwrap_or(at)
    }

    /// The same; from now on queues know the record by its present place.
    pub fn resolve(&self, at: Location) -> Location {
        let mut tables = self.tables.borrow_mut();
        let Some(present) = tables.present.remove(&key(at)) else { return at };
        tables.known.remove(&key(present));
        present
    }

    /// The same, for a record that is done. A copy being made of it is not wanted any more; its
    /// place comes second, when it is being written by now.
    pub fn forget(&self, at: Location) -> (Location, Option<Location>) {
        let present = self.resolve(at);
        let copy = self.tables.borrow_mut().moving.remove(&key(present));
        (present, copy.flatten())
    }

    /// A copy of the record presently at `at` is being made.
    pub fn begin(&self, at: Location) {
        self.tables.borrow_mut().moving.insert(key(at), None);
    }

    /// Whether the copy of the record presently at `at` is still wanted.
    pub fn is_wanted(&self, at: Location) -> bool {
        self.tables.borrow().moving.contains_key(&key(at))
    }

    /// The copy of the record presently at `from` is about to be written to `to`.
    pub fn copied(&self, from: Location, to: Location) {
        self.tables.borrow_mut().moving.insert(key(from), Some(to));
    }

    /// No copy was made.
    pub fn abort(&self, at: Location) {
        self.tables.borrow_mut().moving.remove(&key(at));
    }

    /// The copy is durable at `to`. False when the record was done meanwhile.
    pub fn complete(&self, from: Location, to: Location) -> bool {
        let mut tables = self.tables.borrow_mut();
        if tables.moving.remove(&key(from)).is_none() {
            return false;
        }
        let known = tables.known.remove(&key(from)).unwrap_or(key(from));
        tables.present.insert(known, to);
        tables.known.insert(key(to), known);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(segment: u32) -> Location {
        Location { segment, offset: 4096, bytes: 100 }
    }

    fn is_empty(moved: &Moved) -> bool {
        let tables = moved.tables.borrow();
        tables.present.is_empty() && tables.known.is_empty() && tables.moving.is_empty()
    }

    #[test]
    fn follows_a_record_moved_twice() {
        let moved = Moved::default();
        for (from, to) in [(1, 2), (2, 3)] {
            moved.begin(at(from));
            assert!(moved.complete(at(from), at(to)));
        }
        assert_eq!(moved.current(at(1)), at(3));
        assert_eq!(moved.resolve(at(1)), at(3));
        assert!(is_empty(&moved));
    }

    #[test]
    fn settled_while_it_moves() {
        let moved = Moved::default();
        moved.begin(at(1));
        assert!(moved.complete(at(1), at(2)));
        moved.begin(at(2));
        assert_eq!(moved.resolve(at(1)), at(2));
        assert!(moved.complete(at(2), at(3)));
        assert_eq!(moved.forget(at(2)), (at(3), None));
        assert!(is_empty(&moved));
    }

    #[test]
    fn done_while_it_moves() {
        let moved = Moved::default();
        moved.begin(at(1));
        assert_eq!(moved.forget(at(1)), (at(1), None));
        assert!(!moved.is_wanted(at(1)) && !moved.complete(at(1), at(2)));
        moved.begin(at(1));
        moved.copied(at(1), at(2));
        assert_eq!(moved.forget(at(1)), (at(1), Some(at(2))));
        assert!(!moved.complete(at(1), at(2)));
        moved.begin(at(4));
        moved.abort(at(4));
        assert!(is_empty(&moved));
    }
}

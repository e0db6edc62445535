//! Names by number, so that a step costs a few bytes for each. A name goes with the last step that has it.

use crate::recent::OTHER;
use ringmta_io::Map;
use std::sync::Arc;

/// Names that are told apart in a day; further ones are under one name.
const BOOK_MAX: usize = 20_000;

/// A name's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct NameId(u32);

/// The names in use.
#[derive(Default)]
pub(super) struct Book {
    numbers: Map<Arc<str>, u32>,
    entries: Vec<(Arc<str>, u32)>,
    free: Vec<u32>,
}

impl Book {
    /// The number of `name`, used once more.
    pub(super) fn note(&mut self, name: &str) -> NameId {
        if let Some(number) = self.numbers.get(name) {
            self.entries[*number as usize].1 += 1;
            return NameId(*number);
        }
        if self.numbers.len() >= BOOK_MAX && name != OTHER {
            return self.note(OTHER);
        }
        let shared: Arc<str> = name.into();
        let number = match self.free.pop() {
            Some(number) => {
                self.entries[number as usize] = (shared.clone(), 1);
                number
            }
            None => {
                self.entries.push((shared.clone(), 1));
                self.entries.len() as u32 - 1
            }
        };
        self.numbers.insert(shared, number);
        NameId(number)
    }

    /// It is used once less.
    pub(super) fn let_go(&mut self, NameId(number): NameId) {
        let Some((name, uses)) = self.entries.get_mut(number as usize) else { return };
        *uses = uses.saturating_sub(1);
        if *uses == 0 {
            self.numbers.remove(&**name);
            *name = "".into();
            self.free.push(number);
        }
    }

    /// What a number stands for.
    pub(super) fn name(&self, NameId(number): NameId) -> &str {
        self.entries.get(number as usize).map_or("", |(name, _)| name)
    }

    /// How many names are in use.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }
}

//! Finds the records in the bytes of a whole segment file, whatever has happened to them.
//!
//! Within one use of a segment nothing is left out: records follow each other at [`record::ALIGN`],
//! batches at the next block. So whatever stands between two whole records, and is no padding, is
//! damage; and what stands behind the last one is left over from an earlier use.

use crate::log::record;
use crate::log::record::Found;
use crate::log::segment::DATA_START;
use ringmta_io::file::round_up;
use ringmta_io::limits::BLOCK_BYTES;

/// One thing found by [`scan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// A whole record at (offset, bytes).
    Record(usize, usize),
    /// A damaged record at this offset.
    Damage(usize),
}

/// Calls `found` for every record and all damage, in the order of their offsets. Damage hides
/// nothing behind it: the next record is looked for at every place where one may start.
pub fn scan(bytes: &[u8], sequence: u32, salt: u32, found: impl FnMut(Item)) {
    let mut scan = Scan { bytes, expected: DATA_START as usize, told: false, found };
    let mut marks = Marks::new(bytes, sequence, salt);
    let mut at = DATA_START as usize;
    while at + record::HEADER_BYTES <= bytes.len() {
        match record::probe(&bytes[at..], sequence, salt) {
            Found::Record(total) => {
                scan.record(at, total);
                at += total.div_ceil(record::ALIGN) * record::ALIGN;
            }
            Found::Damaged => {
                scan.damage(at);
                at = marks.next(at);
            }
            Found::Nothing => at = marks.next(at),
        }
    }
}

struct Scan<'a, F> {
    bytes: &'a [u8],
    /// End of the last whole record.
    expected: usize,
    /// Whether damage behind it has been told.
    told: bool,
    found: F,
}

impl<F: FnMut(Item)> Scan<'_, F> {
    fn record(&mut self, at: usize, total: usize) {
        if !self.told && !self.is_padding(at) {
            (self.found)(Item::Damage(self.expected));
        }
        (self.found)(Item::Record(at, total));
        self.expected = at + total.div_ceil(record::ALIGN) * record::ALIGN;
        self.told = false;
    }

    fn damage(&mut self, at: usize) {
        if !self.told && !self.is_padding(at) {
            (self.found)(Item::Damage(self.expected));
        }
        (self.found)(Item::Damage(at));
        self.told = true;
    }

    /// Whether nothing but the end of a batch lies between the last record and `at`.
    fn is_padding(&self, at: usize) -> bool {
        at == self.expected
            || (at == round_up(self.expected)
                && self.bytes[self.expected..at].iter().all(|byte| *byte == 0))
    }
}

/// The places where a record of this use may start.
struct Marks<'a> {
    bytes: &'a [u8],
    finder: memchr::memmem::Finder<'static>,
    /// First mark not yet passed.
    mark: usize,
}

impl<'a> Marks<'a> {
    fn new(bytes: &'a [u8], sequence: u32, salt: u32) -> Marks<'a> {
        let finder = memchr::memmem::Finder::new(&record::mark(sequence, salt)).into_owned();
        Marks { bytes, finder, mark: 0 }
    }

    /// The first place behind `at`: where a header's mark stands, or the next block.
    fn next(&mut self, at: usize) -> usize {
        let block = (at / BLOCK_BYTES + 1) * BLOCK_BYTES;
        while self.mark <= at {
            let from = (at + 1 + record::MARK_AT).max(self.mark + record::MARK_AT + 1);
            self.mark = self.look(from);
        }
        block.min(self.mark)
    }

    /// The next header whose mark stands at `from` or later; the end when there is none.
    fn look(&self, mut from: usize) -> usize {
        while let Some(hit) = self.bytes.get(from..).and_then(|rest| self.finder.find(rest)) {
            let mark = from + hit;
            if mark >= record::MARK_AT && (mark - record::MARK_AT).is_multiple_of(record::ALIGN) {
                return mark - record::MARK_AT;
            }
            from = mark + 1;
        }
        usize::MAX
    }
}

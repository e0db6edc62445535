//! A mistake made on purpose (see [`ringmta_io::sim::planted`]): a batch goes right behind the
//! last record of the one before, into its last block, which is thereby written again. A write
//! that is torn then hurts what was acknowledged long ago.

use ringmta_io::limits::BLOCK_BYTES;
use ringmta_io::Block;
use std::cell::RefCell;

/// The last block of the batch before.
#[derive(Default)]
pub struct Tail(RefCell<Option<Last>>);

struct Last {
    sequence: u32,
    /// Where its last record ends.
    end: u64,
    /// What stands in its last block before that.
    bytes: Vec<u8>,
}

impl Tail {
    /// Moves `block`, meant for `at` in segment `sequence`, behind the records before. Gives what
    /// is to be written, where, and where its first record then lies.
    pub fn share(&self, mut block: Block, sequence: u32, at: u64) -> (Block, u64, u64) {
        let last = self.0.take().filter(|last| last.sequence == sequence && last.end <= at);
        let (base, head) = last.map_or((at, Vec::new()), |last| (last.end, last.bytes));
        let start = base - head.len() as u64;
        block.pad_to(crate::log::record::ALIGN);
        let mut all = Block::with_capacity(head.len() + block.len());
        all.extend(&head);
        all.extend(block.tail_mut(0));
        let tail = all.len() / BLOCK_BYTES * BLOCK_BYTES;
        let end = start + all.len() as u64;
        let bytes = all.tail_mut(tail).to_vec();
        *self.0.borrow_mut() = Some(Last { sequence, end, bytes });
        (all, start, base)
    }
}

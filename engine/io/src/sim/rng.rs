//! Chance, from the seed. The one source of every choice in a simulated world.

use std::cell::Cell;

/// A generator of pseudo-random numbers (xorshift64*).
#[derive(Debug)]
pub struct Rng(Cell<u64>);

/// Chances are given in parts of this.
pub const MILLION: u64 = 1_000_000;

impl Rng {
    /// A generator whose whole sequence follows from `seed`.
    pub fn new(seed: u64) -> Rng {
        // Neighbouring seeds must not give neighbouring sequences (splitmix64).
        let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Rng(Cell::new((x ^ (x >> 31)) | 1))
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        let mut x = self.0.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0.set(x);
        x.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`; 0 when `end` is 0.
    pub fn below(&self, end: u64) -> u64 {
        match end {
            0 => 0,
            end => (self.next() >> 16) % end,
        }
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True in `parts` of a million cases.
    pub fn chance(&self, parts: u64) -> bool {
        parts > 0 && self.below(MILLION) < parts
    }

    /// True in half of the cases.
    pub fn flip(&self) -> bool {
        self.next() >> 63 == 1
    }

    /// One of `items`.
    pub fn pick<'a, T>(&self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len() as u64) as usize)
    }

    /// `len` random bytes.
    pub fn bytes(&self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

//! Chance, in whichever world this shard lives.

use crate::{clock, sim};
use std::cell::Cell;

thread_local! {
    static RNG: Cell<u64> = Cell::new(entropy());
}

/// A random number that nobody can foresee, from the system: for ids that a stranger must not guess.
pub fn unguessable_u64() -> u64 {
    if sim::active() {
        return sim::here().rng.next();
    }
    let mut bytes = [0; 8];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => u64::from_ne_bytes(bytes),
        // getrandom(2) fails on no kernel that has io_uring; a number is needed all the same.
        Err(_) => entropy(),
    }
}

/// A pseudo-random number (xorshift64*, seeded from the system per shard): for jitter and
/// weighted choices, never for secrets.
pub fn random_u64() -> u64 {
    if sim::active() {
        return sim::here().rng.next();
    }
    RNG.with(|cell| {
        let mut x = cell.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        cell.set(x);
        x.wrapping_mul(0x2545_F491_4F6C_DD1D)
    })
}

/// A number to seed a shard's generator with.
fn entropy() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u64(clock::unix_nanos());
    hasher.finish() | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_may_foresee_does_not_come_from_the_generator_of_published_numbers() {
        let seeded = |draw: fn() -> u64| -> Vec<u64> {
            RNG.with(|cell| cell.set(7));
            (0..8).map(|_| draw()).collect()
        };
        assert_eq!(seeded(random_u64), seeded(random_u64));
        assert_ne!(seeded(unguessable_u64), seeded(unguessable_u64));
        // Nor does drawing one move the generator on.
        assert_eq!(RNG.with(Cell::get), 7);
    }
}

//! Maps keyed by what strangers choose, whose order of iteration follows from the world's chance:
//! unforeseeable in the real one, repeatable in a simulated one.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher};

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut out = [0; 32];
    out.copy_from_slice(digest.as_ref());
    out
}

/// A map with a seeded order.
pub type Map<K, V> = HashMap<K, V, Seeded>;
/// A set with a seeded order.
pub type Set<K> = HashSet<K, Seeded>;

/// Makes hashers of one seed.
#[derive(Debug, Clone, Copy)]
pub struct Seeded(u64);

impl Default for Seeded {
    fn default() -> Self {
        Seeded(crate::random_u64())
    }
}

impl BuildHasher for Seeded {
    type Hasher = DefaultHasher;
    fn build_hasher(&self) -> DefaultHasher {
        // SipHash with a secret first word: no stranger can aim at one bucket.
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher
    }
}

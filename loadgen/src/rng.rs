//! Deterministic randomness: every draw is a pure function of a seed and a counter, so that a run can be repeated.

/// The draw for `counter` under `seed`, uniform over all 64-bit values (the finalizer of SplitMix64).
#[must_use]
pub fn draw(seed: u64, counter: u64) -> u64 {
    let mut z = seed
        .wrapping_mul(0xD6E8_FEB8_6659_FD93)
        .wrapping_add(counter.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Maps a draw to `0..bound` (0 when `bound` is 0).
#[must_use]
pub fn below(draw: u64, bound: u64) -> u64 {
    ((u128::from(draw) * u128::from(bound)) >> 64) as u64
}

/// Maps a draw to a percentage, at least 0 and below 100.
#[must_use]
pub fn percent(draw: u64) -> f64 {
    (draw >> 11) as f64 / (1u64 << 53) as f64 * 100.0
}

/// A value that differs from process to process, for naming a run.
#[must_use]
pub fn from_process() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // The standard library seeds its hasher from the system's randomness.
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_and_counter_draw_the_same() {
        assert_eq!(draw(7, 9), draw(7, 9));
        assert_ne!(draw(7, 9), draw(7, 10));
        assert_ne!(draw(7, 9), draw(8, 9));
    }

    #[test]
    fn draws_stay_within_their_bounds() {
        for counter in 0..10_000 {
            assert!(below(draw(1, counter), 7) < 7);
            assert!((0.0..100.0).contains(&percent(draw(1, counter))));
        }
        assert_eq!(below(u64::MAX, 0), 0);
    }

    #[test]
    fn percentages_are_uniform() {
        let hits = (0..100_000).filter(|&n| percent(draw(3, n)) < 5.0).count();
        assert!((4_500..5_500).contains(&hits), "{hits}");
    }
}

//! How long something took, in a few fixed buckets: small enough to have one for each handler of a policy. Each shard has its
//! own; they are added up when they are asked for.

/// Upper bounds of the buckets, microseconds.
pub const BOUNDS: [u64; 14] = [
    100,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    1_000_000,
    10_000_000,
    60_000_000,
    3_600_000_000,
];

/// Times, as a histogram of Prometheus counts them: each bucket has all that is not longer.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How many were not longer than each of [`BOUNDS`].
    pub buckets: [u64; BOUNDS.len()],
    /// How many there were.
    pub count: u64,
    /// How long all of them took, microseconds.
    pub sum_micros: u64,
}

impl Timing {
    /// Adds one time.
    pub fn note(&mut self, micros: u64) {
        let first = BOUNDS.partition_point(|bound| *bound < micros);
        self.buckets[first..].iter_mut().for_each(|count| *count += 1);
        self.count += 1;
        self.sum_micros = self.sum_micros.saturating_add(micros);
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Timing) {
        std::iter::zip(&mut self.buckets, other.buckets).for_each(|(sum, of)| *sum += of);
        self.count += other.count;
        self.sum_micros = self.sum_micros.saturating_add(other.sum_micros);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_has_what_is_not_longer() {
        let mut timing = Timing::default();
        [100, 101, 9_000_000_000].into_iter().for_each(|micros| timing.note(micros));
        assert_eq!(timing.buckets[..2], [1, 2]);
        assert_eq!(timing.buckets[13], 2, "the last bound is not endless");
        assert_eq!((timing.count, timing.sum_micros), (3, 9_000_000_201));
        let mut sum = timing;
        sum.add(&timing);
        assert_eq!((sum.buckets[1], sum.count), (4, 6));
    }
}

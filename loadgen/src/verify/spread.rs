//! Percentiles of some numbers.

use serde::Serialize;

/// How numbers are spread: the smallest that so many per cent do not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// Half.
    pub p50: u64,
    /// 99 %.
    pub p99: u64,
    /// 99.9 %.
    #[serde(rename = "p99.9")]
    pub p999: u64,
    /// The largest.
    pub max: u64,
}

impl Spread {
    /// The spread of `numbers`; of none there is none.
    #[must_use]
    pub fn of(mut numbers: Vec<u64>) -> Option<Self> {
        numbers.sort_unstable();
        let count = numbers.len();
        // Per mille, rounded up: the rank of the number wanted.
        let at =
            |mille: usize| numbers.get((count * mille).div_ceil(1000).saturating_sub(1)).copied();
        Some(Self { p50: at(500)?, p99: at(990)?, p999: at(999)?, max: at(1000)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks() {
        assert_eq!(Spread::of(Vec::new()), None);
        let one = Spread::of(vec![7]);
        assert_eq!(one, Some(Spread { p50: 7, p99: 7, p999: 7, max: 7 }));
        let thousand = Spread::of((1..=1000).rev().collect());
        assert_eq!(thousand, Some(Spread { p50: 500, p99: 990, p999: 999, max: 1000 }));
    }
}

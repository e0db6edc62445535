//! A choice among items with weights, written `a=70,b=30` on the command line.

use crate::rng;
use anyhow::{bail, Context, Result};

/// Items, each chosen as often as its weight says.
#[derive(Debug, Clone)]
pub struct Weighted<T> {
    items: Vec<T>,
    /// Running sum of the weights up to and including each item.
    sums: Vec<u64>,
}

impl<T> Weighted<T> {
    /// Builds a choice; weights have no unit, only their proportion counts.
    ///
    /// # Errors
    /// When there is no item, or no weight above zero.
    pub fn new(pairs: Vec<(T, u32)>) -> Result<Self> {
        let mut total = 0u64;
        let mut items = Vec::with_capacity(pairs.len());
        let mut sums = Vec::with_capacity(pairs.len());
        for (item, weight) in pairs {
            total += u64::from(weight);
            items.push(item);
            sums.push(total);
        }
        if total == 0 {
            bail!("nothing to choose from: the weights add up to zero");
        }
        Ok(Self { items, sums })
    }

    /// Reads `item=weight,item=weight`; a missing weight counts 1.
    ///
    /// # Errors
    /// When a weight is no number, `item` refuses its text, or the list is empty.
    pub fn parse(text: &str, item: impl Fn(&str) -> Result<T>) -> Result<Self> {
        let mut pairs = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, weight) = match part.split_once('=') {
                Some((name, weight)) => {
                    let weight = weight.trim().trim_end_matches('%');
                    let weight =
                        weight.parse().with_context(|| format!("bad weight in {part:?}"))?;
                    (name.trim(), weight)
                }
                None => (part, 1),
            };
            pairs.push((item(name)?, weight));
        }
        Self::new(pairs).with_context(|| format!("in {text:?}"))
    }

    /// The index of the item that a draw (uniform over 64 bits) falls on.
    #[must_use]
    pub fn index(&self, draw: u64) -> usize {
        let total = self.sums.last().copied().unwrap_or(0);
        let point = rng::below(draw, total);
        let index = self.sums.partition_point(|&sum| sum <= point);
        index.min(self.items.len().saturating_sub(1))
    }

    /// The item that a draw (uniform over 64 bits) falls on.
    #[must_use]
    pub fn pick(&self, draw: u64) -> &T {
        &self.items[self.index(draw)]
    }

    /// All items, in the order given.
    #[must_use]
    pub fn items(&self) -> &[T] {
        &self.items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Result<Weighted<String>> {
        Weighted::parse(text, |name| Ok(name.to_owned()))
    }

    #[test]
    fn weights_set_the_proportion() {
        let choice = names("a.example=70, b.example=30,never=0").unwrap();
        let mut counts = [0u32; 3];
        for n in 0..10_000 {
            counts[choice.index(rng::draw(5, n))] += 1;
        }
        assert!((6_800..7_200).contains(&counts[0]), "{counts:?}");
        assert_eq!(counts[2], 0);
    }

    #[test]
    fn weights_are_optional() {
        assert_eq!(names("one").unwrap().pick(u64::MAX), "one");
        assert_eq!(names("a,b").unwrap().pick(u64::MAX), "b");
        assert_eq!(names("a,b").unwrap().pick(0), "a");
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(names("").is_err());
        assert!(names("a=0").is_err());
        assert!(names("a=x").is_err());
    }
}

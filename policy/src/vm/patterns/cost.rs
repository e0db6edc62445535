//! What a pattern can cost at most, before it is run.

use super::set;

/// What makes a pattern dear.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// Items that may stand for any length of text (`*`, `+`, `-`, `%b`, `%1`): each multiplies the work by that length.
    /// One more when the pattern is tried at every place.
    pub lengths: u32,
    /// Items that may be there or not (`?`): each doubles the work.
    pub choices: u32,
}

impl Cost {
    /// Of a pattern; `anchors` says whether a `^` in front holds it to one place. `None` for one that is malformed.
    pub fn of(pattern: &[u8], anchors: bool) -> Option<Cost> {
        let anchored = anchors && pattern.first() == Some(&b'^');
        let mut cost = Cost { lengths: u32::from(!anchored), choices: 0 };
        let mut at = usize::from(anchored);
        while let Some(&byte) = pattern.get(at) {
            match (byte, pattern.get(at + 1)) {
                (b'(' | b')', _) => at += 1,
                (b'%', Some(b'b')) => {
                    cost.lengths += 1;
                    at += 4;
                }
                (b'%', Some(b'0'..=b'9')) => {
                    cost.lengths += 1;
                    at += 2;
                }
                (b'%', Some(b'f')) => at = set::item_end(pattern, at + 2).ok()?,
                _ => {
                    at = set::item_end(pattern, at).ok()?;
                    match pattern.get(at) {
                        Some(b'*' | b'+' | b'-') => cost.lengths += 1,
                        Some(b'?') => cost.choices += 1,
                        _ => continue,
                    }
                    at += 1;
                }
            }
        }
        (at <= pattern.len()).then_some(cost)
    }

    /// The longest text on which the pattern takes at most `steps`, in bytes.
    pub fn longest(&self, steps: u64) -> u64 {
        if self.lengths <= 1 && self.choices == 0 {
            return u64::MAX; // one step for each byte: as cheap as reading it
        }
        let steps = steps.checked_shr(self.choices).unwrap_or(0);
        let fits = |length: u64| length.checked_pow(self.lengths).is_some_and(|n| n <= steps);
        // The lengths in question are few: halve what lies between.
        let (mut low, mut high) = (0, steps.saturating_add(1));
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            *(if fits(middle) { &mut low } else { &mut high }) = middle;
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(pattern: &str) -> Option<(u32, u32)> {
        Cost::of(pattern.as_bytes(), true).map(|cost| (cost.lengths, cost.choices))
    }

    #[test]
    fn what_multiplies_and_what_doubles() {
        assert_eq!(cost("abc"), Some((1, 0)));
        assert_eq!(cost("^abc"), Some((0, 0)));
        assert_eq!(cost("a*b+[^c]-%d?"), Some((4, 1)));
        assert_eq!(cost("^(.-)%s*:%s*(.*)$"), Some((4, 0)));
        assert_eq!(cost("%b()%1"), Some((3, 0)));
        assert_eq!(cost("%f[%w]x"), Some((1, 0)));
        assert_eq!(cost("[]*]x"), Some((1, 0)));
        assert_eq!(cost("%*%+"), Some((1, 0)));
        for malformed in ["%", "[a", "[a%", "%f", "%b(", "%f[a"] {
            assert_eq!(cost(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn how_long_a_text_may_be() {
        let longest = |pattern: &str| Cost::of(pattern.as_bytes(), true).unwrap().longest(1 << 20);
        assert_eq!(longest("abc"), u64::MAX);
        assert_eq!(longest("^a*"), u64::MAX);
        assert_eq!(longest("a*"), 1 << 10);
        assert_eq!(longest("a*b*c*"), 1 << 5);
        assert_eq!(longest("^a?b"), 1 << 19, "doubled, whatever the length");
        assert_eq!(longest(&"a?".repeat(30)), 0);
    }
}

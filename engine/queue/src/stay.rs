//! Since when a message lies where it lies, and whether an order holds it there. Both are in four bytes, as there may be
//! millions of messages.

use ringmta_io::steady_millis;

/// The mark that an order holds the message.
const HELD: u32 = 1 << 31;
/// Seconds from 1970 to 2020. The 31 bits of seconds that are counted from there last until 2088.
const BEGIN_SECS: u64 = 1_577_836_800;

/// A message's stay at the place where it lies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stay(u32);

impl Stay {
    /// It has come there now.
    pub fn now() -> Stay {
        Stay::since(steady_millis())
    }

    fn since(millis: u64) -> Stay {
        let secs = (millis / 1000).saturating_sub(BEGIN_SECS).clamp(1, u64::from(HELD - 1));
        Stay(secs as u32)
    }

    /// An order holds it there, or not.
    pub fn held(self, is_held: bool) -> Stay {
        Stay(if is_held { self.0 | HELD } else { self.0 & !HELD })
    }

    /// It has moved on by itself; what is said of an order stays.
    pub fn moved(self) -> Stay {
        Stay::now().held(self.is_held())
    }

    /// It lies in the timer because an order holds it, and not for its own next attempt.
    pub fn is_held(self) -> bool {
        self.0 & HELD != 0
    }

    /// Since when, unix milliseconds, to the second; none when it lay there before the engine was started.
    pub fn since_millis(self) -> Option<u64> {
        let secs = u64::from(self.0 & !HELD);
        (secs > 0).then_some((BEGIN_SECS + secs) * 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Item;

    #[test]
    fn time_and_mark_are_kept_apart() {
        assert_eq!(Stay::default().since_millis(), None);
        assert_eq!(Stay::default().held(true).since_millis(), None);
        let stay = Stay::since(1_800_000_000_999);
        assert_eq!((stay.since_millis(), stay.is_held()), (Some(1_800_000_000_000), false));
        let held = stay.held(true);
        assert_eq!((held.since_millis(), held.is_held()), (Some(1_800_000_000_000), true));
        assert_eq!(held.held(false), stay);
        assert!(held.moved().is_held() && !stay.moved().is_held());
    }

    #[test]
    fn clocks_that_are_far_off_set_no_mark() {
        assert!(!Stay::since(u64::MAX).is_held());
        assert!(Stay::since(0).since_millis().is_some());
    }

    #[test]
    fn a_message_that_waits_costs_no_more_for_it() {
        assert_eq!(std::mem::size_of::<Item>(), 56);
    }
}

//! The clock that queues go by: the time of day, but it never jumps.
//!
//! Ages, due times and orders are told in unix time, for they outlive the process. Were they held against the wall clock
//! itself, a clock that is set forward (NTP after a boot, a virtual machine that goes on) would expire mail early, and one
//! that is set back would hold it for as long. So the wall clock is read once, when the process begins; from there on the
//! monotonic clock counts, and [`Steady::follow`] leads it slowly to what the wall clock says.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// A clock that is set to the wall clock after so many times the difference.
const SLEW: u64 = 60;
/// From this difference on the operator is told.
const TOLD_NANOS: u64 = 2_000_000_000;
/// The offset of a clock nobody has read.
const UNSET: i64 = i64::MIN;

/// Unix time that does not jump.
#[derive(Debug)]
pub struct Steady {
    /// Unix nanoseconds at the start of the monotonic clock.
    offset: AtomicI64,
    /// When [`Steady::follow`] was called last, monotonic nanoseconds.
    followed: AtomicU64,
    /// A difference was told, and is not made up yet.
    told: AtomicBool,
}

impl Default for Steady {
    fn default() -> Steady {
        Steady::new()
    }
}

impl Steady {
    /// A clock that is set when it is first read.
    pub const fn new() -> Steady {
        Steady {
            offset: AtomicI64::new(UNSET),
            followed: AtomicU64::new(0),
            told: AtomicBool::new(false),
        }
    }

    /// Nanoseconds since 1970 at `mono`; `wall` is what the wall clock says, asked at the first reading only.
    pub fn nanos(&self, mono: u64, wall: impl FnOnce() -> u64) -> u64 {
        let mut offset = self.offset.load(Ordering::Relaxed);
        if offset == UNSET {
            let first = wall() as i64 - mono as i64;
            // Of two threads that read it first, one sets it.
            let set =
                self.offset.compare_exchange(UNSET, first, Ordering::Relaxed, Ordering::Relaxed);
            offset = set.map_or_else(|known| known, |_| first);
        }
        mono.saturating_add_signed(offset)
    }

    /// Leads the clock towards the wall clock: by one second in a minute at the most. To be called by one thread, about
    /// once in a second. Gives the difference that was left before, the first time that it is large.
    pub fn follow(&self, mono: u64, wall: u64) -> Option<Difference> {
        let steady = self.nanos(mono, || wall);
        let before = self.followed.swap(mono.max(1), Ordering::Relaxed);
        let since = if before == 0 { 0 } else { mono.saturating_sub(before) };
        let left = wall as i64 - steady as i64;
        let step = i64::try_from(since / SLEW).unwrap_or(i64::MAX);
        self.offset.fetch_add(left.clamp(-step, step), Ordering::Relaxed);
        if left.unsigned_abs() < TOLD_NANOS {
            self.told.store(false, Ordering::Relaxed);
            return None;
        }
        let by = Difference { by: Duration::from_nanos(left.unsigned_abs()), is_ahead: left > 0 };
        (!self.told.swap(true, Ordering::Relaxed)).then_some(by)
    }
}

/// How far the wall clock is from the steady one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// So much.
    pub by: Duration,
    /// The wall clock is ahead.
    pub is_ahead: bool,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let how = if self.is_ahead { "forward" } else { "back" };
        write!(f, "the system clock was set {how} by {:.1?}", self.by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const HOUR: u64 = 3600 * SECOND;

    #[test]
    fn a_wall_clock_that_jumps_is_followed_slowly() {
        let clock = Steady::new();
        let start = 1_000_000 * SECOND;
        assert_eq!(clock.nanos(5 * SECOND, || start), start);
        assert_eq!(clock.follow(5 * SECOND, start), None);
        // An hour forward.
        let told = clock.follow(6 * SECOND, start + SECOND + HOUR).unwrap();
        assert_eq!(told.to_string(), "the system clock was set forward by 3600.0s");
        let after = clock.nanos(6 * SECOND, || 0);
        assert_eq!(after, start + SECOND + SECOND / SLEW);
        // It is told once, and made up in the end, never going back.
        let mut before = after;
        for second in 7..7 + 3600 * SLEW {
            let wall = start + HOUR + (second - 5) * SECOND;
            assert_eq!(clock.follow(second * SECOND, wall), None);
            let now = clock.nanos(second * SECOND, || 0);
            assert!(now > before && now - before <= SECOND + SECOND / SLEW + 1);
            before = now;
        }
        let end = 7 + 3600 * SLEW;
        let wall = start + HOUR + (end - 5) * SECOND;
        assert_eq!(clock.nanos(end * SECOND, || 0), wall);
        // And back again.
        let told = clock.follow(end * SECOND, wall - HOUR).unwrap();
        assert_eq!(told.to_string(), "the system clock was set back by 3600.0s");
        assert!(clock.nanos(end * SECOND, || 0) >= wall - SECOND / SLEW);
    }
}

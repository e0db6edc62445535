//! Times that are not `Instant`: CPU time of this process, the date of a message, and a precise alarm.

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec,
};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// CPU time (user and system) this process has used so far.
#[must_use]
pub fn process_cpu() -> Duration {
    let now = rustix::time::clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

/// Turns an [`Instant`] into microseconds of the machine's monotonic clock: a number that means the
/// same in every process of this machine, until it restarts.
#[derive(Debug, Clone, Copy)]
pub struct SharedClock {
    at: Instant,
    us: u64,
}

impl SharedClock {
    /// Reads both clocks, which are the same one.
    #[must_use]
    pub fn new() -> Self {
        let now = rustix::time::clock_gettime(ClockId::Monotonic);
        let us = now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1000;
        Self { at: Instant::now(), us }
    }

    /// Microseconds of `instant`.
    #[must_use]
    pub fn us(&self, instant: Instant) -> u64 {
        let us = |since: Duration| u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        match instant.checked_duration_since(self.at) {
            Some(later) => self.us.saturating_add(us(later)),
            None => self.us.saturating_sub(us(self.at.saturating_duration_since(instant))),
        }
    }
}

impl Default for SharedClock {
    fn default() -> Self {
        Self::new()
    }
}

/// Seconds since 1970, UTC.
#[must_use]
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A date as RFC 5322 wants it in a header, from seconds since 1970, in UTC.
#[must_use]
pub fn mail_date(unix_seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
    // Civil date from a day count, with years that begin in March so that leap days come last.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = (march_month + 2) % 12;
    let year = year_of_era + era * 400 + u64::from(month < 2);
    format!(
        "{}, {day} {} {year} {:02}:{:02}:{:02} +0000",
        DAYS[(days % 7) as usize],
        MONTHS[month as usize],
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// A timer that wakes a poll loop with finer grain than the millisecond a poll timeout has.
#[derive(Debug)]
pub struct Alarm(OwnedFd);

impl Alarm {
    /// A timer that is not set.
    ///
    /// # Errors
    /// When the process has no file descriptor left.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self(rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?))
    }

    /// Sets the timer to go off once, `after` from now, instead of what was set before.
    ///
    /// # Errors
    /// When the system refuses the time.
    pub fn set(&self, after: Duration) -> io::Result<()> {
        // Zero would disarm it.
        let after = after.max(Duration::from_nanos(1));
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value =
            Timespec { tv_sec: after.as_secs() as i64, tv_nsec: i64::from(after.subsec_nanos()) };
        let time = Itimerspec { it_interval: zero, it_value: value };
        rustix::time::timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &time)?;
        Ok(())
    }

    /// The descriptor to register with a poll.
    #[must_use]
    pub fn raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_as_the_calendar_has_them() {
        assert_eq!(mail_date(0), "Thu, 1 Jan 1970 00:00:00 +0000");
        assert_eq!(mail_date(951_782_400), "Tue, 29 Feb 2000 00:00:00 +0000");
        assert_eq!(mail_date(1_735_689_599), "Tue, 31 Dec 2024 23:59:59 +0000");
        assert_eq!(mail_date(1_763_824_320), "Sat, 22 Nov 2025 15:12:00 +0000");
    }

    #[test]
    fn two_clocks_agree_on_an_instant() {
        let (one, instant) = (SharedClock::new(), Instant::now());
        let other = SharedClock::new();
        // What may lie between the two readings of one clock; a busy machine may stop there.
        assert!(one.us(instant).abs_diff(other.us(instant)) < 1_000_000);
        assert_eq!(one.us(instant + Duration::from_millis(5)) - one.us(instant), 5_000);
        assert!(one.us(one.at - Duration::from_millis(5)) < one.us(one.at));
    }

    #[test]
    fn cpu_time_moves_forward() {
        let before = process_cpu();
        let mut sum = 0u64;
        while process_cpu() == before {
            sum = sum.wrapping_add(rng_like(sum));
        }
        assert!(process_cpu() > before);
    }

    fn rng_like(n: u64) -> u64 {
        crate::rng::draw(n, 1)
    }
}

//! Clocks of the real world.
#![allow(unsafe_code)]

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

pub(crate) fn mono_nanos() -> u64 {
    // One start for all threads: limits that hold over all shards go by this clock.
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Monotonic clock as of the kernel's last tick, milliseconds: a few behind, and five times as cheap.
pub(crate) fn coarse_millis() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the timespec outlives the call, which only writes to it.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut now) };
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}

pub(crate) fn unix_nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn all_threads_have_one_monotonic_clock() {
        let before = mono_nanos();
        let pause = Duration::from_millis(20);
        std::thread::sleep(pause);
        let elsewhere = std::thread::spawn(mono_nanos).join().unwrap();
        assert!(elsewhere >= before + pause.as_nanos() as u64);
    }
}

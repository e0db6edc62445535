//! Memory freed at once in great amounts.
#![allow(unsafe_code)]

use crate::limits::MEMORY_KEEP_MS;

/// mimalloc's number of the option `purge_delay` (mimalloc.h, the same in its versions 2 and 3).
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Freed memory stays with the process for [`MEMORY_KEEP_MS`], so that the next burst finds it. To give it back sooner means to
/// take it again, zeroed, 2 MiB at a time, on the message path. An operator's MIMALLOC_PURGE_DELAY is left alone.
pub fn keep_a_while() {
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
        // SAFETY: no pointers; the option is a number that may change at any time.
        unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, MEMORY_KEEP_MS) };
    }
}

/// Gives the system back what this thread has freed. Else the allocator keeps it for what may come:
/// after a start with a million messages, twice what they need.
pub fn give_back() {
    // SAFETY: no pointers; any thread may ask for it at any time.
    unsafe { libmimalloc_sys::mi_collect(true) };
}

/// Bytes of memory the process has in use (its resident set), as proc(5) has it; none where that cannot be read. It waits
/// for the kernel: not for a shard.
pub fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

//! Bytes of messages and requests that are being received, over all doors and shards of the process: one budget, so that
//! clients together cannot take more than what they may.
//!
//! A buffer is covered before it grows. What is not covered is not taken: 452 over SMTP, 503 over HTTP. Two atomics are
//! touched for each step of 64 KiB, of the process and of the peer; small messages never touch them.

use crate::limits::{
    RECEIVING_DOUBLINGS_MAX, RECEIVING_FREE_BYTES, RECEIVING_LEAST_SPEED, RECEIVING_LOOK_SECS,
    RECEIVING_SHARE, RECEIVING_STEP_BYTES,
};
pub use crate::peer_share::Peer;
use crate::peer_share::{is_beyond_share, is_short};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::OnceLock;
use std::time::Duration;

static LIMIT: OnceLock<usize> = OnceLock::new();
static USED: AtomicUsize = AtomicUsize::new(0);
/// Since when two thirds of the budget are in use, monotonic nanoseconds; 0: they are not.
static SHORT_SINCE: AtomicU64 = AtomicU64::new(0);

/// When somebody last found no room, monotonic nanoseconds; 0: nobody has.
static REFUSED_AT: AtomicU64 = AtomicU64::new(0);
/// Senders that had to give up what they held.
static GIVEN_UP: AtomicU64 = AtomicU64::new(0);

/// How often a sender that holds a part of the budget is looked at.
pub const LOOK: Duration = Duration::from_secs(RECEIVING_LOOK_SECS);

/// Sets the budget, bytes; before anything is received. Later, and without it, it is a quarter of the memory that the process
/// may use.
pub fn set_limit(bytes: usize) {
    let _ = LIMIT.set(bytes);
}

/// The budget, bytes.
pub fn limit() -> usize {
    *LIMIT.get_or_init(|| usable().unwrap_or(usize::MAX) / RECEIVING_SHARE)
}

/// Memory the process may use, bytes: the machine's, or less where a control group says so.
fn usable() -> Option<usize> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok();
    let total = machine.as_deref().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1024)
    });
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = groups.lines().flat_map(group_files).filter_map(|file| {
        // "max" is no number.
        std::fs::read_to_string(file).ok()?.trim().parse::<usize>().ok()
    });
    total.into_iter().chain(limits).min()
}

/// The files that may limit a group, given its line of `/proc/self/cgroup`: its own, and those of the groups around it.
fn group_files(line: &str) -> Vec<String> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, path) = (fields.next().unwrap_or(""), fields.next().unwrap_or(""));
    let (root, file) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max"),
        list if list.split(',').any(|one| one == "memory") => {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    let mut path = path.trim_matches('/');
    let mut files = vec![format!("{root}/{file}")];
    while !path.is_empty() {
        files.push(format!("{root}/{path}/{file}"));
        path = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    }
    files
}

/// Reads a size such as `512M`, `2GiB` or a number of bytes.
///
/// # Errors
/// It is none.
pub fn parse_size(text: &str) -> Result<usize, String> {
    let digits = text.trim().find(|c: char| !c.is_ascii_digit()).unwrap_or(text.trim().len());
    let (number, unit) = text.trim().split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().trim_end_matches("ib").trim_end_matches('b')
    {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return Err(format!("{text:?} is no size: write 512M, 2G or a number of bytes")),
    };
    let number: usize = number.parse().map_err(|_| format!("{text:?} is no size"))?;
    number.checked_mul(1 << shift).ok_or_else(|| format!("{text:?} is too large"))
}

/// Bytes in use.
pub fn used() -> usize {
    USED.load(Ordering::Relaxed)
}

/// How many senders were too slow for what they held while the budget was short.
pub fn given_up() -> u64 {
    GIVEN_UP.load(Ordering::Relaxed)
}

/// Whether a message of `bytes` could be received from `peer` now. Small ones always can.
pub fn has_room(bytes: usize, peer: Peer) -> bool {
    let has = bytes <= RECEIVING_FREE_BYTES
        || fits(used().saturating_add(bytes), peer.held().saturating_add(bytes), limit());
    if !has {
        refused();
    }
    has
}

/// Whether so much in use, of which a peer holds `own`, is within a budget of `limit`.
fn fits(used: usize, own: usize, limit: usize) -> bool {
    used <= limit && !is_beyond_share(used, own, limit)
}

/// Bytes of the budget that one buffer has. They are given back when this is dropped.
#[derive(Debug, Default)]
pub struct Held {
    bytes: usize,
    peer: Peer,
}

impl Held {
    /// Nothing yet, for what this peer sends.
    pub fn of(peer: Peer) -> Held {
        Held { bytes: 0, peer }
    }

    /// Bytes of the budget that are held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Holds enough for a buffer of `bytes`, or gives back what is over. `false`: the budget has no more, or no more for
    /// this peer, and nothing has changed.
    #[must_use = "a buffer that is not covered must not grow"]
    pub fn cover(&mut self, bytes: usize) -> bool {
        let wanted = if bytes <= RECEIVING_FREE_BYTES {
            0
        } else {
            bytes.div_ceil(RECEIVING_STEP_BYTES) * RECEIVING_STEP_BYTES
        };
        if wanted > self.bytes {
            let more = wanted - self.bytes;
            let used = USED.fetch_add(more, Ordering::Relaxed).saturating_add(more);
            let own = self.peer.add(more);
            if !fits(used, own, limit()) {
                self.give_back(more);
                return false;
            }
        } else {
            self.give_back(self.bytes - wanted);
        }
        self.bytes = wanted;
        true
    }

    /// Makes room for `more` bytes in `buffer`. As [`Held::cover`] otherwise.
    #[must_use = "a buffer that is not covered must not grow"]
    pub fn reserve(&mut self, buffer: &mut Vec<u8>, more: usize) -> bool {
        let needed = buffer.len() + more;
        if needed <= buffer.capacity() {
            return true;
        }
        let grown = needed.max(buffer.capacity() + buffer.capacity() / 2);
        // Near the end of the budget what is needed may still fit.
        let size = [grown, needed].into_iter().find(|size| self.cover(*size));
        match size {
            Some(size) => {
                buffer.reserve_exact(size - buffer.len());
                true
            }
            None => {
                refused();
                false
            }
        }
    }
}

impl Held {
    fn give_back(&self, bytes: usize) {
        USED.fetch_sub(bytes, Ordering::Relaxed);
        self.peer.sub(bytes);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

/// How fast something comes that holds a part of the budget.
///
/// While two thirds of the budget are in use, and when somebody has just found no room, who sends more slowly than a
/// least speed gives up what it holds. The speed asked for doubles at every look for as long as most of the budget is in use: so
/// the slowest are the first to go, and nobody keeps others out by sending next to nothing.
#[derive(Debug, Default)]
pub struct Pace(Option<Look>);

/// What was seen of a sender at some moment.
#[derive(Debug)]
struct Look {
    number: usize,
    at: u64,
    received: usize,
}

impl Pace {
    /// Whether the sender of message `number`, of which `received` bytes are here by `now`, monotonic nanoseconds, must give
    /// up what it holds.
    pub fn is_too_slow(&mut self, number: usize, received: usize, now: u64) -> bool {
        let Some(speed) = self.speed(number, received, now) else { return false };
        let is_too_slow = speed < required(now) as f64;
        GIVEN_UP.fetch_add(is_too_slow.into(), Ordering::Relaxed);
        is_too_slow
    }

    /// Bytes per second since the look before, when it is time for a look: who was fast once and holds on is slow. Each
    /// message is looked at for itself, for one may end and the next begin between two looks.
    fn speed(&mut self, number: usize, received: usize, now: u64) -> Option<f64> {
        let look = Look { number, at: now, received };
        let Some(before) = self.0.as_ref().filter(|before| before.number == number) else {
            self.0 = Some(look);
            return None;
        };
        let spent = Duration::from_nanos(now.saturating_sub(before.at));
        if spent < LOOK {
            return None;
        }
        let came = received.saturating_sub(before.received) as f64 / spent.as_secs_f64();
        self.0 = Some(look);
        Some(came)
    }
}

/// Bytes per second asked for now.
fn required(now: u64) -> u64 {
    if is_short(used(), limit()) {
        // Two shards that see it at once differ by nothing that matters.
        let since = match SHORT_SINCE.load(Ordering::Relaxed) {
            0 => {
                SHORT_SINCE.store(now.max(1), Ordering::Relaxed);
                now
            }
            since => since,
        };
        return doubled(Duration::from_nanos(now.saturating_sub(since)));
    }
    SHORT_SINCE.store(0, Ordering::Relaxed);
    match REFUSED_AT.load(Ordering::Relaxed) {
        0 => 0,
        // What is left is too little for someone. It does not double: who sends what would never fit costs others nothing.
        at if Duration::from_nanos(now.saturating_sub(at)) < 2 * LOOK => RECEIVING_LEAST_SPEED,
        _ => 0,
    }
}

/// Bytes per second asked for when most of the budget has been in use for so long.
fn doubled(short: Duration) -> u64 {
    let looks = short.as_secs() / RECEIVING_LOOK_SECS;
    RECEIVING_LEAST_SPEED << looks.min(RECEIVING_DOUBLINGS_MAX)
}

/// Somebody found no room.
fn refused() {
    REFUSED_AT.store(crate::mono_nanos().max(1), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_the_budget_is_short_the_faster_one_must_be() {
        assert_eq!(doubled(Duration::ZERO), RECEIVING_LEAST_SPEED);
        assert_eq!(doubled(3 * LOOK), 8 * RECEIVING_LEAST_SPEED);
        let most = RECEIVING_LEAST_SPEED << RECEIVING_DOUBLINGS_MAX;
        assert_eq!(doubled(Duration::from_secs(1 << 40)), most);
    }

    #[test]
    fn the_speed_is_that_since_the_look_before_of_the_same_message() {
        let (mut pace, look) = (Pace::default(), LOOK.as_nanos() as u64);
        assert_eq!(pace.speed(0, 1000, 5), None);
        assert_eq!(pace.speed(0, 9000, 5 + look / 2), None, "too soon");
        assert_eq!(pace.speed(0, 9000, 5 + look), Some(8000.0 / LOOK.as_secs_f64()));
        assert_eq!(pace.speed(0, 9000, 5 + 2 * look), Some(0.0), "fast once, and silent since");
        assert_eq!(pace.speed(1, 100, 5 + 3 * look), None, "another message");
        assert_eq!(pace.speed(1, 300, 5 + 4 * look), Some(200.0 / LOOK.as_secs_f64()));
    }

    #[test]
    fn with_room_nobody_is_too_slow() {
        let mut pace = Pace::default();
        let hour = Duration::from_secs(3600).as_nanos() as u64;
        assert!((0..10).all(|n| !pace.is_too_slow(0, 20_000_000, n * hour)));
    }

    #[test]
    fn what_is_held_is_counted_and_given_back() {
        let mut held = Held::default();
        assert!(held.cover(RECEIVING_FREE_BYTES));
        assert_eq!(held.bytes, 0);
        assert!(held.cover(RECEIVING_STEP_BYTES + 1));
        assert_eq!(held.bytes, 2 * RECEIVING_STEP_BYTES);
        assert!(!held.cover(usize::MAX / 4), "more than any machine has");
        assert_eq!(held.bytes, 2 * RECEIVING_STEP_BYTES);
        assert!(held.cover(0));
        assert_eq!(held.bytes, 0);
    }

    #[test]
    fn sizes_and_groups() {
        for (text, want) in [("0", 0), ("512M", 512 << 20), ("2GiB", 2 << 30), ("64 kb", 65_536)] {
            assert_eq!(parse_size(text), Ok(want), "{text}");
        }
        for bad in ["", "M", "1T5", "-1", "99999999999G"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
        assert_eq!(
            group_files("0::/a/b"),
            [
                "/sys/fs/cgroup/memory.max",
                "/sys/fs/cgroup/a/b/memory.max",
                "/sys/fs/cgroup/a/memory.max"
            ]
        );
        assert_eq!(group_files("5:cpu,memory:/").len(), 1);
        assert!(group_files("4:cpu:/").is_empty());
        assert!(usable().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn a_buffer_grows_with_what_comes() {
        let (mut held, mut buffer) = (Held::default(), Vec::new());
        for _ in 0..100 {
            assert!(held.reserve(&mut buffer, 10_000));
            buffer.extend_from_slice(&[1; 10_000]);
            assert!(held.bytes >= buffer.capacity() || buffer.capacity() <= RECEIVING_FREE_BYTES);
        }
        assert!(buffer.capacity() < 2_000_000);
    }
}

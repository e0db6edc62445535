//! The one seam between the engine and the outside: time, tasks, randomness, network and disk.
//!
//! [`ring`] is the real world (glommio, and the only file that names it). Everything else in the
//! engine uses the types of this module, so another world can be put underneath.
//!
//! Layout: `ring` real world · `time` deadlines and clocks · `stream` TCP, plain or TLS ·
//! `tls` rustls configurations · `file` direct-I/O files.

pub mod file;
pub mod ring;
pub mod stream;
pub mod time;
pub mod tls;

pub use file::{Block, File};
pub use stream::{Conn, Listener, Stream, UdpSocket};
pub use time::{deadline, mono_nanos, sleep, unix_millis, unix_nanos, TimedOut};

use std::cell::Cell;
use std::future::Future;

/// Starts a task on this shard's executor; it runs until it ends or the shard stops.
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    ring::spawn(future);
}

/// Lets every other runnable task of the shard go first.
pub async fn yield_now() {
    ring::yield_now().await;
}

thread_local! {
    static RNG: Cell<u64> = Cell::new(ring::entropy());
}

/// A pseudo-random number (xorshift64*, seeded from the system per shard): for jitter and
/// weighted choices, never for secrets.
pub fn random_u64() -> u64 {
    RNG.with(|cell| {
        let mut x = cell.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        cell.set(x);
        x.wrapping_mul(0x2545_F491_4F6C_DD1D)
    })
}

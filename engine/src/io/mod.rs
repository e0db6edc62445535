//! The one seam between the engine and the outside: time, tasks, randomness, network and disk.
//!
//! [`ring`] is the real world (glommio, which only it and `pump` name; `uring` is what lies below its
//! streams), [`sim`] is one made from a seed. Everything else in the engine uses the types of this module and
//! cannot tell them apart.
//!
//! Layout: `ring` real world · `sim` simulated world · `time` deadlines and clocks · `stream` TCP,
//! plain or TLS · `socket` sockets of the real world · `uring` the ring they wait on · `pump` what turns
//! it, and keeps the executor awake while there is work · `tls` rustls configurations · `file` direct-I/O files · `plain` files of small
//! appends · `fs` names and folders · `beneath` small files of a folder, no link followed · `privileges`
//! whom the process runs as · `hash` maps whose order can be repeated · `wheel` a shard's
//! deadlines.

pub mod beneath;
pub mod file;
pub mod fs;
pub mod hash;
pub mod listener;
pub mod memory;
pub mod plain;
pub mod privileges;
mod pump;
pub mod ring;
pub mod sim;
pub mod socket;
pub mod steady;
pub mod stream;
pub mod subject;
pub mod time;
pub mod tls;
mod uring;
pub mod wheel;

pub use file::{Block, File};
pub use hash::{Map, Set};
pub use listener::ReservedPort;
pub use pump::stalls;
pub use stream::{Conn, Listener, Stream, UdpSocket};
pub use time::{
    deadline, follow_wall_clock, mono_nanos, sleep, steady_millis, steady_nanos, unix_nanos,
    TimedOut,
};

use std::cell::Cell;
use std::future::Future;

/// Starts a task on this shard's executor; it runs until it ends or the shard stops.
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    if sim::active() {
        return sim::here().spawn(future);
    }
    ring::spawn(future);
}

/// Lets every other runnable task of the shard go first.
pub async fn yield_now() {
    if sim::active() {
        return sim::exec::yield_now().await;
    }
    ring::yield_now().await;
}

/// Runs a closure that may block beside the shard; in a simulated world, at once, after a while.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    if sim::active() {
        sim::file::take_time(&sim::here()).await;
        return work();
    }
    ring::blocking(work).await
}

thread_local! {
    static RNG: Cell<u64> = Cell::new(ring::entropy());
}

/// A random number that nobody can foresee, from the system: for ids that a stranger must not guess.
pub fn unguessable_u64() -> u64 {
    if sim::active() {
        return sim::here().rng.next();
    }
    let mut bytes = [0; 8];
    match ::ring::rand::SecureRandom::fill(&::ring::rand::SystemRandom::new(), &mut bytes) {
        Ok(()) => u64::from_ne_bytes(bytes),
        // getrandom(2) fails on no kernel that has io_uring; a number is needed all the same.
        Err(_) => ring::entropy(),
    }
}

/// A pseudo-random number (xorshift64*, seeded from the system per shard): for jitter and
/// weighted choices, never for secrets.
pub fn random_u64() -> u64 {
    if sim::active() {
        return sim::here().rng.next();
    }
    RNG.with(|cell| {
        let mut x = cell.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        cell.set(x);
        x.wrapping_mul(0x2545_F491_4F6C_DD1D)
    })
}

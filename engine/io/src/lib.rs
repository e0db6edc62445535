//! The one seam between the engine and the outside: time, tasks, randomness, network and disk. The real world, or one made
//! from a seed ([`sim`]); everything else in the engine uses the types of this crate and cannot tell them apart.
//!
//! - [`tasks`], [`random`], [`time`], [`steady`] what both worlds have; [`wheel`] a shard's deadlines · [`stopping`] the stop
//!   told to who waits
//! - The real world: [`ring`] a shard's thread, `pump` what keeps its executor awake, `executor` its tasks, `clock` its
//!   clocks; `uring` the ring that its sockets and the spool's writes go through
//! - Network: [`stream`] TCP, plain or TLS, and UDP · [`socket`] the sockets of the real world · [`listener`], [`sockets`]
//!   where it listens · [`linger`] the end of a connection · [`tls`] rustls configurations, [`subject`] of a certificate · [`receiving`] the memory for what is
//!   being received
//! - Disk: [`file`] files for direct I/O, `direct` those of the real world · [`plain`] files of small appends · [`fs`] names and
//!   folders · [`beside`] a thread for what no mail needs · [`beneath`] small files of a folder, no link followed
//! - Process: [`privileges`] whom it runs as · [`system`] what the operating system says · [`memory`] given back
//! - [`hash`] digests, and maps whose order can be repeated · [`timing`] how long things take · [`limits`]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod beneath;
pub mod beside;
mod clock;
mod direct;
mod executor;
pub mod file;
pub mod fs;
pub mod hash;
pub mod inherited;
pub mod limits;
pub mod linger;
pub mod listener;
pub mod memory;
mod peer_share;
pub mod plain;
pub mod privileges;
mod pump;
pub mod random;
pub mod receiving;
pub mod ring;
pub mod sim;
pub mod socket;
pub mod sockets;
pub mod steady;
pub mod stopping;
pub mod stream;
pub mod subject;
pub mod system;
pub mod tasks;
pub mod time;
pub mod timing;
pub mod tls;
pub mod unix;
mod uring;
pub mod wheel;

pub use beside::Beside;
pub use file::{Block, File};
pub use hash::{sha256, Map, Set};
pub use linger::leave;
pub use listener::ReservedPort;
pub use pump::stalls;
pub use random::{random_u64, unguessable_u64};
pub use stream::{Conn, Listener, Stream, UdpSocket};
pub use tasks::{blocking, spawn, yield_now};
pub use time::{
    deadline, follow_wall_clock, mono_nanos, sleep, steady_millis, steady_nanos, unix_nanos,
    TimedOut,
};

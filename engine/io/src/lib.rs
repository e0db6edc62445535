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
mod clock;
mod direct;
mod executor;
pub mod file;
pub mod fs;
pub mod hash;
pub mod limits;
pub mod listener;
pub mod memory;
pub mod plain;
pub mod privileges;
mod pump;
mod random;
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
mod tasks;
pub mod time;
pub mod tls;
mod uring;
pub mod wheel;

pub use file::{Block, File};
pub use hash::{Map, Set};
pub use listener::ReservedPort;
pub use pump::stalls;
pub use random::{random_u64, unguessable_u64};
pub use stream::{Conn, Listener, Stream, UdpSocket};
pub use tasks::{blocking, spawn, yield_now};
pub use time::{
    deadline, follow_wall_clock, mono_nanos, sleep, steady_millis, steady_nanos, unix_nanos,
    TimedOut,
};

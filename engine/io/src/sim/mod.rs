//! The simulated world: the same seam as the real one, in one thread, from a seed.
//!
//! A [`World`] holds everything outside of the engine: the order in which tasks run, both clocks,
//! the disk and the network. Whatever happens in it follows from its seed, so a run that fails can
//! be run again, exactly. A world can be entered where the feature `simulation` is on: what is shipped is built without it.
//!
//! Layout: [`rng`] chance · [`exec`] tasks and time · [`disk`] what the disk holds, and what a
//! crash leaves of it · [`file`], [`plain`] operations on it that take time and fail · [`net`] connections ·
//! [`stream`] sockets as the engine sees them · [`udp`] datagrams · [`planted`] mistakes made on
//! purpose, which the simulation must find.

pub mod address;
pub mod bug;
pub mod crash;
pub mod disk;
pub mod exec;
pub mod file;
mod links;
pub mod net;
pub mod plain;
pub mod planted;
pub mod rng;
pub mod stream;
pub mod tasks;
pub mod udp;
pub mod world;

pub use exec::{Node, Stuck};
pub use world::{active, current, Entered, World, CAN_SIMULATE};

pub(crate) use world::here;

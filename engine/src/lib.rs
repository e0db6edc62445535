//! The ringmta engine.
//!
//! # Layout (in the order of a message's way)
//! - [`start`] brings an engine up · [`shard`] one core · [`process`] what cores share · [`mesh`]
//!   all that crosses between them
//! - [`certificates`] of our listeners
//! - [`sockets`] where it listens · [`folders`] where it writes · [`confine`] and nowhere else
//! - [`accept`] from a socket to a durable message · [`message`] what a message is made of
//! - [`spool`] the durable store
//! - [`queue`] what waits, and why
//! - [`egress`] from a queue to the next hop
//! - [`events`] what happened, told
//! - [`control`] HTTP API, metrics, admin
//! - [`diagnostics`] what it says on stderr
//! - [`sandbox`] the inbox of `ringmta dev`
//! - [`io`] the seam to the outside · [`limits`] every numeric limit and its reason
//! - [`simulation`] runs of all this in worlds made from a seed
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod accept;
pub mod certificates;
pub mod cli;
pub mod confine;
pub mod control;
pub mod diagnostics;
pub mod egress;
pub mod events;
pub mod folders;
pub mod io;
pub mod limits;
pub mod mesh;
pub mod message;
pub mod process;
pub mod queue;
pub mod sandbox;
pub mod shard;
pub mod simulation;
pub mod sockets;
pub mod spool;
pub mod start;

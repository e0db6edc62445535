//! The ringmta engine: its stages put together. Nothing but this crate names every stage.
//!
//! # A message's way, by crate
//! - `ringmta-io` the seam to the outside, real or simulated · `ringmta-http`, `ringmta-smtp` protocols
//! - `ringmta-accept` from a socket to a durable message · `ringmta-spool` the durable store
//! - `ringmta-queue` what waits, and why · `ringmta-shard` what all stages may do with it
//! - `ringmta-egress` from a queue to the next hop · `ringmta-events` what happened, told
//! - `ringmta-sandbox` the inbox of `ringmta dev` · `ringmta-simulation` runs of all this in worlds made from a seed
//!
//! # Layout of this crate
//! - [`start`] brings an engine up · [`core`] one shard's stages
//! - [`folders`] where it writes · [`confine`] and nowhere else
//! - [`control`] HTTP API, metrics, admin · [`console`] the page for operators · [`cli`] the command line · [`diagnostics`] what it says on stderr
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod cli;
pub mod confine;
pub mod console;
pub mod control;
pub mod core;
pub mod diagnostics;
pub mod folders;
pub mod limits;
pub mod start;
pub mod start_checks;

//! The ringmta engine.
//!
//! # Layout (in the order of a message's way)
//! - [`limits`]: every numeric limit, its unit and its reason
//! - [`io`]: the seam to the outside: time, tasks, network, disk

pub mod control;
pub mod io;
pub mod limits;
pub mod sandbox;

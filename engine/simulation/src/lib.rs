//! Runs of the engine, or parts of it, in simulated worlds, each from a seed, each checked against
//! what was promised.
//!
//! Layout: [`spool`] partitions alone: tasks that store, attempt and finish, crashes at any
//! operation, damage · [`engine`] a whole engine between clients and next hops · [`failure`] what a
//! run that failed says · [`options`] what is simulated, and how · [`run`](mod@run) one seed.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod engine;
pub mod failure;
pub mod options;
pub mod run;
pub mod spool;
#[cfg(test)]
mod tests;

pub use failure::Failure;
pub use options::{Kind, Options, Summary};
pub use run::run;

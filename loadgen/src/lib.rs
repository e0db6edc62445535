//! Load generator for mail transfer agents: a traffic source, a fast sink with faults on demand, and a ledger
//! that proves that nothing was lost between the two.
//!
//! It shares no SMTP code with the engine, so that neither confirms the other's mistakes.
//!
//! # Layout
//! - [`cli`]: the command line
//! - [`source`]: sends messages and measures; [`sink`]: accepts messages, or fails them on demand
//! - [`verify`]: compares what was acknowledged with what arrived
//! - [`ledger`]: the line formats of both, their writer and their reader
//! - [`wire`], [`tls`]: one non-blocking connection, plain or encrypted
//! - [`units`], [`weighted`], [`rng`], [`clock`], [`stop`]: small tools
//! - [`limits`]: every numeric limit
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod cli;
pub mod clock;
pub mod ledger;
pub mod limits;
pub mod rng;
pub mod sink;
pub mod source;
pub mod stop;
pub mod tls;
pub mod units;
pub mod verify;
pub mod weighted;
pub mod wire;

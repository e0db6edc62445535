//! Mail comes in: from a socket to a durable message, over ESMTP and HTTP.
//!
//! [`start`] the tasks of this stage · [`listener`] sockets and balance · [`serve`] one session's I/O and policy, [`hearing`] its waits, [`farewell`] its end · [`receive`] a transaction becomes messages, [`store`]
//! makes them durable ·
//! [`login`] who sends them · [`origin`] where they came from · [`relay`] who may relay, [`peer_limits`] and how much · [`received`] that a message was received, [`reports`] bounces and complaints to be logged · [`deferred`] mail that policy sees only later ·
//! [`log_records`] events of hooks, which become messages · [`room`] disks that are full · [`inject`] mail that comes over HTTP.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod data_clock;
pub mod deferred;
mod farewell;
mod followed;
mod hearing;
pub mod inject;
pub mod limits;
pub mod listener;
pub mod log_records;
pub mod login;
pub mod origin;
pub mod peer_limits;
pub mod receive;
pub mod received;
pub mod relay;
pub mod reports;
pub mod room;
pub mod serve;
pub mod start;
pub mod store;
mod watched;

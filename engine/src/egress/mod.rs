//! From a ready queue to the next hop.
//!
//! Layout: [`dispatch`] the one place a delivery starts · [`plan`] hosts of a site · [`resolve`]
//! DNS · [`lease`] limits over all shards, [`leases`] what one connection
//! holds of them · [`connect`] a connection opened · [`session`] its
//! transactions · [`conversation`], [`client`] and [`reply`] the protocol without I/O · [`lua`] mail
//! that a policy's own connection takes · [`outcome`] what becomes of a message, [`undelivered`]
//! of one that no peer has seen.

pub mod client;
pub mod client_tls;
pub mod connect;
pub mod conversation;
pub mod dead_hosts;
pub mod dispatch;
pub mod health;
pub mod hosts;
pub mod lease;
pub mod leases;
pub mod lua;
pub mod mta_sts;
pub mod outcome;
pub mod plan;
pub mod proxy;
pub mod questions;
pub mod reply;
pub mod resolve;
pub mod session;
pub mod undelivered;
pub mod wire;

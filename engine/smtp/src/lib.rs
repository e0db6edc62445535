//! SMTP in both directions (RFC 5321), as machines without I/O: bytes in, actions out.
//!
//! [`server`] the side that receives mail · [`client`] the side that delivers it · [`reply`] what we answer, the one place
//! where an error becomes a reply · [`response`] what a peer has answered · [`proxy_header`] the PROXY protocol in front of a
//! session · [`trace`] Received and trace headers · [`dates`] of headers and records · [`ids`] of
//! messages · [`international`] SMTPUTF8 · [`lines`] line ends · [`via`]
//! the connection a delivery went over, as records tell it.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod client;
pub mod dates;
pub mod ids;
pub mod international;
pub mod limits;
pub mod lines;
pub mod proxy_header;
pub mod reply;
pub mod response;
pub mod server;
pub mod trace;
pub mod via;

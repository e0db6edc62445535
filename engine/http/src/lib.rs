//! HTTP/1.1 glue, mostly a server's: hyper's protocol (a client's is ureq's) over our sockets, with our limits and deadlines.
//!
//! A handler is given a whole [`Request`] (its body read within limit and deadline) and gives
//! back a [`Response`]. Everything runs in the task that awaits [`serve`] or [`listen`]; dropping
//! that future ends all of its connections.
//!
//! Who may ask is decided by the listener's [`Gate`] on the head of a request, before its body is read.
//!
//! - [`server`] accepts connections, `acceptor` is its loop; [`options`] their limits, [`gate`] who may ask
//! - `driver` one connection from first byte to close; `adaptor` our socket as hyper sees it; `link` what a connection's
//!   parts tell each other
//! - [`client`] requests of ours to other servers, `exchange` one of them on its connection, [`answer`] the bytes of both,
//!   `failure` why there is none
//! - [`page`] a page of ours, with its policy
//! - [`types`] request and response; `body` a request's body, `json_field` which field of it is wrong; [`browser`] requests of
//!   other sites' pages
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod acceptor;
mod adaptor;
pub mod answer;
mod body;
pub mod browser;
pub mod client;
mod driver;
mod exchange;
mod failure;
pub mod gate;
mod json_field;
pub mod limits;
mod link;
pub mod options;
pub mod page;
pub mod server;
pub mod types;
pub mod websocket;

pub use acceptor::accept_each;
pub use driver::{serve, serve_with};
pub use gate::{open_gate, Gate};
pub use hyper::body::Bytes;
pub use hyper::header;
pub use hyper::http;
pub use hyper::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
pub use options::Options;
pub use server::{listen, listen_behind, listen_within};
pub use types::{Body, Query, Request, Response, Upgraded};

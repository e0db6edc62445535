//! The sandbox inbox of `ringmta dev` and `ringmta sandbox`: an SMTP server that delivers to
//! nobody, and a web page and an API (Mailpit's) to see what came.
//!
//! Layout: `capture` SMTP side · `message` and `mime` what is known of a message · [`captured`] one that is kept · `store` the
//! bounded memory · `search` its grammar · `events` who is told of changes · `web` routes ·
//! `api`, `json`, `lists`, `send`, `view`, `peek`, `links`, `dkim_key`, `socket` the answers · `receiver` the dev webhook receiver, `delivery` how its events came,
//! `replay` them told again. · [`server`] all of
//! it as it runs.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod api;
pub mod capture;
pub mod captured;
mod delivery;
mod dkim_key;
mod events;
mod json;
pub mod limits;
mod links;
mod lists;
pub mod message;
mod mime;
mod peek;
pub mod receiver;
mod replay;
mod search;
mod send;
pub mod server;
pub mod socket;
pub mod store;
mod view;
mod web;

pub use server::{run, run_on, Bound, SandboxConfig, Sockets};

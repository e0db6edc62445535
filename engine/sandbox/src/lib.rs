//! The sandbox inbox of `ringmta dev` and `ringmta sandbox`: an SMTP server that delivers to
//! nobody, and a web page and an API (Mailpit's) to see what came.
//!
//! Layout: [`settings`] what it is told to be, [`place`] where · `capture` SMTP side · [`message`] and `mime` (over its `heads`; `html_text` of HTML) what is known of a message, `start` of long texts ·
//! [`captured`] one that is kept · [`store`] all of them, asked by [`choice`], in memory (`ring`) or on disk (`database`) · `search` its grammar ·
//! [`tags`] their spelling · `events` who is told of changes · `web` routes, `cors` who may ask them, [`passwords`] logins ·
//! `api`, `api_messages`, `api_message`, `api_tags`, `json`, `lists`, `send`, `view`, `peek`, `links`, `dkim_key`, `socket`, `openapi` (with the `schema` of its `models`), `metrics`, `proxy` (and its `codes`) the
//! answers · `html_check`, `link_check`, `spam_check`, `thumbnail` looks at a message, long ones `beside` the shard · [`relay`], `release`, `rewrite`, [`webhook`]
//! what leaves, `cram_md5` a login at a relay, `offload` its threads · [`chaos`] errors on purpose · `pop3` a mailbox · [`receiver`] the dev webhook receiver, `delivery` how its events came, `replay` them told again · [`server`] all of it
//! as it runs.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod api;
mod api_message;
mod api_messages;
mod api_tags;
mod beside;
mod capture;
pub mod captured;
pub mod chaos;
pub mod choice;
mod codes;
pub mod cors;
mod cram_md5;
pub mod database;
mod delivery;
mod dkim_key;
mod events;
mod heads;
mod html_check;
mod html_text;
mod json;
pub mod limits;
mod link_check;
mod links;
mod lists;
pub mod message;
mod metrics;
mod mime;
mod models;
mod offload;
mod openapi;
pub mod passwords;
mod peek;
pub mod place;
mod pop3;
mod proxy;
pub mod receiver;
pub mod relay;
pub mod release;
mod replay;
pub mod rewrite;
mod ring;
mod schema;
pub mod search;
mod send;
pub mod server;
pub mod settings;
pub mod socket;
mod spam_check;
mod start;
pub mod store;
#[cfg(test)]
mod store_tests;
pub mod tags;
mod thumbnail;
mod view;
mod web;
pub mod webhook;

pub use server::{run, run_on, Bound, SandboxConfig, Sockets};
pub use settings::Settings;

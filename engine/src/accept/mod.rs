//! ESMTP in: from a socket to a durable message.
//!
//! Layout: [`listener`] sockets and balance · [`serve`] one session's I/O and policy ·
//! [`session`] the protocol itself, without I/O, with a file per verb ([`ehlo`], [`starttls`], [`auth`],
//! [`mail`], [`rcpt`], [`data`]; [`parameters`]) · [`kept`] what of a command is kept · [`memory`] what clients may take of it · [`command`] the command line · [`dot_reader`] the end-of-data
//! rule · [`reply`] the one place an error becomes a reply · [`receive`] a transaction becomes
//! durable messages · [`relay`] who may relay · [`guesses`] wrong passwords · [`patience`] what a session bears · [`reports`] bounces and complaints to be logged ·
//! [`deferred`] mail that policy sees only later · [`proxy_protocol`], [`xclient`] clients behind a front end · [`stopping`] the stop told to sessions · [`inject`] mail that comes over HTTP.

pub mod auth;
pub mod buffer;
pub mod command;
pub mod data;
pub mod deferred;
pub mod dot_reader;
pub mod ehlo;
pub mod guesses;
pub mod inject;
pub mod kept;
pub mod listener;
pub mod mail;
pub mod memory;
pub mod parameters;
pub mod patience;
pub mod proxy_protocol;
pub mod rcpt;
pub mod receive;
pub mod relay;
pub mod reply;
pub mod reports;
pub mod room;
pub mod serve;
pub mod session;
pub mod starttls;
pub mod stopping;
pub mod xclient;

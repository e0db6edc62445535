//! The server's side of SMTP, without I/O.
//!
//! [`session`] the protocol, with a file per verb ([`ehlo`], [`starttls`], [`auth`], [`mail`], [`rcpt`], [`data`], [`xclient`];
//! [`parameters`]) · [`vocabulary`] what it and its driver say to each other · [`command`] the command line · [`dot_reader`]
//! the end-of-data rule · [`buffer`] what was received · [`redact`] what of a command is kept · [`patience`] what a session
//! bears · [`guesses`] wrong passwords per peer · [`peers`] what a peer has open and has done.

pub mod auth;
pub mod buffer;
pub mod command;
pub mod data;
pub mod dot_reader;
pub mod ehlo;
pub mod guesses;
pub mod mail;
pub mod parameters;
pub mod patience;
pub mod peers;
pub mod rcpt;
pub mod redact;
pub mod session;
pub mod starttls;
pub mod vocabulary;
pub mod xclient;

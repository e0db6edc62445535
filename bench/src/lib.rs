//! Measures mail engines side by side, in alternation, with the same source and sink.
//!
//! Layout: [`cell`] what is measured · [`engine`] how each engine is started · [`postfix`] its
//! private configuration · [`webhook`] a receiver that says yes · [`proc`] what the kernel knows
//! of a tree of processes · [`run`] one measurement · [`report`] table, CSV and JSON · [`plot`]
//! pictures · [`limits`] waits and sizes.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod cell;
pub mod engine;
pub mod limits;
pub mod plot;
pub mod postfix;
pub mod proc;
pub mod report;
pub mod run;
pub mod webhook;

//! Measures mail engines side by side, in alternation, with the same source and sink.
//!
//! Layout: [`cell`] what is measured · [`engine`] how each engine is started · [`postfix`] its
//! private configuration · [`webhook`] a receiver that says yes · [`source`], [`sink`] who sends and
//! who takes · [`proc`] what the kernel knows of a tree of processes · [`perf`] what it counts and
//! samples · [`run`] one measurement · [`report`] table, CSV and JSON · [`conditions`] where it was
//! measured · [`plot`] pictures · [`stacks`] profiles, [`steps`] which part of the engine a sample
//! belongs to, [`budget`] the table of that · [`child`] programs that are run · [`limits`] waits and
//! sizes.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod budget;
pub mod cell;
pub mod child;
pub mod conditions;
pub mod engine;
pub mod limits;
pub mod perf;
pub mod plot;
pub mod postfix;
pub mod proc;
pub mod report;
pub mod run;
pub mod sink;
pub mod source;
pub mod stacks;
pub mod steps;

pub mod webhook;

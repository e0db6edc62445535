//! Checking a policy as a start would, and further: all findings, not only the first.
//!
//! Layout: [`check`] (all of it), `lex` (tokens of Lua sources), `scan` (names the host does not know, files that are not there), `run`
//! (start-up and the configuration events, with every bad option collected), `report` (what comes of it).

mod check;
mod lex;
mod report;
mod run;
mod scan;
#[cfg(test)]
mod tests;

pub use crate::vm::finding::{Finding, Grade};
pub use check::check;
pub use report::Report;

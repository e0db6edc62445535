//! Checking a policy as a start would, and further: all findings, not only the first.
//!
//! Layout: [`check`] (all of it), `lex` (tokens of Lua sources), `tree` (the files they are in), `scan` (names the host does not
//! know, files that are not there), `keys` (key files that cannot be used), `run` (start-up and the configuration events, with
//! every bad option collected), `report` (what comes of it).

mod check;
mod keys;
mod lex;
mod report;
mod run;
mod scan;
#[cfg(test)]
mod tests;
mod tree;

pub use crate::vm::finding::{Finding, Grade};
pub use check::check;
pub use keys::unusable_keys;
pub use report::Report;

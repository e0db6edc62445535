//! Lua patterns (Lua 5.4 manual, section 6.4.1) that cannot hold a shard.
//!
//! Lua's own matcher backtracks inside a C function, where no hook of the VM fires: `('a*'):rep(30)` against a few dozen
//! letters would run for years. A pattern that is cheap whatever the text goes to Lua's own, the rest to one that counts
//! its steps and answers the same.

mod cost;
mod install;
mod matcher;
mod set;
#[cfg(test)]
mod tests;

pub(crate) use install::install;

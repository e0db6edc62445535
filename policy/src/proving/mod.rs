//! `ringmta test`: runs `*_test.lua` files against an operator's tree, without sockets, spools or a clock that waits.
//!
//! Each file gets a VM of its own in which the tree was loaded and `init` was fired. Sessions and messages are made up; DNS is
//! answered from `kumo.dns.configure_test_resolver`, HTTP from the test.

mod case_files;
mod host;
mod lua;
#[cfg(test)]
mod tests;

pub use case_files::{find, policy_of, run, Case, Outcome};

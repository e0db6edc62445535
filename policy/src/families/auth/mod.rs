//! Checks of who sent a message: DKIM (RFC 6376), SPF (RFC 7208), DMARC (RFC 7489), ARC (RFC 8617).
//!
//! Every DNS question goes through the engine's resolver, or the zones of a test.

mod arc;
mod dkim;
mod dmarc;
#[cfg(test)]
mod independent_tests;
mod key;
pub(crate) mod lua;
pub(crate) mod results;
mod spf;
mod spf_macro;
mod tags;

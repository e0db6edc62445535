//! Templates that strangers may have written, or that are filled with what strangers have sent: all bounded.
//!
//! The engines behind them recurse over what they parse, and an overflow of the stack ends the process; so the length and
//! nesting of a template are checked before it is parsed. Rendering runs on a shard's thread: its steps, the bytes it moves
//! and what it makes are counted, so that it ends in time whatever the template says.
//!
//! Layout: [`shape`] what is refused before parsing · [`budget`] what a rendering may use · [`filtered`] filters whose arguments and
//! results are counted · [`jinja`], [`handlebars`] the dialects · [`pythonic`] what Jinja has from Python · [`compiled`] a template of
//! any of them · [`log_line`] templates of the operator's own, for lines of logs.

mod budget;
mod compiled;
mod filtered;
mod handlebars;
mod jinja;
pub mod log_line;
mod pythonic;
mod shape;
#[cfg(test)]
mod tests;

pub use compiled::{Dialect, Template};

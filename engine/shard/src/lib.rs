//! State of one core, and what all stages may do with it.
//!
//! - [`state`] the shard · [`process`] what shards share · [`mesh`] all that crosses between them · [`totals`] its numbers
//! - [`entry`] how a message comes into the queues · [`flow`] its way to a ready queue · [`admit`] where it meets orders ·
//!   [`places`] where it lies · [`timers`] what time does
//! - [`delivery`] a message in the hand of a delivery · [`retry`] tried again · [`unsent`] what no peer has seen ·
//!   [`work`] the list of those · [`ending`] how it ends
//! - [`answers`] what injections with a key were answered · [`logins`] who is guessing · [`accounting`] who was let in · [`volumes`] how much mail
//! - [`leases`] what a connection holds of limits · [`order_counts`] what bounces have failed, kept · [`listener_tls`],
//!   [`certificates`] TLS of listeners · [`check`] whether everything is where it belongs
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod accounting;
pub mod admit;
pub mod answers;
pub mod certificates;
pub mod check;
pub mod console;
pub mod delivery;
pub mod ending;
pub mod entry;
pub mod flow;
pub mod leases;
pub mod limits;
pub mod listener_tls;
pub mod logins;
pub mod mesh;
pub mod order_counts;
pub mod places;
pub mod process;
mod queue_totals;
pub mod rebind;
pub mod retry;
pub mod state;
pub mod timers;
pub mod totals;
pub mod trace;
pub mod unsent;
pub mod volumes;
pub mod work;

pub use process::Process;
pub use state::Shard;

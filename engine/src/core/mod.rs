//! One core: the stages of one shard put together, and the order in which they start and stop.
//!
//! [`stages`] what a core has · [`start`] its start · [`stop`] its stop · [`letters`] what each letter does · [`hooks`] the
//! hooks the policy asked for · [`host`] what a policy may ask of its shard.

mod hooks;
mod host;
mod letters;
mod policy_http;
mod stages;
mod start;
mod stop;

pub use stages::Core;
pub use start::{run, serve, start};

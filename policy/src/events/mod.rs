//! The events the engine fires, each with its types: [`smtp`] those of sessions and injection, [`queue`] those of queues and logs.

pub mod access;
pub mod queue;
pub mod smtp;

//! `kumo.nats`: messages published and requested.

pub(crate) mod client;
pub(crate) mod lua;

//! `kumo.amqp`: messages published with confirmation.

pub(crate) mod client;
mod frames;
pub(crate) mod lua;
pub(crate) mod options;
#[cfg(test)]
pub(crate) mod stand_in;
mod uri;

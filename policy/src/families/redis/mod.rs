//! The module `redis`, and throttles shared through it.

pub(crate) mod client;
pub(crate) mod lua;

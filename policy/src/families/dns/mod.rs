//! `kumo.dns`: look-ups, and resolvers by name.

pub(crate) mod lua;
mod named_resolver;

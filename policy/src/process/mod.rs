//! What all shards of a process share: [`shared`] holds it.

pub mod access;
pub mod helpers;
pub(crate) mod memo;
pub(crate) mod named_objects;
pub mod shared;

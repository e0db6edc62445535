//! Limits that hold over all shards: [`lease`] connections and rates by name, [`health`] sources that are left alone.

pub mod health;
pub mod lease;

//! The faces to operators: HTTP API, metrics, admin.
//!
//! Layout: [`http`] HTTP/1.1 over the shard's sockets · [`api`] the paths · [`admin`] orders over
//! all shards · [`orders`] an order on one shard · [`inspect`] questions about one shard ·
//! [`hooks`] hooks and their dead letters · [`ask`] questions to all shards · [`reload`] the policy anew on all of them · [`auth`] who may.

pub mod admin;
pub mod api;
pub mod ask;
pub mod auth;
pub mod hooks;
pub mod inspect;
mod machine;
pub mod orders;
pub mod policy_calls;
pub mod reload;

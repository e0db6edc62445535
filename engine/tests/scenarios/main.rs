//! Scenarios: each starts the real binary and talks to it over sockets. One program holds them
//! all, so that they are linked once: `cargo test --test scenarios next_hops` runs one module.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod sandbox_support;
mod support;

mod bad_input;
mod client_certificates;
mod confinement;
mod deferred_queue;
mod delivery;
mod dns;
mod doors;
mod events;
mod front_ends;
mod hook_queues;
mod hook_trees;
mod http_api;
mod idle;
mod injection;
mod limits;
mod listener_certificates;
mod log_lines;
mod mta_sts;
mod mx_hosts;
mod next_hops;
mod operators;
mod peers;
mod policy;
mod privileges;
mod proxies;
mod queues;
mod reception;
mod reports;
mod sandbox_api;
mod sandbox_http;
mod sandbox_smtp;
mod scheduling;
mod secrets;
mod smtp_in;
mod sources;
mod spool_damage;
mod spool_recovery;
mod spool_versions;
mod stalls;
mod tenants;
mod webhooks;

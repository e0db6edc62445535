//! The functions of `kumo`, one file or folder per family. In a folder, `lua` is what a policy sees and `client` is what does it;
//! [`register`] puts all into a VM.

pub(crate) mod aaa;
pub(crate) mod amqp;
pub(crate) mod api;
pub(crate) mod auth;
pub(crate) mod classifier;
pub(crate) mod configuration;
pub(crate) mod core;
pub(crate) mod counter_series;
pub(crate) mod crypto;
pub(crate) mod declared;
pub(crate) mod digest;
pub(crate) mod dkim;
pub(crate) mod dns;
pub(crate) mod encode;
pub(crate) mod file_type;
pub(crate) mod files;
pub(crate) mod http;
pub(crate) mod invoke;
pub(crate) mod jsonl;
pub(crate) mod kafka;
pub(crate) mod keys;
pub(crate) mod maps;
pub(crate) mod memoize;
pub(crate) mod message;
pub(crate) mod mime;
pub(crate) mod mpsc;
pub(crate) mod nats;
pub(crate) mod plain_forms;
pub(crate) mod redis;
pub(crate) mod refused;
pub(crate) mod regex;
pub(crate) mod regex_map;
pub(crate) mod register;
pub(crate) mod serde;
pub(crate) mod shaping;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
pub(crate) mod string;
#[cfg(test)]
mod tests;
pub(crate) mod throttle;
pub(crate) mod time;
pub(crate) mod uuid;

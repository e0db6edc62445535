//! The `kumo` module, one file per family of functions.

mod address_header;
mod amqp_lua;
mod api;
mod auth;
pub(crate) mod classifier;
mod configs;
pub(crate) mod confined;
mod conformance;
pub(crate) mod core;
pub(crate) mod crypto;
mod digest;
mod dkim_lua;
pub(crate) mod dns;
mod encode;
mod file_type;
mod fs;
pub(crate) mod glob;
mod headermap;
pub(crate) mod http;
mod http_form;
mod import;
mod invoke;
mod jsonl;
#[cfg(feature = "kafka")]
mod kafka_lua;
mod keys;
pub(crate) mod make;
mod maps;
pub(crate) mod memoize;
mod mimepart;
mod msg;
mod named_resolver;
mod nats_lua;
pub(crate) mod objects;
pub(crate) mod redis_lua;
pub(crate) mod refused;
mod regex;
mod regex_map;
pub(crate) mod serde;
mod shaping;
pub(crate) mod shared_objects;
mod shim;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
mod string;
mod template;
mod throttle;
mod time;
pub(crate) mod tuning;
pub(crate) mod userdata;
mod uuid;
pub(crate) mod websocket;

use std::rc::Rc;

use mlua::{Lua, Result, Table};

pub(crate) use keys::load as load_key;

use crate::vm::Ctx;

/// Builds the module table in a VM.
pub(crate) fn build(lua: &Lua, ctx: &Rc<Ctx>) -> Result<Table> {
    let kumo = lua.create_table()?;
    userdata::register(lua)?;
    core::register(lua, &kumo, ctx)?;
    make::register(lua, &kumo, ctx)?;
    tuning::register(lua, &kumo, ctx)?;
    memoize::register(lua, &kumo, ctx)?;
    throttle::register(lua, &kumo, ctx)?;
    serde::register(lua, &kumo)?;
    encode::register(lua, &kumo)?;
    digest::register(lua, &kumo)?;
    keys::register(lua, &kumo)?;
    configs::register(lua, &kumo)?;
    file_type::register(lua, &kumo)?;
    jsonl::register(lua, &kumo)?;
    nats_lua::register(lua, &kumo)?;
    mimepart::register(lua, &kumo)?;
    auth::register(lua, &kumo)?;
    crypto::register(lua, &kumo)?;
    redis_lua::register(lua, &kumo)?;
    shared_objects::register(lua, &kumo)?;
    time::register(lua, &kumo)?;
    string::register(lua, &kumo)?;
    uuid::register(lua, &kumo)?;
    dkim_lua::register(lua, &kumo, ctx)?;
    http::register(lua, &kumo, ctx)?;
    maps::register(lua, &kumo)?;
    regex::register(lua, &kumo)?;
    invoke::register(lua, &kumo)?;
    fs::register(lua, &kumo)?;
    api::register(lua, &kumo)?;
    shaping::register(lua, &kumo)?;
    classifier::register(lua, &kumo, ctx)?;
    regex_map::register(lua, &kumo)?;
    amqp_lua::register(lua, &kumo)?;
    #[cfg(feature = "kafka")]
    kafka_lua::register(lua, &kumo)?;
    refused::register(lua, &kumo)?;
    Ok(kumo)
}

//! The module `kumo`, put together in a VM.

use std::rc::Rc;

use mlua::{Lua, Result, Table};

use super::*;
use crate::vm::Ctx;

/// Builds the module table in a VM.
pub(crate) fn kumo_module(lua: &Lua, ctx: &Rc<Ctx>) -> Result<Table> {
    let kumo = lua.create_table()?;
    message::objects::register(lua)?;
    core::register(lua, &kumo, ctx)?;
    configuration::constructors::register(lua, &kumo, ctx)?;
    configuration::tuning::register(lua, &kumo, ctx)?;
    aaa::lua::register(lua, &kumo, ctx)?;
    memoize::register(lua, &kumo, ctx)?;
    throttle::register(lua, &kumo, ctx)?;
    serde::register(lua, &kumo)?;
    encode::register(lua, &kumo)?;
    digest::register(lua, &kumo)?;
    keys::register(lua, &kumo)?;
    configuration::configs::register(lua, &kumo)?;
    file_type::register(lua, &kumo)?;
    jsonl::lua::register(lua, &kumo)?;
    nats::lua::register(lua, &kumo)?;
    mime::lua::register(lua, &kumo)?;
    auth::lua::register(lua, &kumo)?;
    crypto::register(lua, &kumo)?;
    redis::lua::register(lua, &kumo)?;
    mpsc::lua::register(lua, &kumo)?;
    counter_series::lua::register(lua, &kumo)?;
    time::register(lua, &kumo)?;
    string::lua::register(lua, &kumo)?;
    uuid::register(lua, &kumo)?;
    dkim::lua::register(lua, &kumo, ctx)?;
    http::lua::register(lua, &kumo, ctx)?;
    maps::register(lua, &kumo)?;
    regex::register(lua, &kumo)?;
    invoke::register(lua, &kumo)?;
    files::lua::register(lua, &kumo)?;
    api::register(lua, &kumo)?;
    shaping::lua::register(lua, &kumo)?;
    classifier::register(lua, &kumo, ctx)?;
    regex_map::register(lua, &kumo)?;
    amqp::lua::register(lua, &kumo)?;
    #[cfg(feature = "kafka")]
    kafka::lua::register(lua, &kumo)?;
    refused::register(lua, &kumo)?;
    Ok(kumo)
}

//! The `kumo` module, one file per family of functions.

pub(crate) mod core;
pub(crate) mod make;
mod msg;
pub(crate) mod objects;
mod userdata;

use std::rc::Rc;

use mlua::{Lua, Result, Table};

use crate::vm::Ctx;

/// Builds the module table in a VM.
pub(crate) fn build(lua: &Lua, ctx: &Rc<Ctx>) -> Result<Table> {
    let kumo = lua.create_table()?;
    core::register(lua, &kumo, ctx)?;
    make::register(lua, &kumo, ctx)?;
    Ok(kumo)
}

//! Registration, control flow and diagnostics.

use std::rc::Rc;

use mlua::{Error, Function, Lua, MultiValue, Result, Table, Value, Variadic};

use crate::error::{Disconnect, Rejection};
use crate::events_table;
use crate::lua_value::{display, to_plain};
use crate::options::{Notes, OptionValue};
use crate::vm::Ctx;

pub(crate) fn register(lua: &Lua, kumo: &Table, ctx: &Rc<Ctx>) -> Result<()> {
    kumo.set("version", concat!("ringmta ", env!("CARGO_PKG_VERSION")))?;
    let c = ctx.clone();
    kumo.set(
        "on",
        lua.create_function(move |lua, (event, f): (String, Function)| on(lua, &c, event, f))?,
    )?;
    kumo.set(
        "reject",
        lua.create_function(|_, (code, text): (i64, String)| reject(code, text, None))?,
    )?;
    kumo.set(
        "disconnect",
        lua.create_function(|_, (code, text, how): (i64, String, Value)| {
            let how = match how {
                Value::Nil => Disconnect::FollowWith421,
                v => Disconnect::parse(&to_plain(&v)?, &mut Notes::default())
                    .map_err(Error::runtime)?,
            };
            reject(code, text, Some(how))
        })?,
    )?;
    logging(lua, kumo, ctx)
}

fn on(lua: &Lua, ctx: &Rc<Ctx>, event: String, f: Function) -> Result<()> {
    if let Some(advice) = events_table::advice(&event) {
        ctx.shared.warn_once(&advice);
    }
    let key = lua.create_registry_value(f)?;
    ctx.handlers.borrow_mut().entry(event).or_default().push(key);
    Ok(())
}

fn reject(code: i64, text: String, disconnect: Option<Disconnect>) -> Result<()> {
    let code = u16::try_from(code).ok().filter(|c| (400..=599).contains(c));
    let Some(code) = code else {
        return Err(Error::runtime("kumo.reject: the code must be from 400 to 599"));
    };
    Err(Error::external(Rejection { code, text, disconnect }))
}

/// All arguments as one line, as `print` would show them.
fn line(args: &MultiValue) -> String {
    args.iter().map(display).collect::<Vec<_>>().join(" ")
}

fn logging(lua: &Lua, kumo: &Table, ctx: &Rc<Ctx>) -> Result<()> {
    let shard = ctx.host.shard();
    kumo.set(
        "log_error",
        lua.create_function(move |_, a: MultiValue| Ok(tracing::error!(shard, "{}", line(&a))))?,
    )?;
    kumo.set(
        "log_warn",
        lua.create_function(move |_, a: MultiValue| Ok(tracing::warn!(shard, "{}", line(&a))))?,
    )?;
    kumo.set(
        "log_info",
        lua.create_function(move |_, a: MultiValue| Ok(tracing::info!(shard, "{}", line(&a))))?,
    )?;
    kumo.set(
        "log_debug",
        lua.create_function(move |_, a: MultiValue| Ok(tracing::debug!(shard, "{}", line(&a))))?,
    )?;
    let print = lua.create_function(move |_, a: Variadic<Value>| {
        let text = a.iter().map(display).collect::<Vec<_>>().join("\t");
        Ok(tracing::info!(shard, "{text}"))
    })?;
    lua.globals().set("print", print)
}

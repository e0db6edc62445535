//! Start-up calls and the constructors of configuration objects.

use std::rc::Rc;
use std::sync::Arc;

use mlua::{Lua, Result, Table, Value};

use super::objects::{Made, OptionObject};
use crate::lua_value::to_plain;
use crate::options::*;
use crate::plain::Plain;
use crate::vm::Ctx;

/// Reads an option table given to `call`; warnings are logged once per process.
pub(crate) fn options<T: OptionTable>(ctx: &Ctx, v: &Plain) -> Result<T> {
    let mut notes = Notes::default();
    let parsed = T::parse(v, &mut notes);
    notes.warnings.iter().for_each(|w| ctx.shared.warn_once(w));
    parsed.map_err(|e| mlua::Error::runtime(format!("{}: {e}", T::CALL)))
}

fn constructor<T: OptionTable>(
    lua: &Lua,
    kumo: &Table,
    ctx: &Rc<Ctx>,
    name: &str,
    prepare: fn(Plain) -> Plain,
) -> Result<()> {
    let ctx = ctx.clone();
    let f = lua.create_function(move |_, v: Value| {
        let typed: T = options(&ctx, &prepare(to_plain(&v)?))?;
        Ok(OptionObject(Arc::new(Made::new(typed))))
    })?;
    kumo.set(name, f)
}

fn at_init<T: OptionTable>(
    lua: &Lua,
    kumo: &Table,
    ctx: &Rc<Ctx>,
    name: &'static str,
    store: fn(&mut crate::InitConfig, T) -> std::result::Result<(), String>,
) -> Result<()> {
    let ctx = ctx.clone();
    let f = lua.create_function(move |_, v: Value| {
        ctx.require_init(name)?;
        let typed: T = options(&ctx, &to_plain(&v)?)?;
        store(&mut ctx.init.borrow_mut(), typed)
            .map_err(|e| mlua::Error::runtime(format!("kumo.{name}: {e}")))
    })?;
    kumo.set(name, f)
}

fn unique<T>(
    list: &mut Vec<T>,
    item: T,
    what: &str,
    key: impl Fn(&T) -> String,
) -> std::result::Result<(), String> {
    let name = key(&item);
    if list.iter().any(|i| key(i) == name) {
        return Err(format!("there is already a {what} `{name}`"));
    }
    list.push(item);
    Ok(())
}

pub(crate) fn register(lua: &Lua, kumo: &Table, ctx: &Rc<Ctx>) -> Result<()> {
    constructor::<QueueConfig>(lua, kumo, ctx, "make_queue_config", |p| p)?;
    constructor::<EgressPath>(lua, kumo, ctx, "make_egress_path", |p| p)?;
    constructor::<EgressSource>(lua, kumo, ctx, "make_egress_source", |p| p)?;
    constructor::<EgressPool>(lua, kumo, ctx, "make_egress_pool", |p| p)?;
    constructor::<ListenerDomain>(lua, kumo, ctx, "make_listener_domain", |p| {
        ListenerDomain::normalise(&p)
    })?;
    at_init::<EsmtpListener>(lua, kumo, ctx, "start_esmtp_listener", |c, t| {
        c.esmtp_listeners.push(t);
        Ok(())
    })?;
    at_init::<HttpListener>(lua, kumo, ctx, "start_http_listener", |c, t| {
        c.http_listeners.push(t);
        Ok(())
    })?;
    at_init::<Spool>(lua, kumo, ctx, "define_spool", |c, t| {
        unique(&mut c.spools, t, "spool", |s| s.name.clone())
    })?;
    at_init::<LocalLogs>(lua, kumo, ctx, "configure_local_logs", |c, t| {
        c.local_logs.push(t);
        Ok(())
    })?;
    at_init::<LogHook>(lua, kumo, ctx, "configure_log_hook", |c, t| {
        unique(&mut c.log_hooks, t, "log hook", |h| h.name.clone())
    })?;
    at_init::<HttpLogHook>(lua, kumo, ctx, "configure_http_log_hook", |c, t| {
        unique(&mut c.http_log_hooks, t, "HTTP log hook", |h| h.name.clone())
    })
}

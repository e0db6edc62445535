//! Start-up calls and the constructors of configuration objects.

use std::rc::Rc;
use std::sync::Arc;

use mlua::{Lua, Result, Table, Value};
use ringmta_options::plain::Plain;
use ringmta_options::*;

use crate::vm::context::{Ctx, Mode};
use crate::vm::finding::{Finding, Grade};
use crate::vm::lua_positions::{is_caught, place};
use crate::vm::lua_value::{sections_of, to_plain};
use crate::vm::option_objects::{Made, OptionObject};
use crate::vm::read_options::{notes, options};

/// As [`options`]; while validating, everything that is wrong is noted with its place, and the call goes on without a
/// result, unless the policy itself wants to know whether it fails.
fn checked<T: OptionTable>(lua: &Lua, ctx: &Ctx, v: &Plain) -> Result<Option<T>> {
    if ctx.mode != Mode::Validate || is_caught(lua) {
        return options(ctx, v).map(Some);
    }
    let problems = T::problems(v, notes);
    if problems.is_empty() {
        return options(ctx, v).map(Some);
    }
    let (file, line) = place(lua).unwrap_or_default();
    let finding = |e: String| Finding::at(&file, line, Grade::Error, format!("{}: {e}", T::CALL));
    ctx.problems.borrow_mut().extend(problems.into_iter().map(finding));
    Ok(None)
}

fn constructor<T: OptionTable>(
    lua: &Lua,
    kumo: &Table,
    ctx: &Rc<Ctx>,
    name: &str,
    prepare: fn(Plain) -> Plain,
) -> Result<()> {
    let ctx = ctx.clone();
    let f = lua.create_function(move |lua, v: Value| {
        let typed: T = checked(lua, &ctx, &prepare(to_plain(&v)?))?.unwrap_or_default();
        let at = MadeAt { call: T::CALL, place: place(lua), sections: sections_of(&v) };
        Ok(OptionObject(Arc::new(Made::new(typed, at))))
    })?;
    kumo.set(name, f)
}

fn at_init<T: OptionTable>(
    lua: &Lua,
    kumo: &Table,
    ctx: &Rc<Ctx>,
    name: &'static str,
    store: fn(&mut ringmta_options::InitConfig, T) -> std::result::Result<(), String>,
) -> Result<()> {
    let ctx = ctx.clone();
    let f = lua.create_function(move |lua, v: Value| {
        ctx.require_init(name)?;
        let Some(typed) = checked(lua, &ctx, &to_plain(&v)?)? else { return Ok(()) };
        store(&mut ctx.init.borrow_mut(), typed)
            .map_err(|e| mlua::Error::runtime(format!("kumo.{name}: {e}")))
    })?;
    kumo.set(name.rsplit('.').next().unwrap_or(name), f)
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
    let aaa = lua.create_table()?;
    at_init::<AccountingLog>(lua, &aaa, ctx, "aaa.configure_acct_log", |c, t| {
        match c.accounting_log.replace(t) {
            Some(_) => Err("it was called before".into()),
            None => Ok(()),
        }
    })?;
    kumo.set("aaa", aaa)?;
    at_init::<LogHook>(lua, kumo, ctx, "configure_log_hook", |c, t| {
        unique(&mut c.log_hooks, t, "log hook", |h| h.name.clone())
    })?;
    at_init::<LogDispositionHook>(lua, kumo, ctx, "configure_log_disposition_hook", |c, t| {
        unique(&mut c.log_disposition_hooks, t, "log disposition hook", |h| h.name.clone())
    })?;
    at_init::<HttpLogHook>(lua, kumo, ctx, "configure_http_log_hook", |c, t| {
        unique(&mut c.http_log_hooks, t, "HTTP log hook", |h| h.name.clone())
    })
}

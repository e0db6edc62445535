//! Start-up settings, tasks, waiting, and tuning calls that have nothing to tune here.

use std::rc::Rc;
use std::time::Duration;

use mlua::{Error, Lua, MultiValue, Result, Table, Value};
use ringmta_options::{Notes, OptionValue, Throttle};

use crate::families::files::monitor::{default_globs, files};
use crate::vm::declared::FnDef;
use crate::vm::functions::def;
use crate::vm::lua_value::{to_json, to_plain};
use crate::vm::machine::spawn_task;
use crate::vm::{self, Ctx};

/// Calls that are taken and do nothing, with the reason that is logged once.
const NO_EFFECT: &[(&str, &str)] = &[
    ("set_smtpsrv_threads", SHARDS),
    ("set_httpinject_threads", SHARDS),
    ("set_readyq_threads", SHARDS),
    ("set_qmaint_threads", SHARDS),
    ("set_ready_qmaint_threads", SHARDS),
    ("set_spoolin_threads", SHARDS),
    ("set_logging_threads", SHARDS),
    ("spawn_thread_pool", SHARDS),
    ("set_max_spare_lua_contexts", ONE_VM),
    ("set_max_lua_context_use_count", ONE_VM),
    ("set_max_lua_context_age", ONE_VM),
    ("set_lua_gc_on_put", ONE_VM),
    ("set_timeq_spawn_reinsertion", "queues never block a shard"),
    ("set_lruttl_cache_capacity", "caches are sized by the engine"),
    ("set_memory_low_thresh", "bodies leave memory by one budget per shard"),
    ("enable_memory_callstack_tracking", "there is no allocation profiler in the engine"),
    ("suspend_delivery_when_spool_unhealthy", "outcomes are journalled before they count"),
];

const SHARDS: &str = "ringmta runs one shard per core and has no thread pools";
const NO_CHECK_CACHE: &str = "each request is decided anew, by rules that are remembered";
const ONE_VM: &str = "each shard keeps one Lua VM";

/// Why a call such as `kumo.set_smtpsrv_threads` does nothing here.
pub(crate) fn no_effect(path: &str) -> Option<&'static str> {
    let below = path.strip_prefix("kumo.")?;
    if below == "dkim.set_signing_threads" {
        return Some("each shard signs its own mail");
    }
    if below == "aaa.set_check_cache_ttl" {
        return Some(NO_CHECK_CACHE);
    }
    if below.strip_prefix("dns.").is_some_and(|n| NO_EFFECT_DNS.contains(&n)) {
        return Some("each shard resolves and caches on its own");
    }
    NO_EFFECT.iter().find(|(name, _)| *name == below).map(|(_, why)| *why)
}

const NO_EFFECT_DNS: [&str; 3] =
    ["set_mx_concurrency_limit", "set_mx_timeout", "set_mx_negative_cache_ttl"];

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[
    FnDef::new("kumo.available_parallelism", "", "integer", "Processors this process may use."),
    FnDef::new("kumo.bump_config_epoch", "", "", "Has cached configurations asked for again."),
    FnDef::new("kumo.validation_failed", "", "", "Tells `validate` that the policy is not usable."),
    FnDef::new("kumo.traceback", "level?: integer", "any[]", "The frames of the stack."),
    FnDef::new("kumo.get_event_registrars", "event: string", "string[]", "Where the handlers of an event were registered."),
    FnDef::new("kumo.get_memory_{hard_limit,soft_limit,low_thresh}", "", "integer|nil", "A limit that was set, in bytes."),
    FnDef::new("kumo.set_memory_{soft_limit,hard_limit}", "bytes: integer", "", "Memory the bodies of messages may take before they leave it (soft), or new mail is refused (hard)."),
    FnDef::new("kumo.set_config_monitor_globs", "globs: string[]", "", "Names the files that are watched for changes."),
    FnDef::new("kumo.eval_config_monitor_globs", "", "string[]", "The files that are watched."),
    FnDef::new("kumo.configure_accounting_db_path", "path: string", "", "Keeps in an SQLite database how much mail each month has received and delivered; `:memory:` keeps nothing."),
    FnDef::new("kumo.sleep", "time: number|string", "", "Waits."),
    FnDef::new("kumo.spawn_task", "task: table", "", "Fires an event of the policy: `{ event_name = ..., args = ... }`."),
    FnDef::new("kumo.set_diagnostic_log_filter", "filter: string", "", "What diagnostics are written."),
    FnDef::new("kumo.set_httpinject_recipient_rate_limit", "rate?: string", "", "Limits the recipients HTTP injection generates."),
    FnDef::new("kumo.dns.set_mta_sts_enabled", "enabled: boolean", "", "Whether MTA-STS policies are asked for."),
    FnDef::new("kumo.xfer.{cancel_xfer,get_xfer_target}", "msg: any", "any", "Messages stay on their node: there is no target."),
];

pub(crate) fn register(lua: &Lua, kumo: &Table, ctx: &Rc<Ctx>) -> Result<()> {
    for (name, why) in NO_EFFECT {
        let shared = ctx.shared.clone();
        def(lua, kumo, name, move |_, _: MultiValue| {
            shared.warn_once(&format!("kumo.{name} has no effect: {why}"));
            Ok(())
        })?;
    }
    waiting(lua, kumo)?;
    settings(lua, kumo, ctx)?;
    def(lua, kumo, "available_parallelism", |_, ()| Ok(parallelism()))?;
    let c = ctx.clone();
    def(lua, kumo, "bump_config_epoch", move |_, ()| {
        c.shared.bump_epoch();
        Ok(())
    })?;
    let aaa: Table = kumo.get("aaa")?;
    let c = ctx.clone();
    def(lua, &aaa, "set_check_cache_ttl", move |_, _: Value| {
        let text = format!("kumo.aaa.set_check_cache_ttl has no effect: {NO_CHECK_CACHE}");
        c.shared.warn_once(&text);
        Ok(())
    })?;
    let c = ctx.clone();
    def(lua, kumo, "validation_failed", move |_, ()| {
        c.validation_failed.set(true);
        Ok(())
    })?;
    inspection(lua, kumo, ctx)
}

/// The stack from `level` on, as the debug library of the host language names its parts. What is not known is absent.
fn traceback(lua: &Lua, level: Option<usize>) -> Result<Table> {
    /// Frames shown at most.
    const FRAMES: usize = 64;
    let frames = lua.create_table()?;
    for level in level.unwrap_or(1)..FRAMES {
        let frame = lua.create_table()?;
        let told = lua.inspect_stack(level, |d| -> Result<()> {
            let (source, names) = (d.source(), d.names());
            frame.set("event", "Call")?;
            frame.set("is_tail_call", d.is_tail_call())?;
            frame.set("short_src", source.short_src)?;
            frame.set("source", source.source)?;
            frame.set("what", source.what)?;
            frame.set("curr_line", d.current_line())?;
            frame.set("line_defined", source.line_defined)?;
            frame.set("last_line_defined", source.last_line_defined)?;
            frame.set("name", names.name)?;
            frame.set("name_what", names.name_what)
        });
        match told {
            Some(told) => told?,
            None => break,
        }
        frames.push(frame)?;
    }
    Ok(frames)
}

/// What a policy may ask about itself and its host.
fn inspection(lua: &Lua, kumo: &Table, ctx: &Rc<Ctx>) -> Result<()> {
    def(lua, kumo, "traceback", traceback)?;
    let c = ctx.clone();
    def(lua, kumo, "get_event_registrars", move |_, event: String| {
        Ok(c.registrars.borrow().get(&event).cloned().unwrap_or_default())
    })?;
    let c = ctx.clone();
    def(lua, kumo, "get_memory_hard_limit", move |_, ()| Ok(c.init.borrow().memory_hard_limit))?;
    let c = ctx.clone();
    def(lua, kumo, "get_memory_soft_limit", move |_, ()| Ok(c.init.borrow().memory_soft_limit))?;
    let c = ctx.clone();
    def(lua, kumo, "get_memory_low_thresh", move |_, ()| {
        Ok(c.init.borrow().memory_soft_limit.map(|n| n / 10 * 8))
    })?;
    // No message ever leaves its node: there is no target, and nothing to cancel.
    let xfer = lua.create_table()?;
    def(lua, &xfer, "get_xfer_target", |_, _: MultiValue| Ok(Value::Nil))?;
    def(lua, &xfer, "cancel_xfer", |_, _: MultiValue| Ok(()))?;
    kumo.set("xfer", xfer)?;
    let c = ctx.clone();
    def(lua, kumo, "set_config_monitor_globs", move |_, globs: Vec<String>| {
        c.init.borrow_mut().monitor_globs = Some(globs);
        Ok(())
    })?;
    let c = ctx.clone();
    let list = lua.create_async_function(move |_, ()| {
        let c = c.clone();
        async move {
            let globs = c.init.borrow().monitor_globs.clone();
            let globs = globs.unwrap_or_else(|| default_globs(&c.policy_file.borrow()));
            c.shared
                .helpers()
                .run(move || files(&globs))
                .await
                .map_err(|why| Error::runtime(format!("kumo.eval_config_monitor_globs: {why}")))
        }
    })?;
    kumo.set("eval_config_monitor_globs", list)
}

/// Usable CPUs, as the operator says or as the system does.
fn parallelism() -> usize {
    let said = std::env::var("KUMO_AVAILABLE_PARALLELISM").ok().and_then(|v| v.parse().ok());
    said.or_else(|| std::thread::available_parallelism().ok().map(|n| n.get())).unwrap_or(1)
}

fn duration(v: &Value) -> Result<Duration> {
    Duration::parse(&to_plain(v)?, &mut Notes::default()).map_err(Error::runtime)
}

/// `kumo.sleep`, also found as `kumo.time.sleep`.
pub(crate) fn sleep_function(lua: &Lua) -> Result<mlua::Function> {
    lua.create_async_function(|lua, v: Value| async move {
        let d = duration(&v)?;
        vm::ctx(&lua)?.sleep(d).await;
        Ok(())
    })
}

fn waiting(lua: &Lua, kumo: &Table) -> Result<()> {
    kumo.set("sleep", sleep_function(lua)?)?;
    def(lua, kumo, "spawn_task", |lua, params: Table| {
        let name: String = params.get("event_name")?;
        let args = to_json(&params.get("args")?)?;
        spawn_task(lua, name, args)
    })
}

fn settings(lua: &Lua, kumo: &Table, ctx: &Rc<Ctx>) -> Result<()> {
    let c = ctx.clone();
    def(lua, kumo, "set_diagnostic_log_filter", move |_, filter: String| {
        c.init.borrow_mut().diagnostic_log_filter = Some(filter);
        Ok(())
    })?;
    let c = ctx.clone();
    def(lua, kumo, "set_memory_soft_limit", move |_, n: u64| {
        c.init.borrow_mut().memory_soft_limit = Some(n);
        Ok(())
    })?;
    let c = ctx.clone();
    def(lua, kumo, "set_memory_hard_limit", move |_, n: u64| {
        c.init.borrow_mut().memory_hard_limit = Some(n);
        Ok(())
    })?;
    def(lua, kumo, "set_httpinject_recipient_rate_limit", |lua, spec: Option<String>| {
        let rate = spec.map(|s| Throttle::parse(&s)).transpose().map_err(|e| {
            Error::runtime(format!("kumo.set_httpinject_recipient_rate_limit: {e}"))
        })?;
        vm::ctx(lua)?.shared.set_recipient_rate(rate);
        Ok(())
    })?;
    let dns = lua.create_table()?;
    let c = ctx.clone();
    def(lua, &dns, "set_mta_sts_enabled", move |_, on: bool| {
        c.init.borrow_mut().mta_sts_enabled = Some(on);
        Ok(())
    })?;
    let c = ctx.clone();
    def(lua, kumo, "configure_accounting_db_path", move |_, path: String| {
        c.init.borrow_mut().volumes_db = (path != ":memory:").then(|| path.into());
        Ok(())
    })?;
    for name in NO_EFFECT_DNS {
        let shared = ctx.shared.clone();
        def(lua, &dns, name, move |_, _: Value| {
            shared.warn_once(&format!(
                "kumo.dns.{name} has no effect: each shard resolves and caches on its own"
            ));
            Ok(())
        })?;
    }
    crate::families::dns::lua::register(lua, &dns, ctx)?;
    kumo.set("dns", dns)
}

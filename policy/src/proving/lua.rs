//! What a test file sees: the global `test`, made of a few native functions and `test.lua`.

use std::rc::Rc;
use std::time::Duration;

use mlua::{Error, IntoLua, Lua, MultiValue, Result, Table, Value};
use ringmta_mail::address::EnvelopeAddress;
use ringmta_mail::conn_meta::{AuthInfo, ConnMeta};
use ringmta_mail::message::{Message, Meta};
use ringmta_options::init::InitConfig;
use ringmta_options::plain::Plain;
use ringmta_options::{Notes, OptionTable, OptionValue};

use super::host::TestHost;
use crate::event_table::EVENTS;
use crate::loading::policy::Policy;
use crate::vm;
use crate::vm::error::{from_lua, PolicyError};
use crate::vm::lua_value::{from_plain, to_json, to_plain, Object};
use crate::vm::machine::Vm;

const TEST: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/lua/test.lua"));

/// Adds `test` to a VM; before the policy is loaded, so that its HTTP clients are those of the test.
pub(super) fn install(vm: &Vm, host: &TestHost) -> Result<Table> {
    let lua = &vm.lua;
    let native = lua.create_table()?;
    native.set("fire", lua.create_async_function(fire)?)?;
    native.set("conn", lua.create_function(|_, meta: Table| conn(&meta).map(Object))?)?;
    native.set("address", lua.create_function(|_, text: String| address(&text).map(Object))?)?;
    native.set("message", lua.create_function(message)?)?;
    native.set("in_networks", lua.create_function(in_networks)?)?;
    let meta_of = lua.create_function(|lua, u: mlua::AnyUserData| {
        let all = match u.borrow::<Message>() {
            Ok(m) => m.meta(|meta| meta.clone()),
            Err(_) => u.borrow::<ConnMeta>()?.snapshot(),
        };
        crate::vm::lua_value::from_json(lua, &serde_json::Value::Object(all))
    })?;
    native.set("meta_of", meta_of)?;
    let h = host.clone();
    native.set(
        "advance",
        lua.create_function(move |_, v: Value| {
            h.advance(
                Duration::parse(&to_plain(&v)?, &mut Notes::default()).map_err(Error::runtime)?,
            );
            Ok(())
        })?,
    )?;
    let h = host.clone();
    native.set(
        "take_injected",
        lua.create_function(move |_, ()| Ok(Object::all(h.take_injected())))?,
    )?;
    let h = host.clone();
    native.set("take_calls", lua.create_function(move |lua, ()| calls(lua, &h))?)?;
    lua.load(TEST).set_name("=test").call(native)
}

fn calls(lua: &Lua, host: &TestHost) -> Result<Table> {
    let out = lua.create_table()?;
    for call in host.take_calls() {
        out.push(format!("{call:?}"))?;
    }
    Ok(out)
}

/// What `init` asked for, as `test.init`.
pub(super) fn set_init(lua: &Lua, world: &Table, init: &InitConfig) -> Result<()> {
    fn list<T: OptionTable>(lua: &Lua, all: &[T]) -> Result<Value> {
        from_plain(lua, &Plain::list(all.iter().map(|o| o.fields()).collect()))
    }
    let t = lua.create_table()?;
    t.set("esmtp_listeners", list(lua, &init.esmtp_listeners)?)?;
    t.set("http_listeners", list(lua, &init.http_listeners)?)?;
    t.set("spools", list(lua, &init.spools)?)?;
    t.set("local_logs", list(lua, &init.local_logs)?)?;
    t.set("log_hooks", list(lua, &init.log_hooks)?)?;
    world.set("init", t)
}

/// Runs the cases: name and failure of each.
pub(super) async fn run(
    policy: &Policy,
    world: &Table,
) -> std::result::Result<Vec<(String, Option<String>)>, String> {
    let failed = |e: mlua::Error| e.to_string();
    let cases: Table = world.get("cases").map_err(failed)?;
    let mut out = Vec::new();
    for case in cases.sequence_values::<Table>() {
        let case = case.map_err(failed)?;
        let name: String = case.get("name").map_err(failed)?;
        let f: mlua::Function = case.get("f").map_err(failed)?;
        // Under the same budget as a handler: a case that never ends fails.
        let failure = match policy.vm.call::<()>("test", f, world.clone()).await {
            Ok(()) => None,
            Err(PolicyError::Lua(l)) => Some(l.message),
            Err(other) => Some(other.to_string()),
        };
        out.push((name, failure));
    }
    Ok(out)
}

/// Fires an event as the engine would: `{ rejected = { code, text }? , n results... }`. A failure of a handler is an error.
async fn fire(lua: Lua, mut args: MultiValue) -> Result<Table> {
    let event = match args.pop_front() {
        Some(Value::String(s)) => s.to_string_lossy(),
        _ => return Err(Error::runtime("fire: the name of an event is needed")),
    };
    let ctx = vm::ctx(&lua)?;
    let multi = EVENTS.iter().any(|e| e.name == event && e.multi);
    let out = lua.create_table()?;
    let mut n = 0;
    loop {
        let handler = match multi {
            true => ctx.handler(&event, n),
            false if n == 0 => ctx.last_handler(&event),
            false => None,
        };
        let Some(handler) = handler else { return Ok(out) };
        n += 1;
        out.set("handled", true)?;
        match handler.call_async::<MultiValue>(args.clone()).await {
            Ok(results) => {
                if results.iter().any(|v| !v.is_nil()) {
                    out.set("results", lua.create_sequence_from(results)?)?;
                    return Ok(out);
                }
            }
            Err(e) => {
                let PolicyError::Reject(r) = from_lua(&event, &e) else { return Err(e) };
                let closes = r.closes_session();
                let rejected = lua.create_table()?;
                rejected.set("code", r.code)?;
                rejected.set("text", r.text)?;
                rejected.set("closes", closes)?;
                out.set("rejected", rejected)?;
                return Ok(out);
            }
        }
    }
}

fn conn(meta: &Table) -> Result<ConnMeta> {
    let conn = ConnMeta::new();
    for pair in meta.pairs::<String, Value>() {
        let (key, value) = pair?;
        if key == "authn_id" {
            let identities = vec![value.to_string()?];
            conn.set_auth_info(AuthInfo { identities, ..AuthInfo::default() });
        }
        conn.set(key, to_json(&value)?);
    }
    Ok(conn)
}

fn address(text: &str) -> Result<EnvelopeAddress> {
    EnvelopeAddress::parse(text).map_err(|e| Error::runtime(format!("`{text}`: {e}")))
}

/// `(sender, recipients, content, metadata)`; line ends become CRLF.
fn message(
    lua: &Lua,
    (sender, recipients, content, meta): (String, Vec<String>, mlua::String, Value),
) -> Result<Value> {
    let recipients = recipients.iter().map(|r| address(r)).collect::<Result<Vec<_>>>()?;
    let mut body = Vec::with_capacity(content.as_bytes().len() + 64);
    for line in content.as_bytes().split_inclusive(|c| *c == b'\n') {
        match line {
            [text @ .., b'\n'] => {
                body.extend_from_slice(text.strip_suffix(b"\r").unwrap_or(text));
                body.extend_from_slice(b"\r\n");
            }
            rest => body.extend_from_slice(rest),
        }
    }
    let meta = match to_json(&meta)? {
        serde_json::Value::Object(m) => m,
        _ => Meta::new(),
    };
    let id = vm::ctx(lua)?.host.new_message_id();
    let message = Message::new(id, address(&sender)?, recipients, meta, Rc::new(body));
    Object(message).into_lua(lua)
}

/// Whether an address lies in one of the networks.
fn in_networks(_: &Lua, (ip, networks): (String, Value)) -> Result<bool> {
    let set = ringmta_options::CidrSet::parse(&to_plain(&networks)?, &mut Notes::default());
    let ip = ip.parse().map_err(|_| Error::runtime(format!("`{ip}` is not an IP address")))?;
    Ok(set.map_err(Error::runtime)?.contains(ip))
}

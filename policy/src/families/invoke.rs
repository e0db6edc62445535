//! Messages made by the policy, and its own configuration events asked from Lua.

use std::rc::Rc;

use mlua::{Error, Lua, MultiValue, Result, Table, UserDataRef, Value};
use ringmta_mail::message::{Message, Meta};
use ringmta_mail::queue_name::QueueName;

use crate::families::message::arguments::address_of;
use crate::vm;
use crate::vm::declared::FnDef;
use crate::vm::lua_value::{from_json, Object};

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[
    FnDef::new(
        "kumo.make_message",
        "sender: any, recipient: any, body: string",
        "kumo.Message",
        "A message of the policy's own.",
    ),
    FnDef::new(
        "kumo.inject_message",
        "msg: kumo.Message",
        "",
        "Queues such a message; done when it is durable.",
    ),
    FnDef::new(
        "kumo.invoke_get_egress_path_config",
        "routing_domain: string, source: string, site: string",
        "any",
        "Asks the policy's own handler.",
    ),
    FnDef::new(
        "kumo.invoke_get_{egress_pool,egress_source,queue_config}",
        "name: string",
        "any",
        "Asks the policy's own handler.",
    ),
];

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let make =
        lua.create_function(|lua, (sender, recipient, body): (Value, Value, mlua::String)| {
            let id = vm::ctx(lua)?.host.new_message_id();
            let recipients = match &recipient {
                Value::Table(t) => t
                    .sequence_values::<Value>()
                    .map(|v| address_of(&v?))
                    .collect::<Result<Vec<_>>>()?,
                one => vec![address_of(one)?],
            };
            Ok(Object(Message::new(
                id,
                address_of(&sender)?,
                recipients,
                Meta::new(),
                Rc::new(body.as_bytes().to_vec()),
            )))
        })?;
    kumo.set("make_message", make)?;
    let inject = lua.create_async_function(|lua, m: UserDataRef<Message>| async move {
        let inject = vm::ctx(&lua)?.host.inject(m.clone());
        drop(m);
        inject.await.map_err(|e| Error::runtime(format!("kumo.inject_message: {e}")))
    })?;
    kumo.set("inject_message", inject)?;
    invokers(lua, kumo)
}

/// Asks the handlers of an event in order, as the engine would.
async fn ask(lua: &Lua, event: &str, args: MultiValue) -> Result<Value> {
    let ctx = vm::ctx(lua)?;
    let mut n = 0;
    while let Some(f) = ctx.handler(event, n) {
        let v: Value = f.call_async(args.clone()).await?;
        if !v.is_nil() {
            return Ok(v);
        }
        n += 1;
    }
    Ok(Value::Nil)
}

fn invokers(lua: &Lua, kumo: &Table) -> Result<()> {
    for (name, event) in [
        ("invoke_get_egress_path_config", "get_egress_path_config"),
        ("invoke_get_egress_source", "get_egress_source"),
        ("invoke_get_egress_pool", "get_egress_pool"),
    ] {
        let f = lua.create_async_function(move |lua, args: MultiValue| async move {
            ask(&lua, event, args).await
        })?;
        kumo.set(name, f)?;
    }
    let f = lua.create_async_function(|lua, name: String| async move {
        let q = QueueName::parse(&name);
        let parts = [Some(q.domain), q.tenant, q.campaign, q.routing_domain];
        let text = |p: Option<String>| from_json(&lua, &p.map(Into::into).unwrap_or_default());
        let args = parts.into_iter().map(text).collect::<Result<MultiValue>>()?;
        ask(&lua, "get_queue_config", args).await
    })?;
    kumo.set("invoke_get_queue_config", f)
}

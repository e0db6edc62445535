//! `kumo.api`: the HTTP API from within the policy.

use mlua::{Error, Lua, MultiValue, Result, Table, Value};
use ringmta_mail::message::Message;
use serde_json::Value as Json;

use crate::host::{ApiCall, OrderKind};
use crate::vm;
use crate::vm::declared::FnDef;
use crate::vm::lua_value::{from_json, to_json, Object};

/// A function that asks the engine; `prepare` makes the call of its argument.
fn function(
    lua: &Lua,
    name: String,
    prepare: impl Fn(Json) -> std::result::Result<ApiCall, String> + 'static,
) -> Result<mlua::Function> {
    let prepare = std::rc::Rc::new(prepare);
    lua.create_async_function(move |lua, args: MultiValue| {
        let (name, prepare) = (name.clone(), prepare.clone());
        async move {
            let first = args.front().cloned().unwrap_or(Value::Nil);
            let failed = |e: String| Error::runtime(format!("{name}: {e}"));
            let call = prepare(to_json(&first)?).map_err(failed)?;
            let answer = vm::ctx(&lua)?.host.api(call);
            from_json(&lua, &answer.await.map_err(failed)?)
        }
    })
}

/// The messages of an injection, for the policy to do with as it likes.
async fn build(lua: Lua, request: Value) -> Result<Vec<Object<Message>>> {
    let request = to_json(&request)?;
    let built = vm::ctx(&lua)?.host.build(request).await;
    let built = built.map(Object::all);
    built.map_err(|e| Error::runtime(format!("kumo.api.inject.build_v1: {e}")))
}

/// The id of an order, given as text or as `{ id = ... }`.
fn id_of(v: &Json) -> std::result::Result<String, String> {
    let id = v.as_str().or_else(|| v.get("id").and_then(Json::as_str));
    id.map(str::to_owned).ok_or_else(|| "expected the id of an order".to_owned())
}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[
    FnDef::new(
        "kumo.api.admin.bounce.bounce",
        "order: table",
        "table",
        "Fails the mail of scheduled queues.",
    ),
    FnDef::new(
        "kumo.api.admin.suspend.suspend",
        "order: table",
        "table",
        "Holds scheduled queues.",
    ),
    FnDef::new(
        "kumo.api.admin.suspend_ready_q.suspend",
        "order: table",
        "table",
        "Holds a ready queue.",
    ),
    FnDef::new(
        "kumo.api.admin.{bounce,suspend,suspend_ready_q}.list",
        "",
        "any",
        "The orders in force.",
    ),
    FnDef::new(
        "kumo.api.admin.{bounce,suspend,suspend_ready_q}.delete",
        "id: any",
        "any",
        "Ends an order.",
    ),
    FnDef::new(
        "kumo.api.inject.inject_v1",
        "request: table",
        "table",
        "Injects mail, as `POST /api/inject/v1` does.",
    ),
    FnDef::new(
        "kumo.api.inject.build_v1",
        "request: table",
        "kumo.Message[]",
        "The messages of such a request, not injected.",
    ),
    FnDef::new("kumo.prometheus_metrics", "", "table", "The metrics."),
];

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let (api, admin, inject) = (lua.create_table()?, lua.create_table()?, lua.create_table()?);
    for (family, verb, kind) in [
        ("bounce", "bounce", OrderKind::Bounce),
        ("suspend", "suspend", OrderKind::Suspend),
        ("suspend_ready_q", "suspend", OrderKind::SuspendReadyQ),
    ] {
        let t = lua.create_table()?;
        let name = |f: &str| format!("kumo.api.admin.{family}.{f}");
        t.set("list", function(lua, name("list"), move |_| Ok(ApiCall::List(kind)))?)?;
        t.set(verb, function(lua, name(verb), move |v| Ok(ApiCall::Place(kind, v)))?)?;
        let delete = move |v: Json| id_of(&v).map(|id| ApiCall::Delete(kind, id));
        t.set("delete", function(lua, name("delete"), delete)?)?;
        admin.set(family, t)?;
    }
    let name = "kumo.api.inject.inject_v1".to_owned();
    inject.set("inject_v1", function(lua, name, |v| Ok(ApiCall::Inject(v)))?)?;
    inject.set("build_v1", lua.create_async_function(build)?)?;
    let metrics = function(lua, "kumo.prometheus_metrics".into(), |_| Ok(ApiCall::Metrics))?;
    kumo.set("prometheus_metrics", metrics)?;
    api.set("admin", admin)?;
    api.set("inject", inject)?;
    kumo.set("api", api)
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use crate::{ApiCall, OrderKind};
    use serde_json::json;

    #[test]
    fn calls_reach_the_host() {
        let w = world(
            "kumo.on('test', function()
               local id = kumo.api.admin.suspend.suspend { reason = 'r', domain = 'd' }.id
               kumo.api.admin.bounce.list()
               kumo.api.admin.suspend_ready_q.delete(id)
               return id
             end)",
        );
        assert_eq!(w.fire("test", ()).unwrap(), json!("order-1"));
        let placed = json!({"reason": "r", "domain": "d"});
        assert_eq!(
            *w.host.calls.borrow(),
            [
                ApiCall::Place(OrderKind::Suspend, placed),
                ApiCall::List(OrderKind::Bounce),
                ApiCall::Delete(OrderKind::SuspendReadyQ, "order-1".into()),
            ]
        );
        assert!(eval_err("kumo.api.admin.bounce.delete {}").contains("expected the id"));
    }
}

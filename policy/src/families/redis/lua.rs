//! The module `redis`, and throttles shared through it.

use std::sync::Arc;

use mlua::{Error, Lua, MultiValue, Result, Table, UserData, UserDataMethods, Value};

use super::client::{Pool, RedisParams, SharedThrottles};
use crate::process::helpers::target_of;
use crate::vm;
use crate::vm::declared::FnDef;
use crate::vm::functions::def;
use crate::vm::lua_value::{from_plain, to_plain};
use crate::vm::read_options::options;

struct Handle(Arc<Pool>);

impl UserData for Handle {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_async_method("query", |lua, h, args: MultiValue| async move {
            let mut args = args.into_iter();
            let name = match args.next() {
                Some(Value::String(s)) => s.to_string_lossy(),
                _ => return Err(Error::runtime("redis: query: the command must be a string")),
            };
            let mut cmd = redis::cmd(&name);
            for arg in args {
                add_arg(&lua, &mut cmd, &arg)?;
            }
            let pool = h.0.clone();
            drop(h);
            let answer = vm::ctx(&lua)?.shared.clone();
            let target = target_of(&pool);
            let answer = answer.helpers().run_for(&target, move || pool.query(&cmd)).await;
            let answer = answer.map_err(|e| Error::runtime(format!("redis: {name}: {e}")))?;
            from_plain(&lua, &answer)
        });
    }
}

/// Strings as they are, numbers and booleans as text.
fn add_arg(lua: &Lua, cmd: &mut redis::Cmd, v: &Value) -> Result<()> {
    match v {
        Value::String(s) => cmd.arg(&*s.as_bytes()),
        Value::Boolean(b) => cmd.arg(if *b { "1" } else { "0" }),
        Value::Integer(_) | Value::Number(_) => {
            let text = lua.coerce_string(v.clone())?;
            cmd.arg(text.map(|t| t.as_bytes().to_vec()).unwrap_or_default())
        }
        other => {
            return Err(Error::runtime(format!(
                "redis: query: a {} cannot be an argument",
                other.type_name()
            )))
        }
    };
    Ok(())
}

fn open(lua: &Lua, v: &Value) -> Result<Arc<Pool>> {
    let ctx = vm::ctx(lua)?;
    let plain = to_plain(v)?;
    let params: RedisParams = options(&ctx, &plain)?;
    // One pool per set of parameters, whoever asks: handles are made in handlers.
    let mut key = Vec::new();
    plain.write_key(&mut key);
    let key = data_encoding::HEXLOWER.encode(&key);
    ctx.shared
        .named
        .find(key, |_| true, || Pool::new(params))
        .map_err(|e| Error::runtime(format!("redis.open: {e}")))
}

pub(crate) fn module(lua: &Lua) -> Result<Table> {
    let redis = lua.create_table()?;
    def(lua, &redis, "open", |lua, v: Value| Ok(Handle(open(lua, &v)?)))?;
    Ok(redis)
}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[FnDef::new(
    "kumo.configure_redis_throttles",
    "options: kumo.RedisOptions",
    "",
    "Counts named throttles in Redis.",
)];

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    def(lua, kumo, "configure_redis_throttles", |lua, v: Value| {
        let pool = open(lua, &v)?;
        vm::ctx(lua)?.shared.named.set_only(Arc::new(SharedThrottles(pool)));
        Ok(())
    })
}

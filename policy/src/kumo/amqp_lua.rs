//! `kumo.amqp`.

use std::sync::Arc;

use mlua::{Error, Lua, Result, Table, Value};

use super::make::options;
use crate::amqp::{AmqpConnection, AmqpMessage, Pool};
use crate::lua_value::to_plain;
use crate::vm;

async fn publish(lua: Lua, v: Value) -> Result<()> {
    let ctx = vm::ctx(&lua)?;
    let message: AmqpMessage = options(&ctx, &to_plain(&v)?)?;
    let connection: AmqpConnection = options(&ctx, &message.connection)?;
    let mut key = Vec::new();
    message.connection.write_key(&mut key);
    let failed = |e: String| Error::runtime(format!("kumo.amqp.basic_publish: {e}"));
    let name = data_encoding::HEXLOWER.encode(&key);
    let pool: Arc<Pool> =
        ctx.shared.named.amqp(name, || Ok(Pool::new(connection))).map_err(failed)?;
    ctx.shared.helpers().run(move || pool.publish(&message)).await.map_err(failed)
}

pub(super) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let t = lua.create_table()?;
    t.set("basic_publish", lua.create_async_function(publish)?)?;
    kumo.set("amqp", t)
}

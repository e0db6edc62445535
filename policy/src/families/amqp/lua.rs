//! `kumo.amqp`.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use mlua::{Error, Lua, Result, Table, UserData, UserDataMethods, UserDataRef, Value};
use ringmta_options::plain::Plain;

use super::client::Pool;
use super::options::{AmqpConnection, AmqpMessage};
use crate::process::helpers::target_of;
use crate::vm;
use crate::vm::declared::FnDef;
use crate::vm::lua_value::to_plain;
use crate::vm::read_options::options;

fn failed(call: &'static str) -> impl Fn(String) -> Error {
    move |e| Error::runtime(format!("kumo.amqp.{call}: {e}"))
}

async fn publish(lua: Lua, v: Value) -> Result<()> {
    let ctx = vm::ctx(&lua)?;
    let message: AmqpMessage = options(&ctx, &to_plain(&v)?)?;
    let connection: AmqpConnection = options(&ctx, &message.connection)?;
    let mut key = Vec::new();
    message.connection.write_key(&mut key);
    let name = data_encoding::HEXLOWER.encode(&key);
    let pool: Arc<Pool> = ctx
        .shared
        .named
        .find(name, |_| true, || Ok(Pool::new(connection)))
        .map_err(failed("basic_publish"))?;
    let target = target_of(&pool);
    let sent = ctx.shared.helpers().run_for(&target, move || pool.publish(&message));
    sent.await.map_err(failed("basic_publish"))
}

/// A client of one connection; `None` after `close`.
struct Client(RefCell<Option<Arc<Pool>>>);

/// What became of a publication; `None` once it was asked.
struct Confirm(RefCell<Option<()>>);

/// The client asks for no confirmation of its own: what fails is an error, and what does not has this state.
fn fate(lua: &Lua) -> Result<Table> {
    let t = lua.create_table()?;
    t.set("status", "NotRequested")?;
    Ok(t)
}

/// A message as this client takes it: the settings of `options` and `properties` are those of `basic_publish`.
fn message(lua: &Lua, v: &Value) -> Result<AmqpMessage> {
    let mut fields = Vec::new();
    let given = to_plain(v)?;
    let Plain::Map(items) = &given else {
        return Err(failed("publish")(format!(
            "invalid type: {}, expected a table",
            given.describe()
        )));
    };
    for (key, value) in items.iter() {
        match value {
            Plain::Map(inner) if key.is("options") || key.is("properties") => {
                fields.extend(inner.iter().cloned());
            }
            Plain::List(l) if l.is_empty() && (key.is("options") || key.is("properties")) => {}
            _ => fields.push((key.clone(), value.clone())),
        }
    }
    // The connection is the client's own.
    fields.push((Plain::str("connection"), Plain::Bool(true)));
    options(&*vm::ctx(lua)?, &Plain::Map(Arc::new(fields)))
}

async fn send(lua: &Lua, pool: Arc<Pool>, v: &Value, limit: Option<Duration>) -> Result<()> {
    let message = message(lua, v)?;
    let target = target_of(&pool);
    let job = move || match limit {
        Some(limit) => pool.publish_within(&message, limit),
        None => pool.publish(&message),
    };
    vm::ctx(lua)?.shared.clone().helpers().run_for(&target, job).await.map_err(failed("publish"))
}

impl Client {
    fn pool(&self) -> Result<Arc<Pool>> {
        self.0.borrow().clone().ok_or_else(|| failed("publish")("the client is closed".into()))
    }
}

impl UserData for Client {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_async_method("publish", |lua, c: UserDataRef<Self>, v: Value| async move {
            let pool = c.pool()?;
            drop(c);
            send(&lua, pool, &v, None).await?;
            Ok(Confirm(RefCell::new(Some(()))))
        });
        methods.add_async_method(
            "publish_with_timeout",
            |lua, c: UserDataRef<Self>, (v, millis): (Value, u64)| async move {
                let pool = c.pool()?;
                drop(c);
                send(&lua, pool, &v, Some(Duration::from_millis(millis))).await?;
                fate(&lua)
            },
        );
        methods.add_async_method("close", |lua, c: UserDataRef<Self>, ()| async move {
            let pool = c.pool()?;
            c.0.take();
            drop(c);
            vm::ctx(&lua)?.shared.clone().helpers().run(move || pool.close()).await;
            Ok(())
        });
    }
}

impl UserData for Confirm {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("wait", |lua, c, ()| match c.0.take() {
            Some(()) => fate(lua),
            None => Err(failed("publish")("the confirmation was taken already".into())),
        });
    }
}

async fn build_client(lua: Lua, uri: String) -> Result<Client> {
    let pool = Arc::new(Pool::of_uri(&uri).map_err(failed("build_client"))?);
    let theirs = pool.clone();
    let target = target_of(&pool);
    let job = move || theirs.connect();
    let made = vm::ctx(&lua)?.shared.clone().helpers().run_for(&target, job).await;
    made.map_err(failed("build_client"))?;
    Ok(Client(RefCell::new(Some(pool))))
}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[FnDef::new(
    "kumo.amqp.build_client",
    "uri: string",
    "any",
    "A client that publishes, by the URI of its server.",
)];

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let t = lua.create_table()?;
    t.set("basic_publish", lua.create_async_function(publish)?)?;
    t.set("build_client", lua.create_async_function(build_client)?)?;
    kumo.set("amqp", t)
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use serde_json::json;

    #[test]
    fn a_client_publishes_and_closes() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let (seen, published) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                crate::families::amqp::stand_in::serve(stream, &seen);
            }
        });
        let got = eval(&format!(
            "local c = kumo.amqp.build_client 'amqp://{at}'
             local confirm = c:publish {{ routing_key = 'q', payload = 'one', properties = {{ content_type = 'text/plain' }} }}
             local status = confirm:wait().status
             local again, why = pcall(confirm.wait, confirm)
             local second = c:publish_with_timeout({{ routing_key = 'q', payload = 'two', options = {{}} }}, 30000).status
             c:close()
             local closed, e = pcall(c.close, c)
             return {{ status, tostring(why):match 'taken already', second, tostring(e):match 'client is closed' }}"
        ));
        assert_eq!(
            got,
            json!(["NotRequested", "taken already", "NotRequested", "client is closed"])
        );
        assert_eq!(published.recv().unwrap(), b"one");
        assert_eq!(published.recv().unwrap(), b"two");
    }
}

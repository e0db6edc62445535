//! `kumo.nats`.

use std::collections::BTreeMap;
use std::sync::Arc;

use mlua::{Error, Lua, Result, Table, UserData, UserDataMethods, UserDataRef, Value};
use ringmta_options::plain::Plain;
use ringmta_options::{KeySource, Notes, OptionValue, SecretText};

use super::client::{Client, Credentials, NatsParams, Publication};
use crate::process::helpers::target_of;
use crate::vm;
use crate::vm::lua_value::to_plain;
use crate::vm::read_options::options;

struct ClientObject(Arc<Client>);

fn failed(what: &'static str) -> impl Fn(String) -> Error {
    move |e| Error::runtime(format!("kumo.nats: {what}: {e}"))
}

impl UserData for ClientObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_async_method("publish", |lua, c: UserDataRef<Self>, t: Table| async move {
            let p = Publication {
                subject: t.get("subject")?,
                payload: t.get::<mlua::String>("payload")?.as_bytes().to_vec(),
                headers: t.get::<Option<BTreeMap<String, String>>>("headers")?.unwrap_or_default(),
                await_ack: t.get::<Option<bool>>("await_ack")?.unwrap_or(false),
            };
            let client = c.0.clone();
            drop(c);
            let shared = vm::ctx(&lua)?.shared.clone();
            let target = target_of(&client);
            let sent = shared.helpers().run_for(&target, move || client.publish(&p));
            sent.await.map_err(failed("publish"))
        });
        methods.add_async_method("close", |lua, c: UserDataRef<Self>, ()| async move {
            let client = c.0.clone();
            drop(c);
            vm::ctx(&lua)?.shared.clone().helpers().run(move || client.close()).await;
            Ok(())
        });
    }
}

async fn secret(lua: &Lua, auth: &Plain, name: &str) -> Result<Option<String>> {
    let Some(source) = auth.get(name) else { return Ok(None) };
    let source = KeySource::parse(source, &mut Notes::default())
        .map_err(|e| failed("connect")(format!("auth.{name}: {e}")))?;
    let bytes = crate::families::keys::load(lua, &source).await?;
    let text = String::from_utf8(bytes)
        .map_err(|_| failed("connect")(format!("auth.{name} is not text")))?;
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

async fn connect(lua: Lua, v: Value) -> Result<ClientObject> {
    let ctx = vm::ctx(&lua)?;
    let params: NatsParams = options(&ctx, &to_plain(&v)?)?;
    let credentials = Credentials {
        user: secret(&lua, &params.auth, "username").await?,
        password: secret(&lua, &params.auth, "password").await?.map(SecretText),
        token: secret(&lua, &params.auth, "token").await?.map(SecretText),
    };
    let later = params.retry_on_initial_connect;
    let client = Client::new(params, credentials, &crate::families::uuid::text());
    let client = Arc::new(client.map_err(failed("connect"))?);
    if !later {
        let c = client.clone();
        let target = target_of(&client);
        let made = ctx.shared.helpers().run_for(&target, move || c.connect());
        made.await.map_err(failed("connect"))?;
    }
    Ok(ClientObject(client))
}

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let t = lua.create_table()?;
    t.set("connect", lua.create_async_function(connect)?)?;
    kumo.set("nats", t)
}

//! `kumo.dkim` and `msg:dkim_sign`.

use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;

use mlua::{Error, IntoLua, Lua, Result, Table, UserData, UserDataFields, UserDataRef, Value};
use ringmta_mail::message::Message;
use ringmta_options::plain::{Plain, Portable};
use ringmta_options::DkimSigner;

use super::signer::{Algorithm, Signer};
use crate::families::message::body::body_method;
use crate::host::{Host, Work};
use crate::process::memo::{Lookup, MemoStore};
use crate::vm::declared::FnDef;
use crate::vm::functions::def;
use crate::vm::functions::{pair, Now};
use crate::vm::lua_value::{from_plain, to_plain, LuaObject};
use crate::vm::read_options::options;
use crate::vm::{self, Ctx};

/// Signers kept process-wide; a sender with more domains than this reads keys again.
const SIGNER_CACHE_ENTRIES: usize = 16_384;

#[derive(Clone)]
pub(crate) struct SignerObject(pub Arc<Signer>);

impl UserData for SignerObject {}

impl LuaObject for Signer {
    fn to_lua(self: Arc<Self>, lua: &Lua) -> Result<Value> {
        SignerObject(self).into_lua(lua)
    }
}

impl Portable for Signer {
    fn for_host(self: Arc<Self>) -> Box<dyn Any> {
        Box::new(self as Arc<dyn LuaObject>)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn kind(&self) -> &'static str {
        "a DKIM signer"
    }
}

pub(crate) fn methods<F: UserDataFields<Message>>(fields: &mut F) {
    body_method(fields, "dkim_sign", |lua, m, body, signer: UserDataRef<SignerObject>| {
        let ctx = vm::ctx(lua)?;
        let now = ctx.host.now_unix_nanos() / 1_000_000_000;
        let signed = timed(&ctx.host, Work::DkimSign, || signer.0.sign_message(body, now));
        let signed = signed.map_err(|e| Error::runtime(format!("dkim_sign: {e}")))?;
        m.set_body(signed.into());
        Ok(())
    });
}

/// Does some work, and tells the host how long it took.
fn timed<R>(host: &Rc<dyn Host>, work: Work, run: impl FnOnce() -> R) -> R {
    let began = host.now_monotonic_nanos();
    let done = run();
    host.worked(work, host.now_monotonic_nanos().saturating_sub(began));
    done
}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[FnDef::new(
    "kumo.dkim.{rsa_sha256_signer,ed25519_signer}",
    "options: kumo.DkimSignerOptions",
    "any",
    "A signer for `msg:dkim_sign`.",
)];

pub(crate) fn register(lua: &Lua, kumo: &Table, ctx: &Rc<Ctx>) -> Result<()> {
    let dkim = lua.create_table()?;
    let store = ctx.shared.memo("\0dkim signers", SIGNER_CACHE_ENTRIES);
    for (name, algorithm) in
        [("rsa_sha256_signer", Algorithm::RsaSha256), ("ed25519_signer", Algorithm::Ed25519)]
    {
        dkim.set(name, signer_function(lua, ctx, &store, algorithm)?)?;
    }
    let shared = ctx.shared.clone();
    def(lua, &dkim, "set_signing_threads", move |_, _: Value| {
        shared.warn_once(
            "kumo.dkim.set_signing_threads has no effect: each shard signs its own mail",
        );
        Ok(())
    })?;
    kumo.set("dkim", dkim)
}

fn signer_function(
    lua: &Lua,
    ctx: &Rc<Ctx>,
    store: &Arc<MemoStore>,
    algorithm: Algorithm,
) -> Result<mlua::Function> {
    let (quick_ctx, quick_store) = (ctx.clone(), store.clone());
    let now = lua.create_function(move |lua, params: Value| {
        let key = cache_key(&to_plain(&params)?, algorithm);
        match quick_store.peek(&key, quick_ctx.host.now_unix_nanos(), 0) {
            Some(found) => from_plain(lua, found.first().unwrap_or(&Plain::Nil)).map(Now::Done),
            None => Ok(Now::Wait),
        }
    })?;
    let (ctx, store) = (ctx.clone(), store.clone());
    let later = lua.create_async_function(move |lua, params: Value| {
        let (ctx, store) = (ctx.clone(), store.clone());
        async move { load_signer(&lua, &ctx, &store, algorithm, to_plain(&params)?).await }
    })?;
    pair(lua, now, later, None)
}

fn cache_key(params: &Plain, algorithm: Algorithm) -> Vec<u8> {
    let mut key = vec![algorithm as u8];
    params.write_key(&mut key);
    key
}

async fn load_signer(
    lua: &Lua,
    ctx: &Rc<Ctx>,
    store: &Arc<MemoStore>,
    algorithm: Algorithm,
    params: Plain,
) -> Result<Value> {
    let typed: DkimSigner = options(ctx, &params)?;
    let key = cache_key(&params, algorithm);
    let guard = loop {
        match store.lookup(&key, ctx.host.now_unix_nanos(), 0) {
            Lookup::Hit(found) => return from_plain(lua, found.first().unwrap_or(&Plain::Nil)),
            Lookup::Fill(guard) => break guard,
            Lookup::Wait => store.wait(&key).await,
        }
    };
    let began = ctx.host.now_monotonic_nanos();
    let secret = crate::families::keys::load(lua, &typed.key).await;
    ctx.host.worked(Work::DkimKey, ctx.host.now_monotonic_nanos().saturating_sub(began));
    let secret = secret?;
    let ttl = u64::try_from(typed.ttl.as_nanos()).unwrap_or(u64::MAX);
    let describe = format!("kumo.dkim signer for {}._domainkey.{}", typed.selector, typed.domain);
    let signer = timed(&ctx.host, Work::DkimSigner, || Signer::new(typed, algorithm, &secret))
        .map_err(|e| Error::runtime(format!("{describe}: {e}")))?;
    let object = Plain::Object(Arc::new(signer));
    guard.finish(Arc::new(vec![object.clone()]), ctx.host.now_unix_nanos().saturating_add(ttl), 0);
    from_plain(lua, &object)
}

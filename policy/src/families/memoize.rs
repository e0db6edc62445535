//! `kumo.memoize`.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{select, Either};
use mlua::{Error, Function, Lua, MultiValue, Result, Table, Value};
use ringmta_options::plain::Plain;
use ringmta_options::*;

use crate::limits::{MEMOIZE_DEFAULT_CAPACITY, MEMOIZE_FILL_TIMEOUT};
use crate::process::memo::{FillGuard, Lookup, MemoStore};
use crate::vm::declared::FnDef;
use crate::vm::functions::{pair, Now};
use crate::vm::lua_value::{from_plain, to_plain};
use crate::vm::read_options::options;
use crate::vm::Ctx;

option_table! {
    /// How results are kept.
    pub struct MemoizeParams for "kumo.memoize" {
        /// Name of the cache, the same in all VMs.
        name: String = String::new(); Support::Required,
        /// How long a result is good (duration).
        ttl: Duration = Duration::from_secs(60); Support::Required,
        /// Results kept.
        capacity: usize = MEMOIZE_DEFAULT_CAPACITY,
        /// Forget everything when the configuration epoch changes.
        invalidate_with_epoch: bool = false,
        /// How long a fill is waited for (duration).
        populate_timeout: Duration = MEMOIZE_FILL_TIMEOUT,
        /// Try again after a fill took too long.
        retry_on_populate_timeout: bool = false,
        /// Serve an expired result while a new one is made.
        allow_stale_reads: bool = false; Support::NoEffect("expired results are made anew; one caller at a time"),
    }
}

struct Memo {
    ctx: Rc<Ctx>,
    store: Arc<MemoStore>,
    params: MemoizeParams,
}

impl Memo {
    fn epoch(&self) -> u64 {
        if self.params.invalidate_with_epoch {
            self.ctx.shared.epoch()
        } else {
            0
        }
    }

    fn lookup(&self, key: &[u8]) -> Lookup {
        self.store.lookup(key, self.ctx.host.now_unix_nanos(), self.epoch())
    }

    /// A hit without waiting or filling.
    fn peek(&self, key: &[u8]) -> Option<Arc<Vec<Plain>>> {
        self.store.peek(key, self.ctx.host.now_unix_nanos(), self.epoch())
    }

    async fn fill(&self, f: Function, args: MultiValue, guard: FillGuard) -> Result<MultiValue> {
        let epoch = self.ctx.shared.epoch();
        let result: MultiValue = f.call_async(args).await?;
        let plain = result.iter().map(to_plain).collect::<Result<Vec<_>>>();
        let plain = plain.map_err(|e| {
            Error::runtime(format!(
                "kumo.memoize `{}`: {}",
                self.params.name,
                crate::vm::error::message_of(&e)
            ))
        })?;
        let ttl = u64::try_from(self.params.ttl.as_nanos()).unwrap_or(u64::MAX);
        guard.finish(Arc::new(plain), self.ctx.host.now_unix_nanos().saturating_add(ttl), epoch);
        Ok(result)
    }

    async fn get(&self, lua: &Lua, f: Function, args: MultiValue) -> Result<MultiValue> {
        let key = key_of(&args)?;
        loop {
            match self.lookup(&key) {
                Lookup::Hit(values) => return to_lua(lua, &values),
                Lookup::Fill(guard) => return self.fill(f, args, guard).await,
                Lookup::Wait => {}
            }
            let wait = std::pin::pin!(self.store.wait(&key));
            let deadline = std::pin::pin!(self.ctx.sleep(self.params.populate_timeout));
            if let Either::Right(_) = select(wait, deadline).await {
                if !self.params.retry_on_populate_timeout {
                    let p = &self.params;
                    return Err(Error::runtime(format!(
                        "kumo.memoize `{}`: no result within {:?}",
                        p.name, p.populate_timeout
                    )));
                }
            }
        }
    }
}

fn key_of(args: &MultiValue) -> Result<Vec<u8>> {
    let mut key = Vec::with_capacity(64);
    for a in args {
        if !to_plain(a)?.write_key(&mut key) {
            return Err(Error::runtime("kumo.memoize: an object cannot be part of the key"));
        }
    }
    Ok(key)
}

fn to_lua(lua: &Lua, values: &[Plain]) -> Result<MultiValue> {
    values.iter().map(|p| from_plain(lua, p)).collect()
}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[FnDef::new(
    "kumo.memoize",
    "f: function, options: kumo.MemoizeOptions",
    "function",
    "The function with its results remembered, for all VMs.",
)];

pub(crate) fn register(lua: &Lua, kumo: &Table, ctx: &Rc<Ctx>) -> Result<()> {
    let ctx = ctx.clone();
    let f = lua.create_function(move |lua, (f, params): (Function, Value)| {
        let params: MemoizeParams = options(&ctx, &to_plain(&params)?)?;
        let store = ctx.shared.memo(&params.name, params.capacity);
        let memo = Rc::new(Memo { ctx: ctx.clone(), store, params });
        let quick = memo.clone();
        let now =
            lua.create_function(move |lua, args: MultiValue| match quick.peek(&key_of(&args)?) {
                Some(values) => to_lua(lua, &values).map(Now::Done),
                None => Ok(Now::Wait),
            })?;
        let later = lua.create_async_function(move |lua, (f, args): (Function, MultiValue)| {
            let memo = memo.clone();
            async move { memo.get(&lua, f, args).await }
        })?;
        pair(lua, now, later, Some(f))
    })?;
    kumo.set("memoize", f)
}

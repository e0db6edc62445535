//! One Lua VM: how handlers are found and run.

use std::future::Future;
use std::rc::{Rc, Weak};

use mlua::{FromLuaMulti, Function, IntoLua, IntoLuaMulti, Lua, MultiValue, Value};
use ringmta_mail::{ConnMeta, Message};

use super::context::{ctx, Ctx, Phase};
use super::error::{from_lua, PolicyError};
use super::handler_budget::Overrun;
use super::lua_value::from_json;
use super::message_arguments::Lent;
use crate::limits::MAX_SLICE_TIME;

/// A connection's metadata on the way into a VM.
pub(crate) struct ConnArg<'a> {
    conn: &'a ConnMeta,
    vm: u64,
}

impl IntoLua for ConnArg<'_> {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        let object = self.conn.object(self.vm, |conn| lua.create_any_userdata(conn))?;
        Ok(Value::UserData(object))
    }
}

/// The VM with its context.
pub(crate) struct Vm {
    pub lua: Lua,
    pub ctx: Rc<Ctx>,
}

impl Vm {
    /// Whether an event has a handler.
    pub fn handles(&self, event: &str) -> bool {
        self.ctx.handles(event)
    }

    /// Runs a Lua function as a coroutine, under the budget. Failures are logged here, once.
    pub async fn call<R: FromLuaMulti>(
        &self,
        event: &str,
        f: Function,
        args: impl IntoLuaMulti,
    ) -> Result<R, PolicyError> {
        self.watch(event, f.call_async::<R>(args)).await
    }

    /// Runs work that calls handlers, under the budget. Failures are logged here, once.
    pub async fn watch<R>(
        &self,
        event: &str,
        work: impl Future<Output = mlua::Result<R>>,
    ) -> Result<R, PolicyError> {
        let host = &self.ctx.host;
        let began = host.now_monotonic_nanos();
        let done = self.ctx.slice.watch(work).await;
        let nanos = host.now_monotonic_nanos().saturating_sub(began);
        let done = match done {
            Ok(Ok(r)) => Ok(r),
            Ok(Err(e)) => Err(self.report(event, &e)),
            Err(Overrun(place)) => {
                let shard = self.ctx.shard();
                tracing::error!(event, shard, "{place}: the handler ran for {MAX_SLICE_TIME:?} or more without waiting and was stopped");
                Err(PolicyError::Timeout)
            }
        };
        host.handled(event, nanos, done.as_ref().err());
        done
    }

    /// Calls the last handler; `None` when there is none.
    pub async fn single<R: FromLuaMulti>(
        &self,
        event: &str,
        args: impl IntoLuaMulti,
    ) -> Result<Option<R>, PolicyError> {
        match self.ctx.last_handler(event) {
            Some(f) => self.call(event, f, args).await.map(Some),
            None => Ok(None),
        }
    }

    /// Calls the handlers in order until one returns something else than nothing or nil.
    pub async fn chain(
        &self,
        event: &str,
        args: impl IntoLuaMulti,
    ) -> Result<MultiValue, PolicyError> {
        self.chain_until(event, args, |r| r.iter().any(|v| !v.is_nil())).await
    }

    /// Calls the handlers in order until `done`.
    pub async fn chain_until(
        &self,
        event: &str,
        args: impl IntoLuaMulti,
        done: impl Fn(&MultiValue) -> bool,
    ) -> Result<MultiValue, PolicyError> {
        let args = args.into_lua_multi(&self.lua).map_err(|e| self.report(event, &e))?;
        let mut n = 0;
        while let Some(f) = self.ctx.handler(event, n) {
            let r: MultiValue = self.call(event, f, args.clone()).await?;
            if done(&r) {
                return Ok(r);
            }
            n += 1;
        }
        Ok(MultiValue::new())
    }

    /// Fires an event of the policy's own with one argument.
    pub async fn call_user_event(
        &self,
        name: &str,
        args: serde_json::Value,
    ) -> Result<(), PolicyError> {
        let Some(f) = self.ctx.last_handler(name) else {
            return Err(self.bad_result(name, "the policy has no handler for this event"));
        };
        let arg = from_json(&self.lua, &args).map_err(|e| self.report(name, &e))?;
        self.call::<()>(name, f, arg).await
    }

    /// The connection as an argument of a handler; made into an object when there is one.
    pub fn conn<'a>(&self, conn: &'a ConnMeta) -> ConnArg<'a> {
        ConnArg { conn, vm: self.ctx.number }
    }

    /// Makes the object of a message that lives as long as a call.
    pub fn lend(&self, event: &str, msg: &Message) -> Result<Lent, PolicyError> {
        let object = self.lua.create_any_userdata(msg.clone());
        object.map(Lent::new).map_err(|e| self.report(event, &e))
    }

    /// Makes a Lua error ours and logs it if it is a failure.
    pub fn report(&self, event: &str, e: &mlua::Error) -> PolicyError {
        let ours = from_lua(event, e);
        if let PolicyError::Lua(l) = &ours {
            tracing::error!(event, shard = self.ctx.shard(), "{}", l.message);
        }
        ours
    }

    /// A failure found in what a handler returned.
    pub fn bad_result(&self, event: &str, why: impl std::fmt::Display) -> PolicyError {
        self.report(event, &mlua::Error::runtime(why))
    }
}

/// Fires an event of the policy's own: when the engine is up if asked for at start-up, otherwise now.
pub(crate) fn spawn_task(lua: &Lua, event: String, args: serde_json::Value) -> mlua::Result<()> {
    let ctx = ctx(lua)?;
    if ctx.phase.get() != Phase::Running {
        ctx.init.borrow_mut().spawn_tasks.push((event, args));
        return Ok(());
    }
    // The VM is known to its own functions by this, which does not keep it alive.
    let vm = lua.app_data_ref::<Weak<Vm>>().map(|vm| vm.clone()).unwrap_or_default();
    let task = async move {
        if let Some(vm) = vm.upgrade() {
            // A failure was logged where it happened.
            let _ = vm.call_user_event(&event, args).await;
        }
    };
    ctx.host.spawn(Box::pin(task));
    Ok(())
}

//! `kumo.make_throttle`.

use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;

use mlua::{IntoLua, Lua, Result, Table, UserData, UserDataMethods, UserDataRef, Value};

use super::shim::def;
use crate::gcra::Gcra;
use crate::message::Message;
use crate::options::Throttle;
use crate::plain::Portable;
use crate::vm::{self, Ctx};

/// A named limiter; every throttle of a name shares one state, process-wide.
pub(crate) struct NamedThrottle {
    name: String,
    rate: Throttle,
    gcra: Arc<Gcra>,
}

/// The Lua side.
#[derive(Clone)]
pub(crate) struct ThrottleObject(pub Arc<NamedThrottle>);

impl Portable for NamedThrottle {
    fn to_lua(self: Arc<Self>, lua: &Lua) -> Result<Value> {
        ThrottleObject(self).into_lua(lua)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn kind(&self) -> &'static str {
        "kumo.make_throttle"
    }
}

impl NamedThrottle {
    fn acquire(&self, now: u64) -> std::result::Result<(), std::time::Duration> {
        self.gcra.try_acquire(&self.rate.spec(), now)
    }
}

impl UserData for ThrottleObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("delay_message_if_throttled", |lua, t, m: UserDataRef<Message>| {
            let now = vm::ctx(lua)?.host.now_unix_nanos();
            let Err(wait) = t.0.acquire(now) else { return Ok(false) };
            m.set_due(Some((now + wait.as_nanos() as u64).div_ceil(1_000_000)));
            Ok(true)
        });
        methods.add_async_method("sleep_if_throttled", |lua, t, ()| async move {
            let ctx = vm::ctx(&lua)?;
            let mut slept = false;
            while let Err(wait) = t.0.acquire(ctx.host.now_unix_nanos()) {
                slept = true;
                ctx.sleep(wait).await;
            }
            Ok(slept)
        });
        methods.add_method("throttle", |lua, t, ()| {
            let now = vm::ctx(lua)?.host.now_unix_nanos();
            let outcome = t.0.acquire(now);
            let (remaining, reset) = t.0.gcra.peek(&t.0.rate.spec(), now);
            let r = lua.create_table()?;
            r.set("throttled", outcome.is_err())?;
            r.set("limit", t.0.rate.spec().burst)?;
            r.set("remaining", remaining)?;
            r.set("reset_after", reset.as_secs_f64())?;
            r.set("retry_after", outcome.err().map(|d| d.as_secs_f64()))?;
            Ok(r)
        });
        methods.add_method("explain", |_, t, ()| {
            let s = t.0.rate.spec();
            Ok(format!("{}: {} per {:?}, {} at once", t.0.name, s.limit, s.period, s.burst))
        });
    }
}

pub(super) fn register(lua: &Lua, kumo: &Table, ctx: &Rc<Ctx>) -> Result<()> {
    let ctx = ctx.clone();
    def(lua, kumo, "make_throttle", move |_, (name, spec): (String, String)| {
        let rate = Throttle::parse(&spec)
            .map_err(|e| mlua::Error::runtime(format!("kumo.make_throttle: {e}")))?;
        let gcra = ctx.shared.throttle(&name);
        Ok(ThrottleObject(Arc::new(NamedThrottle { name, rate, gcra })))
    })
}

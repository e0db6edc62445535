//! `kumo.make_throttle`.

use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mlua::{
    Error, Function, IntoLua, Lua, Result, Table, UserData, UserDataFields, UserDataMethods,
    UserDataRef, Value,
};
use ringmta_mail::message::Message;
use ringmta_options::gcra::Gcra;
use ringmta_options::plain::Portable;
use ringmta_options::{format_duration, Throttle};

use crate::families::redis::client::{acquire, Pool, SharedThrottles, Verdict};
use crate::process::helpers::target_of;
use crate::vm::declared::FnDef;
use crate::vm::functions::{def, pair, Lazy, Now};
use crate::vm::lua_value::LuaObject;
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

impl LuaObject for NamedThrottle {
    fn to_lua(self: Arc<Self>, lua: &Lua) -> Result<Value> {
        ThrottleObject(self).into_lua(lua)
    }
}

impl Portable for NamedThrottle {
    fn for_host(self: Arc<Self>) -> Box<dyn Any> {
        Box::new(self as Arc<dyn LuaObject>)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn kind(&self) -> &'static str {
        "kumo.make_throttle"
    }
}

impl NamedThrottle {
    /// Takes one event of a throttle that is counted in this process.
    fn acquire(&self, now: u64) -> Verdict {
        let spec = self.rate.spec();
        let wait = self.gcra.try_acquire(&spec, now).err();
        Verdict { wait, reset: self.gcra.peek(&spec, now).1 }
    }

    /// The Redis it is counted in, if any.
    fn shared_through(&self, ctx: &Ctx) -> Option<Arc<Pool>> {
        if self.rate.local {
            return None;
        }
        ctx.shared.named.only::<SharedThrottles>().map(|found| found.0.clone())
    }

    /// Takes one event, wherever it is counted.
    async fn acquire_anywhere(self: Arc<Self>, ctx: &Ctx) -> Result<Verdict> {
        let Some(pool) = self.shared_through(ctx) else {
            return Ok(self.acquire(ctx.host.now_monotonic_nanos()));
        };
        let this = self.clone();
        let target = target_of(&pool);
        let asked = move || acquire(&pool, &this.name, &this.rate.spec());
        let said = ctx.shared.helpers().run_for(&target, asked).await;
        said.map_err(|e| Error::runtime(format!("throttle {}: redis: {e}", self.name)))
    }

    /// Events that may still pass at once, from the time it takes to be as if unused.
    fn remaining(&self, reset: Duration) -> u64 {
        let spec = self.rate.spec();
        let interval = (spec.period.as_nanos() / u128::from(spec.limit.max(1))).max(1);
        let used = reset.as_nanos().div_ceil(interval);
        spec.burst.saturating_sub(u64::try_from(used).unwrap_or(u64::MAX))
    }
}

/// What a rate comes to: at once, and in the long run.
fn explain(rate: &Throttle) -> String {
    let spec = rate.spec();
    let interval = spec.period.div_f64(spec.limit.max(1) as f64);
    let text = rate.to_string();
    let kind = if text.contains("max_burst=") { "explicit" } else { "implied" };
    format!(
        "{text}\n{kind} burst rate {} every {}, or: {} in that period.\noverall rate {}",
        spec.burst,
        format_duration(interval),
        per_unit(spec.burst as f64 / interval.as_secs_f64()),
        per_unit(spec.limit as f64 / spec.period.as_secs_f64()),
    )
}

/// A rate per second, minute, hour and day.
fn per_unit(per_second: f64) -> String {
    let units = [("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0)];
    let text = units.map(|(unit, seconds)| format!("{}/{unit}", grouped(per_second * seconds)));
    text.join(", ")
}

/// A number rounded up, its thousands set apart; below one with three places.
fn grouped(n: f64) -> String {
    if n < 1.0 {
        return format!("{n:.3}");
    }
    // What binary fractions add to a whole number is not worth one more.
    let digits = format!("{:.0}", (n - 1e-9).ceil());
    let head = digits.len() % 3;
    let mut out = digits[..head].to_owned();
    for at in (head..digits.len()).step_by(3) {
        if !out.is_empty() {
            out.push(',');
        }
        out.push_str(&digits[at..at + 3]);
    }
    out
}

fn delay(ctx: &Ctx, m: &Message, verdict: &Verdict) -> bool {
    let Some(wait) = verdict.wait else { return false };
    m.set_due(Some((ctx.host.now_unix_nanos() + wait.as_nanos() as u64).div_ceil(1_000_000)));
    true
}

/// Answers at once when the throttle is counted here.
fn delay_message(lua: &Lua) -> Result<Function> {
    type Args = (UserDataRef<ThrottleObject>, UserDataRef<Message>);
    let now = lua.create_function(|lua, (t, m): Args| {
        let ctx = vm::ctx(lua)?;
        if t.0.shared_through(&ctx).is_some() {
            return Ok(Now::Wait);
        }
        let verdict = t.0.acquire(ctx.host.now_monotonic_nanos());
        Ok(Now::Done(delay(&ctx, &m, &verdict)))
    })?;
    let later = lua.create_async_function(|lua, (t, m): Args| async move {
        let ctx = vm::ctx(&lua)?;
        let verdict = t.0.clone().acquire_anywhere(&ctx).await?;
        Ok(delay(&ctx, &m, &verdict))
    })?;
    pair(lua, now, later, None)
}

impl UserData for ThrottleObject {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field("delay_message_if_throttled", Lazy(delay_message));
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_async_method("sleep_if_throttled", |lua, t, ()| async move {
            let ctx = vm::ctx(&lua)?;
            let mut slept = false;
            while let Some(wait) = t.0.clone().acquire_anywhere(&ctx).await?.wait {
                slept = true;
                ctx.sleep(wait).await;
            }
            Ok(slept)
        });
        methods.add_async_method("throttle", |lua, t, ()| async move {
            let ctx = vm::ctx(&lua)?;
            let verdict = t.0.clone().acquire_anywhere(&ctx).await?;
            let r = lua.create_table()?;
            r.set("throttled", verdict.wait.is_some())?;
            r.set("limit", t.0.rate.spec().burst)?;
            r.set("remaining", t.0.remaining(verdict.reset))?;
            r.set("reset_after", verdict.reset.as_secs_f64())?;
            r.set("retry_after", verdict.wait.map(|d| d.as_secs_f64()))?;
            Ok(r)
        });
        methods.add_method("explain", |_, t, ()| Ok(explain(&t.0.rate)));
    }
}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[FnDef::new(
    "kumo.make_throttle",
    "name: string, rate: string",
    "kumo.Throttle",
    "A rate shared by all of that name.",
)];

pub(crate) fn register(lua: &Lua, kumo: &Table, ctx: &Rc<Ctx>) -> Result<()> {
    let ctx = ctx.clone();
    def(lua, kumo, "make_throttle", move |_, (name, spec): (String, String)| {
        let rate = Throttle::parse(&spec)
            .map_err(|e| mlua::Error::runtime(format!("kumo.make_throttle: {e}")))?;
        let gcra = ctx.shared.throttle(&name);
        Ok(ThrottleObject(Arc::new(NamedThrottle { name, rate, gcra })))
    })
}

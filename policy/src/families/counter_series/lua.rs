//! `kumo.counter_series`.

use std::sync::Arc;
use std::time::Duration;

use mlua::{Error, Lua, Result, Table, UserData, UserDataMethods, Value};
use ringmta_options::*;

use super::series::Series;
use crate::limits::MAX_COUNTER_BUCKETS;
use crate::vm;
use crate::vm::functions::def;
use crate::vm::lua_value::to_plain;
use crate::vm::read_options::{duration as seconds, options};

option_table! {
    /// Shape of a counter series.
    pub struct SeriesParams for "kumo.counter_series.define" {
        /// Its name, the same in all VMs.
        name: String = String::new(); Support::Required,
        /// Number of buckets.
        num_buckets: usize = 1; Support::Required,
        /// Length of a bucket (duration); rounded up to whole seconds.
        bucket_size: Duration = Duration::from_secs(60); Support::Required,
        /// What the newest bucket holds at first.
        initial_value: u64 = 0,
    }
}

struct SeriesObject(Arc<Series>);

fn now(lua: &Lua) -> Result<u64> {
    Ok(vm::ctx(lua)?.host.now_unix_nanos() / 1_000_000_000)
}

impl UserData for SeriesObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("increment", |lua, s, by: Option<u64>| {
            s.0.change(now(lua)?, |n| n.saturating_add(by.unwrap_or(1)));
            Ok(())
        });
        methods.add_method("delta", |lua, s, by: i64| {
            s.0.change(now(lua)?, |n| n.saturating_add_signed(by));
            Ok(())
        });
        methods.add_method("observe", |lua, s, value: u64| {
            s.0.change(now(lua)?, |_| value);
            Ok(())
        });
        methods.add_method("sum", |lua, s, ()| Ok(s.0.sum(now(lua)?, None)));
        methods.add_method("sum_over", |lua, s, span: Value| {
            let span = seconds(&span)?;
            Ok(s.0.sum(now(lua)?, Some(span.as_secs() + u64::from(span.subsec_nanos() > 0))))
        });
    }
}

fn define_series(lua: &Lua, v: &Value) -> Result<SeriesObject> {
    let ctx = vm::ctx(lua)?;
    let p: SeriesParams = options(&ctx, &to_plain(v)?)?;
    let failed = |e: String| Error::runtime(format!("kumo.counter_series.define: {e}"));
    if !(1..=MAX_COUNTER_BUCKETS).contains(&p.num_buckets) {
        return Err(failed(format!("`num_buckets` must be from 1 to {MAX_COUNTER_BUCKETS}")));
    }
    let size = (p.bucket_size.as_secs() + u64::from(p.bucket_size.subsec_nanos() > 0)).max(1);
    let now = now(lua)?;
    let made = ctx.shared.named.find(
        p.name,
        |s: &Series| s.shape() == (p.num_buckets, size),
        || Ok(Series::new(p.num_buckets, size, p.initial_value, now)),
    );
    made.map(SeriesObject).map_err(failed)
}

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let series = lua.create_table()?;
    def(lua, &series, "define", |lua, v: Value| define_series(lua, &v))?;
    kumo.set("counter_series", series)
}

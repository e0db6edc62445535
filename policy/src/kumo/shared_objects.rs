//! `kumo.mpsc` and `kumo.counter_series`.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{select, Either};
use mlua::{Error, Lua, Result, Table, UserData, UserDataMethods, UserDataRef, Value};

use super::make::options;
use super::shim::def;
use crate::counter::Series;
use crate::limits::MAX_COUNTER_BUCKETS;
use crate::lua_value::{from_plain, to_plain};
use crate::mpsc::{Queue, Refusal};
use crate::options::*;
use crate::plain::Plain;
use crate::vm;

struct QueueObject(Arc<Queue>);

fn refused(r: Refusal) -> Error {
    Error::runtime(match r {
        Refusal::Closed => "the queue is closed",
        Refusal::Full => "the queue is full",
    })
}

fn seconds(v: &Value) -> Result<Duration> {
    Duration::parse(&to_plain(v)?, &mut Notes::default()).map_err(Error::runtime)
}

impl UserData for QueueObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_async_method("send", |_, q: UserDataRef<Self>, v: Value| async move {
            let (queue, v) = (q.0.clone(), to_plain(&v)?);
            drop(q);
            queue.send(v).await.map_err(refused)
        });
        methods.add_async_method(
            "send_timeout",
            |lua, q: UserDataRef<Self>, (v, limit): (Value, Value)| async move {
                let (queue, v, limit) = (q.0.clone(), to_plain(&v)?, seconds(&limit)?);
                drop(q);
                let ctx = vm::ctx(&lua)?;
                let sending = std::pin::pin!(queue.send(v));
                let waiting = std::pin::pin!(ctx.sleep(limit));
                let outcome = match select(sending, waiting).await {
                    Either::Left((sent, _)) => sent.map_err(refused),
                    Either::Right(_) => Err(Error::runtime("no room in the queue in time")),
                };
                outcome
            },
        );
        methods.add_method("try_send", |_, q, v: Value| Ok(q.0.try_send(to_plain(&v)?).is_ok()));
        methods.add_async_method("recv", |lua, q: UserDataRef<Self>, ()| async move {
            let queue = q.0.clone();
            drop(q);
            let got = queue.recv(1).await.map_err(Error::runtime)?;
            from_plain(&lua, got.first().unwrap_or(&Plain::Nil))
        });
        methods.add_method("try_recv", |lua, q, ()| {
            let got = q.0.try_recv(1).map_err(Error::runtime)?;
            from_plain(lua, got.first().unwrap_or(&Plain::Nil))
        });
        methods.add_async_method(
            "recv_many",
            |lua, q: UserDataRef<Self>, most: usize| async move {
                let queue = q.0.clone();
                drop(q);
                let got = queue.recv(most).await.map_err(Error::runtime)?;
                match got.is_empty() {
                    true => Ok(Value::Nil),
                    false => from_plain(&lua, &Plain::list(got)),
                }
            },
        );
        methods.add_method("close", |_, q, ()| {
            q.0.close();
            Ok(())
        });
        methods.add_method("is_closed", |_, q, ()| Ok(q.0.is_closed()));
        methods.add_method("is_empty", |_, q, ()| Ok(q.0.is_empty()));
        methods.add_method("len", |_, q, ()| Ok(q.0.len()));
    }
}

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
    let made = ctx.shared.named.series(
        p.name,
        |s| s.shape() == (p.num_buckets, size),
        || Ok(Series::new(p.num_buckets, size, p.initial_value, now)),
    );
    made.map(SeriesObject).map_err(failed)
}

pub(super) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let mpsc = lua.create_table()?;
    def(lua, &mpsc, "define", |lua, (name, limit): (String, Option<usize>)| {
        let failed = |e: String| Error::runtime(format!("kumo.mpsc.define: {e}"));
        if limit == Some(0) {
            return Err(failed("the limit must be at least 1".into()));
        }
        let queue = vm::ctx(lua)?.shared.named.queue(name, limit);
        queue.map(QueueObject).map_err(failed)
    })?;
    kumo.set("mpsc", mpsc)?;
    let series = lua.create_table()?;
    def(lua, &series, "define", |lua, v: Value| define_series(lua, &v))?;
    kumo.set("counter_series", series)
}

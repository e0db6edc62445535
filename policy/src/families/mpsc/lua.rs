//! `kumo.mpsc`.

use std::sync::Arc;

use futures::future::{select, Either};
use mlua::{Error, Lua, Result, Table, UserData, UserDataMethods, UserDataRef, Value};
use ringmta_options::plain::Plain;

use super::queue::{Queue, Refusal};
use crate::vm;
use crate::vm::declared::FnDef;
use crate::vm::functions::def;
use crate::vm::lua_value::{from_plain, to_plain};
use crate::vm::read_options::duration as seconds;

struct QueueObject(Arc<Queue>);

fn refused(r: Refusal) -> Error {
    Error::runtime(match r {
        Refusal::Closed => "the queue is closed",
        Refusal::Full => "the queue is full",
    })
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

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[FnDef::new(
    "kumo.mpsc.define",
    "name: string, limit?: integer",
    "any",
    "A queue by its name, the same in all VMs.",
)];

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let mpsc = lua.create_table()?;
    def(lua, &mpsc, "define", |lua, (name, limit): (String, Option<usize>)| {
        let failed = |e: String| Error::runtime(format!("kumo.mpsc.define: {e}"));
        if limit == Some(0) {
            return Err(failed("the limit must be at least 1".into()));
        }
        let named = &vm::ctx(lua)?.shared.named;
        let queue = named.find(name, |_| true, || Ok(Queue::new(limit)));
        queue.map(QueueObject).map_err(failed)
    })?;
    kumo.set("mpsc", mpsc)
}

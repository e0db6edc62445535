//! Readers that hand records out in batches, to one consumer or several.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use mlua::{Error, Function, Lua, Result, UserData, UserDataMethods, UserDataRef, Value};
use serde_json::Value as Json;

use super::params::{ConsumerParams, Failable};
use super::read::{next, segments, Mark};
use crate::limits::MAX_JSONL_BATCH;
use crate::vm;
use crate::vm::lua_value::from_json;

/// One consumer of what is read.
pub(super) struct Consumer {
    params: ConsumerParams,
    filter: Option<Function>,
    /// Records that passed the filter, with the place behind each.
    waiting: VecDeque<(Json, Mark)>,
    /// Behind the last record that was looked at, also when it did not pass.
    seen: Mark,
    /// When the oldest waiting record came, by the host's clock.
    since: Option<u64>,
    /// What was committed before: earlier records are passed over.
    start: Mark,
}

pub(super) struct Reading {
    folder: PathBuf,
    pattern: String,
    poll: Duration,
    at: Mark,
    consumers: Vec<Consumer>,
    closed: bool,
}

/// The Lua side; `single` tells the two kinds apart.
#[derive(Clone)]
pub(super) struct Tailer(pub Rc<RefCell<Reading>>, pub bool);

impl Tailer {
    pub fn open(
        folder: String,
        pattern: String,
        poll: Duration,
        tail: bool,
        consumers: Vec<(ConsumerParams, Option<Function>)>,
    ) -> Failable<Rc<RefCell<Reading>>> {
        let folder = PathBuf::from(folder);
        let newest = if tail { segments(&folder, &pattern)?.pop() } else { None };
        let mut list = Vec::new();
        for (params, filter) in consumers {
            if !(1..=MAX_JSONL_BATCH).contains(&params.max_batch_size) {
                return Err(format!("`max_batch_size` must be from 1 to {MAX_JSONL_BATCH}"));
            }
            if params.checkpoint_name.as_ref().is_some_and(|n| n.is_empty() || n.contains('/')) {
                return Err("`checkpoint_name` must be a file name".into());
            }
            let remembered = params.checkpoint_name.as_ref().filter(|_| !tail);
            let remembered =
                remembered.map(|n| Mark::load(&folder.join(format!(".{n}")))).transpose()?;
            let start = match &newest {
                Some(name) => Mark { file: name.clone(), lines: 0 },
                None => remembered.flatten().unwrap_or_default(),
            };
            let seen = start.clone();
            list.push(Consumer {
                params,
                filter,
                waiting: VecDeque::new(),
                seen,
                since: None,
                start,
            });
        }
        let at = list.iter().map(|c| c.start.clone()).min().unwrap_or_default();
        Ok(Rc::new(RefCell::new(Reading {
            folder,
            pattern,
            poll,
            at,
            consumers: list,
            closed: false,
        })))
    }

    /// Reads on; true when something was found.
    async fn read(&self, lua: &Lua) -> Result<bool> {
        let (folder, pattern, at) = {
            let r = self.0.borrow();
            (r.folder.clone(), r.pattern.clone(), r.at.clone())
        };
        let from = at.clone();
        let job = move || next(&folder, &pattern, &from, MAX_JSONL_BATCH);
        let ctx = vm::ctx(lua)?;
        let (found, to) = ctx.shared.helpers().run(job).await.map_err(Error::runtime)?;
        let any = !found.is_empty();
        let first = to.lines - found.len() as u64;
        for (i, record) in found.into_iter().enumerate() {
            let behind = Mark { file: to.file.clone(), lines: first + i as u64 + 1 };
            self.hand_out(lua, &record, &behind).await?;
        }
        self.0.borrow_mut().at = to;
        Ok(any)
    }

    async fn hand_out(&self, lua: &Lua, record: &Json, behind: &Mark) -> Result<()> {
        let n = self.0.borrow().consumers.len();
        for i in 0..n {
            let filter = {
                let r = self.0.borrow();
                if *behind <= r.consumers[i].start {
                    continue;
                }
                r.consumers[i].filter.clone()
            };
            let takes = match filter {
                Some(f) => f.call_async::<bool>(from_json(lua, record)?).await?,
                None => true,
            };
            let now = vm::ctx(lua)?.host.now_unix_nanos();
            let c = &mut self.0.borrow_mut().consumers[i];
            c.seen = behind.clone();
            if takes {
                c.waiting.push_back((record.clone(), behind.clone()));
                c.since.get_or_insert(now);
            }
        }
        Ok(())
    }

    /// The batches that are full or have waited long enough.
    fn ready(&self, now: u64) -> Vec<Batch> {
        let r = &mut *self.0.borrow_mut();
        let mut out = Vec::new();
        for c in &mut r.consumers {
            let late = c.since.is_some_and(|t| {
                now.saturating_sub(t) >= c.params.max_batch_latency.as_nanos() as u64
            });
            if c.waiting.len() < c.params.max_batch_size && !late {
                continue;
            }
            let n = c.waiting.len().min(c.params.max_batch_size);
            let taken: Vec<(Json, Mark)> = c.waiting.drain(..n).collect();
            c.since = (!c.waiting.is_empty()).then_some(now);
            // With nothing left, records that did not pass are done too.
            let behind = match c.waiting.is_empty() {
                true => c.seen.clone(),
                false => taken.last().map(|(_, m)| m.clone()).unwrap_or_default(),
            };
            let checkpoint =
                c.params.checkpoint_name.as_ref().map(|n| r.folder.join(format!(".{n}")));
            let records = taken.into_iter().map(|(v, _)| v).collect();
            out.push(Batch(Rc::new(RefCell::new(Some(Content {
                name: c.params.name.clone(),
                records,
                behind,
                checkpoint,
            })))));
        }
        out
    }

    async fn next(&self, lua: &Lua) -> Result<Option<Vec<Batch>>> {
        let ctx = vm::ctx(lua)?;
        loop {
            if self.0.borrow().closed {
                return Ok(None);
            }
            let ready = self.ready(ctx.host.now_unix_nanos());
            if !ready.is_empty() {
                return Ok(Some(ready));
            }
            if !self.read(lua).await? {
                // The shortest of the waits that could end.
                let poll = self.0.borrow().poll;
                ctx.sleep(poll.max(Duration::from_millis(1))).await;
            }
        }
    }
}

impl UserData for Tailer {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("batches", |lua, t, ()| {
            let t = t.clone();
            lua.create_async_function(move |lua, _: mlua::MultiValue| {
                let t = t.clone();
                async move {
                    let Some(found) = t.next(&lua).await? else { return Ok(Value::Nil) };
                    match t.1 {
                        true => mlua::IntoLua::into_lua(found.into_iter().next(), &lua),
                        false => mlua::IntoLua::into_lua(found, &lua),
                    }
                }
            })
        });
        methods.add_method("close", |_, t, ()| {
            t.0.borrow_mut().closed = true;
            Ok(())
        });
    }
}

struct Content {
    name: String,
    records: Vec<Json>,
    behind: Mark,
    checkpoint: Option<PathBuf>,
}

/// The Lua side of a batch; empty once it was committed.
#[derive(Clone)]
pub(super) struct Batch(Rc<RefCell<Option<Content>>>);

impl UserData for Batch {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("consumer_name", |_, b, ()| {
            Ok(b.0.borrow().as_ref().map_or(String::new(), |c| c.name.clone()))
        });
        methods.add_method("records", |lua, b, ()| {
            let out = lua.create_table()?;
            for r in b.0.borrow().iter().flat_map(|c| &c.records) {
                out.push(from_json(lua, r)?)?;
            }
            Ok(out)
        });
        methods.add_method("iter_records", |lua, b, ()| {
            let b = b.clone();
            let n = std::cell::Cell::new(0);
            lua.create_function(move |lua, _: mlua::MultiValue| {
                let content = b.0.borrow();
                let record = content.as_ref().and_then(|c| c.records.get(n.get()));
                n.set(n.get() + 1);
                record.map_or(Ok(Value::Nil), |r| from_json(lua, r))
            })
        });
        methods.add_async_method("commit", |lua, b: UserDataRef<Self>, ()| async move {
            let content = b.0.borrow_mut().take();
            drop(b);
            let content =
                content.ok_or_else(|| Error::runtime("batch has already been committed"))?;
            let Some(path) = content.checkpoint else { return Ok(()) };
            let shared = vm::ctx(&lua)?.shared.clone();
            shared.helpers().run(move || content.behind.store(&path)).await.map_err(Error::runtime)
        });
    }
}

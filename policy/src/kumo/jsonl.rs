//! `kumo.jsonl`: zstd-compressed files of JSON lines, read in batches and written in segments.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mlua::{Error, Function, Lua, Result, Table, UserData, UserDataMethods, UserDataRef, Value};
use serde_json::Value as Json;

use super::make::options;
use crate::limits::{JSONL_FILE_BYTES, JSONL_POLL, MAX_JSONL_BATCH, MAX_JSONL_LINE_BYTES};
use crate::lua_value::{from_json, to_json, to_plain};
use crate::options::*;
use crate::vm;

type Failable<T> = std::result::Result<T, String>;

option_table! {
    /// What is read, and how it is handed on.
    pub struct TailerParams for "kumo.jsonl.new_tailer" {
        /// Folder with the segments.
        directory: String = String::new(); Support::Required,
        /// Which files in it: a glob pattern.
        pattern: String = "*".into(),
        /// Records of a batch at most.
        max_batch_size: usize = 100,
        /// How long a batch that is not full is waited for (duration).
        max_batch_latency: Duration = Duration::from_secs(1),
        /// Remembers the place in a hidden file of this name in the folder.
        checkpoint_name: Option<String> = None,
        /// How often the folder is looked at (duration).
        poll_watcher: Duration = JSONL_POLL,
        /// Begin with the newest segment, whatever was remembered.
        tail: bool = false,
    }
}

option_table! {
    /// What is read by several consumers.
    pub struct MultiTailerParams for "kumo.jsonl.new_multi_tailer" {
        /// Folder with the segments.
        directory: String = String::new(); Support::Required,
        /// Which files in it: a glob pattern.
        pattern: String = "*".into(),
        /// How often the folder is looked at (duration).
        poll_watcher: Duration = JSONL_POLL,
        /// Begin with the newest segment, whatever was remembered.
        tail: bool = false,
    }
}

option_table! {
    /// One consumer.
    pub struct ConsumerParams for "kumo.jsonl.new_multi_tailer.consumers" {
        /// Its name.
        name: String = String::new(); Support::Required,
        /// Records of a batch at most.
        max_batch_size: usize = 100,
        /// How long a batch that is not full is waited for (duration).
        max_batch_latency: Duration = Duration::from_secs(1),
        /// Remembers the place in a hidden file of this name in the folder.
        checkpoint_name: Option<String> = None,
    }
}

option_table! {
    /// How segments are written.
    pub struct WriterParams for "kumo.jsonl.new_writer" {
        /// Folder of the segments; made when it is not there.
        log_dir: String = String::new(); Support::Required,
        /// Bytes of a segment before compression.
        max_file_size: u64 = JSONL_FILE_BYTES,
        /// zstd level; 0 is the library's own choice.
        compression_level: u16 = 3,
        /// Bytes of a line at most.
        max_record_size: usize = MAX_JSONL_LINE_BYTES,
        /// How long a segment is written to (duration).
        max_segment_duration: Option<Duration> = None,
        /// Ending of file names.
        suffix: String = String::new(),
        /// Time zone of file names.
        tz: Option<String> = None; Support::NoEffect("file names are in UTC"),
    }
}

/// A place: a segment, and lines of it that were read.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    file: String,
    lines: u64,
}

impl Mark {
    fn load(path: &Path) -> Failable<Option<Mark>> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(format!("{}: {e}", path.display())),
        };
        let bad = || format!("{} is not a checkpoint", path.display());
        let v: Json = serde_json::from_str(&text).map_err(|_| bad())?;
        let file = v["file"].as_str().ok_or_else(bad)?.to_owned();
        Ok(Some(Mark { file, lines: v["line"].as_u64().ok_or_else(bad)? }))
    }

    /// Written beside and renamed, so that a crash leaves the old one or the new one.
    fn store(&self, path: &Path) -> Failable<()> {
        let failed = |e: std::io::Error| format!("{}: {e}", path.display());
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let text = serde_json::json!({"file": self.file, "line": self.lines}).to_string();
        let mut file = std::fs::File::create(&beside).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        std::fs::rename(&beside, path).map_err(failed)
    }
}

/// The segments of a folder that match, in order of their names.
fn segments(folder: &Path, pattern: &str) -> Failable<Vec<String>> {
    let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_file = entry.file_type().map_err(failed)?.is_file();
        if is_file && !name.starts_with('.') && super::glob::matches(pattern, &name) {
            out.push(name);
        }
    }
    out.sort();
    Ok(out)
}

/// Lines of a segment from `skip` on, at most `most`; and whether the segment is finished (nothing is written to it any more).
fn lines(path: &Path, skip: u64, most: usize) -> Failable<(Vec<Json>, bool)> {
    let failed = |e: std::io::Error| format!("{}: {e}", path.display());
    let file = std::fs::File::open(path).map_err(failed)?;
    let done = file.metadata().map_err(failed)?.permissions().readonly();
    let mut reader = BufReader::new(zstd::Decoder::new(file).map_err(failed)?);
    let mut out = Vec::new();
    let mut line = Vec::new();
    let mut n = 0;
    while out.len() < most {
        line.clear();
        let read = std::io::Read::take(&mut reader, MAX_JSONL_LINE_BYTES as u64 + 1)
            .read_until(b'\n', &mut line);
        match read {
            Ok(0) => return Ok((out, done)),
            Ok(len) if len > MAX_JSONL_LINE_BYTES => {
                return Err(format!("{}: line {} is too long", path.display(), n + 1))
            }
            // A line without its end is still being written.
            Ok(_) if !line.ends_with(b"\n") => return Ok((out, done)),
            Ok(_) => {}
            // So is a frame that ends early.
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok((out, done)),
            Err(e) => return Err(failed(e)),
        }
        n += 1;
        if n > skip {
            let text = line.trim_ascii();
            let v = serde_json::from_slice(text)
                .map_err(|e| format!("{}: line {n}: {e}", path.display()))?;
            out.push(v);
        }
    }
    Ok((out, false))
}

/// The next records behind a place, and the place behind them.
fn next(folder: &Path, pattern: &str, from: &Mark, most: usize) -> Failable<(Vec<Json>, Mark)> {
    let all = segments(folder, pattern)?;
    let mut at = from.clone();
    for (i, name) in all.iter().enumerate().filter(|(_, n)| **n >= from.file) {
        if *name != at.file {
            at = Mark { file: name.clone(), lines: 0 };
        }
        let (found, _done) = lines(&folder.join(name), at.lines, most)?;
        at.lines += found.len() as u64;
        // A later segment means that this one is finished.
        if !found.is_empty() || i + 1 == all.len() {
            return Ok((found, at));
        }
    }
    Ok((Vec::new(), at))
}

/// One consumer of what is read.
struct Consumer {
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

struct Reading {
    folder: PathBuf,
    pattern: String,
    poll: Duration,
    at: Mark,
    consumers: Vec<Consumer>,
    closed: bool,
}

/// The Lua side; `single` tells the two kinds apart.
#[derive(Clone)]
struct Tailer(Rc<RefCell<Reading>>, bool);

impl Tailer {
    fn open(
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
struct Batch(Rc<RefCell<Option<Content>>>);

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

/// A segment that is being written.
struct Open {
    encoder: zstd::Encoder<'static, std::fs::File>,
    path: PathBuf,
    bytes: u64,
    since: u64,
}

/// Writes segments. Used on helper threads.
struct Segments {
    params: WriterParams,
    open: Mutex<Option<Open>>,
}

impl Segments {
    fn write(&self, line: &[u8], now: u64) -> Failable<()> {
        if line.len() >= self.params.max_record_size {
            return Err("the record is too long".into());
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let full = open.as_ref().is_some_and(|o| {
            let old = self
                .params
                .max_segment_duration
                .is_some_and(|d| now.saturating_sub(o.since) >= d.as_nanos() as u64);
            old || o.bytes + line.len() as u64 > self.params.max_file_size
        });
        if full {
            finish(&mut open)?;
        }
        if open.is_none() {
            *open = Some(self.start(now)?);
        }
        let Some(o) = open.as_mut() else { return Ok(()) };
        let failed = |e: std::io::Error| format!("{}: {e}", o.path.display());
        o.encoder.write_all(line).map_err(failed)?;
        // Readers see whole lines at once.
        o.encoder.flush().map_err(failed)?;
        o.bytes += line.len() as u64;
        Ok(())
    }

    fn start(&self, now: u64) -> Failable<Open> {
        let folder = Path::new(&self.params.log_dir);
        let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
        std::fs::create_dir_all(folder).map_err(failed)?;
        // Two segments of one instant get names of their own.
        for later in 0..1000u64 {
            let name = crate::strftime::format("%Y%m%d-%H%M%S%.9f", i128::from(now + later))?;
            let path = folder.join(format!("{name}{}", self.params.suffix));
            match std::fs::File::create_new(&path) {
                Ok(file) => {
                    let level = i32::from(self.params.compression_level);
                    let encoder = zstd::Encoder::new(file, level).map_err(failed)?;
                    return Ok(Open { encoder, path, bytes: 0, since: now });
                }
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(format!("{}: {e}", path.display())),
            }
        }
        Err(format!("{}: no name is free for a segment", folder.display()))
    }
}

/// Ends a segment and marks it as finished: read-only.
fn finish(open: &mut Option<Open>) -> Failable<()> {
    let Some(o) = open.take() else { return Ok(()) };
    let failed = |e: std::io::Error| format!("{}: {e}", o.path.display());
    let file = o.encoder.finish().map_err(failed)?;
    let mut mode = file.metadata().map_err(failed)?.permissions();
    mode.set_readonly(true);
    file.set_permissions(mode).and_then(|()| file.sync_all()).map_err(failed)
}

/// The Lua side of a writer.
struct Writer(Arc<Segments>);

async fn put(lua: &Lua, segments: Arc<Segments>, mut line: Vec<u8>) -> Result<()> {
    if !line.ends_with(b"\n") {
        line.push(b'\n');
    }
    let ctx = vm::ctx(lua)?;
    let now = ctx.host.now_unix_nanos();
    let done = ctx.shared.helpers().run(move || segments.write(&line, now)).await;
    done.map_err(|e| Error::runtime(format!("kumo.jsonl: {e}")))
}

impl UserData for Writer {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_async_method(
            "write_line",
            |lua, w: UserDataRef<Self>, line: mlua::String| async move {
                let (segments, line) = (w.0.clone(), line.as_bytes().to_vec());
                drop(w);
                put(&lua, segments, line).await
            },
        );
        methods.add_async_method(
            "write_record",
            |lua, w: UserDataRef<Self>, v: Value| async move {
                let (segments, line) = (w.0.clone(), to_json(&v)?.to_string().into_bytes());
                drop(w);
                put(&lua, segments, line).await
            },
        );
        methods.add_async_method("close", |lua, w: UserDataRef<Self>, ()| async move {
            let segments = w.0.clone();
            drop(w);
            let job =
                move || finish(&mut segments.open.lock().unwrap_or_else(PoisonError::into_inner));
            let done = vm::ctx(&lua)?.shared.clone().helpers().run(job).await;
            done.map_err(|e| Error::runtime(format!("kumo.jsonl: {e}")))
        });
        methods.add_meta_method(mlua::MetaMethod::Close, |_, w, _: Value| {
            let mut open = w.0.open.lock().unwrap_or_else(PoisonError::into_inner);
            finish(&mut open).map_err(Error::runtime)
        });
    }
}

fn multi(lua: &Lua, t: &Table) -> Result<Tailer> {
    let ctx = vm::ctx(lua)?;
    // Filters are functions, which option tables do not hold.
    let top = lua.create_table()?;
    for pair in t.pairs::<Value, Value>() {
        let (key, value) = pair?;
        if key.as_string().is_none_or(|k| k.as_bytes() != b"consumers".as_slice()) {
            top.set(key, value)?;
        }
    }
    let p: MultiTailerParams = options(&ctx, &to_plain(&Value::Table(top))?)?;
    let mut consumers = Vec::new();
    for consumer in t.get::<Table>("consumers")?.sequence_values::<Table>() {
        let consumer = consumer?;
        let filter: Option<Function> = consumer.get("filter")?;
        let bare = lua.create_table()?;
        for pair in consumer.pairs::<Value, Value>() {
            let (key, value) = pair?;
            if key.as_string().is_none_or(|k| k.as_bytes() != b"filter".as_slice()) {
                bare.set(key, value)?;
            }
        }
        let params: ConsumerParams = options(&ctx, &to_plain(&Value::Table(bare))?)?;
        consumers.push((params, filter));
    }
    let reading = Tailer::open(p.directory, p.pattern, p.poll_watcher, p.tail, consumers);
    let failed = |e: String| Error::runtime(format!("kumo.jsonl.new_multi_tailer: {e}"));
    Ok(Tailer(reading.map_err(failed)?, false))
}

pub(super) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    use super::shim::def;
    let t = lua.create_table()?;
    def(lua, &t, "new_tailer", |lua, (v, filter): (Value, Option<Function>)| {
        let p: TailerParams = options(&*vm::ctx(lua)?, &to_plain(&v)?)?;
        let consumer = ConsumerParams {
            name: "default".into(),
            max_batch_size: p.max_batch_size,
            max_batch_latency: p.max_batch_latency,
            checkpoint_name: p.checkpoint_name,
        };
        let reading =
            Tailer::open(p.directory, p.pattern, p.poll_watcher, p.tail, vec![(consumer, filter)]);
        let failed = |e: String| Error::runtime(format!("kumo.jsonl.new_tailer: {e}"));
        Ok(Tailer(reading.map_err(failed)?, true))
    })?;
    def(lua, &t, "new_multi_tailer", |lua, t: Table| multi(lua, &t))?;
    def(lua, &t, "new_writer", |lua, v: Value| {
        let params: WriterParams = options(&*vm::ctx(lua)?, &to_plain(&v)?)?;
        if params.compression_level > 21 {
            return Err(Error::runtime("kumo.jsonl.new_writer: `compression_level` is at most 21"));
        }
        Ok(Writer(Arc::new(Segments { params, open: Mutex::default() })))
    })?;
    kumo.set("jsonl", t)
}

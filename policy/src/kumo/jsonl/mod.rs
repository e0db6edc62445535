//! `kumo.jsonl`: zstd-compressed files of JSON lines, read in batches and written in segments.

mod read;
mod tail;
mod write;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mlua::{Error, Function, Lua, Result, Table, Value};

use super::make::options;
use crate::limits::{JSONL_FILE_BYTES, JSONL_POLL, MAX_JSONL_LINE_BYTES};
use crate::lua_value::to_plain;
use crate::options::*;
use crate::vm;
use tail::Tailer;
use write::{Segments, Writer};

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

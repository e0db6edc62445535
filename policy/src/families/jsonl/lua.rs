//! `kumo.jsonl`: zstd-compressed files of JSON lines, read in batches and written in segments.

use std::sync::{Arc, Mutex};

use mlua::{Error, Function, Lua, Result, Table, Value};

use super::params::*;
use super::tail::Tailer;
use super::write::{Segments, Writer};
use crate::vm;
use crate::vm::declared::FnDef;
use crate::vm::lua_value::to_plain;
use crate::vm::read_options::options;

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

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[
    FnDef::new(
        "kumo.jsonl.new_tailer",
        "options: kumo.JsonlTailerOptions, filter?: function",
        "any",
        "Reads records in batches.",
    ),
    FnDef::new(
        "kumo.jsonl.new_multi_tailer",
        "options: kumo.JsonlMultiTailerOptions",
        "any",
        "Reads records for several consumers.",
    ),
];

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    use crate::vm::functions::def;
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

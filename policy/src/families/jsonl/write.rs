//! Writers of segments.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use mlua::{Error, Lua, Result, UserData, UserDataMethods, UserDataRef, Value};

use super::params::{Failable, WriterParams};
use crate::confinement::why_not_written;
use crate::vm;
use crate::vm::lua_value::to_json;

/// A segment that is being written.
pub(super) struct Open {
    encoder: zstd::Encoder<'static, std::fs::File>,
    path: PathBuf,
    bytes: u64,
    since: u64,
}

/// Writes segments. Used on helper threads.
pub(super) struct Segments {
    pub params: WriterParams,
    pub open: Mutex<Option<Open>>,
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
        let failed = |e: std::io::Error| {
            format!("{}: {e}{}", folder.display(), why_not_written(&folder.join("segment")))
        };
        std::fs::DirBuilder::new().recursive(true).mode(0o750).create(folder).map_err(failed)?;
        // Two segments of one instant get names of their own.
        for later in 0..1000u64 {
            let name = ringmta_mail::strftime::format("%Y%m%d-%H%M%S%.9f", i128::from(now + later));
            let path = folder.join(format!("{name}{}", self.params.suffix));
            match std::fs::File::options().create_new(true).write(true).mode(0o640).open(&path) {
                Ok(file) => {
                    let level = i32::from(self.params.compression_level);
                    let encoder = zstd::Encoder::new(file, level).map_err(failed)?;
                    return Ok(Open { encoder, path, bytes: 0, since: now });
                }
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(failed(e)),
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
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o440;
    file.set_permissions(std::fs::Permissions::from_mode(mode))
        .and_then(|()| file.sync_all())
        .map_err(failed)
}

/// The Lua side of a writer.
pub(super) struct Writer(pub Arc<Segments>);

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

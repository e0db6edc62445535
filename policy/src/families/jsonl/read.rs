//! Segments read line by line, from a place that can be remembered.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::params::Failable;
use crate::confinement::why_not_written;
use crate::families::files::glob::NamePattern;
use crate::limits::MAX_JSONL_LINE_BYTES;

/// A place: a segment, and lines of it that were read.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub file: String,
    pub lines: u64,
}

impl Mark {
    pub fn load(path: &Path) -> Failable<Option<Mark>> {
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
    pub fn store(&self, path: &Path) -> Failable<()> {
        let failed =
            |e: std::io::Error| format!("{}: {e}{}", path.display(), why_not_written(path));
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
pub(super) fn segments(folder: &Path, pattern: &str) -> Failable<Vec<String>> {
    let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
    let pattern = NamePattern::new(pattern);
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_file = entry.file_type().map_err(failed)?.is_file();
        if is_file && !name.starts_with('.') && pattern.is_match(&name) {
            out.push(name);
        }
    }
    out.sort();
    Ok(out)
}

/// Lines of a segment from `skip` on, at most `most`; and whether the segment is finished (nothing is written to it any more).
pub(super) fn lines(path: &Path, skip: u64, most: usize) -> Failable<(Vec<Json>, bool)> {
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
pub(super) fn next(
    folder: &Path,
    pattern: &str,
    from: &Mark,
    most: usize,
) -> Failable<(Vec<Json>, Mark)> {
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

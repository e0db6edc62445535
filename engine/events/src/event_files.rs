//! The files of an event log: segments of JSON lines, and the cursor. Every call blocks.

use crate::position::Position;
use ringmta_io::fs;
use ringmta_io::plain;
use ringmta_io::plain::Plain;
use ringmta_mail::headers::text_of;
use std::path::{Path, PathBuf};

/// Longest text of a cursor: two numbers.
const CURSOR_BYTES_MAX: usize = 64;

pub(super) fn size_of(dir: &Path, segment: u64) -> Option<u64> {
    Plain::open_read(&name(dir, segment)).and_then(|file| file.size()).ok()
}

pub(super) fn remove_segment(dir: &Path, segment: u64) -> std::io::Result<()> {
    match fs::remove_file(&name(dir, segment)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Events from `at` to `end`, as far as they can be read.
pub(super) fn count_lines(dir: &Path, mut at: Position, end: Position) -> u64 {
    let mut lines = 0;
    while at < end {
        let Ok((chunk, next)) = read_from(dir, at, end, 1 << 20) else { break };
        lines += memchr::memchr_iter(b'\n', &chunk).count() as u64;
        if next <= at {
            break;
        }
        at = next;
    }
    lines
}

pub(super) fn append_durably(file: Option<&Plain>, data: &[u8]) -> std::io::Result<()> {
    let Some(file) = file else { return Err(std::io::Error::other("not open")) };
    file.append(data)?;
    file.sync()
}

pub(super) fn name(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("events-{number:010}.log"))
}

pub(super) fn list(dir: &Path) -> std::io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for path in fs::read_dir(dir)? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        let number = name.strip_prefix("events-").and_then(|n| n.strip_suffix(".log"));
        numbers.extend(number.and_then(|n| n.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Ends the file behind its last whole line before a hole: what a crash has left of a write that
/// was never synced. No line holds a NUL.
pub(super) fn cut_torn_tail(file: &Plain) -> std::io::Result<u64> {
    let size = file.size()?;
    let mut all = file.read_at(0, size as usize)?;
    all.truncate(memchr::memchr(0, &all).unwrap_or(all.len()));
    let end = memchr::memrchr(b'\n', &all).map_or(0, |at| at + 1) as u64;
    if end < size {
        file.cut(end)?;
    }
    Ok(end)
}

/// Whole lines from `from` on, within one segment, and the position behind them.
pub(super) fn read_from(
    dir: &Path,
    from: Position,
    end: Position,
    bytes: usize,
) -> std::io::Result<(Vec<u8>, Position)> {
    let mut at = from;
    loop {
        let is_last = at.0 >= end.0;
        let file = match Plain::open_read(&name(dir, at.0)) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_last => {
                at = (at.0 + 1, 0);
                continue;
            }
            Err(error) => return Err(error),
        };
        let limit = if is_last { end.1 } else { file.size()? };
        match lines_at(&file, at.1, limit, bytes)? {
            Some(lines) => {
                let position = (at.0, at.1 + lines.len() as u64);
                return Ok((lines, position));
            }
            None if is_last => return Ok((Vec::new(), at)),
            // The end of a segment, or what a failed write has left there.
            None => at = (at.0 + 1, 0),
        }
    }
}

/// Whole lines from `at` to `limit`: about `bytes`, more only for a longer line. A hole ends them: behind
/// it is only what a failed write has left, and all of that stands in the next segment.
fn lines_at(file: &Plain, at: u64, limit: u64, bytes: usize) -> std::io::Result<Option<Vec<u8>>> {
    let rest = limit.saturating_sub(at) as usize;
    let mut want = rest.min(bytes.max(1));
    loop {
        let mut chunk = file.read_at(at, want)?;
        let hole = memchr::memchr(0, &chunk);
        chunk.truncate(hole.unwrap_or(chunk.len()));
        if let Some(last) = memchr::memrchr(b'\n', &chunk) {
            chunk.truncate(last + 1);
            return Ok(Some(chunk));
        }
        if hole.is_some() || want >= rest {
            return Ok(None);
        }
        want = (want * 2).min(rest);
    }
}

/// The lines of a chunk that ends at `end`, each with the position behind it. Counted from where the chunk begins,
/// which may be a later segment than the cursor's.
pub(super) fn lines_of(chunk: &[u8], end: Position) -> Vec<(String, Position)> {
    let (begins, mut from) = (end.1 - chunk.len() as u64, 0);
    memchr::memchr_iter(b'\n', chunk)
        .map(|to| {
            let line = text_of(&chunk[std::mem::replace(&mut from, to + 1)..to]);
            (line.into_owned(), (end.0, begins + from as u64))
        })
        .collect()
}

pub(super) fn read_cursor(dir: &Path) -> Option<Position> {
    let file = Plain::open_read(&dir.join("cursor")).ok()?;
    let text = String::from_utf8(file.read_at(0, CURSOR_BYTES_MAX).ok()?).ok()?;
    let (segment, offset) = text.trim().split_once(' ')?;
    Some((segment.parse().ok()?, offset.parse().ok()?))
}

pub(super) fn write_cursor(dir: &Path, position: Position) -> std::io::Result<()> {
    let text = format!("{} {}\n", position.0, position.1);
    plain::replace(&dir.join("cursor"), &dir.join("cursor.new"), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_failed_write_left_holds_nothing_up() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        Plain::open(&name(dir, 1)).unwrap().append(b"a\nb\nhalf a li").unwrap();
        Plain::open(&name(dir, 2)).unwrap().append(b"c\n").unwrap();
        let (lines, next) = read_from(dir, (1, 0), (2, 2), 1 << 20).unwrap();
        assert_eq!((lines.as_slice(), next), (&b"a\nb\n"[..], (1, 4)));
        let (lines, next) = read_from(dir, next, (2, 2), 1 << 20).unwrap();
        assert_eq!((lines.as_slice(), next), (&b"c\n"[..], (2, 2)));
        assert_eq!(read_from(dir, next, (2, 2), 1).unwrap(), (Vec::new(), (2, 2)));
    }

    #[test]
    fn a_batch_from_a_later_segment_is_taken_once() {
        let dir = tempfile::tempdir().unwrap();
        Plain::open(&name(dir.path(), 1)).unwrap().append(b"a\n").unwrap();
        Plain::open(&name(dir.path(), 2)).unwrap().append(b"b\nc\n").unwrap();
        let (chunk, next) = read_from(dir.path(), (1, 2), (2, 4), 100).unwrap();
        assert_eq!((chunk.as_slice(), next), (&b"b\nc\n"[..], (2, 4)));
        assert_eq!(lines_of(&chunk, next), [("b".to_string(), (2, 2)), ("c".to_string(), (2, 4))]);
    }

    #[test]
    fn a_hole_ends_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let file = Plain::open(&path).unwrap();
        file.append(b"a\nb\0\0\n{}\n").unwrap();
        assert_eq!(cut_torn_tail(&file).unwrap(), 2);
        assert_eq!(std::fs::read(&path).unwrap(), b"a\n");
    }
}

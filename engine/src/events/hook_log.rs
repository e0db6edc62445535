//! The durable event log one hook reads: JSON lines in segment files, and a cursor. Events wait
//! here for as long as the receiver is away; they take no queue entry and no mail capacity.

use crate::io::plain::{self, Plain};
use crate::io::{self, fs};
use crate::limits::EVENT_SEGMENT_BYTES;
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::task::{Poll, Waker};
use std::time::Duration;

/// A place in the log: (segment number, byte offset).
pub type Position = (u64, u64);

/// Longest text of a cursor: two numbers.
const CURSOR_BYTES_MAX: usize = 64;

/// The log of one hook on one shard.
pub struct HookLog {
    dir: PathBuf,
    pending: RefCell<Vec<u8>>,
    file: RefCell<Option<Plain>>,
    /// End of what is on stable storage.
    end: Cell<Position>,
    cursor: Cell<Position>,
    busy: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    /// Events appended and not yet taken.
    pub backlog: Cell<u64>,
}

impl HookLog {
    /// Opens the log in `dir`. An event cut short by a crash at its end is dropped: the delivery
    /// it told of will be repeated, and told again. Logs in `orphans` are drained into this one.
    ///
    /// # Errors
    /// As the disk says.
    pub fn open(dir: PathBuf, orphans: &[PathBuf]) -> std::io::Result<HookLog> {
        plain::create_dir_all(&dir)?;
        let segments = list(&dir)?;
        let last = segments.last().copied().unwrap_or(1);
        let file = Plain::open(&name(&dir, last))?;
        let end = (last, cut_torn_tail(&file)?);
        let first = segments.first().copied().unwrap_or(last);
        let cursor = read_cursor(&dir).unwrap_or((first, 0)).max((first, 0)).min(end);
        let log = HookLog {
            dir,
            pending: RefCell::default(),
            file: RefCell::new(Some(file)),
            end: Cell::new(end),
            cursor: Cell::new(cursor),
            busy: Cell::new(false),
            reader: RefCell::default(),
            backlog: Cell::new(0),
        };
        log.backlog.set(log.count_waiting()?);
        for orphan in orphans {
            log.adopt(orphan)?;
        }
        Ok(log)
    }

    fn count_waiting(&self) -> std::io::Result<u64> {
        let mut lines = 0;
        let mut at = self.cursor.get();
        while at < self.end.get() {
            let (chunk, next) = read_from(&self.dir, at, self.end.get(), 1 << 20)?;
            if next == at {
                break;
            }
            lines += memchr::memchr_iter(b'\n', &chunk).count() as u64;
            at = next;
        }
        Ok(lines)
    }

    fn adopt(&self, orphan: &Path) -> std::io::Result<()> {
        let other = HookLog::open(orphan.to_path_buf(), &[])?;
        let mut at = other.cursor.get();
        while at < other.end.get() {
            let (chunk, next) = read_from(&other.dir, at, other.end.get(), 1 << 20)?;
            if next == at {
                break;
            }
            self.backlog
                .set(self.backlog.get() + memchr::memchr_iter(b'\n', &chunk).count() as u64);
            if let Some(file) = self.file.borrow().as_ref() {
                file.append(&chunk)?;
            }
            let (segment, offset) = self.end.get();
            self.end.set((segment, offset + chunk.len() as u64));
            at = next;
        }
        if let Some(file) = self.file.borrow().as_ref() {
            file.sync()?;
        }
        plain::remove_dir_all(orphan)
    }

    /// Appends one event; it is durable after the next [`HookLog::flush`].
    pub fn append(&self, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut pending = self.pending.borrow_mut();
        encode(&mut pending);
        pending.push(b'\n');
        self.backlog.set(self.backlog.get() + 1);
        if let Some(waker) = self.reader.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Waits until there is something to read.
    pub async fn wait(&self) {
        std::future::poll_fn(|cx| {
            // What a failed write has left may be read twice: the count alone would stop short.
            if self.backlog.get() > 0 || self.cursor.get() < self.end.get() {
                return Poll::Ready(());
            }
            *self.reader.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Whether everything has been taken.
    pub fn is_drained(&self) -> bool {
        !self.has_pending() && !self.busy.get() && self.cursor.get() >= self.end.get()
    }

    /// Whether events wait to be made durable.
    pub fn has_pending(&self) -> bool {
        !self.pending.borrow().is_empty()
    }

    /// Makes everything appended so far durable. Tries until it succeeds: the messages these
    /// events tell of are not let go before.
    pub async fn flush(&self) {
        while self.busy.get() {
            io::sleep(Duration::from_millis(1)).await;
        }
        if !self.has_pending() {
            return;
        }
        self.busy.set(true);
        let mut data = std::mem::take(&mut *self.pending.borrow_mut());
        let mut pause = Duration::from_millis(100);
        loop {
            let file = self.file.borrow().clone();
            let (back, result) = io::blocking(move || {
                let result = append_durably(file.as_ref(), &data);
                (data, result)
            })
            .await;
            data = back;
            match result {
                Ok(()) => break,
                Err(error) => {
                    tracing::error!("event log {}: {error}", self.dir.display());
                    self.start_segment().await;
                    io::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
            }
        }
        let (segment, offset) = self.end.get();
        self.end.set((segment, offset + data.len() as u64));
        if offset + data.len() as u64 >= EVENT_SEGMENT_BYTES {
            self.start_segment().await;
        }
        self.busy.set(false);
    }

    /// Goes on in a fresh segment. The file before is not written to again: what a failed sync
    /// was for may be gone from it, whatever the next one says.
    async fn start_segment(&self) {
        let number = self.end.get().0 + 1;
        let path = name(&self.dir, number);
        self.file.borrow_mut().take();
        match io::blocking(move || Plain::open(&path)).await {
            Ok(file) => {
                *self.file.borrow_mut() = Some(file);
                self.end.set((number, 0));
            }
            Err(error) => {
                tracing::error!("event log {}, segment {number}: {error}", self.dir.display());
            }
        }
    }

    /// Up to `most` durable events from the cursor on, at most about `bytes` of them, and the
    /// position behind the last.
    ///
    /// # Errors
    /// As the disk says.
    pub async fn read(
        &self,
        most: usize,
        bytes: usize,
    ) -> std::io::Result<(Vec<String>, Position)> {
        let (from, end) = (self.cursor.get(), self.end.get());
        if from >= end {
            return Ok((Vec::new(), from));
        }
        let dir = self.dir.clone();
        let (chunk, next) = io::blocking(move || read_from(&dir, from, end, bytes)).await?;
        if chunk.is_empty() {
            // Nothing but what a failed write has left: it is passed over.
            self.cursor.set(next);
        }
        Ok(first_lines(&chunk, next, most))
    }

    /// Everything before `position` has been taken by the receiver. `count` events.
    ///
    /// # Errors
    /// As the disk says; then the events may be told again after a restart.
    pub async fn commit(&self, position: Position, count: usize) -> std::io::Result<()> {
        let before = self.cursor.replace(position);
        self.backlog.set(self.backlog.get().saturating_sub(count as u64));
        let dir = self.dir.clone();
        io::blocking(move || {
            write_cursor(&dir, position)?;
            for segment in before.0..position.0 {
                match fs::remove_file(&name(&dir, segment)) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(error)
                    }
                    _ => {}
                }
            }
            Ok(())
        })
        .await
    }
}

fn append_durably(file: Option<&Plain>, data: &[u8]) -> std::io::Result<()> {
    let Some(file) = file else { return Err(std::io::Error::other("not open")) };
    file.append(data)?;
    file.sync()
}

fn name(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("events-{number:010}.log"))
}

fn list(dir: &Path) -> std::io::Result<Vec<u64>> {
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
fn cut_torn_tail(file: &Plain) -> std::io::Result<u64> {
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
fn read_from(
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

/// At most `most` lines of a chunk that ends at `end`, and the position behind the last. Counted
/// from where the chunk begins, which may be a later segment than the cursor's.
fn first_lines(chunk: &[u8], end: Position, most: usize) -> (Vec<String>, Position) {
    let mut lines = Vec::new();
    let mut taken = 0;
    for line in chunk.split_inclusive(|byte| *byte == b'\n').take(most) {
        taken += line.len() as u64;
        lines.push(String::from_utf8_lossy(&line[..line.len() - 1]).into_owned());
    }
    (lines, (end.0, end.1 - chunk.len() as u64 + taken))
}

fn read_cursor(dir: &Path) -> Option<Position> {
    let file = Plain::open_read(&dir.join("cursor")).ok()?;
    let text = String::from_utf8(file.read_at(0, CURSOR_BYTES_MAX).ok()?).ok()?;
    let (segment, offset) = text.trim().split_once(' ')?;
    Some((segment.parse().ok()?, offset.parse().ok()?))
}

fn write_cursor(dir: &Path, position: Position) -> std::io::Result<()> {
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
        assert_eq!(first_lines(&chunk, next, 1), (vec!["b".to_string()], (2, 2)));
    }

    #[test]
    fn a_hole_ends_a_segment_and_is_not_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let orphan = dir.path().join("1");
        std::fs::create_dir(&orphan).unwrap();
        Plain::open(&name(&orphan, 1)).unwrap().append(b"a\n\0\0lf\nb\n").unwrap();
        Plain::open(&name(&orphan, 2)).unwrap().append(b"b\nc\n").unwrap();
        let own = dir.path().join("0");
        let log = HookLog::open(own.clone(), std::slice::from_ref(&orphan)).unwrap();
        assert_eq!((log.backlog.get(), orphan.exists()), (3, false));
        // Nor is any of it lost at the next start, which ends the log at a hole.
        drop(log);
        let log = HookLog::open(own.clone(), &[]).unwrap();
        let (chunk, _) = read_from(&own, log.cursor.get(), log.end.get(), 100).unwrap();
        assert_eq!(chunk, b"a\nb\nc\n");
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

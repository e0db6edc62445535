//! The durable event log one hook reads: JSON lines in segment files, and a cursor. Events wait
//! here for as long as the receiver is away; they take no queue entry and no mail capacity.

use crate::io;
use crate::limits::EVENT_SEGMENT_BYTES;
use std::cell::{Cell, RefCell};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

/// A place in the log: (segment number, byte offset).
pub type Position = (u64, u64);

/// The log of one hook on one shard.
pub struct HookLog {
    dir: PathBuf,
    pending: RefCell<Vec<u8>>,
    file: RefCell<Option<Arc<File>>>,
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
        std::fs::create_dir_all(&dir)?;
        let segments = list(&dir)?;
        let last = segments.last().copied().unwrap_or(1);
        let file =
            OpenOptions::new().create(true).append(true).read(true).open(name(&dir, last))?;
        let end = (last, cut_torn_tail(&file)?);
        let first = segments.first().copied().unwrap_or(last);
        let cursor = read_cursor(&dir).unwrap_or((first, 0)).max((first, 0)).min(end);
        let log = HookLog {
            dir,
            pending: RefCell::default(),
            file: RefCell::new(Some(Arc::new(file))),
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
                (&**file).write_all(&chunk)?;
            }
            let (segment, offset) = self.end.get();
            self.end.set((segment, offset + chunk.len() as u64));
            at = next;
        }
        if let Some(file) = self.file.borrow().as_ref() {
            file.sync_data()?;
        }
        std::fs::remove_dir_all(orphan)
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
            if self.backlog.get() > 0 {
                return Poll::Ready(());
            }
            *self.reader.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
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
                let result = write_all_durably(file.as_deref(), &data);
                (data, result)
            })
            .await;
            data = back;
            match result {
                Ok(()) => break,
                Err(error) => {
                    tracing::error!("event log {}: {error}", self.dir.display());
                    self.start_segment();
                    io::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
            }
        }
        let (segment, offset) = self.end.get();
        self.end.set((segment, offset + data.len() as u64));
        if offset + data.len() as u64 >= EVENT_SEGMENT_BYTES {
            self.start_segment();
        }
        self.busy.set(false);
    }

    fn start_segment(&self) {
        let number = self.end.get().0 + 1;
        let path = name(&self.dir, number);
        match OpenOptions::new().create(true).append(true).read(true).open(&path) {
            Ok(file) => {
                *self.file.borrow_mut() = Some(Arc::new(file));
                self.end.set((number, 0));
            }
            Err(error) => tracing::error!("event log {}: {error}", path.display()),
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
        let mut lines = Vec::new();
        let mut taken = 0;
        for line in chunk.split_inclusive(|byte| *byte == b'\n').take(most) {
            taken += line.len() as u64;
            lines.push(String::from_utf8_lossy(&line[..line.len() - 1]).into_owned());
        }
        let position = if taken == chunk.len() as u64 { next } else { (from.0, from.1 + taken) };
        Ok((lines, position))
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
                match std::fs::remove_file(name(&dir, segment)) {
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

fn write_all_durably(file: Option<&File>, data: &[u8]) -> std::io::Result<()> {
    let Some(mut file) = file else { return Err(std::io::Error::other("not open")) };
    file.write_all(data)?;
    file.sync_data()
}

fn name(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("events-{number:010}.log"))
}

fn list(dir: &Path) -> std::io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let name = name.to_str().unwrap_or("");
        let number = name.strip_prefix("events-").and_then(|n| n.strip_suffix(".log"));
        numbers.extend(number.and_then(|n| n.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn cut_torn_tail(mut file: &File) -> std::io::Result<u64> {
    let mut all = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut all)?;
    let end = memchr::memrchr(b'\n', &all).map_or(0, |at| at + 1) as u64;
    if end < all.len() as u64 {
        file.set_len(end)?;
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
        let path = name(dir, at.0);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && at.0 < end.0 => {
                at = (at.0 + 1, 0);
                continue;
            }
            Err(error) => return Err(error),
        };
        let size = file.metadata()?.len();
        let limit = if at.0 == end.0 { end.1 } else { size };
        if at.1 >= limit && at.0 < end.0 {
            at = (at.0 + 1, 0);
            continue;
        }
        let mut want = (limit.saturating_sub(at.1) as usize).min(bytes.max(1));
        loop {
            let mut chunk = vec![0; want];
            file.seek(SeekFrom::Start(at.1))?;
            file.read_exact(&mut chunk)?;
            if let Some(last) = memchr::memrchr(b'\n', &chunk) {
                chunk.truncate(last + 1);
                return Ok((chunk, (at.0, at.1 + last as u64 + 1)));
            }
            if want as u64 >= limit.saturating_sub(at.1) {
                return Ok((Vec::new(), at));
            }
            want = (want * 2).min((limit - at.1) as usize);
        }
    }
}

fn read_cursor(dir: &Path) -> Option<Position> {
    let text = std::fs::read_to_string(dir.join("cursor")).ok()?;
    let (segment, offset) = text.trim().split_once(' ')?;
    Some((segment.parse().ok()?, offset.parse().ok()?))
}

fn write_cursor(dir: &Path, position: Position) -> std::io::Result<()> {
    let fresh = dir.join("cursor.new");
    std::fs::write(&fresh, format!("{} {}\n", position.0, position.1))?;
    std::fs::rename(fresh, dir.join("cursor"))
}

//! The durable event log one hook reads: JSON lines in segment files, and a cursor. Events wait
//! here for as long as the receiver is away; they take no queue entry and no mail capacity.

use crate::event_files::{
    append_durably, count_lines, cut_torn_tail, lines_of, list, name, read_cursor, read_from,
    remove_segment, size_of, write_cursor,
};
use crate::gathered::Gathered;
use crate::limits::{
    EVENT_SEGMENT_BYTES, HOOK_BALLAST_BYTES, HOOK_FULL_MS, HOOK_LATEST_BYTES, HOOK_READ_BYTES,
    HOOK_SEGMENTS,
};
use crate::position::Position;
use ringmta_io::plain;
use ringmta_io::plain::Plain;
use ringmta_io::sim::planted::{is_planted, Bug};
use ringmta_io::{self as io, fs, sim};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

/// The log of one hook on one shard.
pub struct HookLog {
    dir: PathBuf,
    pending: Gathered,
    /// What was written last, each part where it begins, from where its reader is: it needs no disk for it.
    latest: RefCell<VecDeque<(Position, Arc<Vec<u8>>)>>,
    file: RefCell<Option<Plain>>,
    /// End of what is on stable storage.
    end: Cell<Position>,
    /// What the receiver has taken ends here.
    cursor: Cell<Position>,
    /// What has been read ends here.
    ahead: Cell<Position>,
    busy: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    /// Room of a full disk that is given back, so that events of what is delivered can still be kept.
    ballast: Cell<bool>,
    /// Bytes beyond which the oldest events are given up.
    limit: Cell<u64>,
    /// The log is over its limit, or near it, and that was said.
    pub is_nearly_full: Cell<bool>,
    /// Bytes of its files that are ended.
    pub bytes: Cell<u64>,
    /// Events appended and not yet taken.
    pub backlog: Cell<u64>,
    /// Events given up because there was no room for more.
    pub dropped: Cell<u64>,
}

impl HookLog {
    /// Opens the log in `dir`. An event cut short by a crash at its end is dropped: the delivery
    /// it told of will be repeated, and told again. Logs in `orphans` are drained into this one.
    ///
    /// # Errors
    /// As the disk says.
    pub fn open(dir: PathBuf, orphans: &[PathBuf]) -> std::io::Result<HookLog> {
        let log = HookLog::open_as_is(dir)?;
        log.leave_last_file()?;
        for orphan in orphans {
            log.adopt(orphan)?;
        }
        log.ballast.set(hold_ballast(&log.dir));
        Ok(log)
    }

    fn open_as_is(dir: PathBuf) -> std::io::Result<HookLog> {
        plain::create_dir_all(&dir)?;
        let segments = list(&dir)?;
        let last = segments.last().copied().unwrap_or(1);
        let file = Plain::open(&name(&dir, last))?;
        let end = (last, cut_torn_tail(&file)?);
        let first = segments.first().copied().unwrap_or(last);
        let bytes = segments.iter().filter_map(|number| size_of(&dir, *number)).sum();
        let cursor = read_cursor(&dir).unwrap_or((first, 0)).max((first, 0)).min(end);
        let log = HookLog {
            dir,
            pending: Gathered::default(),
            latest: RefCell::default(),
            file: RefCell::new(Some(file)),
            end: Cell::new(end),
            cursor: Cell::new(cursor),
            ahead: Cell::new(cursor),
            busy: Cell::new(false),
            reader: RefCell::default(),
            ballast: Cell::new(false),
            limit: Cell::new(u64::MAX),
            is_nearly_full: Cell::new(false),
            bytes: Cell::new(bytes),
            backlog: Cell::new(0),
            dropped: Cell::new(0),
        };
        log.backlog.set(log.count_waiting()?);
        Ok(log)
    }

    /// Begins a segment of its own for this life. The one of the life before is not written to again: a sync of it may have
    /// failed, and then a part of it may be gone, with all that would come behind it, whatever the next sync says.
    fn leave_last_file(&self) -> std::io::Result<()> {
        let (last, size) = self.end.get();
        if size > 0 {
            *self.file.borrow_mut() = Some(Plain::open(&name(&self.dir, last + 1))?);
            self.end.set((last + 1, 0));
        }
        Ok(())
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
        let other = HookLog::open_as_is(orphan.to_path_buf())?;
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
        let mut pending = self.pending.lines_mut();
        encode(&mut pending);
        pending.push(b'\n');
        self.backlog.set(self.backlog.get() + 1);
        if let Some(waker) = self.reader.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Waits until `is_time`; asked again when something is appended, or when [`HookLog::wake_reader`] is called.
    pub async fn wait(&self, is_time: impl Fn(&HookLog) -> bool) {
        std::future::poll_fn(|cx| {
            if is_time(self) {
                return Poll::Ready(());
            }
            *self.reader.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Lets whoever waits for something to read look again.
    pub fn wake_reader(&self) {
        if let Some(waker) = self.reader.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Whether everything has been taken.
    pub fn is_drained(&self) -> bool {
        !self.has_pending() && !self.busy.get() && self.cursor.get() >= self.end.get()
    }

    /// How far it is, for whoever looks for what holds it up.
    pub fn state(&self) -> String {
        format!(
            "taken to {:?}, read to {:?}, durable to {:?}, {} bytes pending, busy: {}",
            self.cursor.get(),
            self.ahead.get(),
            self.end.get(),
            self.pending.lines().len(),
            self.busy.get()
        )
    }

    /// Bytes on disk that the receiver has not taken, to within a segment.
    pub fn waiting_bytes(&self) -> u64 {
        let (end, cursor) = (self.end.get(), self.cursor.get());
        // Of the segment being written no more than what is behind the cursor; those before it are counted as they end.
        let taken = if cursor.0 == end.0 { cursor.1.min(end.1) } else { 0 };
        let ended = if cursor.0 == end.0 { 0 } else { self.bytes.get() };
        ended + end.1 - taken
    }

    /// Whether events wait to be made durable.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether there is something to read, once it is durable.
    pub fn has_more(&self) -> bool {
        self.has_unread() || self.has_pending()
    }

    /// Whether durable events have not been read yet.
    pub fn has_unread(&self) -> bool {
        self.ahead.get() < self.end.get()
    }

    /// Makes everything appended so far durable. Tries until it succeeds: the messages these
    /// events tell of are not let go before. Whoever waits for it may give up: the events stay.
    pub async fn flush(&self) {
        while self.busy.replace(true) {
            io::sleep(Duration::from_millis(1)).await;
        }
        let _turn = Turn(&self.busy);
        if !self.has_pending() {
            return;
        }
        let mut taken = Taken { log: self, data: Arc::default(), written: false };
        taken.data = Arc::new(self.pending.take());
        let mut pause = Duration::from_millis(100);
        let mut full_since = None;
        loop {
            let Err(error) = self.write(taken.data.clone()).await else { break };
            tracing::error!("event log {}: {error}", self.dir.display());
            *self.file.borrow_mut() = None;
            let now = io::mono_nanos();
            if is_full(&error) {
                match self.make_room(now - *full_since.get_or_insert(now)).await {
                    Room::Made => continue,
                    Room::None => return self.give_up(taken),
                    Room::NotYet => {}
                }
            }
            io::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
        taken.written = true;
        let (segment, offset) = self.end.get();
        let data = std::mem::take(&mut taken.data);
        let end = offset + data.len() as u64;
        self.end.set((segment, end));
        self.keep_for_reader((segment, offset), data);
        // Whoever reads may have looked while the events were on their way to the disk, neither pending nor durable.
        self.wake_reader();
        if end >= self.segment_bytes() {
            if let Err(error) = self.start_segment().await {
                // The next flush tries again.
                tracing::error!("event log {}: {error}", self.dir.display());
            }
            self.keep_within_limit().await;
        }
    }

    /// Keeps what was written at `start`, when its reader comes to it next and that is not much.
    fn keep_for_reader(&self, start: Position, data: Arc<Vec<u8>>) {
        let mut latest = self.latest.borrow_mut();
        let kept: usize = latest.iter().map(|(_, data)| data.capacity()).sum();
        let next = latest.back().map_or(self.ahead.get(), |((segment, offset), data)| {
            (*segment, offset + data.len() as u64)
        });
        let fits = data.len() <= HOOK_READ_BYTES && kept + data.capacity() <= HOOK_LATEST_BYTES;
        match next == start && fits {
            true => latest.push_back((start, data)),
            false => self.use_again(data),
        }
    }

    /// The part of what was written last that begins at `from`.
    fn take_latest(&self, from: Position) -> Option<Arc<Vec<u8>>> {
        let mut latest = self.latest.borrow_mut();
        match latest.pop_front() {
            Some((at, data)) if at == from => Some(data),
            // The reader has gone past it on the disk, or it was given up.
            _ => {
                latest.clear();
                None
            }
        }
    }

    /// A buffer whose lines are not needed any more.
    fn use_again(&self, data: Arc<Vec<u8>>) {
        if let Ok(buffer) = Arc::try_unwrap(data) {
            self.pending.give_back(buffer);
        }
    }

    /// Bounds the log: beyond `bytes` the oldest events are given up.
    pub fn set_limit(&self, bytes: u64) {
        self.limit.set(bytes);
    }

    /// Bytes beyond which the oldest events are given up.
    pub fn limit(&self) -> u64 {
        self.limit.get()
    }

    /// A segment is closed at this size: small enough that what is given up at once is a small part of the log.
    fn segment_bytes(&self) -> u64 {
        EVENT_SEGMENT_BYTES.min(self.limit.get() / HOOK_SEGMENTS)
    }

    /// Goes on in a fresh segment. The file before is not written to again: what a failed sync
    /// was for may be gone from it, whatever the next one says.
    async fn start_segment(&self) -> std::io::Result<()> {
        let number = self.end.get().0 + 1;
        let path = name(&self.dir, number);
        self.file.borrow_mut().take();
        let file = io::blocking(move || Plain::open(&path)).await?;
        *self.file.borrow_mut() = Some(file);
        self.end.set((number, 0));
        Ok(())
    }

    /// Writes `data` behind what is durable, in a fresh segment when there is none to go on in.
    async fn write(&self, data: Arc<Vec<u8>>) -> std::io::Result<()> {
        if self.file.borrow().is_none() {
            self.start_segment().await?;
        }
        let (file, (_, durable)) = (self.file.borrow().clone(), self.end.get());
        let write = move || {
            let result = append_durably(file.as_ref(), &data);
            if let (Some(file), true) = (&file, result.as_ref().is_err_and(is_full)) {
                // The part of it that found room takes up what little there is.
                let _ = file.cut(durable);
            }
            result
        };
        io::blocking(write).await
    }

    /// The disk has been full for `nanos`, and events wait to be written without which mail that is delivered
    /// cannot be let go of.
    async fn make_room(&self, nanos: u64) -> Room {
        if self.ballast.replace(false) {
            let path = self.dir.join(BALLAST);
            let removed = io::blocking(move || fs::remove_file(&path)).await;
            return if removed.is_ok() { Room::Made } else { Room::NotYet };
        }
        // Room may come by itself, as mail is delivered; if it does not, mail is worth more than its events.
        if nanos < HOOK_FULL_MS * 1_000_000 {
            return Room::NotYet;
        }
        match self.drop_oldest(DISK_FULL).await {
            true => Room::Made,
            false => Room::None,
        }
    }

    /// Gives up events that wait to be written: the disk has no room for them, and nothing older makes room. The mail they
    /// tell of can be let go of, which does.
    fn give_up(&self, mut taken: Taken<'_>) {
        taken.written = true;
        let lost = memchr::memchr_iter(b'\n', &taken.data).count() as u64;
        self.note_lost(lost, DISK_FULL);
    }

    fn note_lost(&self, lost: u64, why: &str) {
        self.backlog.set(self.backlog.get().saturating_sub(lost));
        self.dropped.set(self.dropped.get() + lost);
        tracing::error!("event log {}: {lost} events are given up: {why}", self.dir.display());
    }

    /// Gives up the oldest events of a log that has grown beyond its limit.
    async fn keep_within_limit(&self) {
        loop {
            let (first, last) = (self.cursor.get().0, self.end.get().0);
            let dir = self.dir.clone();
            let count = move || (first..last).filter_map(|n| size_of(&dir, n)).sum::<u64>();
            let (bytes, limit) = (io::blocking(count).await, self.limit.get());
            self.bytes.set(bytes);
            let is_nearly_full = bytes > limit / 2;
            if is_nearly_full && !self.is_nearly_full.replace(is_nearly_full) {
                tracing::error!(
                    "event log {}: {bytes} bytes wait for their receiver; beyond {limit} the oldest events are given up",
                    self.dir.display()
                );
            }
            self.is_nearly_full.set(is_nearly_full);
            if bytes <= limit || !self.drop_oldest("too many wait for their receiver").await {
                return;
            }
        }
    }

    /// Gives up the events of the oldest segment that has any. False when there is none but the one being written: segments
    /// that failed writes have left empty are passed over, for nothing is gained by them.
    async fn drop_oldest(&self, why: &str) -> bool {
        loop {
            let from = self.cursor.get();
            if from.0 >= self.end.get().0 {
                return false;
            }
            let (dir, next) = (self.dir.clone(), (from.0 + 1, 0));
            let gone = io::blocking(move || {
                let lost = count_lines(&dir, from, next);
                let bytes = size_of(&dir, from.0).unwrap_or(0);
                remove_segment(&dir, from.0)?;
                // Of a disk that is too full for a cursor: the start that misses it finds the first segment there is.
                match write_cursor(&dir, next) {
                    Err(error) if !is_full(&error) => Err(error),
                    _ => Ok((lost, bytes)),
                }
            });
            let (lost, bytes) = match gone.await {
                Ok(gone) => gone,
                Err(error) => {
                    tracing::error!("event log {}: {error}", self.dir.display());
                    return false;
                }
            };
            self.cursor.set(self.cursor.get().max(next));
            self.ahead.set(self.ahead.get().max(next));
            if lost > 0 {
                self.note_lost(lost, why);
            }
            if lost > 0 || bytes > 0 {
                return true;
            }
        }
    }

    /// The next durable events, about `bytes` of them, each with the position behind it, and the position behind
    /// all that was read: there may be nothing but what a failed write has left. They stay in the log until
    /// [`HookLog::commit`].
    ///
    /// # Errors
    /// As the disk says.
    pub async fn read(&self, bytes: usize) -> std::io::Result<(Vec<(String, Position)>, Position)> {
        let (from, end) = (self.ahead.get(), self.end.get());
        if from >= end {
            return Ok((Vec::new(), from));
        }
        if let Some(data) = self.take_latest(from) {
            let next = (from.0, from.1 + data.len() as u64);
            self.ahead.set(next);
            let lines = lines_of(&data, next);
            self.use_again(data);
            return Ok((lines, next));
        }
        let dir = self.dir.clone();
        let (chunk, next) = io::blocking(move || read_from(&dir, from, end, bytes)).await?;
        let now = self.ahead.get();
        if now != from {
            // They were given up meanwhile.
            return Ok((Vec::new(), now));
        }
        self.ahead.set(next);
        Ok((lines_of(&chunk, next), next))
    }

    /// Everything before `position` has been taken by the receiver. `count` events.
    ///
    /// # Errors
    /// As the disk says; then the events may be told again after a restart.
    pub async fn commit(&self, position: Position, count: usize) -> std::io::Result<()> {
        let before = self.cursor.get();
        let position = position.max(before);
        self.cursor.set(position);
        self.backlog.set(self.backlog.get().saturating_sub(count as u64));
        if self.is_drained() {
            self.backlog.set(0);
        }
        let dir = self.dir.clone();
        let freed = io::blocking(move || {
            write_cursor(&dir, position)?;
            (before.0..position.0).try_fold(0, |freed, segment| {
                let size = size_of(&dir, segment).unwrap_or(0);
                remove_segment(&dir, segment).map(|()| freed + size)
            })
        });
        let freed: u64 = freed.await?;
        let bytes = self.bytes.get().saturating_sub(freed);
        self.bytes.set(bytes);
        self.is_nearly_full.set(bytes > self.limit.get() / 2);
        Ok(())
    }
}

/// What was done for room on a full disk.
#[derive(Debug, PartialEq, Eq)]
enum Room {
    /// There may be some now.
    Made,
    /// It may come by itself yet.
    NotYet,
    /// There is nothing left to give up but what is to be written.
    None,
}

/// Why events are given up.
const DISK_FULL: &str = "the disk is full";

/// Ends a flush, however it ends.
struct Turn<'a>(&'a Cell<bool>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Events on their way to the disk.
struct Taken<'a> {
    log: &'a HookLog,
    data: Arc<Vec<u8>>,
    written: bool,
}

impl Drop for Taken<'_> {
    /// Unless they are written they are put back, in front of what came meanwhile, also when whoever flushes gives
    /// up waiting. What the disk makes of the write is unknown then: the next flush begins another segment, and
    /// some events may be told twice.
    fn drop(&mut self) {
        if !self.written && !is_planted(Bug::FlushNotCancelSafe) {
            self.log.pending.lines_mut().splice(0..0, self.data.iter().copied());
            self.log.file.borrow_mut().take();
            self.log.wake_reader();
        }
    }
}

/// File that takes up room until a full disk needs it.
const BALLAST: &str = "ballast";

/// Takes up room for when the disk is full; false when there is none.
fn hold_ballast(dir: &Path) -> bool {
    // What is full there is not a matter of bytes.
    if sim::active() {
        return false;
    }
    let path = dir.join(BALLAST);
    let made = Plain::open(&path).and_then(|file| {
        let missing = HOOK_BALLAST_BYTES.saturating_sub(file.size()?);
        if missing > 0 {
            file.append(&vec![0x55; missing as usize])?;
        }
        Ok(())
    });
    if let Err(error) = &made {
        tracing::warn!("event log {}: no room is held back: {error}", dir.display());
        let _ = fs::remove_file(&path);
    }
    made.is_ok()
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT))
}

#[cfg(test)]
mod tests;

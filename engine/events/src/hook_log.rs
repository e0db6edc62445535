//! The durable event log one hook reads: JSON lines in segment files, and a cursor. Events wait
//! here for as long as the receiver is away; they take no queue entry and no mail capacity.

use crate::event_files::{
    append_durably, count_lines, cut_torn_tail, lines_of, list, name, read_cursor, read_from,
    remove_segment, size_of, write_cursor,
};
use crate::limits::{EVENT_SEGMENT_BYTES, HOOK_BALLAST_BYTES, HOOK_FULL_MS, HOOK_SEGMENTS};
use crate::position::Position;
use ringmta_io::plain;
use ringmta_io::plain::Plain;
use ringmta_io::sim::planted::{is_planted, Bug};
use ringmta_io::{self as io, fs, sim};
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

/// The log of one hook on one shard.
pub struct HookLog {
    dir: PathBuf,
    pending: RefCell<Vec<u8>>,
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
    /// Bytes of its files.
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
            pending: RefCell::default(),
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
        let mut pending = self.pending.borrow_mut();
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
            self.pending.borrow().len(),
            self.busy.get()
        )
    }

    /// Whether events wait to be made durable.
    pub fn has_pending(&self) -> bool {
        !self.pending.borrow().is_empty()
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
        taken.data = Arc::new(std::mem::take(&mut *self.pending.borrow_mut()));
        let mut pause = Duration::from_millis(100);
        let mut full_since = None;
        loop {
            if self.file.borrow().is_none() {
                self.start_segment().await;
            }
            let (file, data) = (self.file.borrow().clone(), taken.data.clone());
            let result = io::blocking(move || append_durably(file.as_ref(), &data)).await;
            let Err(error) = result else { break };
            tracing::error!("event log {}: {error}", self.dir.display());
            *self.file.borrow_mut() = None;
            let now = io::mono_nanos();
            if is_full(&error) && self.make_room(now - *full_since.get_or_insert(now)).await {
                continue;
            }
            io::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
        taken.written = true;
        let (segment, offset) = self.end.get();
        let end = offset + taken.data.len() as u64;
        self.end.set((segment, end));
        // Whoever reads may have looked while the events were on their way to the disk, neither pending nor durable.
        self.wake_reader();
        if end >= self.segment_bytes() {
            self.start_segment().await;
            self.keep_within_limit().await;
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

    /// The disk has been full for `nanos`, and events wait to be written without which mail that is delivered
    /// cannot be let go of. True when there may be room now.
    async fn make_room(&self, nanos: u64) -> bool {
        if self.ballast.replace(false) {
            let path = self.dir.join(BALLAST);
            return io::blocking(move || fs::remove_file(&path)).await.is_ok();
        }
        // Room may come by itself, as mail is delivered; if it does not, mail is worth more than its events.
        nanos >= HOOK_FULL_MS * 1_000_000 && self.drop_oldest("the disk is full").await
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

    /// Gives up the events of the oldest segment. False when there is none but the one being written.
    async fn drop_oldest(&self, why: &str) -> bool {
        let from = self.cursor.get();
        if from.0 >= self.end.get().0 {
            return false;
        }
        let (dir, next) = (self.dir.clone(), (from.0 + 1, 0));
        let lost = io::blocking(move || {
            let lost = count_lines(&dir, from, next);
            remove_segment(&dir, from.0)?;
            write_cursor(&dir, next).map(|()| lost)
        });
        let lost = match lost.await {
            Ok(lost) => lost,
            Err(error) => {
                tracing::error!("event log {}: {error}", self.dir.display());
                return false;
            }
        };
        self.cursor.set(self.cursor.get().max(next));
        self.ahead.set(self.ahead.get().max(next));
        self.backlog.set(self.backlog.get().saturating_sub(lost));
        self.dropped.set(self.dropped.get() + lost);
        tracing::error!("event log {}: {lost} events are given up: {why}", self.dir.display());
        true
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
            self.log.pending.borrow_mut().splice(0..0, self.data.iter().copied());
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
mod tests {
    use super::*;

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
    fn a_file_of_a_life_before_is_not_written_to_again() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().to_path_buf();
        on_a_shard(move || async move {
            let log = HookLog::open(dir.clone(), &[]).unwrap();
            log.append(|out| out.push(b'a'));
            log.flush().await;
            drop(log);
            // A sync that had failed would have left a hole here after a power cut, and `b` behind it.
            let log = HookLog::open(dir.clone(), &[]).unwrap();
            log.append(|out| out.push(b'b'));
            log.flush().await;
            assert_eq!(log.end.get(), (2, 2));
            let mut told = Vec::new();
            while log.has_unread() {
                told.extend(log.read(1 << 20).await.unwrap().0.into_iter().map(|(line, _)| line));
            }
            assert_eq!(told, ["a", "b"]);
            // What was never written to needs no successor.
            drop(log);
            drop(HookLog::open(dir.clone(), &[]).unwrap());
            assert_eq!(HookLog::open(dir, &[]).unwrap().end.get(), (3, 0));
        });
    }

    /// Runs `work` in a world whose disk operations take a while, with a mistake planted; what it comes to, if it does.
    fn in_world<T: 'static>(
        planted: Option<Bug>,
        work: impl std::future::Future<Output = T> + 'static,
    ) -> Option<T> {
        let world = ringmta_io::sim::World::new(1, false);
        world.planted.set(planted);
        let _entered = world.enter();
        world.disk.faults.borrow_mut().latency_nanos = (1_000_000, 2_000_000);
        let result = std::rc::Rc::new(RefCell::new(None));
        let slot = result.clone();
        io::spawn(async move {
            let value = work.await;
            *slot.borrow_mut() = Some(value);
        });
        // A flush that waits for another that is gone waits for ever.
        while result.borrow().is_none() && world.exec.now() < 60_000_000_000 && world.step() {}
        result.take()
    }

    /// What is told of two events, the flush of the first of which is given up.
    fn told_after_a_flush_is_given_up(planted: Option<Bug>) -> Option<Vec<String>> {
        let told = in_world(planted, async {
            let log = HookLog::open("/hooks/h/0".into(), &[]).unwrap();
            log.append(|out| out.push(b'a'));
            let given_up = io::deadline(Duration::from_micros(10), log.flush()).await;
            assert!(given_up.is_err(), "it takes longer");
            log.append(|out| out.push(b'b'));
            log.flush().await;
            assert!(!log.has_pending() && log.has_unread());
            let mut told = Vec::new();
            while log.has_unread() {
                let (lines, _) = log.read(1 << 20).await.unwrap();
                told.extend(lines.into_iter().map(|(line, _)| line));
            }
            told
        });
        told.map(|mut told| {
            told.dedup();
            told
        })
    }

    #[test]
    fn a_flush_that_is_given_up_loses_nothing_and_holds_up_nobody() {
        let told = told_after_a_flush_is_given_up(None).expect("the second flush ends");
        assert_eq!(told, ["a", "b"]);
        let with_mistake = told_after_a_flush_is_given_up(Some(Bug::FlushNotCancelSafe));
        assert_ne!(with_mistake, Some(told), "the mistake is found");
    }

    /// Runs `work` on a shard of the real world.
    fn on_a_shard<F: std::future::Future<Output = ()> + 'static>(
        work: impl FnOnce() -> F + Send + 'static,
    ) {
        io::ring::run_shard("test", None, work).unwrap().join().unwrap().unwrap();
    }

    #[test]
    fn a_full_disk_gets_room_from_the_log_itself() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().to_path_buf();
        on_a_shard(move || async move {
            let log = HookLog::open(dir.clone(), &[]).unwrap();
            // Writes to its segment fail for lack of room.
            *log.file.borrow_mut() = Some(Plain::open(Path::new("/dev/full")).unwrap());
            let ballast = dir.join(BALLAST);
            assert_eq!(std::fs::metadata(&ballast).unwrap().len(), HOOK_BALLAST_BYTES);
            log.append(|out| out.push(b'a'));
            log.flush().await;
            assert!(!ballast.exists(), "its room was given back");
            let (lines, end) = log.read(1 << 20).await.unwrap();
            assert_eq!(lines, [("a".to_string(), (2, 2))]);
            log.commit(end, 1).await.unwrap();
            assert!(log.is_drained());
        });
    }

    #[test]
    fn a_disk_that_stays_full_costs_the_oldest_events() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().to_path_buf();
        on_a_shard(move || async move {
            Plain::open(&name(&dir, 1)).unwrap().append(b"a\nb\n").unwrap();
            Plain::open(&name(&dir, 2)).unwrap().append(b"c\n").unwrap();
            let log = HookLog::open(dir.clone(), &[]).unwrap();
            log.ballast.set(false);
            assert!(!log.make_room(HOOK_FULL_MS * 1_000_000 - 1).await, "not yet");
            assert!(log.make_room(HOOK_FULL_MS * 1_000_000).await);
            assert_eq!((log.dropped.get(), log.backlog.get()), (2, 1));
            let (lines, _) = log.read(1 << 20).await.unwrap();
            assert_eq!(lines, [("c".to_string(), (2, 2))]);
            assert!(log.make_room(HOOK_FULL_MS * 1_000_000).await);
            assert!(!log.make_room(HOOK_FULL_MS * 1_000_000).await, "the last one is kept");
        });
    }
}

//! What happened to messages since they were stored: attempts, due times, done. One file of
//! frames, each at a block boundary and under one CRC; a new file starts with a checkpoint of
//! all that still matters.
//!
//! Entries wait at most [`limits::JOURNAL_DELAY_MS`] for their flush and nobody waits for them: a
//! crash can repeat a delivery of the last instant, never lose one.

use crate::limits::CHECKPOINT_FRAMES;
use crate::location::Location;
use crate::log::checkpoint::Checkpoint;
use crate::log::reclaim::{AttemptState, Segments};
use crate::start::replay;
use crate::start::replay::{Entries, FileId};
use futures::future::LocalBoxFuture;
use ringmta_io::limits::BLOCK_BYTES;
use ringmta_io::timing::Timing;
use ringmta_io::{self as io, Block, File};
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::task::{Poll, Waker};
use std::time::Duration;

type Before = Box<dyn Fn() -> LocalBoxFuture<'static, ()>>;

/// The journal of one shard.
pub struct Journal {
    dir: PathBuf,
    durable: bool,
    file_bytes: u64,
    file: RefCell<Option<File>>,
    /// The partition it belongs to.
    partition: u64,
    /// The file in force; its number is 0 when there is none.
    id: Cell<FileId>,
    /// The highest number that a file was begun with.
    tried: Cell<u32>,
    path: RefCell<Option<PathBuf>>,
    /// The file before it, whose room the next one takes.
    spare: RefCell<Option<PathBuf>>,
    next_name: Cell<u32>,
    flushing: Cell<bool>,
    before: RefCell<Option<Before>>,
    /// A write to the file in force has failed, and may still land some day.
    poisoned: Cell<bool>,
    write_at: Cell<u64>,
    rotate_at: Cell<u64>,
    pub(super) pending: RefCell<Entries>,
    releases: RefCell<Vec<Location>>,
    waker: RefCell<Option<Waker>>,
    pub(super) hurry: Cell<bool>,
    /// How long they took, those that failed too.
    pub micros: RefCell<Timing>,
    /// Writes that the disk has taken, those of checkpoints too: while it grows the journal is getting on.
    pub writes: Cell<u64>,
}

impl Journal {
    /// An empty journal of `partition` in `dir` with files of about `file_bytes`; [`Journal::rotate`] opens its
    /// first.
    pub fn new(dir: PathBuf, partition: u64, durable: bool, file_bytes: u64) -> Journal {
        Journal {
            dir,
            durable,
            file_bytes,
            file: RefCell::default(),
            partition,
            id: Cell::default(),
            tried: Cell::new(0),
            path: RefCell::default(),
            spare: RefCell::default(),
            next_name: Cell::new(0),
            flushing: Cell::new(false),
            before: RefCell::default(),
            poisoned: Cell::new(false),
            write_at: Cell::new(0),
            rotate_at: Cell::new(file_bytes),
            pending: RefCell::default(),
            releases: RefCell::default(),
            waker: RefCell::default(),
            hurry: Cell::new(false),
            micros: RefCell::default(),
            writes: Cell::new(0),
        }
    }

    /// Goes on behind the files found at start.
    pub fn resume(&self, found: &Files) {
        self.id.set(FileId { number: found.number, salt: 0 });
        self.next_name.set(found.next_name);
        *self.path.borrow_mut() = found.newest.clone();
        let mut others = found.others.iter().cloned();
        *self.spare.borrow_mut() = others.next();
        others.for_each(|path| remove(&path));
    }

    /// `before` runs before entries are written: what hooks still need of an event must be durable
    /// before the message it speaks of is let go.
    pub fn before_each_flush(&self, before: impl Fn() -> LocalBoxFuture<'static, ()> + 'static) {
        *self.before.borrow_mut() = Some(Box::new(before));
    }

    /// The record at `at` is delivered, bounced or expired.
    pub fn done(&self, at: Location) {
        self.pending.borrow_mut().done(at.segment, at.offset);
        self.releases.borrow_mut().push(at);
        self.wake();
    }

    /// The record at `at` was refused; it may be on disk all the same.
    pub fn refused(&self, at: Location) {
        self.pending.borrow_mut().done(at.segment, at.offset);
        self.wake();
    }

    /// The record at `at` waits for another attempt.
    pub fn attempted(&self, at: Location, state: AttemptState) {
        self.pending.borrow_mut().attempt(at.segment, at.offset, state);
        self.wake();
    }

    /// Asks for a flush without the usual wait.
    pub fn hurry(&self) {
        self.hurry.set(true);
        self.wake();
    }

    /// Bytes noted and not on their way to the disk yet.
    pub fn pending_bytes(&self) -> usize {
        self.pending.borrow().bytes.len()
    }

    /// Whether everything noted is on stable storage.
    pub fn is_clean(&self) -> bool {
        !self.flushing.get()
            && self.pending.borrow().bytes.is_empty()
            && self.releases.borrow().is_empty()
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    pub(super) async fn wait_for_entries(&self) {
        std::future::poll_fn(|cx| {
            if !self.pending.borrow().bytes.is_empty() {
                return Poll::Ready(());
            }
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Writes what is pending, then lets go of the records it declares done.
    ///
    /// # Errors
    /// As the disk says; the entries are kept for the next try.
    pub async fn flush(&self, segments: &Segments) -> std::io::Result<()> {
        // One at a time: two would both open the next file, or one end before what the other has
        // taken is on disk.
        while self.flushing.replace(true) {
            io::sleep(Duration::from_millis(1)).await;
        }
        let _turn = FlushGuard(&self.flushing);
        self.flush_now(segments).await
    }

    async fn flush_now(&self, segments: &Segments) -> std::io::Result<()> {
        if self.file.borrow().is_none() || self.write_at.get() >= self.rotate_at.get() {
            self.rotate(segments).await?;
        }
        let mut taken = self.take();
        // The events of these entries were told before the entries were; those of entries that
        // come from here on were not, so these entries are taken first.
        let before = self.before.borrow().as_ref().map(|before| before());
        if let Some(before) = before.filter(|_| !taken.entries.is_empty()) {
            before.await;
        }
        self.write_frame(&taken.entries).await?;
        taken.written = true;
        for at in std::mem::take(&mut taken.releases) {
            segments.released(at);
        }
        Ok(())
    }

    fn take(&self) -> Taken<'_> {
        let entries = std::mem::take(&mut self.pending.borrow_mut().bytes);
        let releases = std::mem::take(&mut *self.releases.borrow_mut());
        Taken { journal: self, entries, releases, written: false }
    }

    async fn write_frame(&self, entries: &[u8]) -> std::io::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let file = self.file.borrow().clone();
        let file = file.ok_or_else(|| std::io::Error::other("journal is not open"))?;
        let block = replay::frame(entries, self.id.get());
        let at = self.write_at.get();
        self.write_at.set(at + io::file::round_up(block.len()) as u64);
        let began = io::mono_nanos();
        let written = file.write_at(block, at).await;
        self.micros.borrow_mut().note((io::mono_nanos() - began) / 1000);
        written?;
        self.writes.set(self.writes.get() + 1);
        Ok(())
    }

    /// Opens the next file with a checkpoint; the previous one is then free for reuse. Until the
    /// checkpoint is on disk the previous file is the journal: it is not touched, and the new one
    /// has no header.
    ///
    /// # Errors
    /// As the disk says; the previous file stays in force.
    pub async fn rotate(&self, segments: &Segments) -> std::io::Result<()> {
        // A number is tried once: what a try that was given up has left on the disk must not count as much as
        // the file that comes instead.
        let number = self.tried.get().max(self.id.get().number) + 1;
        self.tried.set(number);
        let id = FileId { number, salt: io::unguessable_u64() as u32 };
        let path = self.spare.borrow_mut().take().unwrap_or_else(|| self.fresh_path());
        *self.file.borrow_mut() = None;
        let mut fresh = Fresh { path: Some(path.clone()) };
        if let Err(error) = self.begin(segments, &path, id).await {
            *self.file.borrow_mut() = None;
            return Err(error);
        }
        fresh.path = None;
        self.id.set(id);
        let previous = self.path.borrow_mut().replace(path);
        match previous {
            Some(previous) if !self.poisoned.take() => *self.spare.borrow_mut() = Some(previous),
            Some(previous) => remove(&previous),
            None => {}
        }
        Ok(())
    }

    async fn begin(&self, segments: &Segments, path: &Path, id: FileId) -> std::io::Result<()> {
        let checkpoint = Checkpoint::begin(segments);
        let room = self.file_bytes.max(2 * checkpoint.bytes() + BLOCK_BYTES as u64 * 4);
        let file = if io::fs::exists(path) {
            let file = File::open(path, self.durable).await?;
            // With neither its old header nor its new one the file is no journal, however far this gets.
            file.write_at(blank(), 0).await?;
            file
        } else {
            File::create(path, room, self.durable).await?
        };
        let header = replay::file_header(id, self.partition);
        let frame_bytes = (self.file_bytes / CHECKPOINT_FRAMES) as usize;
        let written = || self.writes.set(self.writes.get() + 1);
        let end = checkpoint.write(segments, &file, (id, header), frame_bytes, written).await?;
        *self.file.borrow_mut() = Some(file);
        self.write_at.set(end);
        self.rotate_at.set(room);
        Ok(())
    }

    /// Has the file for the next rotation at hand, so that a start on a disk that has got full needs no
    /// room. Without it things go on: a rotation makes its file then.
    pub async fn reserve(&self) {
        if self.spare.borrow().is_some() {
            return;
        }
        let path = self.fresh_path();
        match File::create(&path, self.file_bytes, self.durable).await {
            Ok(_) => *self.spare.borrow_mut() = Some(path),
            Err(error) => {
                tracing::warn!("spool: no spare journal file {}: {error}", path.display());
                remove(&path);
            }
        }
    }

    /// Removes the file before the one in force, durably.
    ///
    /// # Errors
    /// As unlink(2) and fsync(2).
    pub async fn remove_spare(&self) -> std::io::Result<()> {
        let spare = self.spare.borrow_mut().take();
        spare.map_or(Ok(()), |path| io::fs::remove_file(&path))?;
        io::file::sync_dir(&self.dir).await
    }

    fn fresh_path(&self) -> PathBuf {
        let name = self.next_name.get();
        self.next_name.set(name + 1);
        self.dir.join(format!("journal-{name}.log"))
    }
}

/// Entries on their way to the disk, and the records they let go of.
struct Taken<'a> {
    journal: &'a Journal,
    entries: Vec<u8>,
    releases: Vec<Location>,
    written: bool,
}

impl Drop for Taken<'_> {
    /// Unless they are written they are put back, in front of what came meanwhile; also when whoever
    /// flushes gives up waiting. The file's state is unknown then: the next flush starts a fresh one
    /// with a checkpoint.
    fn drop(&mut self) {
        if self.written {
            return;
        }
        let journal = self.journal;
        journal.pending.borrow_mut().bytes.splice(0..0, self.entries.drain(..));
        journal.releases.borrow_mut().splice(0..0, self.releases.drain(..));
        *journal.file.borrow_mut() = None;
        journal.poisoned.set(true);
    }
}

/// A file that is not the journal yet.
struct Fresh {
    path: Option<PathBuf>,
}

impl Drop for Fresh {
    /// A write that has failed, or that nobody waited for, may still land some day: its file is not used again.
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            remove(&path);
        }
    }
}

/// Clears `flushing` when dropped, also when the flush is cancelled.
struct FlushGuard<'a>(&'a Cell<bool>);

impl Drop for FlushGuard<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// What a file that was never written to has for a header.
fn blank() -> Block {
    let mut block = Block::with_capacity(BLOCK_BYTES);
    block.extend(&[0; BLOCK_BYTES]);
    block
}

fn remove(path: &Path) {
    match io::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!("spool: cannot remove {}: {error}", path.display());
        }
        _ => {}
    }
}

/// The number in the name of a journal file.
pub fn name_number(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix("journal-")?.strip_suffix(".log")?.parse().ok()
}

/// The journal files of a partition, as found at start.
#[derive(Debug, Default)]
pub struct Files {
    /// Number of the file in force, 0 when there is none.
    pub number: u32,
    /// The file in force.
    pub newest: Option<PathBuf>,
    /// The others, free for reuse.
    pub others: Vec<PathBuf>,
    /// First number no name has.
    pub next_name: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::partition::SpoolPaths;
    use crate::start::open::open;
    use ringmta_io::sim::World;
    use std::rc::Rc;

    fn files(world: &World) -> usize {
        let files = world.disk.files();
        files.iter().filter(|(path, _)| name_number(path).is_some()).count()
    }

    /// A rotation that nobody waits for any more leaves no file behind, least of all one that counts as
    /// much as the next.
    #[test]
    fn a_rotation_that_is_given_up_leaves_nothing() {
        let world = World::new(1, false);
        let _entered = world.enter();
        world.disk.faults.borrow_mut().latency_nanos = (1_000_000, 2_000_000);
        let ended = Rc::new(Cell::new(false));
        let (end, seen) = (ended.clone(), world.clone());
        io::spawn(async move {
            let paths = SpoolPaths::new("/spool/data".into(), "/spool/meta".into(), true);
            let (partition, _, _) = open(&paths, 0, 1).await.unwrap();
            let journal = &partition.journal;
            let before = journal.id.get().number;
            // In the middle of each of its steps.
            for micros in (500..12_000).step_by(500) {
                let limit = Duration::from_micros(micros);
                let _ = io::deadline(limit, journal.rotate(&partition.segments)).await;
            }
            let given_up = journal.tried.get();
            assert!(given_up > before + 5);
            // Writes that were under way have landed by now.
            io::sleep(Duration::from_secs(1)).await;
            journal.rotate(&partition.segments).await.unwrap();
            assert_eq!(journal.id.get().number, given_up + 1);
            assert!(files(&seen) <= 2, "{}", files(&seen));
            end.set(true);
        });
        while !ended.get() && world.step() {}
        assert!(ended.get());
    }
}

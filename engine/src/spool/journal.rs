//! What happened to messages since they were stored: attempts, due times, done. One file of
//! frames, each at a block boundary and under one CRC; a new file starts with a checkpoint of
//! all that still matters.
//!
//! Entries wait at most [`limits::JOURNAL_DELAY_MS`] for their flush and nobody waits for them: a
//! crash can repeat a delivery of the last instant, never lose one.

use super::reclaim::AttemptState;
use super::{Location, Partition};
use crate::io::{self, Block, File, Map, Set};
use crate::limits::{self, BLOCK_BYTES};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

const FILE_MAGIC: u32 = 0x314a_4d52;
const FRAME_MAGIC: u32 = 0x3146_4d52;
const FRAME_HEADER: usize = 16;
/// A record is not needed any more.
const DONE: u8 = 1;
/// An attempt failed; the record waits for its next one.
const ATTEMPT: u8 = 2;
/// A checkpoint begins: what was said before is void, and of the segments up to this sequence
/// number only those named by [`KEPT`] hold anything that matters.
const CHECKPOINT: u8 = 3;
/// A segment that still matters.
const KEPT: u8 = 4;

/// The journal of one shard.
pub struct Journal {
    dir: PathBuf,
    durable: bool,
    file_bytes: u64,
    file: RefCell<Option<File>>,
    /// Number of the file in force.
    number: Cell<u32>,
    path: RefCell<Option<PathBuf>>,
    /// The file before it, whose room the next one takes.
    spare: RefCell<Option<PathBuf>>,
    next_name: Cell<u32>,
    flushing: Cell<bool>,
    /// A write to the file in force has failed, and may still land some day.
    poisoned: Cell<bool>,
    salt: Cell<u32>,
    write_at: Cell<u64>,
    rotate_at: Cell<u64>,
    pending: RefCell<Vec<u8>>,
    releases: RefCell<Vec<Location>>,
    waker: RefCell<Option<Waker>>,
    hurry: Cell<bool>,
    /// Flushes so far.
    pub flushes: Cell<u64>,
}

impl Journal {
    /// An empty journal in `dir` with files of about `file_bytes`; [`Journal::rotate`] opens its
    /// first.
    pub fn new(dir: PathBuf, durable: bool, file_bytes: u64) -> Journal {
        Journal {
            dir,
            durable,
            file_bytes,
            file: RefCell::default(),
            number: Cell::new(0),
            path: RefCell::default(),
            spare: RefCell::default(),
            next_name: Cell::new(0),
            flushing: Cell::new(false),
            poisoned: Cell::new(false),
            salt: Cell::new(0),
            write_at: Cell::new(0),
            rotate_at: Cell::new(file_bytes),
            pending: RefCell::default(),
            releases: RefCell::default(),
            waker: RefCell::default(),
            hurry: Cell::new(false),
            flushes: Cell::new(0),
        }
    }

    /// Goes on behind the files found at start.
    pub fn resume(&self, found: &Files) {
        self.number.set(found.number);
        self.next_name.set(found.next_name);
        *self.path.borrow_mut() = found.newest.clone();
        let mut others = found.others.iter().cloned();
        *self.spare.borrow_mut() = others.next();
        others.for_each(|path| remove(&path));
    }

    /// The record at `at` is delivered, bounced or expired.
    pub fn done(&self, at: Location) {
        entry_done(&mut self.pending.borrow_mut(), at.segment, at.offset);
        self.releases.borrow_mut().push(at);
        self.wake();
    }

    /// The record at `at` was refused; it may be on disk all the same.
    pub fn refused(&self, at: Location) {
        entry_done(&mut self.pending.borrow_mut(), at.segment, at.offset);
        self.wake();
    }

    /// The record at `at` waits for another attempt.
    pub fn attempted(&self, at: Location, state: AttemptState) {
        entry_attempt(&mut self.pending.borrow_mut(), at.segment, at.offset, state);
        self.wake();
    }

    /// Asks for a flush without the usual wait.
    pub fn hurry(&self) {
        self.hurry.set(true);
        self.wake();
    }

    /// Whether everything noted is on stable storage.
    pub fn is_clean(&self) -> bool {
        !self.flushing.get()
            && self.pending.borrow().is_empty()
            && self.releases.borrow().is_empty()
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    async fn wait_for_entries(&self) {
        std::future::poll_fn(|cx| {
            if !self.pending.borrow().is_empty() {
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
    pub async fn flush(&self, partition: &Partition) -> std::io::Result<()> {
        // One at a time: two would both open the next file, or one end before what the other has
        // taken is on disk.
        while self.flushing.replace(true) {
            io::sleep(Duration::from_millis(1)).await;
        }
        let _turn = Turn(&self.flushing);
        self.flush_now(partition).await
    }

    async fn flush_now(&self, partition: &Partition) -> std::io::Result<()> {
        if self.file.borrow().is_none() || self.write_at.get() >= self.rotate_at.get() {
            self.rotate(partition).await?;
        }
        let entries = std::mem::take(&mut *self.pending.borrow_mut());
        let releases = std::mem::take(&mut *self.releases.borrow_mut());
        if let Err(error) = self.write_frame(&entries).await {
            // Put back in front of what came meanwhile. The file's state is unknown now: the
            // next flush starts a fresh one with a checkpoint.
            self.pending.borrow_mut().splice(0..0, entries);
            self.releases.borrow_mut().splice(0..0, releases);
            *self.file.borrow_mut() = None;
            self.poisoned.set(true);
            return Err(error);
        }
        for at in releases {
            partition.segments.released(at);
        }
        Ok(())
    }

    async fn write_frame(&self, entries: &[u8]) -> std::io::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let file = self.file.borrow().clone();
        let file = file.ok_or_else(|| std::io::Error::other("journal is not open"))?;
        let block = frame(entries, self.salt.get());
        let at = self.write_at.get();
        self.write_at.set(at + io::file::round_up(block.len()) as u64);
        self.flushes.set(self.flushes.get() + 1);
        file.write_at(block, at).await
    }

    /// Opens the next file with a checkpoint; the previous one is then free for reuse. Until the
    /// checkpoint is on disk the previous file is the journal: it is not touched, and the new one
    /// has no number that counts.
    ///
    /// # Errors
    /// As the disk says; the previous file stays in force.
    pub async fn rotate(&self, partition: &Partition) -> std::io::Result<()> {
        let number = self.number.get() + 1;
        let path = self.spare.borrow_mut().take().unwrap_or_else(|| self.fresh_path());
        *self.file.borrow_mut() = None;
        if let Err(error) = self.begin(partition, &path, number).await {
            // A write that failed may still land some day: its file is not used again.
            remove(&path);
            return Err(error);
        }
        self.number.set(number);
        let previous = self.path.borrow_mut().replace(path);
        match previous {
            Some(previous) if !self.poisoned.take() => *self.spare.borrow_mut() = Some(previous),
            Some(previous) => remove(&previous),
            None => {}
        }
        Ok(())
    }

    async fn begin(&self, partition: &Partition, path: &Path, number: u32) -> std::io::Result<()> {
        let snapshot = checkpoint(partition);
        let room = self.file_bytes.max(2 * snapshot.len() as u64 + BLOCK_BYTES as u64 * 4);
        let file = if io::fs::exists(path) {
            File::open(path, self.durable).await?
        } else {
            File::create(path, room, self.durable).await?
        };
        let salt = io::random_u64() as u32;
        file.write_at(file_header(number, salt), 0).await?;
        let block = frame(&snapshot, salt);
        let end = BLOCK_BYTES as u64 + io::file::round_up(block.len()) as u64;
        file.write_at(block, BLOCK_BYTES as u64).await?;
        *self.file.borrow_mut() = Some(file);
        self.salt.set(salt);
        self.write_at.set(end);
        self.rotate_at.set(room);
        Ok(())
    }

    fn fresh_path(&self) -> PathBuf {
        let name = self.next_name.get();
        self.next_name.set(name + 1);
        self.dir.join(format!("journal-{name}.log"))
    }
}

/// Ends a flush, however it ends.
struct Turn<'a>(&'a Cell<bool>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
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

/// Flushes for ever; one task per shard. `first` runs before each flush: what hooks still need of
/// an event must be durable before the message it speaks of is let go.
pub async fn run<F, Fut>(partition: Rc<Partition>, first: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = ()>,
{
    let journal = &partition.journal;
    loop {
        journal.wait_for_entries().await;
        let small = journal.pending.borrow().len() < limits::JOURNAL_PENDING_BYTES;
        if small && !journal.hurry.take() {
            io::sleep(Duration::from_millis(limits::JOURNAL_DELAY_MS)).await;
        }
        first().await;
        if let Err(error) = journal.flush(&partition).await {
            tracing::error!("spool: journal cannot be written, will try again: {error}");
            io::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// All that still matters, as entries: which segments are in use, what is done in them, and the
/// attempts of what waits.
fn checkpoint(partition: &Partition) -> Vec<u8> {
    let mut entries = Vec::new();
    entry_segment(&mut entries, CHECKPOINT, partition.segments.last_sequence());
    for sequence in partition.segments.starting() {
        entry_segment(&mut entries, KEPT, sequence);
    }
    partition.segments.for_each(|sequence, segment| {
        entry_segment(&mut entries, KEPT, sequence);
        for offset in &segment.done {
            entry_done(&mut entries, sequence, *offset);
        }
        for (offset, state) in &segment.attempts {
            entry_attempt(&mut entries, sequence, *offset, *state);
        }
    });
    entries
}

fn entry_segment(out: &mut Vec<u8>, kind: u8, segment: u32) {
    out.push(kind);
    out.extend_from_slice(&segment.to_le_bytes());
}

fn entry_done(out: &mut Vec<u8>, segment: u32, offset: u32) {
    out.push(DONE);
    out.extend_from_slice(&segment.to_le_bytes());
    out.extend_from_slice(&offset.to_le_bytes());
}

fn entry_attempt(out: &mut Vec<u8>, segment: u32, offset: u32, state: AttemptState) {
    out.push(ATTEMPT);
    out.extend_from_slice(&segment.to_le_bytes());
    out.extend_from_slice(&offset.to_le_bytes());
    out.extend_from_slice(&state.attempts.to_le_bytes());
    out.extend_from_slice(&state.due_millis.to_le_bytes());
}

fn frame(entries: &[u8], salt: u32) -> Block {
    let mut block = Block::with_capacity(FRAME_HEADER + entries.len());
    block.extend(&FRAME_MAGIC.to_le_bytes());
    block.extend(&[0; 4]);
    block.extend(&(entries.len() as u32).to_le_bytes());
    block.extend(&salt.to_le_bytes());
    block.extend(entries);
    let crc = crc32c::crc32c(&block.tail_mut(0)[8..]);
    block.tail_mut(4)[..4].copy_from_slice(&crc.to_le_bytes());
    block
}

fn file_header(number: u32, salt: u32) -> Block {
    let mut block = Block::with_capacity(BLOCK_BYTES);
    for field in [FILE_MAGIC, 1, number, salt] {
        block.extend(&field.to_le_bytes());
    }
    let crc = crc32c::crc32c(block.tail_mut(0));
    block.extend(&crc.to_le_bytes());
    block
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

/// Reads a journal file's header: (number, salt).
pub fn parse_header(bytes: &[u8]) -> Option<(u32, u32)> {
    let whole = number_at(bytes, 0)? == FILE_MAGIC
        && number_at(bytes, 4)? == 1
        && number_at(bytes, 16)? == crc32c::crc32c(&bytes[..16]);
    whole.then_some((number_at(bytes, 8)?, number_at(bytes, 12)?))
}

/// What a journal says, keyed by (segment, offset).
#[derive(Debug, Default)]
pub struct Replay {
    /// Records not needed any more.
    pub done: Set<(u32, u32)>,
    /// Last known attempts of the others.
    pub attempts: Map<(u32, u32), AttemptState>,
    /// Sequence number of the last segment before the last checkpoint.
    pub last_sequence: u32,
    kept: Set<u32>,
    /// Frames read.
    pub frames: usize,
}

impl Replay {
    /// Whether segment `sequence` was given up before the last checkpoint: its file may still be
    /// there, or be there again, but nothing in it matters.
    pub fn is_given_up(&self, sequence: u32) -> bool {
        sequence <= self.last_sequence && !self.kept.contains(&sequence)
    }

    /// Reads the frames of one file into this state. Returns the offset of the first damage, if
    /// what follows is not simply the end.
    pub fn read(&mut self, bytes: &[u8], salt: u32) -> Option<usize> {
        let mut at = BLOCK_BYTES;
        while let Some(header) = bytes.get(at..at + FRAME_HEADER) {
            if number_at(header, 0) != Some(FRAME_MAGIC) || number_at(header, 12) != Some(salt) {
                return None;
            }
            let len = number_at(header, 8).unwrap_or(0) as usize;
            let end = at + FRAME_HEADER + len;
            let whole = bytes.get(at + 8..end).map(crc32c::crc32c);
            if whole.is_none() || whole != number_at(header, 4) {
                return Some(at);
            }
            self.entries(&bytes[at + FRAME_HEADER..end]);
            self.frames += 1;
            at = io::file::round_up(end);
        }
        None
    }

    fn entries(&mut self, mut rest: &[u8]) {
        while let Some(segment) = number_at(rest, 1) {
            let offset = number_at(rest, 5).unwrap_or(0);
            match rest[0] {
                CHECKPOINT => {
                    self.done.clear();
                    self.attempts.clear();
                    self.kept.clear();
                    self.last_sequence = segment;
                    rest = &rest[5..];
                }
                KEPT => {
                    self.kept.insert(segment);
                    rest = &rest[5..];
                }
                DONE if rest.len() >= 9 => {
                    self.done.insert((segment, offset));
                    self.attempts.remove(&(segment, offset));
                    rest = &rest[9..];
                }
                ATTEMPT if rest.len() >= 19 => {
                    let attempts = u16::from_le_bytes([rest[9], rest[10]]);
                    let mut due = [0; 8];
                    due.copy_from_slice(&rest[11..19]);
                    let due_millis = u64::from_le_bytes(due);
                    let state = AttemptState { attempts, due_millis };
                    self.attempts.insert((segment, offset), state);
                    rest = &rest[19..];
                }
                _ => return,
            }
        }
    }
}

//! A shard's part of the spool.

use super::group_commit::{Commit, GroupCommit};
use super::journal::Journal;
use super::moved::Moved;
use super::reclaim::{AttemptState, Segments};
use super::record::NewRecord;
use super::recover::{self, Found, Recovered, Report};
use super::{Location, StoreError};
use crate::io::{self, File};
use crate::limits::{JOURNAL_BYTES, SEGMENT_BYTES};
use ringmta_policy::{schedule, EnvelopeAddress, Message, MessageId, Meta};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Where the spools are and how they are written.
#[derive(Debug, Clone)]
pub struct SpoolPaths {
    /// The spool named `data`.
    pub data: PathBuf,
    /// The spool named `meta`.
    pub meta: PathBuf,
    /// Wait for stable storage (the default). Without it a message survives the process, not
    /// the machine.
    pub durable: bool,
    /// Size of a data segment, [`SEGMENT_BYTES`] but for tests.
    pub segment_bytes: u64,
    /// Size at which a journal file is followed by the next, [`JOURNAL_BYTES`] but for tests.
    pub journal_bytes: u64,
}

impl SpoolPaths {
    /// Spools of the usual sizes.
    pub fn new(data: PathBuf, meta: PathBuf, durable: bool) -> SpoolPaths {
        let (segment_bytes, journal_bytes) = (SEGMENT_BYTES, JOURNAL_BYTES);
        SpoolPaths { data, meta, durable, segment_bytes, journal_bytes }
    }
}

/// One shard's partition of both spools.
pub struct Partition {
    /// Batches on their way to disk.
    pub commits: GroupCommit,
    /// Data segments.
    pub segments: Segments,
    /// What happened since.
    pub journal: Journal,
    /// Records that compaction has moved.
    pub moved: Moved,
    /// Set while the disk is short of space: new mail is refused.
    pub full: Cell<bool>,
    /// Set at stop.
    pub stopping: Cell<bool>,
}

impl Partition {
    /// Opens partition `shard` and recovers it; partitions of shards that exist no more
    /// (numbers from `shards` up, taken in turn) are adopted. Nothing may be delivered before
    /// this returns.
    ///
    /// # Errors
    /// When a folder cannot be made or read, or what was adopted cannot be stored.
    pub async fn open(
        paths: &SpoolPaths,
        shard: usize,
        shards: usize,
    ) -> std::io::Result<(Rc<Partition>, Vec<Recovered>, Report)> {
        let data = make_dir(&paths.data, shard).await?;
        let meta = make_dir(&paths.meta, shard).await?;
        io::file::learn_device(&data).await?;
        io::file::learn_device(&meta).await?;
        let mut found = recover::read(&data, &meta).await?;
        let number =
            if found.partition == 0 { io::unguessable_u64().max(1) } else { found.partition };
        let strays = std::mem::take(&mut found.strays);
        let partition = Rc::new(Partition {
            commits: GroupCommit::new(paths.segment_bytes),
            segments: Segments::new(data, number, paths.durable, paths.segment_bytes),
            journal: Journal::new(meta, number, paths.durable, paths.journal_bytes),
            moved: Moved::default(),
            full: Cell::new(false),
            stopping: Cell::new(false),
        });
        let (mut live, mut report) = partition.take_over(found);
        partition.journal.rotate(&partition).await?;
        partition.journal.reserve().await;
        io::spawn(super::group_commit::run(partition.clone()));
        let mut known = known(&live);
        for stray in strays {
            partition.take_in(stray.messages, &stray.file, &mut live, &mut known).await?;
            partition.journal.flush(&partition).await?;
            io::fs::remove_file(&stray.path)?;
        }
        for orphan in orphans(&paths.data, shard, shards)? {
            let adopted = partition
                .adopt(&orphan.0, &paths.meta.join(orphan.1), &mut live, &mut known)
                .await?;
            report.records += adopted.records;
            report.damage.extend(adopted.damage);
        }
        Ok((partition, live, report))
    }

    fn take_over(&self, found: Found) -> (Vec<Recovered>, Report) {
        self.journal.resume(&found.journal);
        self.segments.note_sequence(found.last_sequence);
        for entry in found.in_use {
            self.segments.adopt(entry);
        }
        for path in found.spare {
            self.segments.adopt_spare(path);
        }
        for path in found.aside {
            self.segments.note_file(&path);
        }
        (found.live, found.report)
    }

    /// Stores every live message of another partition in this one, then removes the other, and
    /// adds them to `live`. What an adoption cut short by a crash has already copied is not copied
    /// again; nothing can have been delivered in between.
    async fn adopt(
        &self,
        data: &Path,
        meta: &Path,
        live: &mut Vec<Recovered>,
        known: &mut Known,
    ) -> std::io::Result<Report> {
        io::fs::create_dir_all(meta).await?;
        let found = recover::read(data, meta).await?;
        let count = found.live.len();
        let mut by_segment: BTreeMap<u32, Vec<Recovered>> = BTreeMap::new();
        for message in found.live {
            by_segment.entry(message.at.segment).or_default().push(message);
        }
        for entry in &found.in_use {
            let messages = by_segment.remove(&entry.segment.sequence).unwrap_or_default();
            self.take_in(messages, &entry.segment.file, live, known).await?;
        }
        for stray in found.strays {
            self.take_in(stray.messages, &stray.file, live, known).await?;
        }
        self.journal.flush(self).await?;
        // The data first: without its journal it would tell of messages long done.
        io::fs::remove_dir_all(data).await?;
        io::fs::remove_dir_all(meta).await?;
        tracing::info!("spool: adopted {count} messages of {}", data.display());
        Ok(found.report)
    }

    /// Stores `messages` of `file` anew and adds them to `live`, but for those it has already.
    async fn take_in(
        &self,
        messages: Vec<Recovered>,
        file: &File,
        live: &mut Vec<Recovered>,
        known: &mut Known,
    ) -> std::io::Result<()> {
        // Of two records of one message the latest counts.
        let mut messages = messages;
        messages.sort_by_key(|message| std::cmp::Reverse((message.generation, message.at)));
        for mut message in messages {
            let index = match known.get(&message.id) {
                Some(index) => *index,
                None => {
                    message.at = self.copy_record(file, &message).await?;
                    known.insert(message.id, live.len());
                    live.push(Recovered { state: None, ..message.clone() });
                    live.len() - 1
                }
            };
            // Its attempts may not have come with a copy made before the crash.
            if let (None, Some(state)) = (live[index].state, message.state) {
                live[index].at = self.attempted(live[index].at, state);
                live[index].state = Some(state);
            }
        }
        Ok(())
    }

    async fn copy_record(&self, file: &File, message: &Recovered) -> std::io::Result<Location> {
        let at = message.at;
        let bytes = file.read_at(u64::from(at.offset), at.bytes as usize).await?;
        let stored = super::record::parse(&bytes).map_err(std::io::Error::other)?;
        let failed = |error: StoreError| std::io::Error::other(error.to_string());
        self.commits.append(&stored.as_new()).map_err(failed)?.await.map_err(failed)
    }

    /// Starts to store a message; await the result before answering for it.
    ///
    /// # Errors
    /// At once when the disk is known to be full or the message can never fit.
    pub fn store(&self, message: &Message, body: &[u8]) -> Result<Commit, StoreError> {
        if self.stopping.get() {
            return Err(StoreError::Stopping);
        }
        if self.full.get() {
            return Err(StoreError::Full);
        }
        self.store_anew(message, body, 0)
    }

    /// As [`Partition::store`], for a message already accepted that is written anew for the
    /// `generation`th time.
    ///
    /// # Errors
    /// When the message can never fit.
    pub fn store_anew(
        &self,
        message: &Message,
        body: &[u8],
        generation: u16,
    ) -> Result<Commit, StoreError> {
        let sender = message.sender();
        let append = |recipients: &[EnvelopeAddress], meta: &Meta| {
            self.commits.append(&NewRecord {
                id: message.id(),
                created_nanos: message.id().created_unix_nanos(),
                generation,
                sender: &sender,
                recipients,
                meta,
                body,
            })
        };
        message.with_recipients(|recipients| {
            message.meta(|meta| match message.scheduling() {
                Some(scheduling) => append(recipients, &schedule::put_in(meta, &scheduling)),
                None => append(recipients, meta),
            })
        })
    }

    /// The message at `at` needs no further delivery.
    pub fn done(&self, at: Location) {
        let (at, copy) = self.moved.forget(at);
        self.end(at);
        if let Some(copy) = copy {
            // In the same journal frame, so that no crash leaves the copy behind alone.
            self.segments.refused(copy);
            self.journal.refused(copy);
        }
    }

    /// Records whose senders gave up before they heard of them are no messages.
    pub(super) fn let_orphans_go(&self) {
        for at in self.commits.take_orphans() {
            self.done(at);
        }
    }

    /// The record at `at`, its present place, is not needed any more.
    pub(super) fn end(&self, at: Location) {
        self.segments.ending(at);
        self.journal.done(at);
    }

    /// The message at `at` waits for its next attempt. Returns where it is by now: the place to
    /// call it by from here on.
    #[must_use = "the record may have been moved"]
    pub fn attempted(&self, at: Location, state: AttemptState) -> Location {
        let at = self.moved.settle(at);
        self.segments.attempted(at, state);
        self.journal.attempted(at, state);
        at
    }
}

/// Where in a list of messages each is.
type Known = HashMap<MessageId, usize>;

fn known(live: &[Recovered]) -> Known {
    live.iter().enumerate().map(|(index, message)| (message.id, index)).collect()
}

async fn make_dir(base: &Path, shard: usize) -> std::io::Result<PathBuf> {
    let dir = base.join(shard.to_string());
    let named = |error: std::io::Error| {
        std::io::Error::new(error.kind(), format!("{}: {error}", dir.display()))
    };
    io::fs::create_dir_all(&dir).await.map_err(named)?;
    io::fs::sync_names(&dir).await.map_err(named)?;
    Ok(dir)
}

/// Partition folders of shards that do not run now and fall to `shard`: (data folder, name).
fn orphans(base: &Path, shard: usize, shards: usize) -> std::io::Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    for path in io::fs::read_dir(base)? {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("").to_string();
        if let Ok(number) = name.parse::<usize>() {
            if number >= shards && number % shards == shard && io::fs::is_dir(&path) {
                found.push((path, name));
            }
        }
    }
    found.sort();
    Ok(found)
}

//! A shard's part of the spool.

use crate::error::StoreError;
use crate::limits::{
    JOURNAL_BYTES, JOURNAL_FOLLOW_MAX_SECS, JOURNAL_FOLLOW_MS, JOURNAL_PENDING_BYTES, SEGMENT_BYTES,
};
use crate::location::Location;
use crate::log::group_commit::{Commit, GroupCommit};
use crate::log::journal::Journal;
use crate::log::moved::Moved;
use crate::log::reclaim::{AttemptState, Segments};
use crate::log::record::NewRecord;
use ringmta_io as io;
use ringmta_mail::{schedule, EnvelopeAddress, Message, Meta};
use std::cell::Cell;
use std::path::PathBuf;
use std::time::Duration;

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

    /// Writes what the journal has pending, and lets go of the records it declares done.
    ///
    /// # Errors
    /// As the disk says; the entries are kept for the next try.
    pub async fn flush_journal(&self) -> std::io::Result<()> {
        self.journal.flush(&self.segments).await
    }

    /// Lets the journal be written where very much is noted in it: what is noted is in memory until then. It is waited for
    /// while the disk takes anything, also for as long as a checkpoint is written first; whether it was written by then.
    pub async fn let_journal_follow(&self) -> bool {
        let is_written = || self.journal.pending_bytes() <= JOURNAL_PENDING_BYTES;
        let (began, mut seen) = (io::mono_nanos(), self.journal.writes.get());
        let mut since = began;
        while !is_written() {
            let (now, writes) = (io::mono_nanos(), self.journal.writes.get());
            if std::mem::replace(&mut seen, writes) != writes {
                since = now;
            }
            let has_stopped = now > since + JOURNAL_FOLLOW_MS * 1_000_000;
            if has_stopped || now > began + JOURNAL_FOLLOW_MAX_SECS * 1_000_000_000 {
                break;
            }
            io::sleep(Duration::from_millis(1)).await;
        }
        is_written()
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
        let at = self.moved.resolve(at);
        self.segments.attempted(at, state);
        self.journal.attempted(at, state);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::write::run_journal;
    use crate::start::open::open;
    use crate::testing::{small_paths, Writer};
    use ringmta_io::sim::World;
    use std::cell::Cell;
    use std::rc::Rc;
    use std::time::Duration;

    const LIMIT: Duration = Duration::from_secs(3600);

    /// Notes more than may wait while a checkpoint goes first, each write of which takes
    /// `nanos`. Whether the journal had followed when its patience ended, and after how long.
    fn follow(nanos: u64) -> (bool, Duration) {
        let world = World::new(11, false);
        let _entered = world.enter();
        let told = Rc::new(Cell::new(None));
        let tell = told.clone();
        let inner = world.clone();
        world.spawn_on(world.exec.new_node(), async move {
            let (partition, _, _) = open(&small_paths(), 0, 1).await.unwrap();
            let writer = Writer::new(0, 4000);
            let mut at = Vec::new();
            for _ in 0..600 {
                at.push(writer.store(&partition).await.1);
            }
            partition.journal.rotate(&partition.segments).await.unwrap();
            inner.disk.faults.borrow_mut().latency_nanos = (nanos, nanos);
            let mut due = 1_900_000_000_000;
            while partition.journal.pending_bytes() <= 4 * JOURNAL_PENDING_BYTES {
                due += 1;
                at.iter().for_each(|at| {
                    let _ = partition.attempted(*at, AttemptState::due(1, due));
                });
            }
            let writing = partition.clone();
            io::spawn(async move {
                writing.journal.rotate(&writing.segments).await.unwrap();
                run_journal(writing).await;
            });
            let began = io::mono_nanos();
            let followed = partition.let_journal_follow().await;
            let took = Duration::from_nanos(io::mono_nanos() - began);
            tell.set(Some((followed, took)));
        });
        world.run_until(LIMIT, 10_000_000, || told.get().is_some()).unwrap();
        told.take().unwrap()
    }

    /// A checkpoint goes first, in many writes: it is waited for although it takes far longer than a disk is waited for
    /// that takes nothing, which is given up.
    #[test]
    fn who_notes_very_much_waits_for_a_checkpoint_and_for_no_disk_that_hangs() {
        let patience = Duration::from_millis(JOURNAL_FOLLOW_MS);
        let (followed, took) = follow(20_000_000);
        assert!(followed && took > 3 * patience, "{followed} after {took:?}");
        let (followed, took) = follow(60_000_000_000);
        assert!(!followed && took < 2 * patience, "{followed} after {took:?}");
    }
}

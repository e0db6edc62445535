//! One write to stable storage for every message that waits.
//!
//! Sessions append their record to the open batch and wait. While one batch is being written the
//! next one forms; so latency stays near one write, and the cost per message falls as load
//! rises, without any delay made on purpose.

use crate::error::StoreError;
use crate::limits::{BATCH_BYTES_MAX, BATCH_START_BYTES};
use crate::location::Location;
use crate::log::planted::Tail;
use crate::log::record;
use crate::log::record::NewRecord;
use crate::log::segment::DATA_START;
use ringmta_io::timing::Timing;
use ringmta_io::Block;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Where a batch ended up: (segment sequence, byte offset of its start).
pub(super) type Placed = (u32, u64);

#[derive(Default)]
struct BatchResult {
    result: RefCell<Option<Result<Placed, StoreError>>>,
    waiting: RefCell<Vec<Waker>>,
    /// (start, bytes) of records whose sender waits no longer.
    given_up: RefCell<Vec<(u32, u32)>>,
}

pub(super) struct Batch {
    pub(super) block: Block,
    /// (start, bytes) of each record.
    pub(super) records: Vec<(u32, u32)>,
    outcome: Rc<BatchResult>,
}

impl Batch {
    fn new(bytes: usize) -> Batch {
        Batch { block: Block::with_capacity(bytes), records: Vec::new(), outcome: Rc::default() }
    }
}

/// The batches of one shard.
pub struct GroupCommit {
    segment_bytes: u64,
    batch_bytes: usize,
    open: RefCell<Option<Batch>>,
    sealed: RefCell<std::collections::VecDeque<Batch>>,
    pub(super) last_bytes: Cell<usize>,
    orphans: Rc<Orphans>,
    pub(super) tail: Tail,
    /// Writes to stable storage so far.
    pub flushes: Cell<u64>,
    /// Records made durable so far.
    pub committed: Cell<u64>,
    /// How long the writes took, those that failed too.
    pub micros: RefCell<Timing>,
}

/// A record that is on its way to stable storage. Ready when it is there, or when it is known
/// that it is not. The result decides the sender's reply.
#[must_use = "the result of a store decides the SMTP reply"]
pub struct Commit {
    outcome: Rc<BatchResult>,
    orphans: Rc<Orphans>,
    start: u32,
    bytes: u32,
    /// Somebody knows the result.
    told: bool,
}

/// Records that landed and whose sender did not wait to hear of it, and who lets them go.
#[derive(Default)]
struct Orphans {
    places: RefCell<Vec<Location>>,
    flusher: RefCell<Option<Waker>>,
}

impl Orphans {
    fn add(&self, places: impl IntoIterator<Item = Location>) {
        self.places.borrow_mut().extend(places);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.flusher.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// Given up before its result was known: the record is let go once it has landed. Else it would be in no queue, and come out
/// at the next start.
impl Drop for Commit {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        match self.outcome.result.borrow().as_ref() {
            None => self.outcome.given_up.borrow_mut().push((self.start, self.bytes)),
            Some(Ok((segment, base))) => {
                let at = record::location(*segment, *base, self.start, self.bytes);
                self.orphans.add([at]);
            }
            Some(Err(_)) => {}
        }
    }
}

impl Future for Commit {
    type Output = Result<Location, StoreError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Some(result) = this.outcome.result.borrow().as_ref() {
            this.told = true;
            return Poll::Ready(match result {
                Ok((segment, base)) => {
                    Ok(record::location(*segment, *base, this.start, this.bytes))
                }
                Err(error) => Err(error.clone()),
            });
        }
        this.outcome.waiting.borrow_mut().push(cx.waker().clone());
        Poll::Pending
    }
}

impl GroupCommit {
    /// No batches yet, for segments of `segment_bytes`.
    pub fn new(segment_bytes: u64) -> GroupCommit {
        // A batch must fit a segment, or it could go nowhere.
        let room = (segment_bytes - DATA_START) as usize;
        GroupCommit {
            segment_bytes,
            batch_bytes: BATCH_BYTES_MAX.min(room / 2),
            open: RefCell::default(),
            sealed: RefCell::default(),
            last_bytes: Cell::new(0),
            orphans: Rc::default(),
            tail: Tail::default(),
            flushes: Cell::new(0),
            committed: Cell::new(0),
            micros: RefCell::default(),
        }
    }

    /// Appends a record to the open batch.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] for one that no segment could hold, or that could not be read back.
    pub fn append(&self, new: &NewRecord<'_>) -> Result<Commit, StoreError> {
        let size = new.body.len() + record::HEADER_BYTES + 64 * 1024;
        if size as u64 > self.segment_bytes - DATA_START || !record::can_be_read(new) {
            return Err(StoreError::TooLarge);
        }
        let mut open = self.open.borrow_mut();
        let full = open.as_ref().is_some_and(|batch| {
            let grown = batch.block.len() + new.body.len() + record::HEADER_BYTES;
            grown > self.batch_bytes && !batch.records.is_empty()
        });
        if full {
            self.sealed.borrow_mut().extend(open.take());
        }
        let batch = open.get_or_insert_with(|| {
            Batch::new(self.last_bytes.get().clamp(BATCH_START_BYTES, BATCH_BYTES_MAX))
        });
        let (start, bytes) = record::append(&mut batch.block, new);
        batch.records.push((start, bytes));
        let (outcome, orphans) = (batch.outcome.clone(), self.orphans.clone());
        let commit = Commit { outcome, orphans, start, bytes, told: false };
        drop(open);
        self.orphans.wake();
        Ok(commit)
    }

    /// Whether anything waits to be written.
    pub fn is_idle(&self) -> bool {
        self.open.borrow().is_none() && self.sealed.borrow().is_empty()
    }

    pub(super) fn next(&self) -> Option<Batch> {
        self.sealed.borrow_mut().pop_front().or_else(|| self.open.borrow_mut().take())
    }

    pub(super) async fn wait_for_records(&self) {
        std::future::poll_fn(|cx| {
            if !self.is_idle() || !self.orphans.places.borrow().is_empty() {
                return Poll::Ready(());
            }
            *self.orphans.flusher.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Records that nobody waits for any more.
    pub(super) fn take_orphans(&self) -> Vec<Location> {
        self.orphans.places.take()
    }

    pub(super) fn count(&self, records: usize) {
        self.flushes.set(self.flushes.get() + 1);
        self.committed.set(self.committed.get() + records as u64);
    }

    pub(super) fn finish(&self, batch: Batch, result: Result<Placed, StoreError>) {
        if let Ok((segment, base)) = &result {
            let given_up = batch.outcome.given_up.take();
            let places = given_up
                .iter()
                .map(|(start, bytes)| record::location(*segment, *base, *start, *bytes));
            self.orphans.add(places);
        }
        *batch.outcome.result.borrow_mut() = Some(result);
        for waker in batch.outcome.waiting.borrow_mut().drain(..) {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::partition::{Partition, SpoolPaths};
    use crate::start::open::open;
    use ringmta_io as io;
    use ringmta_io::sim::World;
    use ringmta_mail::{EnvelopeAddress, Message, Meta};
    use ringmta_smtp::ids::IdSource;
    use std::time::Duration;

    fn store(partition: &Partition, ids: &IdSource) -> Commit {
        let recipient = EnvelopeAddress::parse("r@dst.test").unwrap();
        let body = Rc::new(b"Subject: x\r\n\r\ny\r\n".to_vec());
        let (id, sender) = (ids.next().0, EnvelopeAddress::null());
        let message = Message::new(id, sender, vec![recipient], Meta::new(), body.clone());
        partition.store(&message, &body).unwrap()
    }

    /// Of four records one is waited for, one given up before it is written, one after, and one by a sender that has heard
    /// the result. Then another process looks.
    async fn given_up() {
        let paths = SpoolPaths::new("/spool/data".into(), "/spool/meta".into(), true);
        let (partition, _, _) = open(&paths, 0, 1).await.unwrap();
        let ids = IdSource::new(0);
        let (kept, before, after) =
            (store(&partition, &ids), store(&partition, &ids), store(&partition, &ids));
        drop(before);
        kept.await.unwrap();
        drop(after);
        drop(store(&partition, &ids));
        // What is let go counts until the journal has said so.
        while !partition.commits.is_idle() || partition.segments.totals().1 != 1 {
            io::sleep(Duration::from_millis(10)).await;
            partition.flush_journal().await.unwrap();
        }
        let (_, recovered, _) = open(&paths, 0, 1).await.unwrap();
        assert_eq!(recovered.len(), 1);
    }

    #[test]
    fn a_store_that_is_given_up_is_no_message() {
        let world = World::new(1, false);
        let _entered = world.enter();
        world.complete(Duration::from_secs(60), 1_000_000, given_up()).unwrap();
    }
}

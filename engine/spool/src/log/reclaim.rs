//! Which segments are still needed, and where the next batch goes.

use crate::error::StoreError;
use crate::limits::{
    COMPACT_BELOW_PERCENT, COMPACT_FROM_SEGMENTS, SEGMENTS_SPARE_MAX, SEQUENCE_MAX,
};
use crate::location::Location;
use crate::log::segment;
use crate::log::segment::{Segment, DATA_START};
use ringmta_io::{fs, Map, Set};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a segment is filled with. Messages that wait for long get segments of their own: mixed
/// with fresh mail, each of them would keep a whole segment alive, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Mail as it comes in.
    Fresh,
    /// Mail moved out of segments that it was among the last to need.
    Kept,
}

/// Where the next batch of a stream goes.
#[derive(Default)]
struct Head {
    active: Cell<Option<u32>>,
    write_at: Cell<u64>,
}

/// How a message that is still waiting was last seen by the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptState {
    /// Finished attempts.
    pub attempts: u16,
    /// When it is due, unix milliseconds. Odd when an order holds it until then: so the journal needs no field of its
    /// own for that, and those that were written before it meant anything can be read.
    pub due_millis: u64,
}

impl AttemptState {
    /// The state of a message that is due at `due_millis` by itself, or a millisecond later.
    pub fn due(attempts: u16, due_millis: u64) -> AttemptState {
        AttemptState { attempts, due_millis: due_millis.next_multiple_of(2) }
    }

    /// The state of a message that an order holds until `until_millis`, or a millisecond longer.
    pub fn held(attempts: u16, until_millis: u64) -> AttemptState {
        AttemptState { attempts, due_millis: until_millis | 1 }
    }

    /// Whether an order holds the message, rather than that it waits for its own next attempt.
    pub fn is_held(&self) -> bool {
        self.due_millis & 1 == 1
    }
}

/// What is known of one segment in use.
pub struct InUse {
    /// The open file and its identity.
    pub segment: Segment,
    /// Records not yet done.
    pub live: u32,
    /// Their bytes.
    pub live_bytes: u64,
    /// Offsets of the records that are done: a checkpoint writes them down.
    pub done: Vec<u32>,
    /// Attempts and due times of waiting records, by offset.
    pub attempts: Map<u32, AttemptState>,
    /// Those of them that are done, while the journal does not yet say so durably.
    pub ending: Set<u32>,
    /// A write failed here: nothing more is written to it.
    pub abandoned: bool,
}

/// The segments of a shard.
pub struct Segments {
    dir: PathBuf,
    partition: u64,
    durable: bool,
    segment_bytes: u64,
    in_use: RefCell<BTreeMap<u32, InUse>>,
    heads: [Head; 2],
    spare: RefCell<Vec<PathBuf>>,
    /// Sequence numbers whose segment is being made: a checkpoint must not call them given up.
    starting: RefCell<Vec<u32>>,
    next_sequence: Cell<u32>,
    next_file: Cell<u32>,
}

impl Segments {
    /// No segments yet of `partition`.
    pub fn new(dir: PathBuf, partition: u64, durable: bool, segment_bytes: u64) -> Segments {
        Segments {
            dir,
            partition,
            durable,
            segment_bytes,
            in_use: RefCell::default(),
            heads: Default::default(),
            spare: RefCell::default(),
            starting: RefCell::default(),
            next_sequence: Cell::new(1),
            next_file: Cell::new(1),
        }
    }

    /// Takes over a segment found at start.
    pub fn adopt(&self, found: InUse) {
        self.note_file(&found.segment.path);
        let sequence = found.segment.sequence;
        self.next_sequence.set(self.next_sequence.get().max(sequence + 1));
        self.in_use.borrow_mut().insert(sequence, found);
    }

    /// Takes over a file found at start that holds nothing needed.
    pub fn adopt_spare(&self, path: PathBuf) {
        self.note_file(&path);
        self.spare.borrow_mut().push(path);
    }

    /// Says which sequence numbers were ever used, so that none is used again.
    pub fn note_sequence(&self, sequence: u32) {
        self.next_sequence.set(self.next_sequence.get().max(sequence.saturating_add(1)));
    }

    /// The highest sequence number ever used.
    pub fn last_sequence(&self) -> u32 {
        self.next_sequence.get() - 1
    }

    /// Says which file names are taken.
    pub fn note_file(&self, path: &std::path::Path) {
        let number = segment::name_number(path).filter(|number| *number <= SEQUENCE_MAX);
        self.next_file.set(self.next_file.get().max(number.map_or(0, |number| number + 1)));
    }

    /// Where a batch of `bytes` (whole blocks) of `stream` goes.
    ///
    /// # Errors
    /// When a new segment is needed and cannot be made.
    pub async fn place(&self, stream: Stream, bytes: u64) -> Result<(Segment, u64), StoreError> {
        if let Some(placed) = self.place_now(stream, bytes) {
            return Ok(placed);
        }
        let head = &self.heads[stream as usize];
        let segment = self.roll(head).await?;
        let at = head.write_at.get();
        head.write_at.set(at + bytes);
        Ok((segment, at))
    }

    /// As [`Segments::place`], when no new segment is needed.
    pub fn place_now(&self, stream: Stream, bytes: u64) -> Option<(Segment, u64)> {
        let segment = self.active_with_room(stream, bytes)?;
        let head = &self.heads[stream as usize];
        let at = head.write_at.get();
        head.write_at.set(at + bytes);
        Some((segment, at))
    }

    /// Sees to it that [`Segments::place_now`] finds room for `bytes`.
    ///
    /// # Errors
    /// When a new segment is needed and cannot be made.
    pub async fn make_room(&self, stream: Stream, bytes: u64) -> Result<(), StoreError> {
        if self.active_with_room(stream, bytes).is_none() {
            self.roll(&self.heads[stream as usize]).await?;
        }
        Ok(())
    }

    fn active_with_room(&self, stream: Stream, bytes: u64) -> Option<Segment> {
        let head = &self.heads[stream as usize];
        let fits = head.write_at.get() + bytes <= self.segment_bytes;
        let sequence = head.active.get().filter(|_| fits)?;
        let in_use = self.in_use.borrow();
        in_use.get(&sequence).filter(|entry| !entry.abandoned).map(|e| e.segment.clone())
    }

    async fn roll(&self, head: &Head) -> Result<Segment, StoreError> {
        let previous = head.active.take();
        let spare = self.spare.borrow_mut().pop();
        let path = spare.unwrap_or_else(|| {
            let number = self.next_file.get();
            self.next_file.set(number + 1);
            self.dir.join(segment::file_name(number))
        });
        // Taken at once: the other stream may roll while this one waits for the disk.
        let sequence = self.next_sequence.get();
        if sequence > SEQUENCE_MAX {
            return Err(StoreError::Disk("the numbers of segments are used up".into()));
        }
        self.next_sequence.set(sequence + 1);
        self.starting.borrow_mut().push(sequence);
        let (partition, bytes) = (self.partition, self.segment_bytes);
        let started = Segment::start(path.clone(), sequence, partition, bytes, self.durable).await;
        self.starting.borrow_mut().retain(|other| *other != sequence);
        let segment = match started {
            Ok(segment) => segment,
            Err(error) => {
                // A half-made file of a full disk must give its space back.
                let _ = fs::remove_file(&path);
                head.active.set(previous);
                return Err(error.into());
            }
        };
        let entry = InUse {
            segment: segment.clone(),
            live: 0,
            live_bytes: 0,
            done: Vec::new(),
            attempts: Map::default(),
            ending: Set::default(),
            abandoned: false,
        };
        self.in_use.borrow_mut().insert(sequence, entry);
        head.active.set(Some(sequence));
        head.write_at.set(DATA_START);
        if let Some(previous) = previous {
            self.recycle_if_empty(previous);
        }
        Ok(segment)
    }

    /// No further batch goes to this segment.
    pub fn abandon(&self, sequence: u32) {
        if let Some(entry) = self.in_use.borrow_mut().get_mut(&sequence) {
            entry.abandoned = true;
        }
        for head in &self.heads {
            if head.active.get() == Some(sequence) {
                head.active.set(None);
            }
        }
        self.recycle_if_empty(sequence);
    }

    /// Whether batches still go to this segment.
    pub fn is_active(&self, sequence: u32) -> bool {
        self.heads.iter().any(|head| head.active.get() == Some(sequence))
    }

    /// Counts records that are now durable.
    pub fn added(&self, sequence: u32, records: u32, bytes: u64) {
        if let Some(entry) = self.in_use.borrow_mut().get_mut(&sequence) {
            entry.live += records;
            entry.live_bytes += bytes;
        }
    }

    /// A record was not stored, or so it must be taken: a restart must not find it.
    pub fn refused(&self, at: Location) {
        if let Some(entry) = self.in_use.borrow_mut().get_mut(&at.segment) {
            entry.done.push(at.offset);
        }
    }

    /// A record that was refused while it was being written is written now, and counts no more.
    pub fn dropped(&self, at: Location) {
        if let Some(entry) = self.in_use.borrow_mut().get_mut(&at.segment) {
            entry.live = entry.live.saturating_sub(1);
            entry.live_bytes = entry.live_bytes.saturating_sub(u64::from(at.bytes));
        }
        self.recycle_if_empty(at.segment);
    }

    /// Notes the state of a record that goes on waiting.
    pub fn attempted(&self, at: Location, state: AttemptState) {
        if let Some(entry) = self.in_use.borrow_mut().get_mut(&at.segment) {
            entry.attempts.insert(at.offset, state);
        }
    }

    /// A record is not needed any more; the journal will say so.
    pub fn ending(&self, at: Location) {
        if let Some(entry) = self.in_use.borrow_mut().get_mut(&at.segment) {
            if entry.attempts.contains_key(&at.offset) {
                entry.ending.insert(at.offset);
            }
        }
    }

    /// A record is not needed any more, and the journal says so durably.
    pub fn released(&self, at: Location) {
        let mut in_use = self.in_use.borrow_mut();
        let Some(entry) = in_use.get_mut(&at.segment) else { return };
        entry.live = entry.live.saturating_sub(1);
        entry.live_bytes = entry.live_bytes.saturating_sub(u64::from(at.bytes));
        entry.done.push(at.offset);
        entry.attempts.remove(&at.offset);
        entry.ending.remove(&at.offset);
        let empty = entry.live == 0;
        drop(in_use);
        if empty {
            self.recycle_if_empty(at.segment);
        }
    }

    fn recycle_if_empty(&self, sequence: u32) {
        if self.is_active(sequence) {
            return;
        }
        let mut in_use = self.in_use.borrow_mut();
        if in_use.get(&sequence).is_none_or(|entry| entry.live > 0) {
            return;
        }
        let Some(entry) = in_use.remove(&sequence) else { return };
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SEGMENTS_SPARE_MAX && !entry.abandoned {
            spare.push(entry.segment.path);
        } else if let Err(error) = fs::remove_file(&entry.segment.path) {
            tracing::warn!("spool: cannot remove {}: {error}", entry.segment.path.display());
        }
    }

    /// The open file of a segment in use.
    pub fn segment(&self, sequence: u32) -> Option<Segment> {
        self.in_use.borrow().get(&sequence).map(|entry| entry.segment.clone())
    }

    /// Calls `each` for every segment in use.
    pub fn for_each(&self, mut each: impl FnMut(u32, &InUse)) {
        for (sequence, entry) in self.in_use.borrow().iter() {
            each(*sequence, entry);
        }
    }

    /// Calls `look` with the segment `sequence`, when it is in use.
    pub fn look_at(&self, sequence: u32, look: impl FnOnce(&InUse)) {
        if let Some(entry) = self.in_use.borrow().get(&sequence) {
            look(entry);
        }
    }

    /// Sequence numbers of segments that are being made.
    pub fn starting(&self) -> Vec<u32> {
        self.starting.borrow().clone()
    }

    /// The segment kept alive by the fewest bytes, when they are a small part of it and each of
    /// them has been attempted (the others will be gone, or attempted, soon): its sequence number,
    /// and the offsets of what is alive in it. Never one of `skip`.
    pub fn sparse(&self, skip: &Set<u32>) -> Option<(u32, Vec<u32>)> {
        let in_use = self.in_use.borrow();
        if in_use.len() < COMPACT_FROM_SEGMENTS {
            return None;
        }
        let is_sparse = |sequence: u32, entry: &InUse| {
            entry.live > 0
                && entry.attempts.len() == entry.live as usize
                && entry.ending.is_empty()
                && entry.live_bytes * 100 < self.segment_bytes * COMPACT_BELOW_PERCENT
                && !self.is_active(sequence)
                && !skip.contains(&sequence)
        };
        let sparse = in_use.iter().filter(|(sequence, entry)| is_sparse(**sequence, entry));
        let (sequence, entry) = sparse.min_by_key(|(_, entry)| entry.live_bytes)?;
        let mut offsets: Vec<u32> = entry.attempts.keys().copied().collect();
        offsets.sort_unstable();
        Some((*sequence, offsets))
    }

    /// The state of a record that has been attempted and is not done.
    pub fn state(&self, at: Location) -> Option<AttemptState> {
        let in_use = self.in_use.borrow();
        let entry = in_use.get(&at.segment).filter(|entry| !entry.ending.contains(&at.offset))?;
        entry.attempts.get(&at.offset).copied()
    }

    /// Totals: (segments in use, live records, live bytes).
    pub fn totals(&self) -> (usize, u64, u64) {
        let in_use = self.in_use.borrow();
        let live = in_use.values().map(|entry| u64::from(entry.live)).sum();
        let bytes = in_use.values().map(|entry| entry.live_bytes).sum();
        (in_use.len(), live, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_told_from_what_is_due_at_the_same_instant() {
        for instant in [1_800_000_000_000, 1_800_000_000_001] {
            let (due, held) = (AttemptState::due(2, instant), AttemptState::held(2, instant));
            assert!(!due.is_held() && held.is_held());
            for state in [due, held] {
                assert!((0..=1).contains(&(state.due_millis - instant)), "never early: {state:?}");
            }
        }
    }
}

//! Moves the last messages out of segments that few still need, so that disk use stays within a
//! small factor of the bytes that wait.
//!
//! What is moved goes to segments of its own ([`Stream::Kept`]): among fresh mail it would keep
//! segment after segment alive. The copy is durable before the old record is declared done; a
//! crash in between leaves two records of one message, of which recovery takes the later.

use crate::error::StoreError;
use crate::limits::{COMPACT_BATCH_BYTES, COMPACT_EVERY_SECS, COMPACT_ROUND_MAX};
use crate::location::Location;
use crate::log::partition::Partition;
use crate::log::reclaim::Stream;
use crate::log::record;
use crate::log::record::Found;
use crate::log::segment::Segment;
use crate::log::write;
use ringmta_io::limits::BLOCK_BYTES;
use ringmta_io::{self as io, Block, Set};
use std::rc::Rc;
use std::time::Duration;

/// Compacts for ever; one task per shard.
pub async fn run(partition: Rc<Partition>) {
    let mut unreadable = Set::default();
    while !partition.stopping.get() {
        io::sleep(Duration::from_secs(COMPACT_EVERY_SECS)).await;
        for _ in 0..COMPACT_ROUND_MAX {
            match once(&partition, &mut unreadable).await {
                Ok(0) => break,
                Ok(_) => io::yield_now().await,
                Err(error) => {
                    tracing::warn!("spool: compaction put off: {error}");
                    break;
                }
            }
        }
    }
}

/// Moves what lives in the sparsest segment, if there is one worth it. Returns the number of
/// records moved. A segment with a record that cannot be read joins `unreadable`.
///
/// # Errors
/// When the copies could not be made durable; the old records stand.
pub async fn once(partition: &Partition, unreadable: &mut Set<u32>) -> Result<usize, StoreError> {
    let Some((sequence, offsets)) = partition.segments.sparse(unreadable) else { return Ok(0) };
    let Some(segment) = partition.segments.segment(sequence) else { return Ok(0) };
    let mut moved = 0;
    let mut rest = offsets.as_slice();
    while !rest.is_empty() {
        let mut copies = Copies::new(partition);
        while let Some((offset, others)) = rest.split_first() {
            if copies.bytes >= COMPACT_BATCH_BYTES {
                break;
            }
            rest = others;
            if let Err(why) = copies.add(&segment, *offset).await {
                let path = segment.path.display();
                tracing::error!("spool: {path} offset {offset}: cannot be moved: {why}");
                unreadable.insert(sequence);
            }
        }
        moved += copies.write().await?;
    }
    tracing::debug!("spool: moved {moved} messages out of segment {sequence}");
    Ok(moved)
}

/// A record in a block of copies: (old place, start, bytes).
type Copied = (Location, u32, u32);

/// Records to be copied with one write. What is not written is given up when this is dropped.
struct Copies<'a> {
    partition: &'a Partition,
    /// Where they are, and their bytes.
    old: Vec<(Location, Vec<u8>)>,
    bytes: usize,
}

impl<'a> Copies<'a> {
    fn new(partition: &'a Partition) -> Copies<'a> {
        Copies { partition, old: Vec::new(), bytes: 0 }
    }

    async fn add(&mut self, segment: &Segment, offset: u32) -> Result<(), String> {
        let Some((at, bytes)) = read(self.partition, segment, offset).await? else { return Ok(()) };
        self.bytes += bytes.len() + record::ALIGN;
        self.old.push((at, bytes));
        Ok(())
    }

    /// The block of those that are still wanted.
    fn block(&self) -> Result<(Block, Vec<Copied>), StoreError> {
        let mut block = Block::with_capacity(self.bytes.max(BLOCK_BYTES));
        let mut copies = Vec::with_capacity(self.old.len());
        let wanted = |(at, _): &&(Location, Vec<u8>)| self.partition.moved.is_wanted(*at);
        for (at, bytes) in self.old.iter().filter(wanted) {
            let stored = record::parse(bytes).map_err(|what| StoreError::Disk(what.into()))?;
            let (start, bytes) = record::append(&mut block, &stored.as_new());
            copies.push((*at, start, bytes));
        }
        Ok((block, copies))
    }

    async fn write(self) -> Result<usize, StoreError> {
        let partition = self.partition;
        let room = io::file::round_up(self.bytes) as u64 + BLOCK_BYTES as u64;
        partition.segments.make_room(Stream::Kept, room).await?;
        // Nothing waits from here to the write: a message done before it has no copy, one done after
        // it ends its copy, too.
        let (block, copies) = self.block()?;
        let padded = io::file::round_up(block.len()) as u64;
        let placed = partition.segments.place_now(Stream::Kept, padded);
        let (Some((segment, base)), false) = (placed, copies.is_empty()) else { return Ok(0) };
        let mut records = Vec::with_capacity(copies.len());
        for (old, start, bytes) in &copies {
            let new = record::location(segment.sequence, base, *start, *bytes);
            partition.moved.copied(*old, new);
            records.push((*start, *bytes));
        }
        write::write_placed(partition, &segment, base, &records, block).await?;
        for (old, start, bytes) in &copies {
            let new = record::location(segment.sequence, base, *start, *bytes);
            if !partition.moved.complete(*old, new) {
                partition.segments.dropped(new);
                continue;
            }
            if let Some(state) = partition.segments.state(*old) {
                partition.segments.attempted(new, state);
                partition.journal.attempted(new, state);
            }
            partition.end(*old);
        }
        Ok(copies.len())
    }
}

impl Drop for Copies<'_> {
    fn drop(&mut self) {
        for (old, _) in &self.old {
            self.partition.moved.abort(*old);
        }
    }
}

/// Reads the record at `offset`, unless it is done by now.
async fn read(
    partition: &Partition,
    segment: &Segment,
    offset: u32,
) -> Result<Option<(Location, Vec<u8>)>, String> {
    let from = u64::from(offset);
    let wrong = |error: std::io::Error| error.to_string();
    let header = segment.file.read_at(from, record::HEADER_BYTES).await.map_err(wrong)?;
    let total = record::total_bytes(&header).ok_or("no record")?;
    let at = Location { segment: segment.sequence, offset, bytes: total };
    if partition.segments.state(at).is_none() {
        return Ok(None);
    }
    // From here on, whoever finishes the message is noticed.
    partition.moved.begin(at);
    let bytes = segment.file.read_at(from, total as usize).await.map_err(wrong);
    let whole =
        bytes.and_then(|bytes| match record::probe(&bytes, segment.sequence, segment.salt) {
            Found::Record(_) => Ok(bytes),
            Found::Nothing | Found::Damaged => Err("damaged record".to_string()),
        });
    if whole.is_err() {
        partition.moved.abort(at);
    }
    whole.map(|bytes| Some((at, bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::load::load;
    use crate::log::partition::SpoolPaths;
    use crate::log::reclaim::AttemptState;
    use ringmta_io::sim::World;
    use ringmta_mail::{EnvelopeAddress, Message, Meta};
    use ringmta_smtp::ids::IdSource;

    const MESSAGES: usize = 1000;

    async fn store(partition: &Partition, ids: &IdSource, body: Vec<u8>) -> Location {
        let sender = EnvelopeAddress::parse("s@src.test").unwrap();
        let recipient = EnvelopeAddress::parse("r@dst.test").unwrap();
        let body = Rc::new(body);
        let message =
            Message::new(ids.next().0, sender, vec![recipient], Meta::new(), body.clone());
        partition.store(&message, &body).unwrap().await.unwrap()
    }

    /// One message in fifty waits for long; the others are delivered.
    async fn few_of_many() {
        let mut paths = SpoolPaths::new("/spool/data".into(), "/spool/meta".into(), true);
        paths.segment_bytes = 256 * 1024;
        let (partition, _, _) = crate::start::open::open(&paths, 0, 1).await.unwrap();
        let ids = IdSource::new(0);
        let mut waiting = Vec::new();
        for number in 0..MESSAGES {
            let body = format!("{number} ").repeat(1000).into_bytes();
            let at = store(&partition, &ids, body.clone()).await;
            if number % 50 == 0 {
                let state = AttemptState { attempts: 3, due_millis: 1_900_000_000_000 };
                waiting.push((partition.attempted(at, state), body));
            } else {
                partition.done(at);
            }
        }
        partition.flush_journal().await.unwrap();
        let before = partition.segments.totals();
        let mut unreadable = Set::default();
        let mut moved = 0;
        loop {
            match once(&partition, &mut unreadable).await.unwrap() {
                0 => break,
                some => moved += some,
            }
            partition.flush_journal().await.unwrap();
        }
        let after = partition.segments.totals();
        assert!(moved > 0 && after.0 <= 5 && after.0 * 3 < before.0, "{before:?} {after:?}");
        assert_eq!((after.1, before.1), (20, 20));
        for (at, body) in waiting {
            let message = load(&partition, at).await.unwrap();
            assert_eq!(*message.body().unwrap(), body);
            partition.done(at);
        }
        partition.flush_journal().await.unwrap();
        assert_eq!(partition.segments.totals().1, 0);
    }

    #[test]
    fn space_follows_what_waits() {
        let world = World::new(1, false);
        let _entered = world.enter();
        world.complete(Duration::from_secs(3600), 10_000_000, few_of_many()).unwrap();
    }
}

//! What a journal file begins with: all that still matters of what was said before it.
//!
//! It is put together and written a frame at a time, and other tasks have their turn in between: millions of
//! messages may wait. Its first frame (which segments are in use) is written after the others and the file's
//! header after that, for whoever finds the header takes what stands behind it for the whole.
//!
//! What happens to messages meanwhile is noted behind the checkpoint, and read twice it says the same. No record
//! is let go meanwhile: that takes a flush, and the flush waits for this.

use crate::log::reclaim::{InUse, Segments};
use crate::start::replay;
use crate::start::replay::{Entries, FileId};
use ringmta_io::limits::BLOCK_BYTES;
use ringmta_io::sim::planted::{is_planted, Bug};
use ringmta_io::{self as io, Block, File};

/// Bytes of one more entry of a record, at the most: an attempt.
const ENTRY_BYTES_MAX: usize = 19;

/// A checkpoint, begun.
pub(super) struct Checkpoint {
    /// The first frame's entries: which segments are in use.
    first: Entries,
    /// Those segments. One that is given up meanwhile held nothing that waits.
    segments: Vec<u32>,
    /// Bytes of the whole on the disk, at the most, as things are now.
    bytes: u64,
}

impl Checkpoint {
    /// Begins one of what `segments` hold.
    pub(super) fn begin(segments: &Segments) -> Checkpoint {
        let mut first = Entries::default();
        let (mut in_use, mut bytes) = (Vec::new(), 0);
        first.checkpoint(segments.last_sequence());
        for sequence in segments.starting() {
            first.kept(sequence, 0);
        }
        segments.for_each(|sequence, segment| {
            first.kept(sequence, segment.live);
            in_use.push(sequence);
            let entries = 1 + segment.done.len() + segment.attempts.len();
            bytes += (entries * ENTRY_BYTES_MAX + 2 * BLOCK_BYTES) as u64;
        });
        bytes += io::file::round_up(first.bytes.len() + BLOCK_BYTES) as u64;
        Checkpoint { first, segments: in_use, bytes }
    }

    /// Bytes it takes on the disk, at the most.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes it to `file`, whose header is blank, in frames of about `frame_bytes`, and `header` when the rest
    /// is on the disk. Calls `written` after each frame but the first, and returns where the next one goes.
    ///
    /// # Errors
    /// As the disk says; the file counts for nothing then, unless the last write lands all the same.
    pub(super) async fn write(
        self,
        segments: &Segments,
        file: &File,
        (id, header): (FileId, Block),
        frame_bytes: usize,
        written: impl Fn(),
    ) -> std::io::Result<u64> {
        let first = replay::frame(&self.first.bytes, id);
        let mut end = BLOCK_BYTES as u64 + io::file::round_up(first.len()) as u64;
        let mut last = Some((first, header));
        if is_planted(Bug::CheckpointFirst) {
            write_last(file, &mut last).await?;
        }
        let mut part = Entries::default();
        let mut rest = self.segments.into_iter().peekable();
        while let Some(sequence) = rest.next() {
            segments.look_at(sequence, |segment| put(&mut part, sequence, segment));
            let full = part.bytes.len() >= frame_bytes || rest.peek().is_none();
            if full && !part.bytes.is_empty() {
                let block = replay::frame(&part.bytes, id);
                let bytes = io::file::round_up(block.len()) as u64;
                file.write_at(block, end).await?;
                written();
                end += bytes;
                part.bytes.clear();
            }
            io::yield_now().await;
        }
        write_last(file, &mut last).await?;
        Ok(end)
    }
}

async fn write_last(file: &File, last: &mut Option<(Block, Block)>) -> std::io::Result<()> {
    let Some((first, header)) = last.take() else { return Ok(()) };
    file.write_at(first, BLOCK_BYTES as u64).await?;
    file.write_at(header, 0).await
}

/// What is done in a segment, and the attempts of what waits there.
fn put(part: &mut Entries, sequence: u32, segment: &InUse) {
    for offset in &segment.done {
        part.done(sequence, *offset);
    }
    if !segment.done.is_empty() {
        // Whoever reads a frame without the start of a checkpoint takes what it says is done off what was
        // live, and these were taken off before.
        part.kept(sequence, segment.live);
    }
    for (offset, state) in &segment.attempts {
        part.attempt(sequence, *offset, *state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::header::Header;
    use crate::log::partition::Partition;
    use crate::log::reclaim::AttemptState;
    use crate::start::open::open;
    use crate::start::recover::{Recovered, Report};
    use crate::testing::{small_paths, Writer};
    use ringmta_io::sim::crash::Crash;
    use ringmta_io::sim::World;
    use ringmta_mail::MessageId;
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;
    use std::time::Duration;

    const MESSAGES: u16 = 600;

    /// What a restart must find: of the messages that wait, what was last noted.
    type Waiting = Vec<(MessageId, Option<AttemptState>)>;

    fn waiting(found: &[Recovered]) -> Waiting {
        let mut waiting: Waiting = found.iter().map(|one| (one.id, one.state)).collect();
        waiting.sort_unstable_by_key(|(id, _)| *id);
        waiting
    }

    /// Messages in several segments: every third is done, every third was never tried.
    async fn fill(partition: &Partition) -> Waiting {
        let writer = Writer::new(0, 500);
        let mut waiting = Vec::new();
        for number in 0..MESSAGES {
            let (id, at) = writer.store(partition).await;
            match number % 3 {
                0 => partition.done(at),
                1 => {
                    let state = AttemptState::due(number, 1_900_000_000_000);
                    let _ = partition.attempted(at, state);
                    waiting.push((id, Some(state)));
                }
                _ => waiting.push((id, None)),
            }
        }
        partition.flush_journal().await.unwrap();
        waiting.sort_unstable_by_key(|(id, _)| *id);
        waiting
    }

    fn reopen(world: &Rc<World>) -> (Rc<Partition>, Vec<Recovered>, Report) {
        let opened = Rc::new(RefCell::new(None));
        let kept = opened.clone();
        world.spawn_on(world.exec.new_node(), async move {
            *kept.borrow_mut() = Some(open(&small_paths(), 0, 1).await.unwrap());
        });
        let limit = Duration::from_secs(60);
        world.run_until(limit, 1_000_000, || opened.borrow().is_some()).unwrap();
        let opened = opened.borrow_mut().take();
        opened.unwrap()
    }

    /// Fills a partition, begins a checkpoint, lets `steps` of the world go by, and takes the machine
    /// away. Whether the checkpoint had ended by then.
    fn crash_after(steps: usize, crash: Crash) -> bool {
        let world = World::new(7, false);
        let _entered = world.enter();
        let (filled, ended) = (Rc::new(RefCell::new(None)), Rc::new(Cell::new(false)));
        let (fill_in, end) = (filled.clone(), ended.clone());
        let node = world.exec.new_node();
        world.spawn_on(node, async move {
            let (partition, _, _) = open(&small_paths(), 0, 1).await.unwrap();
            *fill_in.borrow_mut() = Some(fill(&partition).await);
            partition.journal.rotate(&partition.segments).await.unwrap();
            end.set(true);
        });
        let limit = Duration::from_secs(3600);
        world.run_until(limit, 10_000_000, || filled.borrow().is_some()).unwrap();
        for _ in 0..steps {
            world.step();
        }
        let (expected, ended) = (filled.borrow_mut().take().unwrap(), ended.get());
        world.kill(node);
        world.crash_disk(crash);
        let (partition, found, report) = reopen(&world);
        assert_eq!(waiting(&found), expected, "after {steps} steps");
        assert!(report.damage.is_empty(), "after {steps} steps: {:?}", report.damage);
        assert_eq!(partition.segments.totals().1, expected.len() as u64);
        // The next checkpoint was written over what this one had left.
        let (_, found, report) = reopen(&world);
        assert_eq!(waiting(&found), expected, "the second start after {steps} steps");
        assert!(report.damage.is_empty(), "{:?}", report.damage);
        ended
    }

    /// Wherever a crash comes in a checkpoint of several frames, a restart finds what it would have found
    /// without it, and nothing to complain of.
    #[test]
    fn a_crash_within_a_checkpoint_changes_nothing() {
        for crash in [Crash::Process, Crash::Power] {
            let steps = (0..1000).find(|steps| crash_after(*steps, crash));
            assert!(steps.is_some_and(|steps| steps > 20), "several frames: {steps:?}");
        }
    }

    /// However much waits, a frame holds what `frame_bytes` says and one segment more.
    #[test]
    fn a_checkpoint_is_written_in_pieces() {
        let world = World::new(8, false);
        let _entered = world.enter();
        let segments = Rc::new(Cell::new(0));
        let counted = segments.clone();
        let work = async move {
            let (partition, _, _) = open(&small_paths(), 0, 1).await.unwrap();
            fill(&partition).await;
            partition.journal.rotate(&partition.segments).await.unwrap();
            counted.set(partition.segments.totals().0);
        };
        world.complete(Duration::from_secs(3600), 10_000_000, work).unwrap();
        let mut newest = None;
        for (path, bytes) in world.disk.files() {
            if path.extension().is_some_and(|ext| ext == "log") {
                let Header::Valid { number, salt, .. } = replay::parse_header(&bytes) else {
                    continue;
                };
                let mut said = replay::Replay::default();
                said.read(&bytes, FileId { number, salt }, |at| panic!("damage at {at}"));
                newest = newest.max(Some((number, said.frames)));
            }
        }
        let (frames, segments) = (newest.unwrap().1, segments.get());
        assert!(segments >= 4 && frames > segments / 2, "{frames} frames, {segments} segments");
    }
}

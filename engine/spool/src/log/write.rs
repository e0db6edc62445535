//! What a partition writes while its shard lives: batches of records, and the journal.

use crate::error::StoreError;
use crate::limits;
use crate::log::group_commit::Placed;
use crate::log::partition::Partition;
use crate::log::reclaim::Stream;
use crate::log::record;
use crate::log::segment::Segment;
use ringmta_io::limits::BLOCK_BYTES;
use ringmta_io::sim::planted::{is_planted, Bug};
use ringmta_io::{self as io, Block};
use std::rc::Rc;
use std::time::Duration;

/// Writes batches for ever; one task per shard.
pub async fn run_commits(partition: Rc<Partition>) {
    let commits = &partition.commits;
    loop {
        commits.wait_for_records().await;
        // Every session that has a message ready in this turn of the loop joins the batch first.
        io::yield_now().await;
        partition.let_orphans_go();
        let Some(mut batch) = commits.next() else { continue };
        let block = std::mem::replace(&mut batch.block, Block::with_capacity(BLOCK_BYTES));
        commits.last_bytes.set(block.len());
        let began = io::mono_nanos();
        let result = write(&partition, Stream::Fresh, &batch.records, block).await;
        commits.micros.borrow_mut().note((io::mono_nanos() - began) / 1000);
        match &result {
            Ok(_) => commits.count(batch.records.len()),
            Err(error) => {
                tracing::error!("spool: {} messages refused: {error}", batch.records.len());
            }
        }
        commits.finish(batch, result);
        partition.let_orphans_go();
    }
}

/// Puts a block of records ((start, bytes) each) into the active segment of `stream`, or a fresh
/// one when it does not fit.
///
/// # Errors
/// When it is not durable, or not known to be.
async fn write(
    partition: &Partition,
    stream: Stream,
    records: &[(u32, u32)],
    block: Block,
) -> Result<Placed, StoreError> {
    let padded = io::file::round_up(block.len()) as u64;
    let (segment, at) = partition.segments.place(stream, padded).await?;
    write_placed(partition, &segment, at, records, block).await
}

/// As [`write`], where its place in a segment is known.
///
/// # Errors
/// When it is not durable, or not known to be.
pub(super) async fn write_placed(
    partition: &Partition,
    segment: &Segment,
    at: u64,
    records: &[(u32, u32)],
    mut block: Block,
) -> Result<Placed, StoreError> {
    for (start, _) in records {
        record::seal(block.tail_mut(*start as usize), segment.sequence, segment.salt);
    }
    let (block, write_at, at) = if is_planted(Bug::TailRewritten) {
        partition.commits.tail.share(block, segment.sequence, at)
    } else {
        (block, at, at)
    };
    if let Err(error) = segment.file.write_at(block, write_at).await {
        // Linux drops dirty pages after a failed write-out: this segment is not written again.
        // What it was for may be on disk all the same, and would be found at the next start.
        for (start, bytes) in records {
            let at = record::location(segment.sequence, at, *start, *bytes);
            partition.segments.refused(at);
            partition.journal.refused(at);
        }
        partition.segments.abandon(segment.sequence);
        return Err(error.into());
    }
    let bytes: u64 = records.iter().map(|(_, bytes)| u64::from(*bytes)).sum();
    partition.segments.added(segment.sequence, records.len() as u32, bytes);
    Ok((segment.sequence, at))
}

/// Flushes for ever; one task per shard.
pub async fn run_journal(partition: Rc<Partition>) {
    let journal = &partition.journal;
    loop {
        journal.wait_for_entries().await;
        let small = journal.pending.borrow().bytes.len() < limits::JOURNAL_PENDING_BYTES;
        if small && !journal.hurry.take() {
            io::sleep(Duration::from_millis(limits::JOURNAL_DELAY_MS)).await;
        }
        if let Err(error) = partition.flush_journal().await {
            tracing::error!("spool: journal cannot be written, will try again: {error}");
            io::sleep(Duration::from_secs(1)).await;
        }
    }
}

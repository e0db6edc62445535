//! Keeps what operators' bounces have failed over a restart.

use crate::state::Shard;
use ringmta_io as io;
use ringmta_queue::limits::ORDER_COUNT_SECS;
use ringmta_queue::order_counts::{read, write};
use std::rc::Rc;

/// Takes up what was counted before the last stop, on the shard's way up.
pub fn restore(shard: &Rc<Shard>) {
    let (meta, shards) = (&shard.process.spool.meta, shard.process.shards);
    match read(meta, shard.index, shards) {
        Ok(mut counts) => {
            shard.queues.orders.add_counts(&mut counts);
            shard.queues.orders.kept.set(counts);
        }
        // Mail is not held up by a number.
        Err(error) => tracing::warn!("the counts of operators' bounces: {error}"),
    }
}

/// Writes what has changed; now and then, or in any case.
pub async fn keep(shard: &Rc<Shard>, in_any_case: bool) {
    let kept = &shard.queues.orders.kept;
    let now = io::mono_nanos();
    let is_early = now < kept.written_nanos.get() + ORDER_COUNT_SECS * 1_000_000_000;
    if !kept.is_changed.get() || kept.is_writing.get() || is_early && !in_any_case {
        return;
    }
    kept.is_changed.set(false);
    kept.is_writing.set(true);
    kept.written_nanos.set(now);
    let (meta, index) = (shard.process.spool.meta.clone(), shard.index);
    let counts = kept.failed.borrow().clone();
    let written = io::blocking(move || write(&meta, index, &counts)).await;
    kept.is_writing.set(false);
    if let Err(error) = written {
        tracing::warn!("the counts of operators' bounces are not kept: {error}");
    }
}

/// Writes what has changed from time to time, beside whatever else is done.
pub fn keep_later(shard: &Rc<Shard>) {
    let kept = &shard.queues.orders.kept;
    let since = io::mono_nanos().saturating_sub(kept.written_nanos.get());
    if kept.is_changed.get() && since >= ORDER_COUNT_SECS * 1_000_000_000 {
        let shard = shard.clone();
        io::spawn(async move { keep(&shard, false).await });
    }
}

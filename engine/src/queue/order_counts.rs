//! How much each bounce has failed, kept over a restart: a small file per shard in the `meta` spool, written anew every
//! few seconds while counts change, and at stop. What a shard that exists no more has counted is taken over.

use super::suspend::Bounced;
use crate::io::fs;
use crate::io::plain::Plain;
use crate::limits::{ORDER_COUNT_BYTES, ORDER_COUNT_SECS};
use crate::shard::Shard;
use crate::{io, limits};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

const PREFIX: &str = "order-counts.";

/// By order, what was failed of which queue.
pub type Counts = BTreeMap<String, Bounced>;

/// What one shard has failed and written down.
#[derive(Default)]
pub struct Kept {
    failed: RefCell<Counts>,
    is_changed: Cell<bool>,
    is_writing: Cell<bool>,
    written_nanos: Cell<u64>,
}

impl Kept {
    /// A message of `queue` has been failed by the order `id`.
    pub fn note(&self, id: &str, queue: &str) {
        let mut all = self.failed.borrow_mut();
        *all.entry(id.to_string()).or_default().entry(queue.to_string()).or_default() += 1;
        self.is_changed.set(true);
    }

    /// Only orders that are in force count.
    pub fn retain(&self, is_in_force: impl Fn(&str) -> bool) {
        let mut all = self.failed.borrow_mut();
        let before = all.len();
        all.retain(|id, _| is_in_force(id));
        self.is_changed.set(self.is_changed.get() || all.len() < before);
    }

    fn set(&self, counts: Counts) {
        *self.failed.borrow_mut() = counts;
    }
}

fn file(meta: &Path, shard: usize) -> PathBuf {
    meta.join(format!("{PREFIX}{shard}"))
}

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

/// What the files say that fall to `shard`.
fn read(meta: &Path, shard: usize, shards: usize) -> std::io::Result<Counts> {
    let mut sum = Counts::new();
    for path in fs::read_dir(meta)? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_prefix(PREFIX).and_then(|number| number.parse::<usize>().ok());
        let Some(number) = number.filter(|number| number % shards == shard) else { continue };
        let text = Plain::open_read(&path)?.read_at(0, ORDER_COUNT_BYTES)?;
        let counts: Counts = match serde_json::from_slice(&text) {
            Ok(counts) => counts,
            Err(error) => {
                tracing::warn!("{}: {error}; counted from 0", path.display());
                continue;
            }
        };
        for (id, of_order) in counts {
            let all = sum.entry(id).or_default();
            of_order.into_iter().for_each(|(queue, n)| *all.entry(queue).or_default() += n);
        }
        if number != shard {
            // Counted here from now on; were it left, it would be counted again.
            write(meta, shard, &sum)?;
            fs::remove_file(&path)?;
        }
    }
    Ok(sum)
}

fn write(meta: &Path, shard: usize, counts: &Counts) -> std::io::Result<()> {
    let text = serde_json::to_vec(counts)?;
    if text.len() > ORDER_COUNT_BYTES {
        return Err(std::io::Error::other("too many queues to be kept; counted until a restart"));
    }
    let fresh = meta.join(format!("new-{PREFIX}{shard}"));
    let file_new = Plain::open(&fresh)?;
    file_new.cut(0)?;
    file_new.append(&text)?;
    file_new.sync()?;
    fs::rename(&fresh, &file(meta, shard))
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
    if kept.is_changed.get() && since >= limits::ORDER_COUNT_SECS * 1_000_000_000 {
        let shard = shard.clone();
        io::spawn(async move { keep(&shard, false).await });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(list: &[(&str, &str, u64)]) -> Counts {
        let mut all = Counts::new();
        for (id, queue, n) in list {
            all.entry(id.to_string()).or_default().insert(queue.to_string(), *n);
        }
        all
    }

    #[test]
    fn what_shards_that_are_gone_have_counted_is_added_once() {
        let dir = tempfile::tempdir().unwrap();
        let meta = dir.path();
        assert_eq!(read(meta, 0, 2).unwrap(), Counts::new());
        write(meta, 0, &counts(&[("1", "a", 2)])).unwrap();
        write(meta, 1, &counts(&[("1", "a", 30)])).unwrap();
        write(meta, 2, &counts(&[("1", "a", 400), ("2", "b", 1)])).unwrap();
        for _ in 0..2 {
            assert_eq!(read(meta, 0, 2).unwrap(), counts(&[("1", "a", 402), ("2", "b", 1)]));
            assert_eq!(read(meta, 1, 2).unwrap(), counts(&[("1", "a", 30)]));
        }
        std::fs::write(file(meta, 1), "{\"1\":").unwrap();
        assert_eq!(read(meta, 1, 2).unwrap(), Counts::new());
    }
}

//! How much each bounce has failed, kept over a restart: a small file per shard in the `meta` spool, written anew every
//! few seconds while counts change, and at stop. What a shard that exists no more has counted is taken over.

use crate::limits::ORDER_COUNT_BYTES;
use ringmta_io::fs;
use ringmta_io::plain::Plain;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const PREFIX: &str = "order-counts.";

/// Messages that a bounce has failed, by scheduled queue.
pub type Bounced = BTreeMap<String, u64>;

/// By order, what was failed of which queue.
pub type Counts = BTreeMap<String, Bounced>;

/// What one shard has failed and written down.
#[derive(Default)]
pub struct Kept {
    /// By order, what was failed of which queue.
    pub failed: RefCell<Counts>,
    /// Something was failed since it was written.
    pub is_changed: Cell<bool>,
    /// It is being written.
    pub is_writing: Cell<bool>,
    /// When it was written, monotonic nanoseconds.
    pub written_nanos: Cell<u64>,
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

    /// Puts what was read in place.
    pub fn set(&self, counts: Counts) {
        *self.failed.borrow_mut() = counts;
    }
}

fn file(meta: &Path, shard: usize) -> PathBuf {
    meta.join(format!("{PREFIX}{shard}"))
}

/// What the files say that fall to `shard`.
///
/// # Errors
/// The disk's.
pub fn read(meta: &Path, shard: usize, shards: usize) -> std::io::Result<Counts> {
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

/// Writes the file of `shard` anew.
///
/// # Errors
/// The disk's, or that there are too many queues.
pub fn write(meta: &Path, shard: usize, counts: &Counts) -> std::io::Result<()> {
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

//! Log files have an end: segments are removed when they are older than the policy keeps them, when all of them together
//! are larger, or when the disk lacks room; the oldest first, and never one that is being written. What was removed is told.

use crate::log_file::is_being_written;
use crate::log_index;
use crate::log_search::segments;
use ringmta_io::fs::disk_free;
use ringmta_options::{LocalLogs, MinFree};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How long segments are kept.
#[derive(Debug, Clone, Default)]
pub struct Keep {
    /// Older ones are removed.
    pub age: Option<Duration>,
    /// Bytes of all of them together.
    pub bytes: Option<u64>,
    /// Free space where they are.
    pub free: Option<MinFree>,
}

impl Keep {
    /// As a policy says; none when it says nothing of it.
    pub fn of(options: &LocalLogs) -> Option<Keep> {
        let LocalLogs { keep_for: age, keep_bytes: bytes, keep_free_space: free, .. } = *options;
        (age.is_some() || bytes.is_some() || free.is_some()).then_some(Keep { age, bytes, free })
    }
}

/// What was removed, and why.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Segments.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The last of them.
    pub last: Option<PathBuf>,
    /// Why the last of them.
    pub why: String,
}

struct Segment {
    path: PathBuf,
    bytes: u64,
    age: Duration,
}

/// The finished segments of `folder`, oldest first.
fn finished(folder: &Path) -> std::io::Result<VecDeque<Segment>> {
    let now = SystemTime::now();
    let mut found = VecDeque::new();
    for path in segments(folder)?.into_iter().filter(|path| !is_being_written(path)) {
        let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
        let age = meta.modified().ok().and_then(|at| now.duration_since(at).ok());
        found.push_back(Segment { path, bytes: meta.len(), age: age.unwrap_or_default() });
    }
    Ok(found)
}

/// Removes what is not to be kept in `folder`. Blocking: not for a shard's thread.
///
/// # Errors
/// As the disk says.
pub fn enforce(folder: &Path, keep: &Keep) -> std::io::Result<Removed> {
    let mut segments = finished(folder)?;
    let mut total: u64 = segments.iter().map(|segment| segment.bytes).sum();
    let mut removed = Removed::default();
    while let Some(oldest) = segments.front() {
        let Some(why) = why(folder, keep, oldest, total)? else { break };
        std::fs::remove_file(&oldest.path)?;
        log_index::remove(&oldest.path);
        total -= oldest.bytes;
        removed.segments += 1;
        removed.bytes += oldest.bytes;
        removed.why = why;
        removed.last = segments.pop_front().map(|segment| segment.path);
    }
    Ok(removed)
}

fn why(
    folder: &Path,
    keep: &Keep,
    oldest: &Segment,
    total: u64,
) -> std::io::Result<Option<String>> {
    if let Some(age) = keep.age.filter(|age| oldest.age > *age) {
        return Ok(Some(format!("older than keep_for = {age:?}")));
    }
    if let Some(bytes) = keep.bytes.filter(|bytes| total > *bytes) {
        return Ok(Some(format!("{total} bytes in all, more than keep_bytes = {bytes}")));
    }
    let Some(floor) = keep.free else { return Ok(None) };
    let (free, all, _, _) = disk_free(folder)?;
    let text = || format!("only {} MiB free, less than keep_free_space = {floor}", free >> 20);
    Ok(floor.is_below(free, all).then(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(folder: &Path, number: u32, days: u64) -> PathBuf {
        let path = folder.join(format!("202601{number:02}-000000.000000000"));
        std::fs::write(&path, vec![0; 1000]).unwrap();
        let at = SystemTime::now() - Duration::from_secs(days * 86_400);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
        path
    }

    fn left(folder: &Path) -> usize {
        segments(folder).unwrap().len()
    }

    #[test]
    fn the_oldest_go_first_and_only_what_must() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let all: Vec<PathBuf> = (1..=10).map(|n| segment(folder, n, u64::from(11 - n))).collect();
        std::fs::write(folder.join("not a segment"), "x").unwrap();
        let age = Some(Duration::from_secs(7 * 86_400 + 3600));
        let removed = enforce(folder, &Keep { age, ..Keep::default() }).unwrap();
        assert_eq!((removed.segments, removed.bytes, left(folder)), (3, 3000, 7));
        assert_eq!(removed.last.as_ref(), Some(&all[2]));
        assert!(removed.why.contains("keep_for"), "{}", removed.why);
        let removed = enforce(folder, &Keep { bytes: Some(5500), ..Keep::default() }).unwrap();
        assert_eq!((removed.segments, left(folder)), (2, 5));
        assert!(removed.why.contains("keep_bytes = 5500"), "{}", removed.why);
        let none =
            enforce(folder, &Keep { free: Some(MinFree::Bytes(1)), ..Keep::default() }).unwrap();
        assert_eq!(none, Removed::default());
        let free = Some(MinFree::Bytes(u64::MAX));
        let removed = enforce(folder, &Keep { free, ..Keep::default() }).unwrap();
        assert_eq!((removed.segments, left(folder)), (5, 0));
        assert!(removed.why.contains("keep_free_space"), "{}", removed.why);
        assert!(folder.join("not a segment").exists());
    }
}

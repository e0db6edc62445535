//! Log files have an end: segments are removed when they are older than the policy keeps them, when all of them together
//! are larger, or when the disk lacks room; the oldest first, and never one that is being written. What was removed is told.
//! The segments of the accounting log may lie in the same folder; either log ends its own only.

use crate::log_file::{is_being_written, is_of_accounting};
use crate::log_index;
use crate::log_search::segments;
use crate::log_series::LogSeries;
use ringmta_io::fs::disk_free;
use ringmta_options::{AccountingLog, LocalLogs, MinFree};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How long segments are kept.
#[derive(Debug, Clone)]
pub struct Keep {
    /// Older ones are removed.
    pub age: Option<Duration>,
    /// Bytes of all of them together.
    pub bytes: Option<u64>,
    /// Free space where they are.
    pub free: MinFree,
    /// They are those of the accounting log.
    pub of_accounting: bool,
}

impl Keep {
    /// As a policy says of log files.
    pub fn of(options: &LocalLogs) -> Keep {
        let LocalLogs { keep_for: age, keep_bytes: bytes, keep_free_space: free, .. } = *options;
        Keep { age, bytes, free, of_accounting: false }
    }

    /// As a policy says of the accounting log.
    pub fn of_accounting(options: &AccountingLog) -> Keep {
        let AccountingLog { keep_for: age, keep_bytes: bytes, keep_free_space: free, .. } =
            *options;
        Keep { age, bytes, free, of_accounting: true }
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

impl Removed {
    /// Says what was removed of the `logs` in `folder`.
    fn tell(&self, logs: &str, folder: &Path) {
        let Removed { segments, bytes, last, why } = self;
        let (shown, last) = (folder.display(), last.as_deref().unwrap_or(folder).display());
        tracing::warn!(
            "{logs} of {shown}: {segments} removed, {bytes} bytes, the last {last}: {why}"
        );
    }
}

struct Segment {
    path: PathBuf,
    bytes: u64,
    age: Duration,
}

/// The finished segments of `folder`, oldest first.
fn finished(folder: &Path, of_accounting: bool) -> std::io::Result<VecDeque<Segment>> {
    let now = SystemTime::now();
    let mut found = VecDeque::new();
    let is_meant =
        |path: &PathBuf| is_of_accounting(path) == of_accounting && !is_being_written(path);
    for path in segments(folder)?.into_iter().filter(is_meant) {
        let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
        let age = meta.modified().ok().and_then(|at| now.duration_since(at).ok());
        found.push_back(Segment { path, bytes: meta.len(), age: age.unwrap_or_default() });
    }
    Ok(found)
}

/// Removes what is not to be kept in the folder of `series`, and says so; how many segments it was. None while that is being
/// done already.
pub async fn remove_old(series: &LogSeries, keep: &Keep) -> u64 {
    if series.is_removing.replace(true) {
        return 0;
    }
    let logs = if keep.of_accounting { "accounting log" } else { "log files" };
    let (folder, keep) = (series.folder().to_path_buf(), keep.clone());
    let removed = series.thread().run(move || {
        let result = enforce(&folder, &keep);
        (folder, result)
    });
    let (folder, result) = removed.await;
    series.is_removing.set(false);
    match result {
        Ok(removed) if removed.segments > 0 => {
            removed.tell(logs, &folder);
            removed.segments
        }
        Ok(_) => 0,
        Err(error) => {
            tracing::error!("{logs} of {} cannot be removed: {error}", folder.display());
            0
        }
    }
}

/// Removes what is not to be kept in `folder`. Blocking: not for a shard's thread.
///
/// # Errors
/// As the disk says.
pub fn enforce(folder: &Path, keep: &Keep) -> std::io::Result<Removed> {
    let mut segments = finished(folder, keep.of_accounting)?;
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
    let floor = keep.free;
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
        let all_kept =
            Keep { age: None, bytes: None, free: MinFree::Bytes(1), of_accounting: false };
        let removed = enforce(folder, &Keep { age, ..all_kept.clone() }).unwrap();
        assert_eq!((removed.segments, removed.bytes, left(folder)), (3, 3000, 7));
        assert_eq!(removed.last.as_ref(), Some(&all[2]));
        assert!(removed.why.contains("keep_for"), "{}", removed.why);
        let removed = enforce(folder, &Keep { bytes: Some(5500), ..all_kept.clone() }).unwrap();
        assert_eq!((removed.segments, left(folder)), (2, 5));
        assert!(removed.why.contains("keep_bytes = 5500"), "{}", removed.why);
        assert_eq!(enforce(folder, &all_kept).unwrap(), Removed::default());
        // The accounting log's are its own affair, and the other way round.
        let accounting = folder.join("acct-20260101-000000.000000000");
        std::fs::write(&accounting, "{}").unwrap();
        let free = MinFree::Bytes(u64::MAX);
        let removed = enforce(folder, &Keep { free, ..all_kept.clone() }).unwrap();
        assert_eq!((removed.segments, left(folder)), (5, 1));
        assert!(removed.why.contains("keep_free_space"), "{}", removed.why);
        assert!(folder.join("not a segment").exists() && accounting.exists());
        let log = segment(folder, 1, 0);
        enforce(folder, &Keep { free, of_accounting: true, ..all_kept }).unwrap();
        assert!(log.exists() && !accounting.exists());
    }
}

//! Log files: JSON lines in zstd segments.
//!
//! A shard collects lines in memory; every second, or sooner when much has come, they are
//! compressed and written off the shard's thread. A segment is closed by size, by age even when
//! nothing is written, and at stop; then it is made read-only.

use crate::log_index;
use ringmta_io::{self as io, beneath};
use ringmta_smtp::dates::segment_name;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The segments that shards of this process are writing.
static BEING_WRITTEN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn being_written() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    BEING_WRITTEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A path among those, for as long as this lives.
struct BeingWritten(PathBuf);

impl BeingWritten {
    fn new(path: PathBuf) -> BeingWritten {
        being_written().insert(path.clone());
        BeingWritten(path)
    }
}

impl Drop for BeingWritten {
    fn drop(&mut self) {
        being_written().remove(&self.0);
    }
}

/// An open segment.
struct Open {
    /// Taken out only while a frame is ended.
    encoder: Option<zstd::Encoder<'static, File>>,
    index: Option<log_index::Builder>,
    /// Where the frame that is written begins in the file, and how much it has of lines.
    frame: (u64, u64),
    _path: BeingWritten,
    opened_nanos: u64,
    bytes: u64,
}

impl Open {
    fn write(&mut self, lines: &[u8], level: i32) -> std::io::Result<()> {
        let Some(mut encoder) = self.encoder.take() else {
            return Err(std::io::Error::other("no segment"));
        };
        encoder.write_all(lines)?;
        // A crash leaves everything up to here readable.
        encoder.flush()?;
        self.bytes += lines.len() as u64;
        self.frame.1 += lines.len() as u64;
        if let Some(index) = &mut self.index {
            index.add(lines);
            if self.frame.1 >= log_index::FRAME_BYTES {
                let mut file = encoder.finish()?;
                if let Err(error) = index.end_frame(self.frame.0) {
                    tracing::warn!("the index of {} ends: {error}", self._path.0.display());
                    self.index = None;
                }
                self.frame = (file.stream_position()?, 0);
                encoder = zstd::Encoder::new(file, level)?;
            }
        }
        self.encoder = Some(encoder);
        Ok(())
    }
}

/// One series of segments: a folder and a suffix.
pub struct Series {
    dir: PathBuf,
    prefix: &'static str,
    suffix: String,
    level: i32,
    max_bytes: u64,
    max_age: Duration,
    header: String,
    with_index: bool,
    open: Option<Open>,
}

impl Series {
    /// A series in `dir`, which is made when absent.
    ///
    /// # Errors
    /// When the folder cannot be made or written.
    pub fn new(
        dir: &Path,
        suffix: &str,
        level: i32,
        max_bytes: u64,
        max_age: Duration,
        header: &str,
    ) -> std::io::Result<Series> {
        beneath::make_folders(dir)?;
        Ok(Series {
            dir: dir.to_path_buf(),
            prefix: "",
            suffix: suffix.to_string(),
            level,
            max_bytes,
            max_age,
            header: header.to_string(),
            with_index: false,
            open: None,
        })
    }

    /// The same, with names that begin so.
    pub fn with_prefix(self, prefix: &'static str) -> Series {
        Series { prefix, ..self }
    }

    /// The same, with an index of what its records are about.
    pub fn with_index(self) -> Series {
        Series { with_index: true, ..self }
    }

    /// The folder it is in.
    pub fn folder(&self) -> &Path {
        &self.dir
    }

    /// Writes `lines` (whole lines) and closes the segment when it is full or old. Blocking: not
    /// for a shard's thread.
    ///
    /// # Errors
    /// As the disk says; the segment is given up and the next call opens another.
    pub fn write(&mut self, lines: &[u8], now_nanos: u64) -> std::io::Result<()> {
        let result = self.try_write(lines, now_nanos);
        if result.is_err() {
            self.open = None;
        }
        result
    }

    fn try_write(&mut self, lines: &[u8], now_nanos: u64) -> std::io::Result<()> {
        if !lines.is_empty() {
            if self.open.is_none() {
                self.open = Some(self.start(now_nanos)?);
            }
            if let Some(open) = &mut self.open {
                open.write(lines, self.level)?;
            }
        }
        let over = self.open.as_ref().is_some_and(|open| {
            let age = now_nanos.saturating_sub(open.opened_nanos);
            open.bytes >= self.max_bytes || u128::from(age) >= self.max_age.as_nanos()
        });
        if over {
            self.close()?;
        }
        Ok(())
    }

    fn start(&self, now_nanos: u64) -> std::io::Result<Open> {
        let mut stamp = now_nanos;
        loop {
            let path =
                self.dir.join(format!("{}{}{}", self.prefix, segment_name(stamp), self.suffix));
            if being_written().contains(&path) {
                stamp += 1;
                continue;
            }
            // Before there is such a file: a shard that starts must not take it for a leftover.
            let path = BeingWritten::new(path);
            match beneath::options().create_new(true).write(true).open(&path.0) {
                Ok(file) => {
                    let mut encoder = zstd::Encoder::new(file, self.level)?;
                    if !self.header.is_empty() {
                        writeln!(encoder, "{}", self.header.trim_end_matches('\n'))?;
                    }
                    return Ok(Open {
                        encoder: Some(encoder),
                        index: self.index_of(&path.0),
                        frame: (0, 0),
                        _path: path,
                        opened_nanos: now_nanos,
                        bytes: 0,
                    });
                }
                // Another shard had the same nanosecond.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => stamp += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The index of a fresh segment. Records are worth more than it is: without one they can still be found.
    fn index_of(&self, path: &Path) -> Option<log_index::Builder> {
        if !self.with_index {
            return None;
        }
        let told =
            |error: &std::io::Error| tracing::warn!("no index for {}: {error}", path.display());
        log_index::Builder::new(path).inspect_err(told).ok()
    }

    /// Ends the open segment: its frame is completed and it is made read-only.
    ///
    /// # Errors
    /// As the disk says.
    pub fn close(&mut self) -> std::io::Result<()> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        let Some(encoder) = open.encoder.take() else { return Ok(()) };
        beneath::finish(&encoder.finish()?)?;
        if let Some(mut index) = open.index {
            let kept = if open.frame.1 > 0 { index.end_frame(open.frame.0) } else { Ok(()) };
            if let Err(error) = kept.and_then(|()| index.close()) {
                tracing::warn!("the index of {} is not whole: {error}", open._path.0.display());
            }
        }
        Ok(())
    }
}

/// Marks segments that a crash left open as finished. Those that another shard is writing are left alone.
///
/// # Errors
/// When the folder cannot be read.
pub fn finish_leftovers(dir: &Path) -> std::io::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if is_segment(&path) && !being_written().contains(&path) {
            // By the open file, not by its name: that may be a link by now.
            match beneath::options().read(true).open(&path) {
                Ok(file) => beneath::finish(&file)?,
                // Closed for good by whoever moves finished segments away, or another user's.
                Err(error) if is_not_ours(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn is_not_ours(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | PermissionDenied)
}

/// Whether a shard of this process writes it.
pub fn is_being_written(path: &Path) -> bool {
    being_written().contains(path)
}

/// What the names of segments of the accounting log begin with.
pub const ACCOUNTING: &str = "acct-";

/// Whether it is a segment of the accounting log by its name.
pub fn is_of_accounting(path: &Path) -> bool {
    path.file_name().and_then(|n| n.to_str()).is_some_and(|name| name.starts_with(ACCOUNTING))
}

/// Whether it is a segment by its name, and a plain file.
pub fn is_segment(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
    let name = name.strip_prefix(ACCOUNTING).unwrap_or(name);
    name.len() > 15
        && name.as_bytes()[..8].iter().all(u8::is_ascii_digit)
        && name.as_bytes()[8] == b'-'
        && std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file())
}

/// Writes `lines` by `thread` and gives series and lines back.
pub async fn off_shard(
    thread: &io::Beside,
    mut series: Series,
    lines: Vec<u8>,
    close: bool,
) -> (Series, Vec<u8>, std::io::Result<()>) {
    let now = io::unix_nanos();
    let written = thread.run(move || {
        let mut result = series.write(&lines, now);
        if close {
            result = result.and(series.close());
        }
        (series, lines, result)
    });
    written.await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn files_and_folders_are_not_for_strangers() {
        let top = tempfile::tempdir().unwrap();
        let dir = top.path().join("a/b");
        let age = Duration::from_secs(60);
        let mut series = Series::new(&dir, "", 0, 1 << 30, age, "").unwrap();
        series.write(b"{}\n", 1_000_000_000).unwrap();
        let open = series.open.as_ref().unwrap()._path.0.clone();
        assert_eq!(mode(&open) & 0o137, 0, "{:o}", mode(&open));
        for folder in [dir.as_path(), &top.path().join("a")] {
            assert_eq!(mode(folder) & 0o027, 0, "{:o}", mode(folder));
        }
    }

    #[test]
    fn a_link_among_the_segments_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "mine").unwrap();
        let before = mode(&victim);
        let link = dir.path().join("20260101-000000.000000000");
        std::os::unix::fs::symlink(&victim, link).unwrap();
        finish_leftovers(dir.path()).unwrap();
        assert_eq!(mode(&victim), before);
    }

    #[test]
    fn segments_hold_the_lines_and_close_by_age() {
        let dir = tempfile::tempdir().unwrap();
        let age = Duration::from_secs(1);
        let mut series = Series::new(dir.path(), ".log", 0, 1 << 30, age, "").unwrap();
        series.write(b"{\"a\":1}\n", 1_000_000_000).unwrap();
        series.write(b"{\"b\":2}\n", 1_500_000_000).unwrap();
        series.write(b"", 2_000_000_000).unwrap();
        let files: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(files.len(), 1);
        assert_eq!(mode(&files[0]) & 0o337, 0, "closed, it is read-only, and no stranger's");
        let text = zstd::decode_all(File::open(&files[0]).unwrap()).unwrap();
        assert_eq!(text, b"{\"a\":1}\n{\"b\":2}\n");
    }

    #[test]
    fn what_another_shard_writes_is_no_leftover() {
        let dir = tempfile::tempdir().unwrap();
        let old = dir.path().join("20260101-000000.000000000");
        std::fs::write(&old, b"left open by a crash").unwrap();
        let age = Duration::from_secs(60);
        let mut series = Series::new(dir.path(), "", 0, 1 << 30, age, "").unwrap();
        series.write(b"{}\n", 1_000_000_000).unwrap();
        let open = series.open.as_ref().unwrap()._path.0.clone();
        let is_done = |path: &Path| std::fs::metadata(path).unwrap().permissions().readonly();
        finish_leftovers(dir.path()).unwrap();
        assert_eq!((is_done(&old), is_done(&open)), (true, false));
        series.close().unwrap();
        assert!(is_done(&open) && !being_written().contains(&open));
    }
}

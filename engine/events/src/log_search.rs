//! Records in log segments: what became of a message. Blocking, and bounded by a time and a number of records.

use crate::log_index::{places, read_from, Key, Keys, Places};
use ringmta_io::mono_nanos;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes of lines that are read of one place at the most: the largest segment there is by default.
const READ_MAX: u64 = 2 << 30;

/// How far a search goes.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Segments whose last line is older than this, unix nanoseconds, are left out.
    pub since_nanos: u64,
    /// Records at the most.
    pub records: usize,
    /// Longest it may take.
    pub time: Duration,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The records, as they stand in the files, oldest segment first.
    pub records: Vec<String>,
    /// Segments that were looked at.
    pub segments: usize,
    /// Those of them without an index, which were read whole.
    pub without_index: usize,
    /// Segments that were not looked at for lack of time or room.
    pub left_out: usize,
    /// What could not be read.
    pub problems: Vec<String>,
}

/// The segments in `folder`, oldest first.
pub fn segments(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| crate::log_file::is_segment(path))
        .collect();
    found.sort();
    Ok(found)
}

/// Looks for records about any of `keys` in the segments of `folder`, the newest segments first.
pub fn search(folder: &Path, keys: &[Key], bounds: &Bounds) -> Found {
    let mut found = Found::default();
    let mut all = match segments(folder) {
        Ok(all) => all,
        Err(error) => {
            found.problems.push(format!("{}: {error}", folder.display()));
            return found;
        }
    };
    let end = mono_nanos() + bounds.time.as_nanos() as u64;
    all.retain(|path| is_since(path, bounds.since_nanos));
    let mut by_segment = Vec::new();
    let mut count = 0;
    for path in all.iter().rev() {
        if mono_nanos() > end || count >= bounds.records {
            found.left_out += 1;
            continue;
        }
        found.segments += 1;
        match of_segment(path, keys, &mut found.without_index, bounds.records - count) {
            Ok(records) => {
                count += records.len();
                by_segment.push(records);
            }
            Err(error) => found.problems.push(format!("{}: {error}", path.display())),
        }
    }
    found.records = by_segment.into_iter().rev().flatten().collect();
    found
}

fn is_since(path: &Path, since_nanos: u64) -> bool {
    let changed = std::fs::metadata(path).and_then(|meta| meta.modified());
    let nanos = changed.ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    nanos.is_none_or(|at| at.as_nanos() as u64 >= since_nanos)
}

fn of_segment(
    path: &Path,
    keys: &[Key],
    without_index: &mut usize,
    most: usize,
) -> std::io::Result<Vec<String>> {
    let hashes: Vec<u64> = keys.iter().map(Key::hash).collect();
    let file = File::open(path)?;
    let mut records = Vec::new();
    let mut see = |text: &[u8]| {
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let is_meant =
                Keys::of(line).is_some_and(|record| keys.iter().any(|key| key.fits(&record)));
            if is_meant && records.len() < most {
                records.push(String::from_utf8_lossy(line).into_owned());
            }
        }
    };
    match places(path, &hashes)? {
        Places::Frames(frames) => {
            for begin in frames {
                see(&read_from(&file, begin, false, READ_MAX)?);
            }
        }
        Places::AndBehind(frames, behind) => {
            for begin in frames.into_iter().filter(|begin| *begin < behind) {
                see(&read_from(&file, begin, false, READ_MAX)?);
            }
            see(&read_from(&file, behind, true, READ_MAX)?);
        }
        Places::Anywhere => {
            *without_index += 1;
            see(&read_from(&file, 0, true, READ_MAX)?);
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_file::Series;

    fn line(id: usize, to: &str) -> String {
        format!(
            "{{\"type\":\"Delivery\",\"id\":\"{id:032x}\",\"sender\":\"a@src.test\",\"recipient\":\"{to}\",\
             \"headers\":{{\"Message-ID\":\"<{id}@src.test>\"}},\"pad\":\"{}\"}}\n",
            "x".repeat(500)
        )
    }

    fn write(folder: &Path, index: bool, close: bool) {
        let age = Duration::from_secs(3600);
        let series = Series::new(folder, "", 0, 1 << 30, age, "").unwrap();
        let mut series = if index { series.with_index() } else { series };
        for batch in 0..20u64 {
            let lines: String = (0..500)
                .map(|n| line(batch as usize * 500 + n, &format!("U{n}@d{batch}.test")))
                .collect();
            series.write(lines.as_bytes(), 1_000_000_000 + batch).unwrap();
        }
        if close {
            series.close().unwrap();
        } else {
            std::mem::forget(series);
        }
    }

    fn bounds() -> Bounds {
        Bounds { since_nanos: 0, records: 10_000, time: Duration::from_secs(60) }
    }

    #[test]
    fn records_are_found_by_each_key_with_an_index_and_without() {
        for (index, close) in [(true, true), (true, false), (false, true)] {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), index, close);
            let find = |text: &str| search(folder.path(), &Key::of(text), &bounds());
            for (text, count) in [
                (&*format!("{:032x}", 7777), 1),
                ("u3@d19.test", 1),
                ("<42@src.test>", 1),
                ("42@src.test", 1),
                ("a@src.test", 10_000),
                ("nobody@src.test", 0),
            ] {
                let found = find(text);
                assert_eq!(
                    found.records.len(),
                    count,
                    "{text} index {index} closed {close}: {:?}",
                    found.problems
                );
                assert_eq!(found.without_index, usize::from(!index));
                assert!(found.problems.is_empty(), "{:?}", found.problems);
            }
            let few = Bounds { records: 3, ..bounds() };
            assert_eq!(search(folder.path(), &Key::of("a@src.test"), &few).records.len(), 3);
            // Readers that know nothing of it read on over the frames.
            let segment = &segments(folder.path()).unwrap()[0];
            if close {
                let text = zstd::decode_all(File::open(segment).unwrap()).unwrap();
                assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), 10_000);
            }
        }
    }

    #[test]
    fn segments_of_one_second_have_an_index_each() {
        let folder = tempfile::tempdir().unwrap();
        let age = Duration::from_secs(3600);
        let segment = |at: u64, id: usize| {
            let series = Series::new(folder.path(), "", 0, 1 << 30, age, "").unwrap();
            let mut series = series.with_index();
            series.write(line(id, "u@d.test").as_bytes(), at).unwrap();
            series
        };
        let mut both = [segment(1_000_000_001, 1), segment(1_000_000_002, 2)];
        // Closed side by side, each finds what the other has left in the folder.
        std::thread::scope(|scope| {
            for one in &mut both {
                scope.spawn(|| one.close().unwrap());
            }
        });
        for id in [1, 2] {
            let found = search(folder.path(), &Key::of(&format!("{id:032x}")), &bounds());
            assert_eq!((found.records.len(), found.problems.len()), (1, 0), "{id}");
        }
        let index = folder.path().join(crate::log_index::FOLDER);
        assert_eq!(std::fs::read_dir(index).unwrap().count(), 2);
    }

    #[test]
    fn a_damaged_index_is_told() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), true, true);
        let segment = segments(folder.path()).unwrap().remove(0);
        let index = crate::log_index::path_of(&segment).unwrap();
        std::fs::write(index, b"RIXS\x01\0\0\0").unwrap();
        let found = search(folder.path(), &Key::of("u3@d19.test"), &bounds());
        assert_eq!((found.records.len(), found.problems.len()), (0, 1));
    }
}

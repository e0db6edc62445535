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
    /// Those of them whose index is damaged, which were read whole as well: their paths, and what is wrong.
    pub damaged_index: Vec<String>,
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
        match of_segment(path, keys, &mut found, bounds.records - count) {
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

/// The records of one segment about any of `keys`. An index that is damaged hides nothing: its segment is read whole.
fn of_segment(
    path: &Path,
    keys: &[Key],
    found: &mut Found,
    most: usize,
) -> std::io::Result<Vec<String>> {
    let hashes: Vec<u64> = keys.iter().map(Key::hash).collect();
    let mut look = Look { file: File::open(path)?, keys, most, records: Vec::new(), fitting: 0 };
    let places = places(path, &hashes);
    let has_index = !matches!(places, Ok(Places::Anywhere));
    if has_index {
        match places.and_then(|places| look.at(places)) {
            Ok(()) => return Ok(look.records),
            Err(why) => found.damaged_index.push(format!("{}: {why}", path.display())),
        }
        look.records.clear();
    } else {
        found.without_index += 1;
    }
    look.read(0, true)?;
    Ok(look.records)
}

/// A look through a segment.
struct Look<'a> {
    file: File,
    keys: &'a [Key],
    most: usize,
    records: Vec<String>,
    /// Records that are meant, those beyond `most` too.
    fitting: usize,
}

impl Look<'_> {
    /// Reads where the index says that something is.
    fn at(&mut self, places: Places) -> std::io::Result<()> {
        let (frames, behind) = match places {
            Places::Frames(frames) => (frames, None),
            Places::AndBehind(frames, behind) => (frames, Some(behind)),
            Places::Anywhere => (Vec::new(), Some(0)),
        };
        for begin in frames.into_iter().filter(|begin| behind.is_none_or(|at| *begin < at)) {
            let before = self.fitting;
            self.read(begin, false)?;
            if self.fitting == before {
                let text =
                    format!("the index names a frame at byte {begin} that has no such record");
                return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, text));
            }
        }
        behind.map_or(Ok(()), |behind| self.read(behind, true))
    }

    /// Reads the frame that begins there, or all that stands there.
    fn read(&mut self, begin: u64, to_the_end: bool) -> std::io::Result<()> {
        let text = read_from(&self.file, begin, to_the_end, READ_MAX)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let is_meant =
                Keys::of(line).is_some_and(|record| self.keys.iter().any(|key| key.fits(&record)));
            if is_meant {
                self.fitting += 1;
                if self.records.len() < self.most {
                    self.records.push(String::from_utf8_lossy(line).into_owned());
                }
            }
        }
        Ok(())
    }
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

    /// Damages the index of a closed segment, or of one that is open, in each of the ways a disk or a crash may have; what
    /// is looked for is found all the same, and once.
    #[test]
    fn a_damaged_index_hides_nothing_and_is_told() {
        let cut = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - 5);
        let magic = |bytes: &mut Vec<u8>| bytes[0] = b'X';
        let few_frames = |bytes: &mut Vec<u8>| bytes.splice(.., *b"RIXS\x01\0\0\0").for_each(drop);
        let endless = |bytes: &mut Vec<u8>| bytes[4..8].fill(0xff);
        let beginnings = |bytes: &mut Vec<u8>| {
            let frames = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
            assert!(frames > 1);
            bytes[8..8 + frames * 8].fill(0x11);
        };
        let moved = |bytes: &mut Vec<u8>| {
            let frames = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
            bytes[8..8 + frames * 8].fill(0);
        };
        let numbers = |bytes: &mut Vec<u8>| {
            let frames = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
            bytes[16 + frames * 8..].chunks_exact_mut(12).for_each(|pair| pair[8..].fill(0x77));
        };
        type Damage = dyn Fn(&mut Vec<u8>);
        let sorted: [&Damage; 7] =
            [&cut, &magic, &few_frames, &endless, &beginnings, &moved, &numbers];
        for (at, damage) in sorted.into_iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), true, true);
            let segment = segments(folder.path()).unwrap().remove(0);
            let index = crate::log_index::path_of(&segment).unwrap();
            let mut bytes = std::fs::read(&index).unwrap();
            damage(&mut bytes);
            std::fs::write(index, bytes).unwrap();
            let found = search(folder.path(), &Key::of("u3@d19.test"), &bounds());
            assert_eq!((found.records.len(), found.problems.len()), (1, 0), "{at}: {found:?}");
            assert_eq!((found.damaged_index.len(), found.without_index), (1, 0), "{at}");
            assert!(found.damaged_index[0].contains(&*segment.display().to_string()));
        }
    }

    #[test]
    fn a_damaged_index_of_an_open_segment_hides_nothing() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), true, false);
        let segment = segments(folder.path()).unwrap().remove(0);
        let mut part = crate::log_index::path_of(&segment).unwrap().into_os_string();
        part.push(".part");
        let whole = std::fs::read(&part).unwrap();
        let find = |bytes: &[u8]| {
            std::fs::write(&part, bytes).unwrap();
            search(folder.path(), &Key::of("u3@d0.test"), &bounds())
        };
        let found = find(&whole);
        assert_eq!((found.records.len(), found.damaged_index.len()), (1, 0));
        // Where the first frame begins.
        let mut bytes = whole.clone();
        bytes[4..12].copy_from_slice(&7u64.to_le_bytes());
        let found = find(&bytes);
        assert_eq!((found.records.len(), found.damaged_index.len()), (1, 1), "{found:?}");
        // What cannot be read as an index is as good as none.
        let found = find(b"nothing like it");
        assert_eq!((found.records.len(), found.problems.len()), (1, 0), "{found:?}");
    }
}

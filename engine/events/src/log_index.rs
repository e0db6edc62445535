//! Indexes of log segments: which records are about an id, an address or a Message-ID, and where they are.
//!
//! A segment with an index is a row of zstd frames of about a megabyte, so that one can be read without those before it.
//! While the segment is open each ended frame adds a chunk to `.index/NAME.part`: `RIX1`, where the frame begins, how many
//! hashes, the hashes in order. When it is closed they become `.index/NAME`: `RIXS`, the frames' beginnings, then pairs of
//! hash and frame in order, of which a look-up reads a few. Numbers are little-endian. A hash is no proof: whoever looks up
//! reads the record; and whoever finds the index damaged reads the segment.

use ringmta_io::beneath;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Folder of the indexes, below that of the segments.
pub const FOLDER: &str = ".index";
/// Bytes of lines in one frame.
pub const FRAME_BYTES: u64 = 1024 * 1024;

const CHUNK: &[u8; 4] = b"RIX1";
const SORTED: &[u8; 4] = b"RIXS";
/// Bytes of a pair of hash and frame.
const PAIR: u64 = 12;
/// Bytes of a file of chunks that are read at the most: that of a segment of some twenty million records.
const PART_BYTES_MAX: u64 = 1 << 30;

/// What can be looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// A message's id.
    Id(String),
    /// An envelope address.
    Address(String),
    /// A header Message-ID.
    MessageId(String),
}

impl Key {
    /// What an operator means: an id, something with brackets, or an address.
    pub fn of(text: &str) -> Vec<Key> {
        let text = text.trim();
        if text.parse::<ringmta_mail::MessageId>().is_ok() {
            return vec![Key::Id(text.to_string())];
        }
        if text.starts_with('<') {
            return vec![Key::MessageId(bare(text).to_string())];
        }
        // A Message-ID looks like an address.
        vec![Key::Address(text.to_string()), Key::MessageId(text.to_string())]
    }

    /// Its hash.
    pub fn hash(&self) -> u64 {
        match self {
            Key::Id(id) => hash(b'i', id.as_bytes()),
            Key::Address(address) => hash(b'a', address.to_ascii_lowercase().as_bytes()),
            Key::MessageId(id) => hash(b'm', id.as_bytes()),
        }
    }

    /// Whether a record is about it.
    pub fn fits(&self, record: &Keys<'_>) -> bool {
        match self {
            Key::Id(id) => record.id == *id,
            Key::Address(address) => {
                record.sender.eq_ignore_ascii_case(address)
                    || record.recipients().any(|to| to.eq_ignore_ascii_case(address))
            }
            Key::MessageId(id) => record.message_id().is_some_and(|have| have == *id),
        }
    }
}

/// FNV-1a: quick, and no more is asked of it.
fn hash(kind: u8, text: &[u8]) -> u64 {
    let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    text.iter().fold(step(0xcbf2_9ce4_8422_2325, &kind), step)
}

fn bare(id: &str) -> &str {
    id.trim().trim_start_matches('<').trim_end_matches('>')
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Recipient<'a> {
    One(#[serde(borrow)] Cow<'a, str>),
    Many(Vec<String>),
}

/// Of the headers in a record the one that is looked up, in whatever case its name is.
#[derive(Default)]
struct Headers(Option<String>);

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Headers, D::Error> {
        struct Seen;
        impl<'de> Visitor<'de> for Seen {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("headers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
                let mut found = None;
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    if found.is_none() && name.eq_ignore_ascii_case("Message-ID") {
                        found = map.next_value::<serde_json::Value>()?.as_str().map(String::from);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Headers(found))
            }
        }
        deserializer.deserialize_map(Seen)
    }
}

/// What of a record is looked up.
#[derive(Deserialize)]
pub struct Keys<'a> {
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    sender: Cow<'a, str>,
    #[serde(borrow, default)]
    recipient: Option<Recipient<'a>>,
    #[serde(default)]
    headers: Option<Headers>,
}

impl<'a> Keys<'a> {
    /// Those of a line; none when it is no record (a template may have made it).
    pub fn of(line: &'a [u8]) -> Option<Keys<'a>> {
        serde_json::from_slice(line).ok()
    }

    fn recipients(&self) -> impl Iterator<Item = &str> {
        let (one, many) = match &self.recipient {
            Some(Recipient::One(one)) => (Some(one.as_ref()), &[][..]),
            Some(Recipient::Many(many)) => (None, many.as_slice()),
            None => (None, &[][..]),
        };
        one.into_iter().chain(many.iter().map(String::as_str))
    }

    fn message_id(&self) -> Option<&str> {
        self.headers.as_ref().and_then(|headers| headers.0.as_deref()).map(bare)
    }

    fn hashes(&self, out: &mut Vec<u64>) {
        if !self.id.is_empty() {
            out.push(hash(b'i', self.id.as_bytes()));
        }
        for address in self.recipients().chain([self.sender.as_ref()]).filter(|one| !one.is_empty())
        {
            out.push(hash(b'a', address.to_ascii_lowercase().as_bytes()));
        }
        if let Some(id) = self.message_id() {
            out.push(hash(b'm', id.as_bytes()));
        }
    }
}

fn part_of(sorted: &Path) -> PathBuf {
    let mut name = sorted.as_os_str().to_os_string();
    name.push(".part");
    PathBuf::from(name)
}

/// Where the index of a segment is.
pub fn path_of(segment: &Path) -> Option<PathBuf> {
    Some(segment.parent()?.join(FOLDER).join(segment.file_name()?))
}

/// Builds the index of an open segment.
pub struct Builder {
    sorted: PathBuf,
    part: File,
    hashes: Vec<u64>,
}

impl Builder {
    /// That of `segment`, which was just made.
    ///
    /// # Errors
    /// As the disk says.
    pub fn new(segment: &Path) -> io::Result<Builder> {
        let sorted = path_of(segment).ok_or(io::ErrorKind::InvalidInput)?;
        if let Some(folder) = sorted.parent() {
            beneath::make_folders(folder)?;
        }
        let part =
            beneath::options().create_new(true).append(true).read(true).open(part_of(&sorted))?;
        Ok(Builder { sorted, part, hashes: Vec::new() })
    }

    /// Lines that go into the frame that is open.
    pub fn add(&mut self, lines: &[u8]) {
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            if let Some(keys) = Keys::of(line) {
                keys.hashes(&mut self.hashes);
            }
        }
    }

    /// The frame that began at byte `begin` of the segment has ended.
    ///
    /// # Errors
    /// As the disk says.
    pub fn end_frame(&mut self, begin: u64) -> io::Result<()> {
        self.hashes.sort_unstable();
        self.hashes.dedup();
        let mut chunk = Vec::with_capacity(16 + self.hashes.len() * 8);
        chunk.extend_from_slice(CHUNK);
        chunk.extend_from_slice(&begin.to_le_bytes());
        chunk.extend_from_slice(&(self.hashes.len() as u32).to_le_bytes());
        self.hashes.iter().for_each(|hash| chunk.extend_from_slice(&hash.to_le_bytes()));
        self.hashes.clear();
        (&self.part).write_all(&chunk)
    }

    /// The segment is closed: its index is put in order.
    ///
    /// # Errors
    /// As the disk says; the chunks stay, and can be looked up too.
    pub fn close(self) -> io::Result<()> {
        let chunks = read_chunks(&self.part)?;
        let mut pairs: Vec<(u64, u32)> =
            Vec::with_capacity(chunks.iter().map(|c| c.hashes.len()).sum());
        for (frame, chunk) in chunks.iter().enumerate() {
            pairs.extend(chunk.hashes.iter().map(|hash| (*hash, frame as u32)));
        }
        pairs.sort_unstable();
        // (The name of a segment has a point in it: what stands behind that is not an extension.)
        let mut fresh = self.sorted.clone().into_os_string();
        fresh.push(".new");
        let fresh = PathBuf::from(fresh);
        let file = beneath::options().create(true).truncate(true).write(true).open(&fresh)?;
        let mut out = io::BufWriter::new(file);
        out.write_all(SORTED)?;
        out.write_all(&(chunks.len() as u32).to_le_bytes())?;
        for chunk in &chunks {
            out.write_all(&chunk.begin.to_le_bytes())?;
        }
        out.write_all(&(pairs.len() as u64).to_le_bytes())?;
        for (hash, frame) in pairs {
            out.write_all(&hash.to_le_bytes())?;
            out.write_all(&frame.to_le_bytes())?;
        }
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&fresh, &self.sorted)?;
        std::fs::remove_file(part_of(&self.sorted))
    }
}

struct Chunk {
    begin: u64,
    hashes: Vec<u64>,
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// The chunks of a file; one that a crash has cut is left out.
fn read_chunks(file: &File) -> io::Result<Vec<Chunk>> {
    let size = file.metadata()?.len().min(PART_BYTES_MAX);
    let mut bytes = vec![0; size as usize];
    file.read_exact_at(&mut bytes, 0)?;
    let (mut chunks, mut at) = (Vec::new(), 0);
    while bytes.get(at..at + 4) == Some(CHUNK) {
        let (Some(begin), Some(count)) = (number(&bytes, at + 4), number(&bytes, at + 12)) else {
            break;
        };
        let (begin, count) = (u64::from_le_bytes(begin), u32::from_le_bytes(count) as usize);
        let Some(body) = bytes.get(at + 16..at + 16 + count * 8) else { break };
        let hashes =
            body.chunks_exact(8).filter_map(|eight| eight.try_into().ok().map(u64::from_le_bytes));
        chunks.push(Chunk { begin, hashes: hashes.collect() });
        at += 16 + count * 8;
    }
    Ok(chunks)
}

/// Where in a segment records may be.
#[derive(Debug, PartialEq, Eq)]
pub enum Places {
    /// In frames that begin there.
    Frames(Vec<u64>),
    /// In frames that begin there, and in whatever stands behind this byte: the segment is open, or a crash has left it so.
    AndBehind(Vec<u64>, u64),
    /// Anywhere: it has no index.
    Anywhere,
}

/// Looks up hashes in the index of `segment`.
///
/// # Errors
/// As the disk says.
pub fn places(segment: &Path, hashes: &[u64]) -> io::Result<Places> {
    let Some(sorted) = path_of(segment) else { return Ok(Places::Anywhere) };
    if let Ok(file) = File::open(&sorted) {
        return Ok(Places::Frames(look_up(&file, hashes)?));
    }
    let Ok(file) = File::open(part_of(&sorted)) else {
        // It may have been put in order between the two looks.
        return match File::open(&sorted) {
            Ok(file) => Ok(Places::Frames(look_up(&file, hashes)?)),
            Err(_) => Ok(Places::Anywhere),
        };
    };
    let chunks = read_chunks(&file)?;
    let has = |chunk: &&Chunk| hashes.iter().any(|hash| chunk.hashes.binary_search(hash).is_ok());
    let found = chunks.iter().filter(has).map(|chunk| chunk.begin).collect();
    // The last frame that is in the index is read again with what follows it: where it ends is not written down.
    Ok(Places::AndBehind(found, chunks.last().map_or(0, |chunk| chunk.begin)))
}

fn look_up(file: &File, hashes: &[u64]) -> io::Result<Vec<u64>> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the index is damaged");
    let mut head = [0; 8];
    file.read_exact_at(&mut head, 0)?;
    if head[..4] != *SORTED {
        return Err(damaged());
    }
    let frames = u64::from(u32::from_le_bytes(number(&head, 4).ok_or_else(damaged)?));
    let mut eight = [0; 8];
    file.read_exact_at(&mut eight, 8 + frames * 8)?;
    let (pairs, from) = (u64::from_le_bytes(eight), 16 + frames * 8);
    if file.metadata()?.len() < from.saturating_add(pairs.saturating_mul(PAIR)) {
        return Err(damaged());
    }
    let pair = |at: u64| -> io::Result<(u64, u32)> {
        let mut bytes = [0; PAIR as usize];
        file.read_exact_at(&mut bytes, from + at * PAIR)?;
        let hash = number(&bytes, 0).map(u64::from_le_bytes).ok_or_else(damaged)?;
        Ok((hash, number(&bytes, 8).map(u32::from_le_bytes).ok_or_else(damaged)?))
    };
    let mut found = Vec::new();
    for wanted in hashes {
        let (mut low, mut high) = (0, pairs);
        while low < high {
            let middle = low + (high - low) / 2;
            if pair(middle)?.0 < *wanted {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        while low < pairs {
            let (hash, frame) = pair(low)?;
            if hash != *wanted {
                break;
            }
            if u64::from(frame) >= frames {
                return Err(damaged());
            }
            file.read_exact_at(&mut eight, 8 + u64::from(frame) * 8)?;
            found.push(u64::from_le_bytes(eight));
            low += 1;
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Removes the index of a segment that is gone.
pub fn remove(segment: &Path) {
    if let Some(sorted) = path_of(segment) {
        let _ = std::fs::remove_file(part_of(&sorted));
        let _ = std::fs::remove_file(sorted);
    }
}

/// Reads the frame that begins at `begin`, or with `to_the_end` all that stands there.
///
/// # Errors
/// As the disk says. What a crash has cut is read as far as it goes.
pub fn read_from(segment: &File, begin: u64, to_the_end: bool, most: u64) -> io::Result<Vec<u8>> {
    use std::io::Seek;
    let mut file = segment.try_clone()?;
    file.seek(io::SeekFrom::Start(begin))?;
    let decoder = zstd::Decoder::new(file)?;
    let mut decoder = if to_the_end { decoder } else { decoder.single_frame() };
    let mut text = Vec::new();
    let read = (&mut decoder).take(most).read_to_end(&mut text);
    match read {
        Err(error) if text.is_empty() && error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
        _ => Ok(text),
    }
}

//! The journal's entries as bytes, and what they say when they are read back.
//!
//! ```text
//! frame: 0 magic  4 crc of all that follows  8 bytes of entries  12 salt  16 number  20 entries
//! done:       1 segment offset            attempt: 2 segment offset attempts(2) due(8)
//! checkpoint: 3 last-sequence             kept:    4 segment live-records
//! ```
//! Salt and number are those of the file's header.

use crate::limits::SEQUENCE_MAX;
use crate::log::header;
use crate::log::header::{u32_at, Header};
use crate::log::reclaim::AttemptState;
use ringmta_io::file::round_up;
use ringmta_io::limits::BLOCK_BYTES;
use ringmta_io::{Block, Map, Set};

const FILE_MAGIC: u32 = 0x314a_4d52;
/// Version of the format that is written, and the only one that is read.
pub const VERSION: u32 = 2;
const FRAME_MAGIC: u32 = 0x3146_4d52;
const FRAME_HEADER: usize = 20;
/// A record is not needed any more.
const DONE: u8 = 1;
/// An attempt failed; the record waits for its next one.
const ATTEMPT: u8 = 2;
/// A checkpoint begins: what was said before is void, and of the segments up to this sequence
/// number only those named by [`KEPT`] hold anything that matters.
const CHECKPOINT: u8 = 3;
/// A segment that still matters, and how many records of it.
const KEPT: u8 = 4;

/// Entries on their way to a frame.
#[derive(Debug, Default)]
pub struct Entries {
    /// Their bytes.
    pub bytes: Vec<u8>,
}

impl Entries {
    /// A record is not needed any more.
    pub fn done(&mut self, segment: u32, offset: u32) {
        self.put(DONE, &[segment, offset]);
    }

    /// A record waits for its next attempt.
    pub fn attempt(&mut self, segment: u32, offset: u32, state: AttemptState) {
        self.put(ATTEMPT, &[segment, offset]);
        self.bytes.extend_from_slice(&state.attempts.to_le_bytes());
        self.bytes.extend_from_slice(&state.due_millis.to_le_bytes());
    }

    /// A checkpoint begins; `last_sequence` is the highest ever used.
    pub fn checkpoint(&mut self, last_sequence: u32) {
        self.put(CHECKPOINT, &[last_sequence]);
    }

    /// A segment that still matters, with so many records not yet done.
    pub fn kept(&mut self, segment: u32, live: u32) {
        self.put(KEPT, &[segment, live]);
    }

    fn put(&mut self, kind: u8, numbers: &[u32]) {
        self.bytes.push(kind);
        for number in numbers {
            self.bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
}

/// One use of a journal file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct FileId {
    /// Order of the files.
    pub number: u32,
    /// Random number of this use.
    pub salt: u32,
}

/// The header of a journal file.
pub fn file_header(file: FileId, partition: u64) -> Block {
    header::block(FILE_MAGIC, VERSION, [file.number, file.salt], partition)
}

/// The bytes of such a header.
pub fn encode_header(file: FileId, partition: u64) -> Vec<u8> {
    header::encode(FILE_MAGIC, VERSION, [file.number, file.salt], partition)
}

/// What the first frame of a file says its header was, when it is whole.
pub fn claim(bytes: &[u8]) -> Option<FileId> {
    let header = bytes.get(BLOCK_BYTES..BLOCK_BYTES + FRAME_HEADER)?;
    let file = FileId { salt: u32_at(header, 12)?, number: u32_at(header, 16)? };
    let whole = u32_at(header, 0)? == FRAME_MAGIC && frame_end(bytes, BLOCK_BYTES).is_some();
    (whole && file.number <= SEQUENCE_MAX).then_some(file)
}

/// Reads a journal file's header; its number is the order of the files.
pub fn parse_header(bytes: &[u8]) -> Header {
    header::parse(bytes, FILE_MAGIC, VERSION)
}

/// Entries as they go to disk.
pub fn frame(entries: &[u8], file: FileId) -> Block {
    let mut block = Block::with_capacity(FRAME_HEADER + entries.len());
    put_frame(&mut block, entries, file);
    block
}

/// Appends a frame to `block`, at its next block boundary.
pub fn put_frame(block: &mut Block, entries: &[u8], file: FileId) {
    block.pad_to(BLOCK_BYTES);
    let start = block.len();
    block.extend(&FRAME_MAGIC.to_le_bytes());
    block.extend(&[0; 4]);
    block.extend(&(entries.len() as u32).to_le_bytes());
    block.extend(&file.salt.to_le_bytes());
    block.extend(&file.number.to_le_bytes());
    block.extend(entries);
    let crc = crc32c::crc32c(&block.tail_mut(start)[8..]);
    block.tail_mut(start)[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// What a journal says.
#[derive(Debug, Default)]
pub struct Replay {
    /// Records not needed any more: offsets by segment.
    pub done: Map<u32, Set<u32>>,
    /// Last known attempts of the others, by (segment, offset).
    pub attempts: Map<(u32, u32), AttemptState>,
    /// Sequence number of the last segment before the last checkpoint.
    pub last_sequence: u32,
    /// Segments that mattered at the last checkpoint: records then live, and not done since.
    kept: Map<u32, u32>,
    /// Frames read.
    pub frames: usize,
}

impl Replay {
    /// Whether the record at `offset` of segment `sequence` is not needed any more.
    pub fn is_done(&self, sequence: u32, offset: u32) -> bool {
        self.done.get(&sequence).is_some_and(|offsets| offsets.contains(&offset))
    }

    /// Whether segment `sequence` was given up before the last checkpoint: its file may still be
    /// there, or be there again, but nothing in it matters.
    pub fn is_given_up(&self, sequence: u32) -> bool {
        sequence <= self.last_sequence && !self.kept.contains_key(&sequence)
    }

    /// Segments that must hold live records, and at least how many.
    pub fn expected(&self) -> Map<u32, u32> {
        let mut expected = self.kept.clone();
        let mut waiting: Map<u32, u32> = Map::default();
        for (segment, _) in self.attempts.keys() {
            *waiting.entry(*segment).or_default() += 1;
        }
        for (segment, count) in waiting {
            let known = expected.entry(segment).or_default();
            *known = (*known).max(count);
        }
        expected.retain(|_, count| *count > 0);
        expected
    }

    /// Reads the frames of one file into this state and calls `damage` with the offset of each that
    /// is damaged. What stands behind a damaged frame counts all the same: an entry stays true
    /// whatever is missing before it.
    pub fn read(&mut self, bytes: &[u8], file: FileId, mut damage: impl FnMut(usize)) {
        let mut at = BLOCK_BYTES;
        // Frames follow each other: one behind a gap shows that there was another in it.
        let mut gap = None;
        let mut told = false;
        while at + FRAME_HEADER <= bytes.len() {
            let signs = signs(&bytes[at..], file);
            let end = frame_end(bytes, at).filter(|_| signs == 3);
            if signs >= 2 {
                gap.take().into_iter().for_each(&mut damage);
            }
            let Some(end) = end else {
                if signs >= 2 {
                    damage(at);
                    told = true;
                } else if !told {
                    gap = gap.or(Some(at));
                }
                at += BLOCK_BYTES;
                continue;
            };
            if !self.entries(&bytes[at + FRAME_HEADER..end]) {
                damage(at);
            }
            self.frames += 1;
            told = false;
            at = round_up(end);
        }
    }

    /// Whether every entry could be read.
    fn entries(&mut self, mut rest: &[u8]) -> bool {
        let mut checkpoint = false;
        while let Some((first, second)) = u32_at(rest, 1).map(|first| (first, u32_at(rest, 5))) {
            let taken = match (rest[0], second) {
                (CHECKPOINT, _) if first <= SEQUENCE_MAX => {
                    self.void(first);
                    checkpoint = true;
                    5
                }
                (KEPT, Some(live)) => {
                    self.kept.insert(first, live);
                    9
                }
                (DONE, Some(offset)) => {
                    let new = self.done.entry(first).or_default().insert(offset);
                    self.attempts.remove(&(first, offset));
                    // A checkpoint lists what was done before it, too.
                    if let Some(live) = self.kept.get_mut(&first).filter(|_| new && !checkpoint) {
                        *live = live.saturating_sub(1);
                    }
                    9
                }
                (ATTEMPT, Some(offset)) => {
                    let Some(state) = rest.get(9..19).map(state) else { return false };
                    if !self.is_done(first, offset) {
                        self.attempts.insert((first, offset), state);
                    }
                    19
                }
                _ => return false,
            };
            rest = &rest[taken..];
        }
        rest.is_empty()
    }

    fn void(&mut self, last_sequence: u32) {
        self.done.clear();
        self.attempts.clear();
        self.kept.clear();
        self.last_sequence = last_sequence;
    }
}

fn state(bytes: &[u8]) -> AttemptState {
    let mut due = [0; 8];
    due.copy_from_slice(&bytes[2..10]);
    let attempts = u16::from_le_bytes([bytes[0], bytes[1]]);
    AttemptState { attempts, due_millis: u64::from_le_bytes(due) }
}

/// How many of the signs of a frame of `file` stand at the start of `bytes`. One of the three may be
/// what was damaged; what an earlier use left behind has one.
fn signs(bytes: &[u8], file: FileId) -> usize {
    let signs = [(0, FRAME_MAGIC), (12, file.salt), (16, file.number)];
    signs.into_iter().filter(|(at, value)| u32_at(bytes, *at) == Some(*value)).count()
}

/// Where the frame at `at` ends, when it is whole.
fn frame_end(bytes: &[u8], at: usize) -> Option<usize> {
    let len = u32_at(bytes, at + 8)? as usize;
    let end = at.checked_add(FRAME_HEADER)?.checked_add(len)?;
    let crc = bytes.get(at + 8..end).map(crc32c::crc32c)?;
    (Some(crc) == u32_at(bytes, at + 4)).then_some(end)
}

//! One segment file: a header block, then batches of records, each batch at a block boundary.

use super::record::{self, Found};
use crate::io::{self, Block, File};
use crate::limits::BLOCK_BYTES;
use std::path::{Path, PathBuf};

const MAGIC: u32 = 0x3153_4d52;
const VERSION: u32 = 1;

/// Where records start in a segment.
pub const DATA_START: u64 = BLOCK_BYTES as u64;

/// One use of a segment file.
#[derive(Clone)]
pub struct Segment {
    /// The open file.
    pub file: File,
    /// Its name.
    pub path: PathBuf,
    /// Order of this use among all of the partition.
    pub sequence: u32,
    /// Random number of this use; records carry it.
    pub salt: u32,
}

impl Segment {
    /// Makes (of `bytes`) or reuses the file at `path` for `sequence`: its header says so durably
    /// before any record can follow.
    ///
    /// # Errors
    /// As the disk says.
    pub async fn start(
        path: PathBuf,
        sequence: u32,
        bytes: u64,
        durable: bool,
    ) -> std::io::Result<Segment> {
        let file = if io::fs::exists(&path) {
            File::open(&path, durable).await?
        } else {
            File::create(&path, bytes, durable).await?
        };
        let salt = io::random_u64() as u32;
        file.write_at(header(sequence, salt), 0).await?;
        Ok(Segment { file, path, sequence, salt })
    }
}

fn header(sequence: u32, salt: u32) -> Block {
    let mut fields = Vec::with_capacity(20);
    for number in [MAGIC, VERSION, sequence, salt] {
        fields.extend_from_slice(&number.to_le_bytes());
    }
    let crc = crc32c::crc32c(&fields);
    fields.extend_from_slice(&crc.to_le_bytes());
    let mut block = Block::with_capacity(BLOCK_BYTES);
    block.extend(&fields);
    block
}

/// Reads a segment header: (sequence, salt), or `None` for a file that is not one.
pub fn parse_header(bytes: &[u8]) -> Option<(u32, u32)> {
    let number =
        |at: usize| bytes.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let whole =
        number(0)? == MAGIC && number(4)? == VERSION && number(16)? == crc32c::crc32c(&bytes[..16]);
    whole.then_some((number(8)?, number(12)?))
}

/// One thing found by [`scan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// A whole record at (offset, bytes).
    Record(usize, usize),
    /// A damaged record at this offset.
    Damage(usize),
}

/// Finds every record in the bytes of a whole segment file. One bad record hides no other: behind
/// it every place where a record may start is looked at. Batches follow each other without a gap,
/// so bytes that are no record and lie before one are damage too.
pub fn scan(bytes: &[u8], sequence: u32, salt: u32, mut found: impl FnMut(Item)) {
    let mut at = BLOCK_BYTES;
    // Where the last whole record ends, and whether damage behind it was told.
    let (mut end, mut told) = (at, false);
    while at + record::HEADER_BYTES <= bytes.len() {
        match record::probe(&bytes[at..], sequence, salt) {
            Found::Record(total) => {
                if !told && is_gap(bytes, end, at) {
                    found(Item::Damage(end));
                }
                found(Item::Record(at, total));
                at += total.div_ceil(record::ALIGN) * record::ALIGN;
                (end, told) = (at, false);
            }
            Found::Damaged => {
                found(Item::Damage(at));
                told = true;
                at += record::ALIGN;
            }
            Found::Nothing => at += record::ALIGN,
        }
    }
}

/// Whether more than a batch's padding lies between the end of one record and the start of the
/// next.
fn is_gap(bytes: &[u8], end: usize, next: usize) -> bool {
    let batch = end.div_ceil(BLOCK_BYTES) * BLOCK_BYTES;
    next != end && (next != batch || bytes[end..next].iter().any(|byte| *byte != 0))
}

/// The segment files of a partition folder, by number.
///
/// # Errors
/// As readdir(3).
pub fn list(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in io::fs::read_dir(dir)? {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
        if name.starts_with("segment-") && name.ends_with(".dat") {
            found.push(path);
        }
    }
    Ok(found)
}

/// The name of segment file number `number`.
pub fn file_name(number: u32) -> String {
    format!("segment-{number:08}.dat")
}

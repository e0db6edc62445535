//! One segment file: a header block, then batches of records, each batch at a block boundary.
//!
//! ```text
//!  0 magic  4 version  8 sequence  12 salt  16 partition (8 bytes)  24 crc of all before
//! ```

use crate::log::header;
use crate::log::header::Header;
use ringmta_io::limits::BLOCK_BYTES;
use ringmta_io::{self as io, File};
use std::path::{Path, PathBuf};

const MAGIC: u32 = 0x3153_4d52;
/// Version of the format that is written, and the only one that is read.
pub const VERSION: u32 = 2;

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
        partition: u64,
        bytes: u64,
        durable: bool,
    ) -> std::io::Result<Segment> {
        let file = if io::fs::exists(&path) {
            File::open(&path, durable).await?
        } else {
            File::create(&path, bytes, durable).await?
        };
        let salt = io::unguessable_u64() as u32;
        file.write_at(header::block(MAGIC, VERSION, [sequence, salt], partition), 0).await?;
        Ok(Segment { file, path, sequence, salt })
    }
}

/// Reads a segment's header; its numbers are sequence and salt.
pub fn parse_header(bytes: &[u8]) -> Header {
    header::parse(bytes, MAGIC, VERSION)
}

/// The segment files of a partition folder, by number.
///
/// # Errors
/// As readdir(3).
pub fn list(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in io::fs::read_dir(dir)? {
        if name_number(&path).is_some() {
            found.push(path);
        }
    }
    Ok(found)
}

/// The number in the name of a segment file.
pub fn name_number(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix("segment-")?.strip_suffix(".dat")?.parse().ok()
}

/// The name of segment file number `number`.
pub fn file_name(number: u32) -> String {
    format!("segment-{number:08}.dat")
}

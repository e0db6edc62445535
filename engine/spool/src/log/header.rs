//! The header block of segment and journal files.
//!
//! ```text
//!  0 magic  4 version  8 two numbers  16 partition (8 bytes)  24 crc of all before
//! ```
//! A later version keeps these fields where they are, so that every engine can tell it from damage.
//! The partition's number ties the file to the folder it belongs to: what lies there by mistake,
//! or comes from a copy of another, is told apart.

use crate::limits::SEQUENCE_MAX;
use ringmta_io::limits::BLOCK_BYTES;
use ringmta_io::Block;

const CRC_AT: usize = 24;
/// Where the checksum stood in version 1.
const CRC_AT_1: usize = 16;

/// What the first block of a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// A file of this format.
    Valid {
        /// The first number: a segment's sequence, a journal's number.
        number: u32,
        /// Random number of this use of the file.
        salt: u32,
        /// The partition it was written for.
        partition: u64,
    },
    /// Written by another version of the engine.
    OtherVersion(u32),
    /// Nothing but zeros: made, and never written to.
    Empty,
    /// Anything else.
    Damaged,
}

/// A header as it goes to disk.
pub fn block(magic: u32, version: u32, numbers: [u32; 2], partition: u64) -> Block {
    let mut block = Block::with_capacity(BLOCK_BYTES);
    block.extend(&encode(magic, version, numbers, partition));
    block
}

/// The bytes of a header.
pub fn encode(magic: u32, version: u32, numbers: [u32; 2], partition: u64) -> Vec<u8> {
    let mut fields = Vec::with_capacity(CRC_AT + 4);
    for number in [magic, version, numbers[0], numbers[1]] {
        fields.extend_from_slice(&number.to_le_bytes());
    }
    fields.extend_from_slice(&partition.to_le_bytes());
    let crc = crc32c::crc32c(&fields);
    fields.extend_from_slice(&crc.to_le_bytes());
    fields
}

/// Reads the header of a file that starts with `bytes`.
pub fn parse(bytes: &[u8], magic: u32, version: u32) -> Header {
    let first = &bytes[..bytes.len().min(BLOCK_BYTES)];
    if first.iter().all(|byte| *byte == 0) {
        return Header::Empty;
    }
    match fields(first, magic, version) {
        Some(header) => header,
        None => Header::Damaged,
    }
}

fn fields(bytes: &[u8], magic: u32, version: u32) -> Option<Header> {
    let sealed_at = |at: usize| {
        let crc = bytes.get(..at).map(crc32c::crc32c);
        crc.is_some() && crc == u32_at(bytes, at)
    };
    if u32_at(bytes, 0)? != magic {
        return None;
    }
    let found = u32_at(bytes, 4)?;
    if found != version {
        let whole = sealed_at(CRC_AT) || sealed_at(CRC_AT_1);
        return whole.then_some(Header::OtherVersion(found));
    }
    let number = u32_at(bytes, 8)?;
    let salt = u32_at(bytes, 12)?;
    let partition = u64::from(u32_at(bytes, 16)?) | u64::from(u32_at(bytes, 20)?) << 32;
    let whole = sealed_at(CRC_AT) && number <= SEQUENCE_MAX;
    whole.then_some(Header::Valid { number, salt, partition })
}

/// The little-endian number at `at`.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

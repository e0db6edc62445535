//! One message as bytes in a segment: header, envelope, metadata, body, under one CRC-32C.
//!
//! ```text
//!  0 magic  4 crc of all that follows  8 total bytes  12 version  13..16 zero
//! 16 segment sequence  20 segment salt  24 created, unix ns  32 id (16 bytes)
//! 48 envelope bytes  52 metadata bytes  56 body bytes  60 generation  62..64 zero
//! ```
//! Numbers are little-endian. Sequence and salt tie a record to one use of its segment file, so
//! that what an earlier use left behind is never taken for a message.

use crate::limits::{META_BYTES_MAX, RECORD_RECIPIENTS_MAX};
use crate::location::Location;
use ringmta_io::Block;
use ringmta_mail::{EnvelopeAddress, MessageId, Meta};

/// Bytes of the header.
pub const HEADER_BYTES: usize = 64;
const MAGIC: u32 = 0x3152_4d52;
const VERSION: u8 = 1;
/// Records start at multiples of this.
pub const ALIGN: usize = 8;
/// Where a header has its [`mark`].
pub const MARK_AT: usize = 16;

/// A message as it goes to disk.
pub struct NewRecord<'a> {
    /// Its id.
    pub id: MessageId,
    /// When it was accepted, unix nanoseconds.
    pub created_nanos: u64,
    /// How often the message was written anew: of several records of one message the highest is
    /// the latest. A copy has that of its original.
    pub generation: u16,
    /// Envelope sender.
    pub sender: &'a EnvelopeAddress,
    /// Envelope recipients.
    pub recipients: &'a [EnvelopeAddress],
    /// Metadata.
    pub meta: &'a Meta,
    /// The message.
    pub body: &'a [u8],
}

/// Whether `record` has no more metadata or recipients than [`parse`] takes: what could not be read
/// back must not be acknowledged.
pub fn can_be_read(record: &NewRecord<'_>) -> bool {
    let longest = std::iter::once(record.sender).chain(record.recipients);
    let addresses = longest.map(|address| address.email().len()).max().unwrap_or(0);
    record.recipients.len() <= RECORD_RECIPIENTS_MAX
        && addresses <= usize::from(u16::MAX)
        && (record.meta.is_empty() || meta_bytes(record.meta) <= META_BYTES_MAX)
}

/// Bytes of metadata, encoded.
fn meta_bytes(meta: &Meta) -> usize {
    let mut count = Count(0);
    // A map of JSON values always has a JSON form, and counting does not fail.
    let _ = serde_json::to_writer(&mut count, meta);
    count.0
}

struct Count(usize);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Appends `record` to `block` and returns (start, bytes). Sequence, salt and checksum are put in
/// by [`seal`], when it is known which segment the block goes to.
pub fn append(block: &mut Block, record: &NewRecord<'_>) -> (u32, u32) {
    block.pad_to(ALIGN);
    let start = block.len();
    block.reserve(HEADER_BYTES + record.body.len() + 1024);
    block.extend(&[0; HEADER_BYTES]);
    put_envelope(block, record.sender, record.recipients);
    let envelope_end = block.len();
    // A map of JSON values always has a JSON form.
    let meta = serde_json::to_vec(record.meta).unwrap_or_else(|_| b"{}".to_vec());
    block.extend(&meta);
    block.extend(record.body);
    let total = block.len() - start;
    let header = block.tail_mut(start);
    put_u32(header, 0, MAGIC);
    put_u32(header, 8, total as u32);
    header[12] = VERSION;
    header[24..32].copy_from_slice(&record.created_nanos.to_le_bytes());
    header[32..48].copy_from_slice(&record.id.0);
    put_u32(header, 48, (envelope_end - start - HEADER_BYTES) as u32);
    put_u32(header, 52, meta.len() as u32);
    put_u32(header, 56, record.body.len() as u32);
    header[60..62].copy_from_slice(&record.generation.to_le_bytes());
    (start as u32, total as u32)
}

/// Binds the record at the start of `bytes` to a segment and puts its checksum in.
pub fn seal(bytes: &mut [u8], segment: u32, salt: u32) {
    let total = get_u32(bytes, 8) as usize;
    put_u32(bytes, MARK_AT, segment);
    put_u32(bytes, MARK_AT + 4, salt);
    let crc = crc32c::crc32c(&bytes[8..total]);
    put_u32(bytes, 4, crc);
}

fn put_envelope(block: &mut Block, sender: &EnvelopeAddress, recipients: &[EnvelopeAddress]) {
    block.extend(&(recipients.len() as u32).to_le_bytes());
    for address in std::iter::once(sender).chain(recipients) {
        let text = address.email();
        block.extend(&(text.len() as u16).to_le_bytes());
        block.extend(text.as_bytes());
    }
}

/// A record read back.
#[derive(Debug, Clone)]
pub struct StoredRecord<'a> {
    /// Its id.
    pub id: MessageId,
    /// When it was accepted, unix nanoseconds.
    pub created_nanos: u64,
    /// As in [`NewRecord::generation`].
    pub generation: u16,
    /// Envelope sender.
    pub sender: EnvelopeAddress,
    /// Envelope recipients.
    pub recipients: Vec<EnvelopeAddress>,
    /// Metadata.
    pub meta: Meta,
    /// The message.
    pub body: &'a [u8],
}

/// What stands at a place in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A whole record of so many bytes.
    Record(usize),
    /// Nothing of this use of the segment.
    Nothing,
    /// A record of this use that is damaged or was never finished.
    Damaged,
}

/// Bytes of the record whose header this is, as it says.
pub fn total_bytes(header: &[u8]) -> Option<u32> {
    (header.len() >= HEADER_BYTES && get_u32(header, 0) == MAGIC).then(|| get_u32(header, 8))
}

/// The bytes at [`MARK_AT`] of every record of one use of a segment.
pub fn mark(segment: u32, salt: u32) -> [u8; 8] {
    let mut mark = [0; 8];
    put_u32(&mut mark, 0, segment);
    put_u32(&mut mark, 4, salt);
    mark
}

/// The sequence number and salt a record says it was written for, when `bytes` start with one.
/// Whether it is whole is for [`probe`] to say.
pub fn claim(bytes: &[u8]) -> Option<(u32, u32)> {
    let is_record = bytes.len() >= HEADER_BYTES && get_u32(bytes, 0) == MAGIC;
    is_record.then(|| (get_u32(bytes, MARK_AT), get_u32(bytes, MARK_AT + 4)))
}

/// Looks at the start of `bytes`.
pub fn probe(bytes: &[u8], segment: u32, salt: u32) -> Found {
    if bytes.len() < HEADER_BYTES {
        return Found::Nothing;
    }
    let signs = [
        get_u32(bytes, 0) == MAGIC,
        get_u32(bytes, MARK_AT) == segment,
        get_u32(bytes, MARK_AT + 4) == salt,
    ];
    // One of the three may be what was damaged; no two of them come together by chance.
    if signs.iter().filter(|sign| **sign).count() < 2 {
        return Found::Nothing;
    }
    let total = get_u32(bytes, 8) as usize;
    let whole = signs == [true; 3]
        && total >= HEADER_BYTES
        && total <= bytes.len()
        && crc32c::crc32c(&bytes[8..total]) == get_u32(bytes, 4)
        && bytes[12] == VERSION;
    if whole {
        Found::Record(total)
    } else {
        Found::Damaged
    }
}

impl StoredRecord<'_> {
    /// The same, to be written again.
    pub fn as_new(&self) -> NewRecord<'_> {
        NewRecord {
            id: self.id,
            created_nanos: self.created_nanos,
            generation: self.generation,
            sender: &self.sender,
            recipients: &self.recipients,
            meta: &self.meta,
            body: self.body,
        }
    }
}

/// Reads the record at the start of `bytes`, which [`probe`] has found whole.
///
/// # Errors
/// What is wrong with its inner form.
pub fn parse(bytes: &[u8]) -> Result<StoredRecord<'_>, &'static str> {
    let header = bytes.get(..HEADER_BYTES).ok_or("record is cut")?;
    let sizes = [48, 52, 56].map(|at| get_u32(header, at) as usize);
    if sizes[1] > META_BYTES_MAX {
        return Err("metadata too large");
    }
    let envelope_end = HEADER_BYTES + sizes[0];
    let meta_end = envelope_end + sizes[1];
    let body_end = meta_end + sizes[2];
    let envelope = bytes.get(HEADER_BYTES..envelope_end).ok_or("envelope is cut")?;
    let meta = bytes.get(envelope_end..meta_end).ok_or("metadata is cut")?;
    let body = bytes.get(meta_end..body_end).ok_or("body is cut")?;
    let (sender, recipients) = parse_envelope(envelope)?;
    let meta = serde_json::from_slice(meta).map_err(|_| "metadata is not JSON")?;
    let mut id = [0; 16];
    id.copy_from_slice(&header[32..48]);
    let created_nanos = u64::from_le_bytes(array(&header[24..32]));
    let generation = u16::from_le_bytes([header[60], header[61]]);
    let id = MessageId(id);
    Ok(StoredRecord { id, created_nanos, generation, sender, recipients, meta, body })
}

fn parse_envelope(bytes: &[u8]) -> Result<(EnvelopeAddress, Vec<EnvelopeAddress>), &'static str> {
    let count = bytes.get(..4).map(|b| get_u32(b, 0) as usize).ok_or("envelope is cut")?;
    if count > RECORD_RECIPIENTS_MAX {
        return Err("too many recipients");
    }
    let mut rest = &bytes[4..];
    let mut next = || {
        let len = rest.get(..2).map(|b| u16::from_le_bytes([b[0], b[1]]) as usize)?;
        let text = rest.get(2..2 + len)?;
        rest = &rest[2 + len..];
        EnvelopeAddress::parse(std::str::from_utf8(text).ok()?).ok()
    };
    let sender = next().ok_or("sender cannot be read")?;
    let mut recipients = Vec::with_capacity(count);
    for _ in 0..count {
        recipients.push(next().ok_or("recipient cannot be read")?);
    }
    Ok((sender, recipients))
}

fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn get_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn array(bytes: &[u8]) -> [u8; 8] {
    let mut out = [0; 8];
    out.copy_from_slice(bytes);
    out
}

/// A location in `segment` of what [`append`] returned, for a block written at `base`.
pub fn location(segment: u32, base: u64, start: u32, bytes: u32) -> Location {
    Location { segment, offset: (base + u64::from(start)) as u32, bytes }
}

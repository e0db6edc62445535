//! The identity of a message: a version 1 UUID, so that its creation time can be read back from it.

use std::fmt;
use std::str::FromStr;

/// 100 ns ticks between the UUID epoch (1582-10-15) and the Unix epoch (RFC 9562, section 5.1).
const UUID_EPOCH_TICKS: u64 = 0x01B2_1DD2_1381_4000;

/// Sixteen bytes in the layout of a version 1 UUID; shown as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub [u8; 16]);

impl MessageId {
    /// Builds a version 1 identity. The caller guarantees that no two calls with the same `clock_seq` and `node` fall into
    /// the same 100 ns tick of `ts_unix_nanos`.
    pub fn new_v1(ts_unix_nanos: u64, clock_seq: u16, node: [u8; 6]) -> MessageId {
        let ticks = (ts_unix_nanos / 100).wrapping_add(UUID_EPOCH_TICKS);
        let mut b = [0u8; 16];
        b[0..4].copy_from_slice(&(ticks as u32).to_be_bytes());
        b[4..6].copy_from_slice(&((ticks >> 32) as u16).to_be_bytes());
        b[6..8].copy_from_slice(&((((ticks >> 48) as u16) & 0x0fff) | 0x1000).to_be_bytes());
        b[8..10].copy_from_slice(&((clock_seq & 0x3fff) | 0x8000).to_be_bytes());
        b[10..16].copy_from_slice(&node);
        MessageId(b)
    }

    /// The creation time in nanoseconds of the Unix epoch (100 ns resolution); 0 for a time before it.
    pub fn created_unix_nanos(&self) -> u64 {
        let b = &self.0;
        let low = u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as u64;
        let mid = u16::from_be_bytes([b[4], b[5]]) as u64;
        let high = (u16::from_be_bytes([b[6], b[7]]) & 0x0fff) as u64;
        let ticks = (high << 48) | (mid << 32) | low;
        ticks.saturating_sub(UUID_EPOCH_TICKS).saturating_mul(100)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut out = [0u8; 32];
        for (i, b) in self.0.iter().enumerate() {
            out[2 * i] = HEX[(b >> 4) as usize];
            out[2 * i + 1] = HEX[(b & 15) as usize];
        }
        f.write_str(std::str::from_utf8(&out).unwrap_or_default())
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text was not 32 hex digits (dashes are allowed between them).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadMessageId;

impl fmt::Display for BadMessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message id is 32 hexadecimal digits")
    }
}

impl std::error::Error for BadMessageId {}

impl FromStr for MessageId {
    type Err = BadMessageId;

    fn from_str(s: &str) -> Result<MessageId, BadMessageId> {
        let mut out = [0u8; 16];
        let mut n = 0;
        for c in s.bytes().filter(|c| *c != b'-') {
            let v = (c as char).to_digit(16).ok_or(BadMessageId)? as u8;
            let slot = out.get_mut(n / 2).ok_or(BadMessageId)?;
            *slot = (*slot << 4) | v;
            n += 1;
        }
        if n == 32 {
            Ok(MessageId(out))
        } else {
            Err(BadMessageId)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_survives_the_layout() {
        let now = 1_795_359_769_131_016_500;
        let id = MessageId::new_v1(now, 0xffff, [1, 2, 3, 4, 5, 6]);
        assert_eq!(id.created_unix_nanos(), now);
        assert_eq!(id.0[6] >> 4, 1, "version nibble");
        assert_eq!(id.0[8] >> 6, 2, "variant bits");
    }

    #[test]
    fn text_form_round_trips() {
        let id: MessageId = "c855f055e68511f1bf981a5608a41765".parse().unwrap();
        assert_eq!(id.to_string(), "c855f055e68511f1bf981a5608a41765");
        assert_eq!(id.created_unix_nanos(), 1_795_359_769_131_016_500);
        assert_eq!("c855f055-e685-11f1-bf98-1a5608a41765".parse(), Ok(id));
        assert_eq!("c855".parse::<MessageId>(), Err(BadMessageId));
        assert_eq!("zz55f055e68511f1bf981a5608a41765".parse::<MessageId>(), Err(BadMessageId));
    }
}

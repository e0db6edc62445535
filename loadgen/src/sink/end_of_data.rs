//! Finding `CRLF . CRLF` in a stream that comes in pieces.

use memchr::memmem::Finder;

/// What ends a message.
const END: &[u8; 5] = b"\r\n.\r\n";

/// How much of [`END`] still matches when one more byte does not (Knuth, Morris, Pratt).
const FALL_BACK: [usize; 5] = [0, 0, 0, 1, 2];

/// The search itself; built once per worker.
#[derive(Debug)]
pub struct Needle(Finder<'static>);

impl Default for Needle {
    fn default() -> Self {
        Self(Finder::new(END))
    }
}

/// How far the end has come in one message.
#[derive(Debug)]
pub struct EndOfData {
    matched: usize,
}

impl Default for EndOfData {
    fn default() -> Self {
        // The line end of the DATA command counts: a message may consist of the dot alone.
        Self { matched: 2 }
    }
}

impl EndOfData {
    /// Looks at the next piece; the result is the number of its bytes up to and including the end, if it is in there.
    pub fn scan(&mut self, needle: &Needle, piece: &[u8]) -> Option<usize> {
        let mut position = 0;
        while self.matched > 0 && position < piece.len() {
            self.step(piece[position]);
            position += 1;
            if self.matched == END.len() {
                return Some(position);
            }
        }
        let rest = &piece[position..];
        if let Some(found) = needle.0.find(rest) {
            return Some(position + found + END.len());
        }
        // Only the last bytes can begin an end that the next piece completes.
        for &byte in &rest[rest.len().saturating_sub(END.len() - 1)..] {
            self.step(byte);
        }
        None
    }

    fn step(&mut self, byte: u8) {
        while self.matched > 0 && END[self.matched] != byte {
            self.matched = FALL_BACK[self.matched - 1];
        }
        if END[self.matched] == byte {
            self.matched += 1;
        }
    }
}

/// Removes the dots that were doubled for transport, and the end mark, from a message received as a whole.
#[must_use]
pub fn unstuff(raw: &[u8]) -> Vec<u8> {
    let body = raw.strip_suffix(b".\r\n").unwrap_or(raw);
    let mut message = Vec::with_capacity(body.len());
    for line in body.split_inclusive(|&byte| byte == b'\n') {
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the end is found when the stream comes in the given pieces.
    fn end_in(pieces: &[&[u8]]) -> Option<usize> {
        let needle = Needle::default();
        let mut end = EndOfData::default();
        let mut before = 0;
        for piece in pieces {
            if let Some(position) = end.scan(&needle, piece) {
                return Some(before + position);
            }
            before += piece.len();
        }
        None
    }

    #[test]
    fn every_way_to_cut_a_stream_gives_the_same_end() {
        let cases: [(&[u8], Option<usize>); 9] = [
            (b".\r\nQUIT\r\n", Some(3)),
            (b"a\r\n.\r\nMAIL", Some(6)),
            (b"a\r\n..\r\n.\r\n.\r\n", Some(10)),
            (b"a\r\r\n.\r\n", Some(7)),
            (b"\r\n.\r\r\n.\r\nx", Some(9)),
            (b"a\n.\n\r\n.\r\n", Some(9)),
            (b"a\r\n.\n\r\n", None),
            (b"..\r\n", None),
            (b"a\r\n.\r\n.\r\n", Some(6)),
        ];
        for (stream, expected) in cases {
            for first in 0..=stream.len() {
                for second in first..=stream.len() {
                    let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
                    assert_eq!(end_in(&pieces), expected, "{pieces:?}");
                }
            }
            let bytes: Vec<&[u8]> = stream.chunks(1).collect();
            assert_eq!(end_in(&bytes), expected, "{stream:?} byte by byte");
        }
    }

    #[test]
    fn stuffing_is_undone() {
        assert_eq!(unstuff(b"a\r\n..b\r\n...\r\nc.\r\n.\r\n"), b"a\r\n.b\r\n..\r\nc.\r\n");
        assert_eq!(unstuff(b".\r\n"), b"");
    }
}

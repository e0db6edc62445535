//! Finding the loadgen id in the header of a message that comes in pieces.

use crate::ledger::{ID_HEADER, NO_ID};
use crate::limits;
use memchr::memchr;

/// The state of one message; its buffers live on for the next.
#[derive(Debug, Default)]
pub struct IdFinder {
    /// The beginning of a header line whose end has not come yet.
    partial: Vec<u8>,
    id: String,
    searching: bool,
}

impl IdFinder {
    /// A new message begins.
    pub fn restart(&mut self) {
        self.partial.clear();
        self.id.clear();
        self.searching = true;
    }

    /// Whether more of the message could show its id.
    #[must_use]
    pub fn is_searching(&self) -> bool {
        self.searching
    }

    /// The id, or the mark for none.
    #[must_use]
    pub fn id(&self) -> &str {
        match self.id.as_str() {
            "" => NO_ID,
            id => id,
        }
    }

    /// Looks at the next piece of the message.
    pub fn feed(&mut self, mut piece: &[u8]) {
        while self.searching {
            let Some(length) = memchr(b'\n', piece) else {
                let room = limits::HEADER_LINE_BYTES.saturating_sub(self.partial.len());
                self.partial.extend_from_slice(&piece[..piece.len().min(room)]);
                return;
            };
            let (line, rest) = piece.split_at(length + 1);
            piece = rest;
            if self.partial.is_empty() {
                self.line(line);
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(line);
                self.line(&whole);
                whole.clear();
                self.partial = whole;
            }
        }
    }

    fn line(&mut self, line: &[u8]) {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            self.searching = false;
            return;
        }
        let name = ID_HEADER.as_bytes();
        let Some((start, value)) = line.split_at_checked(name.len()) else {
            return;
        };
        let Some(value) = value.strip_prefix(b":") else {
            return;
        };
        if start.eq_ignore_ascii_case(name) {
            self.searching = false;
            let value = value.trim_ascii();
            // Anything else would tear the ledger's lines apart.
            if value.iter().all(u8::is_ascii_graphic) {
                self.id.push_str(std::str::from_utf8(value).unwrap_or_default());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(pieces: &[&[u8]]) -> String {
        let mut finder = IdFinder::default();
        finder.restart();
        pieces.iter().for_each(|piece| finder.feed(piece));
        finder.id().to_owned()
    }

    #[test]
    fn found_however_the_header_is_cut() {
        let message =
            b"Received: from x\r\n by y\r\nx-loadgen-ID:  0a1b2c3d-17 \r\nTo: a\r\n\r\nbody\r\n";
        for cut in 0..=message.len() {
            assert_eq!(id_of(&[&message[..cut], &message[cut..]]), "0a1b2c3d-17", "{cut}");
        }
        let bytes: Vec<&[u8]> = message.chunks(1).collect();
        assert_eq!(id_of(&bytes), "0a1b2c3d-17");
    }

    #[test]
    fn not_in_the_body_and_not_with_blanks() {
        assert_eq!(id_of(&[b"To: a\r\n\r\nX-Loadgen-Id: 1-1\r\n"]), "-");
        assert_eq!(id_of(&[b"X-Loadgen-Id: 1 1\r\n\r\n"]), "-");
        assert_eq!(id_of(&[b"X-Loadgen-Idx: 1-1\r\n\r\n"]), "-");
        assert_eq!(id_of(&[]), "-");
    }

    #[test]
    fn endless_lines_are_passed_over() {
        let long = vec![b'x'; limits::HEADER_LINE_BYTES * 3];
        assert_eq!(id_of(&[&long, &long, b"\r\nX-Loadgen-Id: 1-2\r\n"]), "1-2");
    }
}

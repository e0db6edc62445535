//! The end-of-data rule of RFC 5321 section 4.1.1.4 and 4.5.2, and nothing else: finds
//! `CRLF . CRLF`, takes stuffed dots away, and notes every line that breaks a rule. One pass over
//! the bytes, however they are cut.
//!
//! Only CRLF ends a line. A bare CR or LF never counts as one for the final dot, so no spelling
//! of it can smuggle a second message (CVE-2023-51764 and its kin).

use crate::lines::plain_lines;
use memchr::{memchr2, memrchr};

/// What to do with a CR or LF that is not part of a CRLF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BareEndings {
    /// Refuse the message.
    Deny,
    /// Keep them as they are (they are mended before they go out).
    Allow,
    /// Turn each into CRLF.
    Fix,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    LineStart,
    Dot,
    DotCr,
    InLine,
    Cr,
}

/// Why a message that was read to its end cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataFault {
    /// More bytes than allowed.
    TooLarge,
    /// A line longer than allowed.
    LineTooLong,
    /// A CR or LF alone.
    BareEnding,
    /// The memory for what is being received is used up.
    NoMemory,
}

/// Reads one message.
#[derive(Debug)]
pub struct DotReader {
    state: State,
    bare: BareEndings,
    size_max: usize,
    line_max: usize,
    line_len: usize,
    fault: Option<DataFault>,
}

impl DotReader {
    /// A reader for one message of at most `size_max` bytes in lines of at most `line_max` bytes
    /// (CRLF not counted).
    pub fn new(bare: BareEndings, size_max: usize, line_max: usize) -> DotReader {
        let state = State::LineStart;
        DotReader { state, bare, size_max, line_max, line_len: 0, fault: None }
    }

    /// Gives the message up: its end is looked for, and nothing of it is kept.
    pub fn give_up(&mut self, fault: DataFault) {
        self.note(fault);
    }

    /// The first rule the message broke.
    pub fn fault(&self) -> Option<DataFault> {
        self.fault
    }

    /// Reads from `input`, appends the message's bytes to `body`. Returns how much was taken and
    /// whether the end was found.
    pub fn read(&mut self, input: &[u8], body: &mut Vec<u8>) -> (usize, bool) {
        let mut at = 0;
        while at < input.len() {
            let byte = input[at];
            match self.state {
                State::InLine => {
                    at += self.whole_lines(&input[at..], body);
                    if self.state != State::InLine {
                        continue;
                    }
                    let rest = &input[at..];
                    let run = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
                    self.text(&rest[..run], body);
                    at += run;
                    match rest.get(run) {
                        Some(b'\r') => self.state = State::Cr,
                        Some(_) => self.bare(b'\n', body),
                        None => break,
                    }
                    at += 1;
                }
                State::Cr => match byte {
                    b'\n' => {
                        self.line_end(body);
                        at += 1;
                    }
                    b'\r' => {
                        self.bare(b'\r', body);
                        self.state = State::Cr;
                        at += 1;
                    }
                    _ => self.bare(b'\r', body),
                },
                State::LineStart => match byte {
                    b'.' => {
                        self.state = State::Dot;
                        at += 1;
                    }
                    _ => self.state = State::InLine,
                },
                State::Dot => match byte {
                    b'\r' => {
                        self.state = State::DotCr;
                        at += 1;
                    }
                    _ => self.state = State::InLine,
                },
                State::DotCr => match byte {
                    b'\n' => return (at + 1, true),
                    b'\r' => {
                        self.bare(b'\r', body);
                        self.state = State::Cr;
                        at += 1;
                    }
                    _ => self.bare(b'\r', body),
                },
            }
        }
        (at, false)
    }

    /// Takes the lines that end in CRLF, up to the first that does not or that a dot follows, in one
    /// piece: nearly all of nearly every message. Ends behind a CRLF, or where it began.
    fn whole_lines(&mut self, input: &[u8], body: &mut Vec<u8>) -> usize {
        // Where the message may become too large, it is read line by line: which rule is broken first must not depend on how
        // much came at once.
        if self.fault.is_none() && input.len() > self.room(body) {
            return 0;
        }
        let mut end = plain_lines(input);
        self.measure(&input[..end]);
        while let Some(run) = memchr2(b'\r', b'\n', &input[end..]) {
            if input[end + run] == b'\n' || input.get(end + run + 1) != Some(&b'\n') {
                break;
            }
            if self.line_len + run > self.line_max {
                self.note(DataFault::LineTooLong);
            }
            self.line_len = 0;
            end += run + 2;
            if matches!(input.get(end), None | Some(b'.')) {
                break;
            }
        }
        if end > 0 {
            self.push(&input[..end], body);
            self.state = State::LineStart;
        }
        end
    }

    /// Looks whether one of these lines is too long: from one line end to the last that it may be far away.
    fn measure(&mut self, mut lines: &[u8]) {
        while !lines.is_empty() {
            let room = self.line_max.saturating_add(2).saturating_sub(self.line_len);
            self.line_len = 0;
            match memrchr(b'\n', &lines[..room.min(lines.len())]) {
                Some(last) => lines = &lines[last + 1..],
                None => return self.note(DataFault::LineTooLong),
            }
        }
    }

    fn text(&mut self, run: &[u8], body: &mut Vec<u8>) {
        let room_in_line = self.line_max.saturating_sub(self.line_len);
        self.line_len += run.len();
        if self.line_len > self.line_max && self.room(body) >= room_in_line {
            self.note(DataFault::LineTooLong);
        }
        self.push(run, body);
    }

    fn line_end(&mut self, body: &mut Vec<u8>) {
        self.push(b"\r\n", body);
        self.line_len = 0;
        self.state = State::LineStart;
    }

    fn bare(&mut self, byte: u8, body: &mut Vec<u8>) {
        self.state = State::InLine;
        match self.bare {
            BareEndings::Deny => self.note(DataFault::BareEnding),
            // It ends no line: it is one more byte of it.
            BareEndings::Allow => self.text(&[byte], body),
            BareEndings::Fix => {
                self.push(b"\r\n", body);
                self.line_len = 0;
            }
        }
    }

    fn push(&mut self, bytes: &[u8], body: &mut Vec<u8>) {
        if bytes.len() > self.room(body) {
            self.note(DataFault::TooLarge);
        }
        // Of a message that will be refused nothing more is kept: its size is the sender's choice.
        if self.fault.is_none() {
            body.extend_from_slice(bytes);
        }
    }

    /// Bytes the message may still have.
    fn room(&self, body: &[u8]) -> usize {
        self.size_max.saturating_sub(body.len())
    }

    fn note(&mut self, fault: DataFault) {
        self.fault.get_or_insert(fault);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_whole(
        wire: &[u8],
        cut: usize,
        bare: BareEndings,
    ) -> (Vec<u8>, Option<DataFault>, usize) {
        let mut reader = DotReader::new(bare, 1 << 20, 998);
        let mut body = Vec::new();
        let mut taken = 0;
        for chunk in wire.chunks(cut.max(1)) {
            let (used, done) = reader.read(chunk, &mut body);
            taken += used;
            if done {
                return (body, reader.fault(), taken);
            }
            assert_eq!(used, chunk.len());
        }
        (body, reader.fault(), usize::MAX)
    }

    #[test]
    fn finds_the_end_however_it_is_cut() {
        let wire = b"Subject: x\r\n\r\n..stuffed\r\n.\rnot\r\n..\r\nlast\r\n.\r\nMAIL";
        for cut in 1..wire.len() {
            let (body, fault, taken) = read_whole(wire, cut, BareEndings::Allow);
            assert_eq!(body, b"Subject: x\r\n\r\n.stuffed\r\n\rnot\r\n.\r\nlast\r\n", "cut {cut}");
            assert_eq!(taken, wire.len() - 4, "cut {cut}");
            assert_eq!(fault, None);
        }
    }

    #[test]
    fn an_empty_message_ends_at_once() {
        assert_eq!(read_whole(b".\r\n", 1, BareEndings::Deny), (vec![], None, 3));
    }

    #[test]
    fn no_other_ending_ends_the_data() {
        for end in [
            "\n.\n",
            "\r.\r",
            "\r.\n",
            "\n.\r",
            "\n.\r\n",
            "\r\n.\n",
            "\r.\r\n",
            "\r\n.\r",
            "\r\n\0.\r\n",
            "\r\n.\0\r\n",
        ] {
            let wire = format!("a{end}MAIL FROM:<x@y>\r\n.\r\n");
            for cut in 1..wire.len() {
                let (_, fault, taken) = read_whole(wire.as_bytes(), cut, BareEndings::Deny);
                assert_eq!(taken, wire.len(), "{end:?} ended the data early");
                if !end.contains('\0') {
                    assert_eq!(fault, Some(DataFault::BareEnding), "{end:?}");
                }
            }
        }
    }

    #[test]
    fn fix_mends_and_allow_keeps() {
        let wire = b"a\nb\rc\r\n.\r\n";
        assert_eq!(read_whole(wire, 3, BareEndings::Fix).0, b"a\r\nb\r\nc\r\n");
        assert_eq!(read_whole(wire, 3, BareEndings::Allow).0, b"a\nb\rc\r\n");
    }

    #[test]
    fn what_is_kept_counts_for_the_length_of_its_line() {
        for (line, fault) in [
            ("x\r".repeat(499), None),
            ("x\r".repeat(500), Some(DataFault::LineTooLong)),
            ("\r".repeat(998), None),
            ("\r".repeat(999), Some(DataFault::LineTooLong)),
            ("x".repeat(998) + "\r", Some(DataFault::LineTooLong)),
            ("\n".repeat(999), Some(DataFault::LineTooLong)),
        ] {
            let wire = format!("{line}\r\n.\r\n");
            for cut in [1, 7, wire.len()] {
                let read = read_whole(wire.as_bytes(), cut, BareEndings::Allow);
                assert_eq!((read.1, read.2), (fault, wire.len()), "{line:?}, cut {cut}");
            }
        }
    }

    #[test]
    fn of_two_rules_the_one_broken_first_is_told() {
        let lines = |lengths: &[usize]| -> Vec<u8> {
            lengths.iter().flat_map(|length| ("x".repeat(*length) + "\r\n").into_bytes()).collect()
        };
        for (wire, fault) in [
            (lines(&[40, 40, 60]), DataFault::TooLarge),
            (lines(&[40, 40, 20, 60]), DataFault::TooLarge),
            (lines(&[40, 60, 40, 40]), DataFault::LineTooLong),
            (lines(&[60, 90]), DataFault::LineTooLong),
            (lines(&[48, 51]), DataFault::LineTooLong),
            (lines(&[49, 51]), DataFault::TooLarge),
        ] {
            let wire = [&wire[..], b".\r\n"].concat();
            for cut in 1..=wire.len() {
                let mut reader = DotReader::new(BareEndings::Deny, 100, 50);
                let mut body = Vec::new();
                for chunk in wire.chunks(cut) {
                    reader.read(chunk, &mut body);
                }
                assert_eq!(reader.fault(), Some(fault), "{} bytes, cut {cut}", wire.len());
            }
        }
    }

    /// Long pieces go another way than short ones, and must come to the same.
    #[test]
    fn long_messages_are_read_as_short_ones() {
        let line = |length: usize| [&vec![b'x'; length][..], b"\r\n"].concat();
        let plain = line(76).repeat(50);
        for (odd, fault) in [
            (line(998), None),
            (line(999), Some(DataFault::LineTooLong)),
            (line(5000), Some(DataFault::LineTooLong)),
            (b"a\nb\r\n".to_vec(), Some(DataFault::BareEnding)),
            (b"a\rb\r\n".to_vec(), Some(DataFault::BareEnding)),
            (b"\r\n".repeat(999), None),
            (b"..\r\n".to_vec(), None),
        ] {
            let wire = [&plain[..], &odd, &plain, b".\r\nQUIT\r\n"].concat();
            for bare in [BareEndings::Deny, BareEndings::Fix] {
                let (body, expected, taken) = read_whole(&wire, 1, bare);
                assert!(bare == BareEndings::Fix || expected == fault, "{expected:?}");
                for cut in [2, 511, 512, 513, 514, 1000, 2048, 4096, wire.len()] {
                    let read = read_whole(&wire, cut, bare);
                    assert_eq!((read.1, read.2), (expected, taken), "cut {cut}");
                    assert!(expected.is_some() || read.0 == body, "cut {cut}");
                }
            }
        }
    }

    #[test]
    fn limits_are_noted_and_bound_memory() {
        let mut reader = DotReader::new(BareEndings::Deny, 100, 50);
        let mut body = Vec::new();
        reader.read(&[b'a'; 51], &mut body);
        assert_eq!(reader.fault(), Some(DataFault::LineTooLong));
        let mut reader = DotReader::new(BareEndings::Deny, 100, 998);
        for _ in 0..1000 {
            reader.read(b"0123456789\r\n", &mut body);
        }
        assert_eq!(reader.fault(), Some(DataFault::TooLarge));
        assert!(body.len() <= 200);
        assert!(reader.read(b".\r\n", &mut body).1);
    }
}

//! The reply parser of the source: one reply, of one or more lines, from the front of a buffer.

use crate::limits;
use memchr::memchr;
use std::fmt;

/// A complete reply, as it stands in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The three digits.
    pub code: u16,
    /// Text of the last line, without code and line end.
    pub text: &'a [u8],
    /// All lines, with their line ends.
    pub whole: &'a [u8],
}

impl<'a> Reply<'a> {
    /// Whether the command succeeded (2xx).
    #[must_use]
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// The texts of all lines, without code and line end.
    pub fn lines(&self) -> impl Iterator<Item = &'a [u8]> {
        self.whole.split(|&byte| byte == b'\n').filter(|line| line.len() >= 3).map(text_of)
    }

    /// What the server calls the message: the value of `ids=` (or `id=`) in the text.
    #[must_use]
    pub fn ids(&self) -> Option<&'a str> {
        let text = std::str::from_utf8(self.text).ok()?;
        let value = text
            .split_ascii_whitespace()
            .find_map(|word| word.strip_prefix("ids=").or_else(|| word.strip_prefix("id=")));
        // Postfix and smtp-sink say it in another way.
        value.or_else(|| {
            text.split_once("queued as ").and_then(|(_, rest)| rest.split_ascii_whitespace().next())
        })
    }
}

/// Why a buffer holds no reply and never will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// A line does not begin with three digits and a separator.
    NotAReply,
    /// The code changes from line to line.
    MixedCodes,
    /// A line is too long.
    LongLine,
    /// There are too many lines.
    ManyLines,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAReply => write!(f, "not an SMTP reply"),
            Self::MixedCodes => write!(f, "different codes in one reply"),
            Self::LongLine => {
                write!(f, "a reply line of more than {} bytes", limits::REPLY_LINE_BYTES)
            }
            Self::ManyLines => write!(f, "a reply of more than {} lines", limits::REPLY_LINES),
        }
    }
}

/// Takes a reply from the front of `buffer`: `Ok(None)` when it is not complete yet. The reply's `whole` is the part
/// of the buffer that is used up.
///
/// # Errors
/// When what is there cannot become a reply.
pub fn parse(buffer: &[u8]) -> Result<Option<Reply<'_>>, Malformed> {
    let mut start = 0;
    let mut first_code = None;
    for _ in 0..limits::REPLY_LINES {
        let rest = &buffer[start..];
        let Some(length) = memchr(b'\n', rest) else {
            if rest.len() > limits::REPLY_LINE_BYTES {
                return Err(Malformed::LongLine);
            }
            // Garbage without line end is found out early, not at the deadline.
            return if plausible(rest) { Ok(None) } else { Err(Malformed::NotAReply) };
        };
        if length > limits::REPLY_LINE_BYTES {
            return Err(Malformed::LongLine);
        }
        let line = &rest[..length];
        let code = code_of(line).ok_or(Malformed::NotAReply)?;
        if *first_code.get_or_insert(code) != code {
            return Err(Malformed::MixedCodes);
        }
        start += length + 1;
        if line.get(3) != Some(&b'-') {
            return Ok(Some(Reply { code, text: text_of(line), whole: &buffer[..start] }));
        }
    }
    Err(Malformed::ManyLines)
}

fn plausible(beginning: &[u8]) -> bool {
    beginning.iter().take(3).all(u8::is_ascii_digit)
}

fn code_of(line: &[u8]) -> Option<u16> {
    let digits = line.get(..3)?;
    if !digits.iter().all(u8::is_ascii_digit)
        || !matches!(line.get(3), None | Some(b' ' | b'-' | b'\r'))
    {
        return None;
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    (200..600).contains(&code).then_some(code)
}

fn text_of(line: &[u8]) -> &[u8] {
    line.get(4..).unwrap_or_default().trim_ascii_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line() {
        let reply = parse(b"250 2.0.0 Ok\r\n354 go").unwrap().unwrap();
        assert_eq!((reply.code, reply.text), (250, &b"2.0.0 Ok"[..]));
        assert_eq!(reply.whole.len(), 14);
    }

    #[test]
    fn several_lines() {
        let reply = parse(b"250-mx.example\r\n250-PIPELINING\r\n250 SIZE 10\r\n").unwrap().unwrap();
        let lines: Vec<_> = reply.lines().collect();
        assert_eq!(lines, [&b"mx.example"[..], b"PIPELINING", b"SIZE 10"]);
        assert_eq!(reply.text, b"SIZE 10");
    }

    #[test]
    fn bare_forms() {
        assert_eq!(parse(b"220\r\n").unwrap().unwrap().code, 220);
        assert_eq!(parse(b"220\n").unwrap().unwrap().text, b"");
        assert_eq!(parse(b"220 \xff\xfe\n").unwrap().unwrap().text, b"\xff\xfe");
    }

    #[test]
    fn every_prefix_is_incomplete() {
        let whole = b"250-mx.example\r\n250 SIZE 10\r\n";
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn garbage_is_told_from_incomplete() {
        for bad in [
            &b"hello\r\n"[..],
            b"25",
            b"HTTP/1.1 400",
            b"\r\n",
            b"250!x\r\n",
            b"999 x\r\n",
            b"000 x\r\n",
        ] {
            let expected = if bad == b"25" { Ok(None) } else { Err(Malformed::NotAReply) };
            assert_eq!(parse(bad), expected, "{bad:?}");
        }
        assert_eq!(parse(b"250-a\r\n251 b\r\n"), Err(Malformed::MixedCodes));
        assert_eq!(parse(&[b'2'; 10_000]), Err(Malformed::LongLine));
        assert_eq!(parse(&b"250-x\r\n".repeat(1000)), Err(Malformed::ManyLines));
    }

    #[test]
    fn ids_of_several_servers() {
        let ids = |line: &'static [u8]| parse(line).unwrap().unwrap().ids();
        assert_eq!(ids(b"250 OK ids=0a1b,0c2d more\r\n"), Some("0a1b,0c2d"));
        assert_eq!(ids(b"250 2.0.0 Ok: queued as 4Z1x\r\n"), Some("4Z1x"));
        assert_eq!(ids(b"250 2.0.0 Ok\r\n"), None);
    }
}

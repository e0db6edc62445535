//! Replies of a next hop (RFC 5321 section 4.2): bytes in, whole replies out, within limits.

use crate::limits::{REPLY_BYTES_MAX, REPLY_LINES_MAX, REPLY_QUOTE_BYTES_MAX};
use ringmta_io::sim::planted::{is_planted, Bug};

/// An enhanced status code (RFC 3463).
pub type Enhanced = (u8, u16, u16);

/// What our own replies begin with.
const INTERNAL: &str = "KumoMTA internal: ";

/// One reply, or one made by ourselves in its place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// Three digits.
    pub code: u16,
    /// Enhanced code, taken off the text.
    pub enhanced: Option<Enhanced>,
    /// The text, lines joined with a newline.
    pub content: String,
    /// What it answers, with its line end.
    pub command: Option<String>,
}

impl Response {
    /// A reply of our own about a delivery; marked so that automation can tell it from a peer's.
    pub fn internal(code: u16, text: impl std::fmt::Display) -> Response {
        Response { code, content: format!("{INTERNAL}{text}"), ..Response::default() }
    }

    /// Whether it is a reply of our own, made in place of a peer's.
    pub fn is_internal(&self) -> bool {
        self.content.starts_with(INTERNAL)
    }

    /// 2yz: the only kind that completes a command (RFC 5321 section 4.2.1).
    pub fn is_success(&self) -> bool {
        let end = if is_planted(Bug::IntermediateSucceeds) { 400 } else { 300 };
        (200..end).contains(&self.code)
    }

    /// 3yz: the peer waits for more.
    pub fn is_intermediate(&self) -> bool {
        (300..400).contains(&self.code) && !is_planted(Bug::IntermediateSucceeds)
    }

    /// The text on one line, as records have it.
    pub fn joined(&self) -> String {
        self.content.replace('\n', " ")
    }

    /// In the form in which the reference quotes a reply within other words.
    pub fn quoted(&self) -> String {
        let enhanced = match self.enhanced {
            Some((class, subject, detail)) => format!(
                "Some(EnhancedStatusCode {{ class: {class}, subject: {subject}, detail: {detail} }})"
            ),
            None => "None".into(),
        };
        format!(
            "Response {{ code: {}, enhanced_code: {enhanced}, content: {:?}, command: {:?} }}",
            self.code,
            self.joined(),
            self.command
        )
    }

    /// As a line: code, enhanced code when there is one, text.
    pub fn to_text(&self) -> String {
        match self.enhanced {
            Some((class, subject, detail)) => {
                format!("{} {class}.{subject}.{detail} {}", self.code, self.content)
            }
            None => format!("{} {}", self.code, self.content),
        }
    }

    /// 5xx.
    pub fn is_permanent(&self) -> bool {
        self.code >= 500
    }
}

/// What a peer sent that is no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyFault {
    /// A line that does not start with a code, or whose code is not that of the line before it: its start.
    Malformed(String),
    /// More lines or bytes than any reply needs.
    TooLong,
}

impl std::fmt::Display for ReplyFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReplyFault::Malformed(line) => f.write_str(line),
            ReplyFault::TooLong => f.write_str("the reply is too long"),
        }
    }
}

/// Cuts a peer's bytes into replies.
#[derive(Debug, Default)]
pub struct ReplyReader {
    buffer: Vec<u8>,
    start: usize,
    lines: usize,
    code: u16,
    text: String,
}

impl ReplyReader {
    /// Adds received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Forgets what has been received: nothing said in the clear may count under TLS.
    pub fn clear(&mut self) {
        *self = ReplyReader::default();
    }

    /// Whether bytes wait that no reply was asked for.
    pub fn is_empty(&self) -> bool {
        self.start == self.buffer.len() && self.lines == 0
    }

    /// The next whole reply, if there is one.
    ///
    /// # Errors
    /// When what came cannot be one.
    pub fn next_reply(&mut self) -> Result<Option<Response>, ReplyFault> {
        loop {
            let pending = &self.buffer[self.start..];
            let Some(end) = memchr::memchr(b'\n', pending) else {
                if pending.len() + self.text.len() > REPLY_BYTES_MAX {
                    return Err(ReplyFault::TooLong);
                }
                return Ok(None);
            };
            let mut line = &pending[..end];
            if line.last() == Some(&b'\r') {
                line = &line[..line.len() - 1];
            }
            let (code, last, text) = split_line(line)?;
            if self.lines > 0 && code != self.code {
                return Err(malformed(line));
            }
            self.lines += 1;
            if self.lines > REPLY_LINES_MAX || self.text.len() + text.len() > REPLY_BYTES_MAX {
                return Err(ReplyFault::TooLong);
            }
            if self.lines > 1 {
                self.text.push('\n');
            }
            self.code = code;
            match std::str::from_utf8(text) {
                Ok(text) => self.text.push_str(text),
                Err(_) => self.text.push_str(&String::from_utf8_lossy(text)),
            }
            self.start += end + 1;
            if last {
                self.lines = 0;
                let text = std::mem::take(&mut self.text);
                return Ok(Some(make_response(code, text)));
            }
        }
    }
}

/// The start of a line is enough to know its sender by.
fn malformed(line: &[u8]) -> ReplyFault {
    let start = &line[..line.len().min(REPLY_QUOTE_BYTES_MAX)];
    ReplyFault::Malformed(String::from_utf8_lossy(start).into_owned())
}

fn split_line(line: &[u8]) -> Result<(u16, bool, &[u8]), ReplyFault> {
    let [a @ b'2'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] = line else {
        return Err(malformed(line));
    };
    let digit = |d: &u8| u16::from(d - b'0');
    let code = digit(a) * 100 + digit(b) * 10 + digit(c);
    match rest {
        [] => Ok((code, true, b"")),
        [b' ', text @ ..] => Ok((code, true, text)),
        [b'-', text @ ..] => Ok((code, false, text)),
        _ => Err(malformed(line)),
    }
}

fn make_response(code: u16, mut text: String) -> Response {
    let Some((enhanced, len)) = enhanced_code(&text) else {
        return Response { code, content: text, ..Response::default() };
    };
    if memchr::memchr(b'\n', text.as_bytes()).is_none() {
        // Nearly every reply is one line: its text stays where it is.
        let kept = text[len..].trim_start_matches(' ').len();
        text.drain(..text.len() - kept);
        return Response { code, enhanced: Some(enhanced), content: text, command: None };
    }
    // Each line of a multi-line reply repeats the code (RFC 2034); the first stands for all.
    let prefix = text[..len].to_string();
    let content: Vec<&str> = text
        .split('\n')
        .map(|line| line.strip_prefix(&prefix).unwrap_or(line).trim_start_matches(' '))
        .collect();
    Response { code, enhanced: Some(enhanced), content: content.join("\n"), command: None }
}

/// The enhanced code at the start of a text, and its length.
pub fn enhanced_code(text: &str) -> Option<(Enhanced, usize)> {
    let token = text.split([' ', '\n']).next()?;
    let mut parts = token.split('.');
    let class: u8 = parts.next()?.parse().ok()?;
    let subject: u16 = parts.next()?.parse().ok()?;
    let detail: u16 = parts.next()?.parse().ok()?;
    let fits = matches!(class, 2 | 4 | 5) && subject < 1000 && detail < 1000;
    (fits && parts.next().is_none()).then_some(((class, subject, detail), token.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wire: &str, cut: usize) -> Vec<Result<Option<Response>, ReplyFault>> {
        let mut reader = ReplyReader::default();
        let mut all = Vec::new();
        for chunk in wire.as_bytes().chunks(cut) {
            reader.push(chunk);
            loop {
                match reader.next_reply() {
                    Ok(None) => break,
                    Ok(reply) => all.push(Ok(reply)),
                    Err(fault) => {
                        all.push(Err(fault));
                        return all;
                    }
                }
            }
        }
        all
    }

    #[test]
    fn replies_however_they_are_cut() {
        let wire = "250-a.test\r\n250-SIZE 10\r\n250 OK\r\n250 2.1.0 fine\r\n354\r\n";
        for cut in 1..wire.len() {
            let replies: Vec<_> =
                read(wire, cut).into_iter().map(|r| r.unwrap().unwrap()).collect();
            assert_eq!(replies.len(), 3);
            assert_eq!(replies[0].content, "a.test\nSIZE 10\nOK");
            assert_eq!(
                (replies[1].enhanced, replies[1].content.as_str()),
                (Some((2, 1, 0)), "fine")
            );
            assert_eq!((replies[2].code, replies[2].content.as_str()), (354, ""));
        }
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        assert_eq!(read("hello\r\n", 99), [Err(ReplyFault::Malformed("hello".into()))]);
        assert_eq!(read("250-a\r\n550 b\r\n", 99), [Err(ReplyFault::Malformed("550 b".into()))]);
        assert_eq!(read("99 x\r\n", 99), [Err(ReplyFault::Malformed("99 x".into()))]);
        let endless = "250-x\r\n".repeat(REPLY_LINES_MAX + 1);
        assert_eq!(read(&endless, 4096), [Err(ReplyFault::TooLong)]);
        let long = "x".repeat(REPLY_BYTES_MAX + 1);
        assert_eq!(read(&long, 4096), [Err(ReplyFault::TooLong)]);
    }

    #[test]
    fn enhanced_code_on_every_line_is_taken_off() {
        let replies = read("550-5.7.1 first\r\n550 5.7.1 second\r\n", 99);
        let reply = replies[0].clone().unwrap().unwrap();
        assert_eq!(reply.content, "first\nsecond");
        assert_eq!(reply.enhanced, Some((5, 7, 1)));
    }
}

//! The heads of a message and of its parts, before a parser sees them: bounded in number of fields, for the parser keeps each
//! of them, and there may be millions; and messages that are encoded within others left closed until somebody opens them.

use crate::limits::{SANDBOX_ALL_FIELDS, SANDBOX_HEADER_FIELDS};
use std::borrow::Cow;

/// What an encoded message within a message is called for the parser, which would otherwise decode it and keep every field of
/// it: as long as its name, so that nothing moves. [`opened`] takes it back.
const CLOSED: u8 = b'x';
/// How it begins then.
const CLOSED_TYPE: &str = "xessage/";
/// Bytes of a value, without blanks and comments, that tell what it is.
const TELLING: usize = 24;

/// The message with no more fields at its head and at the heads of its parts than are told, and with its encoded messages
/// closed. A head is what stands behind a line that begins as a boundary does, up to a line that is no field; a text that looks
/// like one, and is as long, loses lines to the views, not to the source.
pub(super) fn bounded(source: &[u8]) -> Cow<'_, [u8]> {
    let mut walk = Walk::of(source);
    let mut at = 0;
    while at < source.len() {
        let end = memchr::memchr(b'\n', &source[at..]).map_or(source.len(), |end| at + end + 1);
        walk.line(at, end);
        at = end;
    }
    walk.end_of_field(at);
    walk.result()
}

/// The type of a part as its message has it.
pub(super) fn opened(content_type: String) -> String {
    match content_type.strip_prefix(CLOSED_TYPE) {
        Some(rest) => format!("message/{rest}"),
        None => content_type,
    }
}

/// What is known of the head that is walked through.
#[derive(Default)]
struct Head {
    fields: usize,
    /// Where the types of its part will begin that say it is a message.
    of_mail: Vec<usize>,
    has_type: bool,
    /// Where the field will begin by which its part is encoded.
    encoded: Option<usize>,
}

struct Walk<'a> {
    source: &'a [u8],
    head: Head,
    in_head: bool,
    /// Where the field begins that may still be folded.
    field: Option<usize>,
    /// Parts without a type may be messages.
    in_digest: bool,
    all: usize,
    /// What is kept of the source before `from`.
    kept: Vec<u8>,
    from: usize,
    /// Where the bytes will be that are to be others.
    closed: Vec<usize>,
}

impl<'a> Walk<'a> {
    fn of(source: &'a [u8]) -> Walk<'a> {
        Walk {
            source,
            head: Head::default(),
            in_head: true,
            field: None,
            in_digest: false,
            all: 0,
            kept: Vec::new(),
            from: 0,
            closed: Vec::new(),
        }
    }

    fn line(&mut self, at: usize, end: usize) {
        let line = &self.source[at..end];
        if line.starts_with(b"--") {
            self.end_of_field(at);
            // It may be no boundary, and then the head goes on: what it said so far still counts.
            let head = std::mem::take(&mut self.head);
            if self.in_head {
                self.head = Head { fields: 0, has_type: false, ..head };
            }
            self.in_head = true;
            return;
        }
        if !self.in_head {
            return;
        }
        let is_folded = line.starts_with(b" ") || line.starts_with(b"\t");
        if !is_folded {
            self.end_of_field(at);
            if !line.contains(&b':') {
                return self.end_of_head();
            }
            self.head.fields += 1;
            self.all += 1;
        }
        if self.head.fields > SANDBOX_HEADER_FIELDS || self.all > SANDBOX_ALL_FIELDS {
            self.drop(at, end);
        } else if !is_folded {
            self.field = Some(at);
        }
    }

    /// Looks at a field that is whole.
    fn end_of_field(&mut self, end: usize) {
        let Some(at) = self.field.take() else { return };
        let field = &self.source[at..end];
        let Some(colon) = memchr::memchr(b':', field) else { return };
        let name = field[..colon].trim_ascii_end();
        let is_type = name.eq_ignore_ascii_case(b"content-type");
        if !is_type && !name.eq_ignore_ascii_case(b"content-transfer-encoding") {
            return;
        }
        let (begin, value) = telling(&field[colon + 1..]);
        if is_type {
            self.head.has_type = true;
            self.in_digest |= value.starts_with(b"multipart/digest");
            if value.starts_with(b"message/") {
                self.head.of_mail.push(self.place(at + colon + 1 + begin));
            }
        } else if value.starts_with(b"base64") || value.starts_with(b"quoted-printable") {
            self.head.encoded = Some(self.place(at));
        }
    }

    /// Behind the head of a part that is a message stands that message's own, unless it is encoded.
    fn end_of_head(&mut self) {
        let Head { of_mail, has_type, encoded, .. } = std::mem::take(&mut self.head);
        let of_digest = self.in_digest && !has_type;
        self.in_head = (!of_mail.is_empty() || of_digest) && encoded.is_none();
        match encoded {
            // One without a type has none to change: it is read as it came.
            Some(at) if of_digest => self.closed.push(at),
            Some(_) => self.closed.extend(of_mail),
            None => {}
        }
    }

    fn drop(&mut self, at: usize, end: usize) {
        self.kept.extend_from_slice(&self.source[self.from..at]);
        self.from = end;
    }

    /// Where a byte that is kept will be.
    fn place(&self, at: usize) -> usize {
        self.kept.len() + at - self.from
    }

    fn result(self) -> Cow<'a, [u8]> {
        let Walk { source, mut kept, from, closed, .. } = self;
        if from == 0 && closed.is_empty() {
            return Cow::Borrowed(source);
        }
        kept.extend_from_slice(&source[from..]);
        for place in closed {
            if let Some(byte) = kept.get_mut(place) {
                *byte = CLOSED;
            }
        }
        Cow::Owned(kept)
    }
}

/// The first bytes of a value without blanks and comments, in lower case, and where they begin.
fn telling(value: &[u8]) -> (usize, Vec<u8>) {
    let (mut begin, mut told) = (0, Vec::new());
    let (mut depth, mut is_escaped) = (0_usize, false);
    for (at, byte) in value.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if depth > 0 => is_escaped = true,
            b'(' => depth += 1,
            b')' if depth > 0 => depth -= 1,
            _ if depth > 0 || byte.is_ascii_whitespace() || *byte == b'"' => {}
            _ => {
                if told.is_empty() {
                    begin = at;
                }
                told.push(byte.to_ascii_lowercase());
            }
        }
        if told.len() == TELLING {
            break;
        }
    }
    (begin, told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mime;
    use mail_parser::{Message, PartType};

    /// Fields of a message and of all that is within it.
    fn fields(mail: &Message<'_>) -> usize {
        let of_part = |part: &mail_parser::MessagePart<'_>| {
            let within = match &part.body {
                PartType::Message(inner) => fields(inner),
                _ => 0,
            };
            part.headers.len() + within
        };
        mail.parts.iter().map(of_part).sum()
    }

    fn within(head: &str, body: &str) -> String {
        format!("From: x@y.test\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{head}\r\n{body}\r\n--b--\r\n")
    }

    #[test]
    fn millions_of_fields_are_not_kept() {
        let many = "A: b\r\n c\r\n".repeat(SANDBOX_HEADER_FIELDS + 5);
        for (head, rest) in [("", "\r\nthe body\r\n"), ("From: x@y.test\r\n", "\r\nthe body")] {
            let source = format!("{head}{many}Last: one\r\n{rest}");
            let text = mime::with_mail(source.as_bytes(), |mail| {
                assert_eq!(mail.headers().len(), SANDBOX_HEADER_FIELDS);
                mime::text(mail)
            });
            assert_eq!(text.unwrap().trim_end(), "the body");
        }
        // Of a part, and of a message in one.
        for head in ["Content-Type: text/plain\r\n", "Content-Type: Message/RFC822\r\n\r\n"] {
            let source = within(&format!("{head}{many}"), "the body");
            let kept = bounded(source.as_bytes());
            assert!(kept.len() > SANDBOX_HEADER_FIELDS * 8 && kept.len() < source.len());
            let rest = "A: b\r\n c\r\n\r\nthe body\r\n--b--\r\n";
            assert!(String::from_utf8_lossy(&kept).ends_with(rest));
        }
        for same in ["", "\n", "no mail at all", "A: b\r\n\r\nbody", &"words\n".repeat(20_000)] {
            assert_eq!(bounded(same.as_bytes()), same.as_bytes());
        }
    }

    #[test]
    fn however_a_message_within_is_written_its_fields_are_bounded() {
        use base64::Engine;
        let mail = format!("Subject: in\r\n{}\r\nthe body\r\n", "A: b\r\n".repeat(40_000));
        let coded = base64::engine::general_purpose::STANDARD.encode(&mail);
        let quoted = mail.replace('=', "=3D");
        let digest = |head: &str, body: &str| within(head, body).replace("mixed", "digest");
        let typed = "Content-Type: message/rfc822\r\n";
        let sources = [
            within(typed, &format!("\r\n{mail}")),
            within("Content-Type:\r\n message/rfc822\r\n", &format!("\r\n{mail}")),
            within("Content-Type: (a \\) b) Message/Global\r\n", &format!("\r\n{mail}")),
            within(&format!("{typed}Content-Transfer-Encoding: base64\r\n"), &coded),
            within(&format!("Content-Transfer-Encoding:\r\n BASE64\r\nX: y\r\n{typed}"), &coded),
            within(&format!("{typed}Content-Transfer-Encoding: quoted-printable\r\n"), &quoted),
            within(&format!("{typed}{typed}Content-Transfer-Encoding: base64\r\n"), &coded),
            within(&format!("{typed}--x\r\nContent-Transfer-Encoding: base64\r\n"), &coded),
            digest("", &mail),
            digest("Content-Transfer-Encoding: base64\r\n", &coded),
            format!("{typed}Content-Transfer-Encoding: base64\r\n\r\n{coded}"),
        ];
        for source in &sources {
            let kept = mime::with_mail(source.as_bytes(), fields).unwrap();
            assert!(kept < SANDBOX_HEADER_FIELDS + 20, "{kept}: {:.200}", source);
        }
    }

    #[test]
    fn an_encoded_message_is_what_it_was_when_it_is_opened() {
        let source = within(
            "Content-Type: Message/rfc822; name=in.eml\r\nContent-Transfer-Encoding: base64\r\n",
            "U3ViamVjdDogaW4NCg0KaGVsbG8NCg==",
        );
        let (part, bytes) = mime::part(source.as_bytes(), "1").unwrap();
        assert_eq!(
            (part.content_type.as_str(), part.file_name.as_str()),
            ("message/rfc822", "in.eml")
        );
        assert_eq!(bytes, b"Subject: in\r\n\r\nhello\r\n");
        assert_eq!(mime::with_mail(source.as_bytes(), mime::parts).unwrap().1[0], part);
    }
}

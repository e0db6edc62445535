//! A message made of the parts a request gives: `mixed` around `related` around `alternative`, of these what is needed.

use crate::inject::fill::{Filled, Filler};
use crate::inject::header;
use crate::inject::header::one_line;
use crate::inject::request::{Attachment, Parts, Recipient};
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use ringmta_io::random_u64;
use ringmta_smtp::dates as date;
use std::fmt::Write;

/// Fields that a message has once (RFC 5322 section 3.6).
const ONCE: [&str; 11] = [
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "bcc",
    "message-id",
    "in-reply-to",
    "references",
    "date",
    "subject",
];
/// Longest line of a body (RFC 5322 section 2.1.1).
const LINE_LONGEST: usize = 998;
/// Longest line of quoted-printable and base64 (RFC 2045 sections 6.7, 6.8).
const ENCODED_LINE: usize = 76;
/// Fields that follow from how the message is built; a caller's are not taken over.
const OURS: [&str; 3] = ["MIME-Version", "Content-Type", "Content-Transfer-Encoding"];

/// Facts of one message.
pub struct About<'a> {
    /// Its id, for Message-ID.
    pub id: String,
    /// Our name, for Message-ID.
    pub hostname: &'a str,
    /// When it was made, seconds of the Unix epoch.
    pub created_secs: u64,
}

/// An entity: its header fields without the final blank line, and its body.
struct Entity {
    head: String,
    body: String,
}

/// Builds the message of one recipient.
///
/// # Errors
/// What cannot be put into a message.
pub fn build(
    parts: &Parts,
    filler: &Filler<'_>,
    recipient: &Recipient,
    about: &About<'_>,
) -> Result<Vec<u8>, String> {
    let filled = filler.fill(recipient)?;
    let mut out = String::new();
    fields(&mut out, parts, &filled, recipient, about)?;
    let whole = structure(parts, &filled)?;
    out.push_str("MIME-Version: 1.0\r\n");
    out.push_str(&whole.head);
    out.push_str("\r\n");
    out.push_str(&whole.body);
    if !out.ends_with("\r\n") {
        out.push_str("\r\n");
    }
    Ok(out.into_bytes())
}

/// The fields of the message itself. One given by a member of its own (`from`, `subject`, `reply_to`) is not repeated when
/// `headers` has it too (RFC 5322 section 3.6); what else `headers` has stands in place of what would be made.
fn fields(
    out: &mut String,
    parts: &Parts,
    filled: &Filled,
    recipient: &Recipient,
    about: &About<'_>,
) -> Result<(), String> {
    let given = |name: &str| parts.headers.keys().any(|key| key.eq_ignore_ascii_case(name));
    match &filled.from {
        Some((name, email)) => header::push(out, "From", &mailbox("from", name, email)?)?,
        None if given("From") => {}
        None => return Err("content.from: a message needs a From".into()),
    }
    if let Some((name, email)) = &filled.reply_to {
        header::push(out, "Reply-To", &mailbox("reply_to", name, email)?)?;
    }
    if !given("To") {
        let to = mailbox("recipients", &recipient.name, &recipient.email)?;
        header::push(out, "To", &to)?;
    }
    if let Some(subject) = &filled.subject {
        header::push(out, "Subject", &header::text(&one_line("subject", subject)?))?;
    }
    let mut seen: Vec<String> = Vec::new();
    for (name, value) in &filled.headers {
        if !header::is_name(name) {
            return Err(format!("headers: {name:?} is not a header name"));
        }
        let value = one_line(name, value)?;
        let lower = name.to_ascii_lowercase();
        let made = OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name))
            || (lower == "from" && filled.from.is_some())
            || (lower == "subject" && filled.subject.is_some())
            || (lower == "reply-to" && filled.reply_to.is_some());
        let once = ONCE.contains(&lower.as_str());
        if made || (once && seen.contains(&lower)) {
            continue;
        }
        seen.push(lower);
        let value = match header::holds_addresses(name) {
            true => header::addresses(&value),
            false => header::text(&value),
        };
        header::push(out, name, &value)?;
    }
    if !given("Date") {
        let mut text = Vec::new();
        date::push_rfc5322(&mut text, about.created_secs);
        header::push(out, "Date", &String::from_utf8_lossy(&text))?;
    }
    if !given("Message-ID") {
        // A name without a domain says nothing elsewhere; the author's domain does.
        let author = filled.from.as_ref().and_then(|(_, email)| email.rsplit_once('@'));
        let right = match (about.hostname.contains('.'), author) {
            (false, Some((_, domain))) if domain.is_ascii() => domain,
            _ => about.hostname,
        };
        let _ = write!(out, "Message-ID: <{}@{right}>\r\n", about.id);
    }
    Ok(())
}

fn mailbox(field: &str, name: &Option<String>, email: &str) -> Result<String, String> {
    let email = one_line(field, email)?;
    if email.is_empty() || email.contains(['<', '>']) {
        return Err(format!("{field}.email: not an address"));
    }
    let name = name.as_deref().map(|name| one_line(field, name)).transpose()?;
    Ok(header::mailbox(name.as_deref(), &email))
}

fn structure(parts: &Parts, filled: &Filled) -> Result<Entity, String> {
    let texts = [
        ("plain", filled.text.as_deref()),
        ("x-amp-html", filled.amp.as_deref()),
        ("html", filled.html.as_deref()),
    ];
    let texts = texts.into_iter().filter_map(|(kind, body)| Some(text(kind, body?)));
    let mut whole = joined("alternative", texts.collect());
    let (inline, attached): (Vec<_>, Vec<_>) =
        parts.attachments.iter().partition(|one| one.content_id.is_some());
    for (kind, more) in [("related", inline), ("mixed", attached)] {
        if more.is_empty() {
            continue;
        }
        let more = more.into_iter().map(attachment).collect::<Result<Vec<_>, _>>()?;
        whole = joined(kind, whole.into_iter().chain(more).collect());
    }
    Ok(whole.unwrap_or_else(|| text("plain", "")))
}

/// One entity of several, or the one there is.
fn joined(kind: &str, mut entities: Vec<Entity>) -> Option<Entity> {
    // An attachment alone is still an attachment of a message.
    if entities.len() < 2 && kind == "alternative" {
        return entities.pop();
    }
    // No line of quoted-printable or base64 can hold it, and nobody knows it before.
    let boundary = format!("=_{:016x}{:016x}", random_u64(), random_u64());
    let mut body = String::new();
    for Entity { head, body: inner } in entities {
        let _ = write!(body, "--{boundary}\r\n{head}\r\n{inner}\r\n");
    }
    let _ = write!(body, "--{boundary}--\r\n");
    let head = format!("Content-Type: multipart/{kind};\r\n boundary=\"{boundary}\"\r\n");
    Some(Entity { head, body })
}

fn text(kind: &str, body: &str) -> Entity {
    let body = String::from_utf8(crate::inject::lines::crlf(body)).unwrap_or_default();
    let plain = |line: &str| {
        line.len() <= LINE_LONGEST && line.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t'))
    };
    if body.split("\r\n").all(plain) {
        let head = format!(
            "Content-Type: text/{kind}; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n"
        );
        return Entity { head, body };
    }
    let head = format!(
        "Content-Type: text/{kind}; charset=utf-8\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n"
    );
    Entity { head, body: quoted_printable(&body) }
}

/// RFC 2045 section 6.7, of text whose lines end with CRLF.
fn quoted_printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for line in text.split_inclusive("\r\n") {
        let (line, end) = match line.strip_suffix("\r\n") {
            Some(line) => (line, "\r\n"),
            None => (line, ""),
        };
        let mut width = 0;
        for (at, byte) in line.bytes().enumerate() {
            let last = at + 1 == line.len();
            let plain = matches!(byte, b'!'..=b'<' | b'>'..=b'~')
                || (matches!(byte, b' ' | b'\t') && !last);
            let size = if plain { 1 } else { 3 };
            // One column is kept for the soft line break.
            if width + size > ENCODED_LINE - 1 {
                out.push_str("=\r\n");
                width = 0;
            }
            match plain {
                true => out.push(char::from(byte)),
                false => drop(write!(out, "={byte:02X}")),
            }
            width += size;
        }
        out.push_str(end);
    }
    out
}

fn attachment(given: &Attachment) -> Result<Entity, String> {
    let content_type = one_line("attachments.content_type", &given.content_type)?;
    let kind = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let well_formed =
        kind.split_once('/').is_some_and(|(a, b)| header::is_name(a) && header::is_name(b));
    if !well_formed || !content_type.is_ascii() {
        return Err("attachments.content_type: not a media type".into());
    }
    let data = if given.base64 {
        let compact: String = given.data.split_ascii_whitespace().collect();
        STANDARD.decode(compact).map_err(|error| format!("attachments.data: {error}"))?
    } else {
        given.data.clone().into_bytes()
    };
    let mut head = String::new();
    header::push(&mut head, "Content-Type", &content_type)?;
    let name = given.file_name.as_deref().map(|name| one_line("attachments.file_name", name));
    let name = name.transpose()?.map(|name| header::parameter("filename", &name));
    let (how, otherwise) = match &given.content_id {
        Some(_) => ("inline", ""),
        None => ("attachment", "; filename=\"attachment\""),
    };
    let name = name.unwrap_or_else(|| otherwise.to_string());
    header::push(&mut head, "Content-Disposition", &format!("{how}{name}"))?;
    if let Some(id) = &given.content_id {
        let id = one_line("attachments.content_id", id)?;
        let id = id.trim_start_matches('<').trim_end_matches('>');
        if id.is_empty() || id.bytes().any(|b| !b.is_ascii_graphic() || b"<>".contains(&b)) {
            return Err("attachments.content_id: not an id".into());
        }
        header::push(&mut head, "Content-ID", &format!("<{id}>"))?;
    }
    // What holds entities of its own is not encoded as a whole (RFC 2046 section 5.2.1, RFC 2045 section 6.4).
    if kind.starts_with("message/") || kind.starts_with("multipart/") {
        return unencoded(head, data);
    }
    head.push_str("Content-Transfer-Encoding: base64\r\n");
    let encoded = STANDARD.encode(data);
    let mut body = String::with_capacity(encoded.len() + encoded.len() / 38);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(ENCODED_LINE));
        body.push_str(line);
        body.push_str("\r\n");
        rest = more;
    }
    Ok(Entity { head, body })
}

fn unencoded(mut head: String, data: Vec<u8>) -> Result<Entity, String> {
    let Ok(data) = String::from_utf8(data) else {
        return Err("attachments.data: a message must be UTF-8 text here".into());
    };
    let body = String::from_utf8(crate::inject::lines::crlf(&data)).unwrap_or_default();
    if body.split("\r\n").any(|line| line.len() > LINE_LONGEST) || body.contains('\0') {
        return Err(format!("attachments.data: a line is longer than {LINE_LONGEST} bytes"));
    }
    let encoding = if body.is_ascii() { "7bit" } else { "8bit" };
    let _ = write!(head, "Content-Transfer-Encoding: {encoding}\r\n");
    Ok(Entity { head, body })
}

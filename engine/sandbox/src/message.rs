//! One captured message: parsed once at arrival into what lists, views and searches need.
//!
//! Nothing here can fail: a message that is no mail at all is still kept and shown raw.

use crate::limits::{
    SANDBOX_HEADER_FIELDS, SANDBOX_HEADER_TEXT_BYTES, SANDBOX_RECIPIENTS,
    SANDBOX_SEARCH_TEXT_BYTES, SANDBOX_SNIPPET_CHARS, SANDBOX_UNSUBSCRIBE_LINKS,
};
use crate::mime;
use crate::mime::with_mail;
use crate::mime::Part;
use crate::start::start_of;
use mail_parser::{HeaderName, Message};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The SMTP envelope of a message.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Envelope {
    /// MAIL FROM; empty for a null sender.
    pub mail_from: String,
    /// Every RCPT TO, in order.
    pub rcpt_to: Vec<String>,
}

/// The session a message came in by.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SessionInfo {
    /// The client.
    pub client: Option<SocketAddr>,
    /// Its EHLO or HELO name.
    pub ehlo: String,
    /// Cipher suite and protocol version, when there was TLS.
    pub tls: Option<(String, String)>,
    /// The user of an AUTH, whatever the password was.
    pub auth_user: Option<String>,
    /// ESMTP, ESMTPS, HTTP, ...
    pub protocol: String,
}

/// A name and an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Address {
    /// Display name; may be empty.
    pub name: String,
    /// The address; may be empty when the header is not well-formed.
    pub address: String,
}

/// What one-click unsubscription needs.
#[derive(Debug, Clone, Default)]
pub struct ListUnsubscribe {
    /// The header as it is.
    pub header: String,
    /// Its links.
    pub links: Vec<String>,
    /// What is wrong with it; empty when nothing is.
    pub errors: String,
    /// The List-Unsubscribe-Post header.
    pub post: String,
}

/// What is known of a message without looking at its source again.
#[derive(Debug, Default)]
pub struct Parsed {
    /// Without angle brackets.
    pub message_id: String,
    /// The first From address.
    pub from: Address,
    /// To.
    pub to: Vec<Address>,
    /// Cc.
    pub cc: Vec<Address>,
    /// Bcc, and the envelope's recipients that no header names.
    pub bcc: Vec<Address>,
    /// Reply-To.
    pub reply_to: Vec<Address>,
    /// Subject, decoded.
    pub subject: String,
    /// The Date header, RFC 3339, when it is valid.
    pub date: Option<String>,
    /// The same in milliseconds since 1970.
    pub date_ms: Option<u64>,
    /// The List-Unsubscribe headers.
    pub list_unsubscribe: ListUnsubscribe,
    /// The text body, made from the HTML when there is none.
    pub text: String,
    /// The HTML body; empty when there is none.
    pub html: String,
    /// Parts shown within the HTML.
    pub inline: Vec<Part>,
    /// Attachments.
    pub attachments: Vec<Part>,
    /// Header names (as Go spells them) and their unfolded values.
    pub headers: BTreeMap<String, Vec<String>>,
    /// The beginning of the text.
    pub snippet: String,
    /// What free text is searched in, lower case.
    pub search_text: String,
}

/// Parses a message.
pub fn parse(source: &[u8], envelope: &Envelope) -> Parsed {
    let mut parsed = with_mail(source, from_mail).unwrap_or_default();
    parsed.headers = headers(source);
    add_hidden_recipients(&mut parsed, envelope);
    parsed.list_unsubscribe = list_unsubscribe(&parsed.headers);
    parsed.snippet = snippet(&parsed.text);
    parsed.search_text = search_text(&parsed);
    parsed
}

fn from_mail(mail: &Message<'_>) -> Parsed {
    let (inline, attachments) = mime::parts(mail);
    let date = mail.date().filter(|date| date.is_valid());
    let reply_to = mail.header_values(HeaderName::ReplyTo).filter_map(|v| v.as_address());
    Parsed {
        message_id: told(mail.message_id()),
        from: mail.from().and_then(|from| addresses([from]).into_iter().next()).unwrap_or_default(),
        to: addresses(mail.all_to()),
        cc: addresses(mail.all_cc()),
        bcc: addresses(mail.all_bcc()),
        reply_to: addresses(reply_to),
        subject: told(mail.subject()),
        date: date.map(|date| date.to_rfc3339()),
        date_ms: date.and_then(|date| u64::try_from(date.to_timestamp()).ok()).map(|s| s * 1000),
        text: mime::text(mail),
        html: mime::html(mail),
        inline,
        attachments,
        ..Parsed::default()
    }
}

fn addresses<'x>(lists: impl IntoIterator<Item = &'x mail_parser::Address<'x>>) -> Vec<Address> {
    lists
        .into_iter()
        .flat_map(|list| list.iter())
        .map(|one| Address { name: told(one.name()), address: told(one.address()) })
        .filter(|one| !one.name.is_empty() || !one.address.is_empty())
        .take(SANDBOX_RECIPIENTS)
        .collect()
}

/// A text of the header, as much of it as is told by itself.
fn told(text: Option<&str>) -> String {
    start_of(text.unwrap_or_default(), SANDBOX_HEADER_TEXT_BYTES).to_string()
}

/// Recipients that the headers do not show are what Bcc means to a reader.
fn add_hidden_recipients(parsed: &mut Parsed, envelope: &Envelope) {
    let shown: std::collections::HashSet<String> = [&parsed.to, &parsed.cc, &parsed.bcc]
        .into_iter()
        .flatten()
        .map(|one| one.address.to_lowercase())
        .collect();
    let hidden = envelope.rcpt_to.iter().filter(|to| !shown.contains(&to.to_lowercase()));
    parsed.bcc.extend(hidden.map(|to| Address { name: String::new(), address: to.clone() }));
}

/// The header section as names and unfolded values. Read from the source and not from the parsed
/// message, so that it is there whatever the parser makes of the message.
fn headers(source: &[u8]) -> BTreeMap<String, Vec<String>> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in source.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        let text = String::from_utf8_lossy(line);
        if line[0] == b' ' || line[0] == b'\t' {
            if let Some((_, value)) = fields.last_mut() {
                if !value.is_empty() {
                    value.push(' ');
                }
                value.push_str(text.trim());
            }
        } else if let Some((name, value)) = text.split_once(':') {
            if fields.len() >= SANDBOX_HEADER_FIELDS {
                break;
            }
            fields.push((go_name(name.trim_end()), value.trim().to_string()));
        } else {
            break;
        }
    }
    let mut map: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in fields {
        map.entry(name).or_default().push(value);
    }
    map
}

/// A header name as Go's libraries, and so Mailpit's answers, spell it: `Message-Id`.
fn go_name(name: &str) -> String {
    let mut upper = true;
    name.chars()
        .map(|c| {
            let spelled = if upper { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
            upper = c == '-';
            spelled
        })
        .collect()
}

fn list_unsubscribe(headers: &BTreeMap<String, Vec<String>>) -> ListUnsubscribe {
    let first = |name: &str| headers.get(name).and_then(|v| v.first()).cloned().unwrap_or_default();
    let header = first("List-Unsubscribe");
    let links: Vec<String> = header
        .split('<')
        .skip(1)
        .filter_map(|rest| rest.split_once('>'))
        .take(SANDBOX_UNSUBSCRIBE_LINKS)
        .map(|(link, _)| link.split_whitespace().collect())
        .collect();
    let known = |link: &String| {
        let lower = link.to_ascii_lowercase();
        ["mailto:", "http://", "https://"].iter().any(|scheme| lower.starts_with(scheme))
    };
    let errors = if header.is_empty() {
        ""
    } else if links.is_empty() {
        "no link in angle brackets"
    } else if !links.iter().all(known) {
        "a link that is neither mailto: nor http(s):"
    } else {
        ""
    };
    ListUnsubscribe { header, links, errors: errors.into(), post: first("List-Unsubscribe-Post") }
}

fn snippet(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
        if out.len() > SANDBOX_SNIPPET_CHARS * 4 {
            break;
        }
    }
    out.chars().take(SANDBOX_SNIPPET_CHARS).collect()
}

fn search_text(parsed: &Parsed) -> String {
    let mut text = String::new();
    let people = [&parsed.to, &parsed.cc, &parsed.bcc, &parsed.reply_to].into_iter().flatten();
    for one in std::iter::once(&parsed.from).chain(people) {
        if text.len() > SANDBOX_SEARCH_TEXT_BYTES {
            break;
        }
        text.push_str(&format!("{} <{}> ", one.name, one.address));
    }
    let files = parsed.attachments.iter().chain(&parsed.inline).map(|part| &part.file_name);
    for more in [&parsed.subject, &parsed.message_id].into_iter().chain(files) {
        if text.len() > SANDBOX_SEARCH_TEXT_BYTES {
            break;
        }
        text.push_str(more);
        text.push(' ');
    }
    let body = parsed.text.split_whitespace();
    for word in body {
        if text.len() > SANDBOX_SEARCH_TEXT_BYTES {
            break;
        }
        text.push_str(word);
        text.push(' ');
    }
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_and_subjects_of_many_charsets() {
        for (charset, bytes, text) in [
            ("shift_jis", &b"\x93\xfa\x96\x7b"[..], "日本"),
            ("euc-jp", b"\xc6\xfc\xcb\xdc", "日本"),
            ("iso-2022-jp", b"\x1b$BF|K\\\x1b(B", "日本"),
            ("big5", b"\xa4\xa4\xa4\xe5", "中文"),
            ("gb2312", b"\xd6\xd0\xce\xc4", "中文"),
            ("gbk", b"\xd6\xd0\xce\xc4", "中文"),
            ("gb18030", b"\xd6\xd0\xce\xc4", "中文"),
            ("euc-kr", b"\xc7\xd1\xb1\xdb", "한글"),
            ("ks_c_5601-1987", b"\xc7\xd1\xb1\xdb", "한글"),
            ("windows-874", b"\xe4\xb7\xc2", "ไทย"),
            ("koi8-r", b"\xf2\xcf\xd3\xd3\xc9\xd1", "Россия"),
            ("iso-8859-1", b"na\xefve", "naïve"),
        ] {
            let word: String = bytes.iter().map(|byte| format!("={byte:02X}")).collect();
            let mut source = format!(
                "From: a@b.test\r\nSubject: =?{charset}?Q?{word}?=\r\nMIME-Version: 1.0\r\n\
                 Content-Type: text/plain; charset=\"{charset}\"\r\n\
                 Content-Transfer-Encoding: 8bit\r\n\r\n"
            )
            .into_bytes();
            source.extend_from_slice(bytes);
            source.extend_from_slice(b"\r\n");
            let parsed = parse(&source, &Envelope::default());
            assert_eq!(
                (parsed.subject.as_str(), parsed.text.trim_end()),
                (text, text),
                "{charset}"
            );
        }
    }
}

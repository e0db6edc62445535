//! The trace headers put in front of a message at reception: Received (RFC 5321 section 4.4) and
//! the supplemental reference by which a later bounce or complaint can be told apart.

use crate::dates as date;
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use ringmta_mail::{EnvelopeAddress, MessageId, Meta};
use ringmta_options::TraceHeaders;
use std::fmt::Write as _;
use std::io::Write;

/// Where a message came from, for its Received header.
pub struct Origin<'a> {
    /// What the client called itself.
    pub client_name: &'a str,
    /// Its address.
    pub client_addr: &'a str,
    /// Our name.
    pub hostname: &'a str,
    /// ESMTP, ESMTPSA and so on.
    pub protocol: &'a str,
}

/// The trace headers of one message, ready to be put in front of it.
pub fn headers(
    options: &TraceHeaders,
    origin: &Origin<'_>,
    id: MessageId,
    created_nanos: u64,
    recipients: &[EnvelopeAddress],
    meta: &Meta,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(384);
    if options.received_header {
        received(&mut out, origin, id, created_nanos, recipients);
    }
    if options.supplemental_header {
        supplemental(&mut out, options, recipients, meta);
    }
    out
}

fn received(
    out: &mut Vec<u8>,
    origin: &Origin<'_>,
    id: MessageId,
    created_nanos: u64,
    recipients: &[EnvelopeAddress],
) {
    // Writing to a vector cannot fail.
    let _ = write!(
        out,
        "Received: from {} ({})\r\n  by {} (ringmta)\r\n  with {} id {id}",
        Safe(origin.client_name),
        Literal(origin.client_addr),
        Safe(origin.hostname),
        origin.protocol,
    );
    // A name that is not ASCII would make the message one that only some hosts take.
    if let ([one], true) = (recipients, recipients.iter().all(|r| r.email().is_ascii())) {
        let _ = write!(out, "\r\n  for <{}>", Safe(one.email()));
    }
    out.extend_from_slice(b";\r\n  ");
    date::push_rfc5322(out, created_nanos / 1_000_000_000);
    out.extend_from_slice(b"\r\n");
}

/// Base64 characters of a line of the supplemental header: RFC 5322 asks for short lines however much metadata there is.
const SUPPLEMENTAL_WIDTH: usize = 75;

/// Base64 of a JSON object with a marker key, folded.
fn supplemental(
    out: &mut Vec<u8>,
    options: &TraceHeaders,
    recipients: &[EnvelopeAddress],
    meta: &Meta,
) {
    let json = match (recipients, options.include_meta_names.is_empty()) {
        ([one], true) => marked_recipient(one.email()),
        _ => marked_object(options, recipients, meta).to_string().into_bytes(),
    };
    let encoded = STANDARD.encode(json);
    out.extend_from_slice(options.header_name.as_bytes());
    out.extend_from_slice(b": ");
    for (at, line) in encoded.as_bytes().chunks(SUPPLEMENTAL_WIDTH).enumerate() {
        if at > 0 {
            out.extend_from_slice(b"\r\n\t");
        }
        out.extend_from_slice(line);
    }
    out.extend_from_slice(b"\r\n");
}

/// What [`marked_object`] gives in the usual case, without making the object.
fn marked_recipient(email: &str) -> Vec<u8> {
    let mut json = Vec::with_capacity(64 + email.len());
    json.extend_from_slice(br#"{"_@_":"\\_/","recipient":"#);
    // Writing text to a vector cannot fail.
    let _ = serde_json::to_writer(&mut json, email);
    json.push(b'}');
    json
}

fn marked_object(
    options: &TraceHeaders,
    recipients: &[EnvelopeAddress],
    meta: &Meta,
) -> serde_json::Value {
    let mut object = serde_json::Map::new();
    object.insert("_@_".into(), "\\_/".into());
    match recipients {
        [one] => object.insert("recipient".into(), one.email().into()),
        many => object.insert("recipient".into(), many.iter().map(|r| r.email()).collect()),
    };
    for name in &options.include_meta_names {
        // What a message does not have is told as null: who reads it sees that it was asked for.
        object.insert(name.clone(), meta.get(name).cloned().unwrap_or(serde_json::Value::Null));
    }
    serde_json::Value::Object(object)
}

/// An address as RFC 5321 section 4.1.3 writes it.
struct Literal<'a>(&'a str);

impl std::fmt::Display for Literal<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tag = if self.0.contains(':') { "IPv6:" } else { "" };
        write!(f, "[{tag}{}]", self.0)
    }
}

/// What a peer says about itself, made harmless for a header: a byte that is not ASCII would make the whole message one that
/// only some hosts take.
struct Safe<'a>(&'a str);

impl std::fmt::Display for Safe<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const LONGEST: usize = 255;
        if self.0.len() <= LONGEST && self.0.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
            return f.write_str(self.0);
        }
        let kept = self.0.chars().filter(|c| !c.is_control()).take(LONGEST);
        kept.map(|c| if c.is_ascii() { c } else { '?' }).try_for_each(|c| f.write_char(c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_way_gives_the_same_object() {
        let options = TraceHeaders::default();
        for email in ["a@b.test", "\"quo\\ted\"@b.test", "\u{e9}@b.test"] {
            let Ok(address) = EnvelopeAddress::parse(email) else { continue };
            let long = marked_object(&options, std::slice::from_ref(&address), &Meta::default());
            assert_eq!(marked_recipient(address.email()), long.to_string().into_bytes());
        }
    }

    #[test]
    fn a_received_header_is_ascii_and_names_an_address_literal() {
        let to = [EnvelopeAddress::parse("\u{fc}@b.test").unwrap()];
        let (id, created) = crate::ids::IdSource::new(0).next();
        for (addr, literal) in [("127.0.0.1", "([127.0.0.1])"), ("::1", "([IPv6:::1])")] {
            let origin = Origin {
                client_name: "m\u{fc}.test",
                client_addr: addr,
                hostname: "mx.test",
                protocol: "ESMTP",
            };
            let mut out = Vec::new();
            received(&mut out, &origin, id, created, &to);
            let text = String::from_utf8(out).unwrap();
            assert!(text.is_ascii(), "{text}");
            assert!(text.contains(literal), "{text}");
        }
    }

    #[test]
    fn what_a_peer_says_is_made_harmless() {
        assert_eq!(Safe("mail.example").to_string(), "mail.example");
        assert_eq!(Safe("a\r\nBcc: b\u{7f}").to_string(), "aBcc: b");
        assert_eq!(Safe(&"x".repeat(300)).to_string().len(), 255);
        assert_eq!(Safe("m\u{fc}.test").to_string(), "m?.test");
    }
}

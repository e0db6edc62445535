//! The trace headers put in front of a message at reception: Received (RFC 5321 section 4.4) and
//! the supplemental reference by which a later bounce or complaint can be told apart.

use super::date;
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use ringmta_policy::{EnvelopeAddress, MessageId, Meta, TraceHeaders};
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
    let name = safe(origin.client_name);
    // Writing to a vector cannot fail.
    let _ = write!(
        out,
        "Received: from {name} ({})\r\n  by {} (ringmta)\r\n  with {} id {id}",
        safe(origin.client_addr),
        safe(origin.hostname),
        origin.protocol,
    );
    if let [one] = recipients {
        let _ = write!(out, "\r\n  for <{}>", safe(one.email()));
    }
    let _ = write!(out, ";\r\n  {}\r\n", date::rfc5322(created_nanos / 1_000_000_000));
}

/// Base64 of a JSON object with a marker key, folded so that no line passes 78 columns however
/// much metadata is included.
fn supplemental(
    out: &mut Vec<u8>,
    options: &TraceHeaders,
    recipients: &[EnvelopeAddress],
    meta: &Meta,
) {
    let mut object = serde_json::Map::new();
    object.insert("_@_".into(), "\\_/".into());
    match recipients {
        [one] => object.insert("recipient".into(), one.email().into()),
        many => object.insert("recipient".into(), many.iter().map(|r| r.email()).collect()),
    };
    for name in &options.include_meta_names {
        if let Some(value) = meta.get(name) {
            object.insert(name.clone(), value.clone());
        }
    }
    let json = serde_json::Value::Object(object).to_string();
    let encoded = STANDARD.encode(json);
    let name = options.header_name.as_str();
    out.extend_from_slice(name.as_bytes());
    out.push(b':');
    let mut room = 76usize.saturating_sub(name.len());
    for chunk in (Chunks { rest: encoded.as_bytes(), room: &mut room }) {
        if chunk.1 {
            out.extend_from_slice(b"\r\n\t");
        } else {
            out.push(b' ');
        }
        out.extend_from_slice(chunk.0);
    }
    out.extend_from_slice(b"\r\n");
}

/// Cuts text into a first piece of the room left and further ones of full lines; each comes with
/// whether a fold goes before it.
struct Chunks<'a, 'r> {
    rest: &'a [u8],
    room: &'r mut usize,
}

impl<'a> Iterator for Chunks<'a, '_> {
    type Item = (&'a [u8], bool);
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let folded = *self.room == usize::MAX;
        let take = if folded { 76 } else { (*self.room).max(20) }.min(self.rest.len());
        *self.room = usize::MAX;
        let (head, tail) = self.rest.split_at(take);
        self.rest = tail;
        Some((head, folded))
    }
}

/// What a peer says about itself, made harmless for a header.
fn safe(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(255).collect()
}

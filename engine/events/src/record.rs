//! One event as a JSON object, written without intermediate values. Field names and shapes are
//! those existing log readers rely on.

use crate::limits::{COMPARED_NAMES, RECORD_HEADERS_MAX, RECORD_HEADER_BYTES};
use crate::spans::TRACEPARENT;
use ringmta_io::Set;
use ringmta_mail::headers::text_of;
use ringmta_mail::{EnvelopeAddress, HeaderBlock, Message, MessageId, Meta};
use ringmta_options::Patterns;
use ringmta_smtp::dates::push_rfc3339;
use ringmta_smtp::response::Response;
use ringmta_smtp::via::{TlsInfo, Via};
use std::io::Write;

/// How the message of a hook came: records about such messages are told to no hook.
pub const LOG_RECORD: &str = "LogRecord";

/// Type of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A message was accepted.
    Reception,
    /// A peer took it.
    Delivery,
    /// It failed for good.
    Bounce,
    /// An attempt failed.
    TransientFailure,
    /// It grew too old.
    Expiration,
    /// An operator failed it.
    AdminBounce,
    /// An operator has moved it to another queue.
    AdminRebind,
    /// A command of a client was refused.
    Rejection,
    /// A report says that a message delivered earlier failed after all.
    Oob,
    /// A report says that a recipient complains.
    Feedback,
}

impl Kind {
    /// All there are.
    pub const ALL: [Kind; 10] = [
        Kind::Reception,
        Kind::Delivery,
        Kind::Bounce,
        Kind::TransientFailure,
        Kind::Expiration,
        Kind::AdminBounce,
        Kind::AdminRebind,
        Kind::Rejection,
        Kind::Oob,
        Kind::Feedback,
    ];

    /// Whether it tells of a failure, which has a category.
    pub fn is_failure(self) -> bool {
        !matches!(self, Kind::Reception | Kind::Delivery | Kind::AdminRebind)
    }

    /// Its name in records and in the policy.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Reception => "Reception",
            Kind::Delivery => "Delivery",
            Kind::Bounce => "Bounce",
            Kind::TransientFailure => "TransientFailure",
            Kind::Expiration => "Expiration",
            Kind::AdminBounce => "AdminBounce",
            Kind::AdminRebind => "AdminRebind",
            Kind::Rejection => "Rejection",
            Kind::Oob => "OOB",
            Kind::Feedback => "Feedback",
        }
    }
}

/// Who was at the other end, when that was a client.
#[derive(Debug, Clone)]
pub struct Client<'a> {
    /// Its EHLO name.
    pub name: &'a str,
    /// Its address.
    pub addr: &'a str,
}

/// An event before it is written.
pub struct Record<'a> {
    /// Its type.
    pub kind: Kind,
    /// Message id, when there is a message.
    pub id: Option<MessageId>,
    /// Envelope sender.
    pub sender: String,
    /// Envelope recipients it is about.
    pub recipients: &'a [EnvelopeAddress],
    /// Scheduled queue.
    pub queue: &'a str,
    /// Bytes of the message.
    pub size: usize,
    /// What was answered.
    pub response: &'a Response,
    /// Attempts finished before this one.
    pub num_attempts: u16,
    /// The connection out.
    pub via: Option<&'a Via>,
    /// The connection in.
    pub client: Option<Client<'a>>,
    /// TLS of the connection in.
    pub tls: Option<TlsInfo>,
    /// How the message came.
    pub reception_protocol: Option<String>,
    /// Id of the session in.
    pub session_id: Option<&'a str>,
    /// The complaint, as parsed.
    pub feedback: Option<&'a serde_json::Value>,
    /// When it happened, nanoseconds since 1970, where others say so; heeded when it is not in the future.
    pub happened: Option<u64>,
}

/// What a reader of records wants besides the fixed fields.
pub struct Extras<'a> {
    /// Metadata to include.
    pub meta: &'a Patterns,
    /// Headers to include.
    pub headers: &'a Patterns,
}

/// A record without what each reader of it may want besides: that stands between its head and its tail.
pub struct SharedPart {
    text: Vec<u8>,
    /// Where the tail begins.
    head: usize,
}

impl SharedPart {
    /// Appends the JSON object as one reader wants it, without a line end.
    pub fn put(&self, out: &mut Vec<u8>, message: Option<&Message>, extras: &Extras<'_>) {
        let (head, tail) = self.text.split_at(self.head);
        out.reserve(ROOM);
        out.extend_from_slice(head);
        let mut json = Json { out };
        json.raw(",\"meta\":");
        match message {
            Some(message) => message.meta(|meta| put_meta(&mut json, meta, extras.meta)),
            None => json.raw("{}"),
        }
        put_trace(&mut json, message);
        json.raw(",\"headers\":");
        put_headers(&mut json, message, extras.headers);
        out.extend_from_slice(tail);
    }
}

impl<'a> Record<'a> {
    /// An event about `message`.
    pub fn of_message(
        kind: Kind,
        message: &Message,
        queue: &'a str,
        response: &'a Response,
    ) -> Record<'a> {
        Record {
            kind,
            id: Some(message.id()),
            sender: message.sender().email().to_string(),
            recipients: &[],
            queue,
            size: message.body_size(),
            response,
            num_attempts: 0,
            via: None,
            client: None,
            tls: None,
            reception_protocol: message.meta_str("reception_protocol", |v| v.map(String::from)),
            session_id: None,
            feedback: None,
            happened: None,
        }
    }

    /// An event of a hook's own, about no message: no hook is told of it.
    pub fn of_no_message(kind: Kind, queue: &'a str, response: &'a Response) -> Record<'a> {
        Record {
            kind,
            id: None,
            sender: String::new(),
            recipients: &[],
            queue,
            size: 0,
            response,
            num_attempts: 0,
            via: None,
            client: None,
            tls: None,
            reception_protocol: Some(LOG_RECORD.into()),
            session_id: None,
            feedback: None,
            happened: None,
        }
    }

    /// What all readers of it are told, put together once for them. `now_nanos` is the time of the event, `category` that of
    /// a failure.
    pub fn shared(&self, node_id: &str, now_nanos: u64, category: &str) -> SharedPart {
        let mut text = Vec::with_capacity(ROOM);
        self.put_head(&mut Json { out: &mut text }, now_nanos, category);
        let head = text.len();
        self.put_tail(&mut Json { out: &mut text }, node_id);
        SharedPart { text, head }
    }

    fn put_head(&self, json: &mut Json<'_>, now_nanos: u64, category: &str) {
        json.raw("{\"type\":");
        json.text(self.kind.name());
        json.raw(",\"id\":\"");
        if let Some(id) = self.id {
            json.show(id);
        }
        json.raw("\",\"sender\":");
        json.text(&self.sender);
        json.raw(",\"recipient\":");
        self.put_recipients(json);
        json.raw(",\"queue\":");
        json.text(self.queue);
        json.raw(",\"site\":");
        json.text(self.via.map_or("", |via| &via.site));
        json.raw(",\"size\":");
        json.number(self.size as u64);
        self.put_response(json);
        self.put_peer(json);
        self.put_times(json, now_nanos);
        json.raw(",\"num_attempts\":");
        json.number(u64::from(self.num_attempts));
        json.raw(",\"bounce_classification\":");
        json.text(category);
        self.put_egress(json);
        json.raw(",\"feedback_report\":");
        match self.feedback {
            Some(report) => json.show(report),
            None => json.raw("null"),
        }
    }

    fn put_tail(&self, json: &mut Json<'_>, node_id: &str) {
        json.raw(",\"delivery_protocol\":");
        json.optional(self.via.map(|via| via.protocol).filter(|name| !name.is_empty()));
        json.raw(",\"reception_protocol\":");
        json.optional(self.reception_protocol.as_deref());
        json.raw(",\"nodeid\":");
        json.text(node_id);
        if let Some(tls) = self.via.map_or(self.tls.as_ref(), |via| via.tls.as_ref()) {
            put_tls(json, tls);
        }
        if let Some(provider) = self.via.and_then(|via| via.provider.as_deref()) {
            json.raw(",\"provider_name\":");
            json.text(provider);
        }
        let session = self.via.map(|via| via.session_id.as_str()).filter(|id| !id.is_empty());
        if let Some(session) = session.or(self.session_id) {
            json.raw(",\"session_id\":");
            json.text(session);
        }
        json.raw("}");
    }

    fn put_recipients(&self, json: &mut Json<'_>) {
        match self.recipients {
            [] => json.raw("\"\""),
            [one] => json.text(one.email()),
            many => {
                json.raw("[");
                for (at, recipient) in many.iter().enumerate() {
                    if at > 0 {
                        json.raw(",");
                    }
                    json.text(recipient.email());
                }
                json.raw("]");
            }
        }
    }

    fn put_response(&self, json: &mut Json<'_>) {
        let response = self.response;
        json.raw(",\"response\":{\"code\":");
        json.number(u64::from(response.code));
        json.raw(",\"enhanced_code\":");
        match response.enhanced {
            Some((class, subject, detail)) => {
                json.raw("{\"class\":");
                json.number(u64::from(class));
                json.raw(",\"subject\":");
                json.number(u64::from(subject));
                json.raw(",\"detail\":");
                json.number(u64::from(detail));
                json.raw("}");
            }
            None => json.raw("null"),
        }
        json.raw(",\"content\":");
        json.text(&response.content);
        json.raw(",\"command\":");
        json.optional(response.command.as_deref());
        json.raw("}");
    }

    fn put_peer(&self, json: &mut Json<'_>) {
        json.raw(",\"peer_address\":");
        let out = self.via.and_then(|via| via.peer.map(|peer| (via.host.as_str(), peer)));
        match (out, &self.client) {
            (Some((name, addr)), _) => {
                json.raw("{\"name\":");
                json.text(name);
                json.raw(",\"addr\":\"");
                // What is reached by no port has none.
                match addr.port() {
                    0 => json.show(addr.ip()),
                    _ => json.show(addr),
                }
                json.raw("\"}");
            }
            (None, Some(client)) => {
                json.raw("{\"name\":");
                json.text(client.name);
                json.raw(",\"addr\":");
                json.text(client.addr);
                json.raw("}");
            }
            (None, None) => json.raw("null"),
        }
    }

    fn put_times(&self, json: &mut Json<'_>, now_nanos: u64) {
        let created = self.id.map_or(now_nanos, |id| id.created_unix_nanos());
        json.raw(",\"timestamp\":");
        json.number(now_nanos / 1_000_000_000);
        json.raw(",\"event_time\":\"");
        let happened = self.happened.filter(|at| (1..now_nanos).contains(at));
        push_rfc3339(json.out, happened.unwrap_or(now_nanos));
        json.raw("\",\"created\":");
        json.number(created / 1_000_000_000);
        json.raw(",\"created_time\":\"");
        push_rfc3339(json.out, created);
        json.raw("\"");
    }

    fn put_egress(&self, json: &mut Json<'_>) {
        json.raw(",\"egress_pool\":");
        json.optional(self.via.map(|via| via.pool.as_str()).filter(|name| !name.is_empty()));
        json.raw(",\"egress_source\":");
        json.optional(self.via.map(|via| via.source.as_str()).filter(|name| !name.is_empty()));
        json.raw(",\"source_address\":");
        match self.via.and_then(|via| via.local) {
            Some(local) => {
                json.raw("{\"address\":\"");
                json.show(local);
                json.raw("\"");
                if let Some((protocol, server)) = self.via.and_then(|via| via.proxy) {
                    json.raw(",\"server\":\"");
                    json.show(server);
                    json.raw("\",\"protocol\":\"");
                    json.raw(protocol);
                    json.raw("\"");
                }
                json.raw("}");
            }
            None => json.raw("null"),
        }
    }
}

fn put_tls(json: &mut Json<'_>, tls: &TlsInfo) {
    json.raw(",\"tls_cipher\":");
    json.text(&tls.cipher);
    json.raw(",\"tls_protocol_version\":");
    json.text(&tls.version);
    for (at, part) in tls.peer_subject.iter().enumerate() {
        json.raw(if at == 0 { ",\"tls_peer_subject_name\":[" } else { "," });
        json.text(part);
    }
    if !tls.peer_subject.is_empty() {
        json.raw("]");
    }
}

fn put_meta(json: &mut Json<'_>, meta: &Meta, wanted: &Patterns) {
    json.raw("{");
    let mut first = true;
    for (name, value) in
        meta.iter().filter(|(name, value)| wanted.matches(name) && !value.is_null())
    {
        if !std::mem::take(&mut first) {
            json.raw(",");
        }
        json.text(name);
        json.raw(":");
        // Writing JSON values to a vector cannot fail.
        let _ = serde_json::to_writer(&mut *json.out, value);
    }
    json.raw("}");
}

/// The trace a message is followed by: whoever is told of it can go on with it.
fn put_trace(json: &mut Json<'_>, message: Option<&Message>) {
    let Some(message) = message else { return };
    message.meta(|meta| {
        if let Some(serde_json::Value::String(context)) = meta.get(TRACEPARENT) {
            json.raw(",\"traceparent\":");
            json.text(context);
        }
    });
}

fn put_headers(json: &mut Json<'_>, message: Option<&Message>, wanted: &Patterns) {
    let body = match message.and_then(Message::body) {
        Some(body) if !wanted.is_empty() => body,
        _ => return json.raw("{}"),
    };
    json.raw("{");
    // Of several headers with one name the first is told: an object has each name once.
    let mut seen = Seen::default();
    let (mut told, mut room) = (0, RECORD_HEADER_BYTES);
    for field in HeaderBlock::new(&body).fields() {
        if told == RECORD_HEADERS_MAX {
            break;
        }
        let bytes = field.name.len() + field.value.len();
        // What does not fit is left out, decided before it is decoded.
        if bytes > room || !wanted.matches(field.name) || !seen.is_new(field.name) {
            continue;
        }
        let name = text_of(field.name);
        if told > 0 {
            json.raw(",");
        }
        json.text(&name);
        json.raw(":");
        json.text(&field.decoded());
        room -= bytes;
        told += 1;
    }
    json.raw("}");
}

/// Names of headers: the usual few are compared, for a set costs more than that.
#[derive(Default)]
struct Seen<'m> {
    few: Vec<&'m [u8]>,
    more: Set<&'m [u8]>,
}

impl<'m> Seen<'m> {
    fn is_new(&mut self, name: &'m [u8]) -> bool {
        if self.few.contains(&name) {
            return false;
        }
        if self.few.len() < COMPARED_NAMES {
            self.few.push(name);
            return true;
        }
        self.more.insert(name)
    }
}

/// Bytes that cannot stand in a JSON string as they are.
static NEEDS_ESCAPE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table[0x7f] = true;
    table
};

/// Bytes a record usually has at most.
const ROOM: usize = 1280;

struct Json<'a> {
    out: &'a mut Vec<u8>,
}

impl Json<'_> {
    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }
    /// A number; the formatting machinery would cost more than the rest of a record.
    fn number(&mut self, value: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = value;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.out.extend_from_slice(&digits[at..]);
    }
    fn show(&mut self, value: impl std::fmt::Display) {
        // Writing to a vector cannot fail.
        let _ = write!(self.out, "{value}");
    }
    fn optional(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.text(value),
            None => self.raw("null"),
        }
    }
    /// A JSON string. Control characters are escaped, so no peer can forge a line.
    fn text(&mut self, text: &str) {
        self.out.push(b'"');
        let bytes = text.as_bytes();
        let mut start = 0;
        while let Some(run) = bytes[start..].iter().position(|b| NEEDS_ESCAPE[usize::from(*b)]) {
            let at = start + run;
            self.out.extend_from_slice(&bytes[start..at]);
            match bytes[at] {
                byte @ (b'"' | b'\\') => self.out.extend_from_slice(&[b'\\', byte]),
                b'\n' => self.out.extend_from_slice(b"\\n"),
                b'\r' => self.out.extend_from_slice(b"\\r"),
                b'\t' => self.out.extend_from_slice(b"\\t"),
                byte => {
                    let _ = write!(self.out, "\\u{byte:04x}");
                }
            }
            start = at + 1;
        }
        self.out.extend_from_slice(&bytes[start..]);
        self.out.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmta_mail::EnvelopeAddress;
    use serde_json::Value;
    use std::rc::Rc;

    fn headers_of(body: Vec<u8>, wanted: &[&str]) -> serde_json::Map<String, Value> {
        let id = MessageId([1; 16]);
        let (sender, meta) = (EnvelopeAddress::null(), Meta::new());
        let message = Message::new(id, sender, Vec::new(), meta, Rc::new(body));
        let mut out = Vec::new();
        put_headers(&mut Json { out: &mut out }, Some(&message), &Patterns::new(wanted));
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn the_first_of_several_headers_is_told() {
        let body = b"Subject: one\r\nX-A: 1\r\nSubject: two\r\nX-B: 2\r\nX-A: 3\r\n\r\n".to_vec();
        let told = headers_of(body, &["Subject", "X-*"]);
        assert_eq!(
            Value::Object(told),
            serde_json::json!({"Subject": "one", "X-A": "1", "X-B": "2"})
        );
    }

    /// Comparing each of them with all before it would take minutes.
    #[test]
    fn a_million_headers_cost_no_more_than_reading_them() {
        let mut body = Vec::new();
        for number in 0..1_000_000 {
            let _ = write!(body, "X-{number}: {number}\r\n");
        }
        body.extend_from_slice(b"\r\n");
        let told = headers_of(body, &["X-*"]);
        assert_eq!(told.len(), RECORD_HEADERS_MAX);
        assert_eq!(told["X-0"], "0");
    }

    #[test]
    fn headers_take_bounded_room() {
        let long = "a".repeat(RECORD_HEADER_BYTES);
        let body = format!("X-Long: {long}\r\nX-Short: b\r\n\r\n");
        assert_eq!(headers_of(body.into_bytes(), &["X-*"]).keys().collect::<Vec<_>>(), ["X-Short"]);
        let body =
            format!("X-Half: {}\r\n", "a".repeat(RECORD_HEADER_BYTES / 2)).replace("Half", "1");
        let body = [body.clone(), body.replace("X-1", "X-2"), body.replace("X-1", "X-3")].concat();
        assert_eq!(headers_of(body.into_bytes(), &["X-*"]).len(), 1);
    }
}

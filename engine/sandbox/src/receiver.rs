//! The webhook receiver of `ringmta dev`: takes the engine's event records by POST, keeps the
//! newest ones, and shows them.

use crate::delivery::{Delivery, Secret};
use crate::limits::{RECEIVER_BYTES, RECEIVER_EVENTS, RECEIVER_TYPES};
use crate::replay::{post, Target};
use aws_lc_rs::digest::{digest, SHA256};
use futures::future::LocalBoxFuture;
use ringmta_http::header::RETRY_AFTER;
use ringmta_http::page::Page;
use ringmta_http::{browser, Method, Query, Request, Response, StatusCode};
use ringmta_io::{mono_nanos, unix_nanos};
use ringmta_smtp::server::guesses::Guesses;
use serde_json::{json, Value};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

/// The page's styles: the inbox's, and its own.
const STYLES: &[&str] = &[
    include_str!("page/base.css"),
    include_str!("page/message.css"),
    include_str!("page/panels.css"),
    include_str!("receiver_page/page.css"),
];
/// The page's scripts, in their order: what it shares with the inbox's, and its own.
const SCRIPTS: &[&str] = &[
    include_str!("page/kit.js"),
    include_str!("page/settings.js"),
    include_str!("receiver_page/records.js"),
    include_str!("receiver_page/page.js"),
];
/// The header that carries the key.
pub const KEY_HEADER: &str = "x-kumomta-key";

/// A webhook receiver.
pub struct Receiver {
    // Only its digest is kept: comparing digests takes the same time whatever a guess gets right.
    key: [u8; 32],
    /// The same as it is sent when an event is told again.
    key_text: String,
    secret: Option<Secret>,
    page: Page,
    guesses: Guesses,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    events: VecDeque<Kept>,
    bytes: usize,
    /// Events ever taken; the number of an event is this when it came.
    total: u64,
    posts: u64,
    refused: u64,
    counts: BTreeMap<String, u64>,
}

struct Kept {
    number: u64,
    bytes: usize,
    record: Value,
    delivery: Rc<Delivery>,
}

/// An event to be told again, and where.
#[derive(serde::Deserialize)]
struct Again {
    seq: u64,
    to: String,
}

impl Receiver {
    /// A receiver that takes posts with this key.
    pub fn new(key: &str) -> Receiver {
        Receiver {
            key: fingerprint(key),
            key_text: key.to_string(),
            secret: None,
            page: Page::of(include_str!("receiver_page/index.html"), STYLES, SCRIPTS),
            guesses: Guesses::of(1),
            state: RefCell::default(),
        }
    }

    /// One that checks signatures with this secret; without one it says that they are not checked.
    pub fn with_secret(mut self, secret: Option<&str>) -> Receiver {
        self.secret = secret.filter(|secret| !secret.is_empty()).map(Secret::new);
        self
    }

    /// The handler for `http::listen`.
    pub fn handler(self: Rc<Receiver>) -> impl Fn(Request) -> LocalBoxFuture<'static, Response> {
        move |request| {
            let receiver = self.clone();
            Box::pin(async move {
                match (&request.method, request.path.as_str()) {
                    (&Method::PUT, "/replay") => receiver.replay(&request).await,
                    _ => receiver.answer(&request),
                }
            })
        }
    }

    /// Posts a stored event to another receiver, with our key, and our signature where there is a secret.
    async fn replay(&self, request: &Request) -> Response {
        if let Err(refusal) = browser::check(request) {
            return refusal;
        }
        // Whoever is on this machine may post to it anyway; from elsewhere this would be a way in.
        if !request.peer.ip().to_canonical().is_loopback() {
            if let Err(refusal) = self.authorize(request) {
                return refusal;
            }
        }
        let Again { seq, to } = match serde_json::from_slice(&request.body) {
            Ok(again) => again,
            Err(error) => return bad(&format!("expected seq and to: {error}")),
        };
        let target = match Target::parse(&to) {
            Ok(target) => target,
            Err(error) => return bad(&error),
        };
        let Some((body, id)) = self.stored(seq) else {
            return Response::text(StatusCode::NOT_FOUND, "this event is no longer kept\n");
        };
        let now = (unix_nanos() / 1_000_000_000).to_string();
        let mut headers =
            vec![(KEY_HEADER, self.key_text.clone()), ("webhook-timestamp", now.clone())];
        if let Some(secret) = &self.secret {
            headers.push(("webhook-signature", secret.sign(&id, &now, body.as_bytes())));
        }
        headers.push(("webhook-id", id));
        match post(&target, &headers, body.as_bytes()).await {
            Ok(status) => Response::json(&json!({"status": status})),
            Err(error) => {
                Response::text(StatusCode::BAD_GATEWAY, format!("{to} was not reached: {error}\n"))
            }
        }
    }

    /// A stored event as it was sent, and the id it goes by.
    fn stored(&self, seq: u64) -> Option<(String, String)> {
        let state = self.state.borrow();
        let event = state.events.iter().find(|event| event.number == seq)?;
        let body = match event.delivery.in_array {
            true => json!([event.record]).to_string(),
            false => event.record.to_string(),
        };
        let id = &event.delivery.id;
        let id = if id.is_empty() { format!("replay-{seq}") } else { id.clone() };
        Some((body, id))
    }

    fn answer(&self, request: &Request) -> Response {
        match (&request.method, request.path.as_str()) {
            (&Method::POST, _) => self.take(request),
            (&Method::GET | &Method::HEAD, "/") => self.page.answer(),
            (&Method::GET | &Method::HEAD, "/events.json") => self.list(&request.query),
            (&Method::GET | &Method::HEAD, "/count") => self.count(),
            (&Method::GET | &Method::HEAD, "/livez") => Response::text(StatusCode::OK, "ok"),
            (&Method::GET | &Method::HEAD, _) => {
                Response::text(StatusCode::NOT_FOUND, "404 page not found\n")
            }
            (method, _) => {
                let text = format!("{method} means nothing here: POST event records\n");
                Response::text(StatusCode::METHOD_NOT_ALLOWED, text)
            }
        }
    }

    /// Lets a request pass that carries the key.
    fn authorize(&self, request: &Request) -> Result<(), Response> {
        let key = request.header(KEY_HEADER);
        let peer = request.peer.ip();
        if let Some(wait) = self.guesses.held(peer, mono_nanos()) {
            self.state.borrow_mut().refused += 1;
            let text = "too many wrong keys from this address\n";
            return Err(Response::text(StatusCode::TOO_MANY_REQUESTS, text)
                .header(RETRY_AFTER, &(wait.as_secs() + 1).to_string()));
        }
        if key.is_some_and(|key| same(&fingerprint(key), &self.key)) {
            return Ok(());
        }
        self.state.borrow_mut().refused += 1;
        if key.is_some() {
            self.guesses.wrong(peer, mono_nanos());
        }
        let text = match key {
            None => format!("the {KEY_HEADER} header is missing\n"),
            Some(_) => format!("the {KEY_HEADER} header does not carry the configured key\n"),
        };
        Err(Response::text(StatusCode::UNAUTHORIZED, text))
    }

    fn take(&self, request: &Request) -> Response {
        if let Err(refusal) = self.authorize(request) {
            return refusal;
        }
        let (records, in_array) = match serde_json::from_slice(&request.body) {
            Ok(Value::Array(records)) => (records, true),
            Ok(record @ Value::Object(_)) => (vec![record], false),
            Ok(_) => return bad("expected a record or an array of records"),
            Err(error) => return bad(&format!("the body is not JSON: {error}")),
        };
        if !records.iter().all(Value::is_object) {
            return bad("a record that is no object");
        }
        let delivery = Rc::new(Delivery::of(request, self.secret.as_ref(), in_array));
        let mut state = self.state.borrow_mut();
        state.posts += 1;
        let received = records.len();
        for record in records {
            state.push(record, delivery.clone());
        }
        Response::json(&json!({"received": received}))
    }

    fn list(&self, query: &Query) -> Response {
        let number =
            |name: &str, default: u64| query.number(name).map(|given| given.unwrap_or(default));
        let (since, before, limit) =
            match (number("since", 0), number("before", u64::MAX), number("limit", u64::MAX)) {
                (Ok(since), Ok(before), Ok(limit)) => (since, before, limit),
                (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => return bad(&error),
            };
        let kind = query.get("type").filter(|kind| !kind.is_empty());
        let state = self.state.borrow();
        let chosen = state
            .events
            .iter()
            .rev()
            .skip_while(|event| event.number >= before)
            .take_while(|event| event.number > since)
            .filter(|event| kind.is_none_or(|kind| type_of(&event.record) == kind))
            .take(usize::try_from(limit).unwrap_or(usize::MAX));
        let events: Vec<Value> =
            chosen.map(|event| json!({"seq": event.number, "record": event.record, "post": event.delivery.to_json()})).collect();
        Response::json(&json!({
            "last": state.total,
            "kept": state.events.len(),
            "refused": state.refused,
            "secret": self.secret.is_some(),
            "counts": state.counts,
            "events": events,
        }))
    }

    fn count(&self) -> Response {
        let state = self.state.borrow();
        Response::json(&json!({
            "total": state.total,
            "posts": state.posts,
            "refused": state.refused,
            "kept": state.events.len(),
            "types": state.counts,
        }))
    }
}

impl State {
    fn push(&mut self, record: Value, delivery: Rc<Delivery>) {
        self.total += 1;
        let kind = type_of(&record);
        let room = self.counts.len() < RECEIVER_TYPES || self.counts.contains_key(kind);
        let name = if room { kind } else { "(other)" };
        *self.counts.entry(name.to_string()).or_default() += 1;
        let bytes = record.to_string().len();
        self.bytes += bytes;
        self.events.push_back(Kept { number: self.total, bytes, record, delivery });
        while self.events.len() > 1
            && (self.events.len() > RECEIVER_EVENTS || self.bytes > RECEIVER_BYTES)
        {
            if let Some(oldest) = self.events.pop_front() {
                self.bytes -= oldest.bytes;
            }
        }
    }
}

fn type_of(record: &Value) -> &str {
    record.get("type").and_then(Value::as_str).unwrap_or("(none)")
}

fn bad(text: &str) -> Response {
    Response::text(StatusCode::BAD_REQUEST, format!("{text}\n"))
}

fn fingerprint(key: &str) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, key.as_bytes()).as_ref());
    out
}

fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter().zip(b).fold(0, |differ, (x, y)| differ | (x ^ y)) == 0
}

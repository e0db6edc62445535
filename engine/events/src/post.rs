//! One request of a hook of the engine: events as a JSON array or one by one, posted on the shard's own sockets.

use crate::context::Context;
use crate::event_key;
use crate::limits::{HOOK_ANSWER_BYTES, HOOK_CONNECTION_IDLE_SECS, HOOK_REQUESTS_MAX};
use crate::retry_after;
use crate::signature::Signer;
use crate::spans::context::TraceContext;
use crate::spans::TRACEPARENT;
use crate::window::Event;
use flate2::write::GzEncoder;
use flate2::Compression;
use ringmta_io as io;
use ringmta_mail::redact;
use ringmta_options::{HttpLogHook, RecordsBody};
use ringmta_policy::HttpClient;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;
use ureq::http::{header, HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};

/// Why events were not taken.
#[derive(Debug)]
pub enum Failure {
    /// It can be tried again, not before `after` if the receiver said so.
    Later {
        /// What happened.
        why: String,
        /// Its Retry-After.
        after: Option<Duration>,
    },
    /// The receiver will never take them.
    Refused {
        /// What it said.
        why: String,
    },
}

impl Failure {
    /// In words.
    pub fn why(&self) -> &str {
        match self {
            Failure::Later { why, .. } | Failure::Refused { why } => why,
        }
    }
}

/// Posts the events of one hook.
pub struct Poster {
    /// How.
    pub options: HttpLogHook,
    /// Its URL as it may be told to people.
    shown: String,
    /// What all requests have: their URL, and headers.
    head: Result<Head, String>,
    /// On the shard's own sockets: a receiver that hangs holds up nobody else.
    client: Rc<dyn HttpClient>,
    /// On helper threads, where the client cannot be used: for credentials in the URL, and for a proxy that the environment
    /// names.
    agent: Option<ureq::Agent>,
    signer: Option<Signer>,
}

struct Head {
    url: Uri,
    headers: HeaderMap,
}

impl Poster {
    /// One that posts by `client`.
    pub fn new(options: &HttpLogHook, client: Rc<dyn HttpClient>) -> Poster {
        let head = Head::of(options);
        let authority = head.as_ref().ok().and_then(|head| head.url.authority());
        let has_credentials = authority.is_some_and(|authority| authority.as_str().contains('@'));
        let by_helper = has_credentials || ureq::Proxy::try_from_env().is_some();
        Poster {
            agent: by_helper.then(|| agent(options.timeout)),
            signer: options.signing_secret.as_ref().map(|secret| Signer::new(&secret.0)),
            shown: redact::url(&options.url.0),
            head,
            client,
            options: options.clone(),
        }
    }

    /// Posts `events`.
    ///
    /// # Errors
    /// Why they were not taken.
    pub async fn post(&self, context: &Context, events: &[Event]) -> Result<(), Failure> {
        let later = |why: String| {
            // Some errors quote the URL.
            let why = why.replace(&self.options.url.0, &self.shown);
            Failure::Later { why: format!("{}: {why}", self.shown), after: None }
        };
        let helpers = context.policy_shared.helpers();
        let mut request = self.request(events).map_err(later)?;
        if self.options.is_compressed() {
            let content = std::mem::take(request.body_mut());
            let body = helpers.run_for(&self.helper(), move || compressed(&content)).await;
            *request.body_mut() =
                body.map_err(|error| later(format!("the body could not be compressed: {error}")))?;
        }
        let (limit, most) = (self.options.timeout, HOOK_ANSWER_BYTES as usize);
        let answer = match &self.agent {
            None => self.client.send(request, limit, most).await,
            Some(agent) => {
                let agent = agent.clone();
                helpers.run_for(&self.helper(), move || send(&agent, request)).await
            }
        };
        self.outcome(&answer.map_err(later)?)
    }

    /// What its helper threads are for.
    fn helper(&self) -> String {
        format!("hook {}", self.options.name)
    }

    /// What is posted, not compressed yet.
    fn request(&self, events: &[Event]) -> Result<Request<Vec<u8>>, String> {
        let Head { url, headers } = self.head.as_ref().map_err(Clone::clone)?;
        let mut request = Request::new(self.content(events));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.clone();
        let id = event_key::of_batch(events.iter().map(|event| &*event.line));
        let timestamp = io::unix_nanos() / 1_000_000_000;
        let signed = self.signer.as_ref().map(|by| by.sign(&id, timestamp, request.body()));
        let trace = match events {
            [event] => trace_of(&event.line),
            _ => None,
        };
        let mut all = headers.clone();
        let own = [(ID, Some(&*id)), (SIGNATURE, signed.as_deref()), (TRACE, trace)];
        for (name, value) in own {
            let Some(value) = value else { continue };
            let value = HeaderValue::from_str(value).map_err(|_| format!("no {name}"))?;
            all.entry(&name).or_insert(value);
        }
        all.entry(TIMESTAMP).or_insert(timestamp.into());
        *request.headers_mut() = all;
        Ok(request)
    }

    /// The events as a JSON array, or the one there is as it is.
    fn content(&self, events: &[Event]) -> Vec<u8> {
        let room = events.iter().map(|event| event.line.len() + 64).sum::<usize>() + 2;
        let mut content = Vec::with_capacity(room);
        if let (RecordsBody::Object, [event]) = (self.options.body, events) {
            self.put(&mut content, &event.line);
            return content;
        }
        content.push(b'[');
        for (at, event) in events.iter().enumerate() {
            if at > 0 {
                content.push(b',');
            }
            self.put(&mut content, &event.line);
        }
        content.push(b']');
        content
    }

    fn put(&self, content: &mut Vec<u8>, line: &str) {
        match line.strip_suffix('}').filter(|_| self.options.event_ids) {
            Some(open) => {
                let id = event_key::id(line);
                content.extend_from_slice(open.as_bytes());
                content.extend_from_slice(format!(",\"event_id\":\"{id}\"}}").as_bytes());
            }
            None => content.extend_from_slice(line.as_bytes()),
        }
    }

    /// What an answer means for the events.
    fn outcome(&self, answer: &Response<Vec<u8>>) -> Result<(), Failure> {
        let status = answer.status();
        let named = answer.headers().get(header::RETRY_AFTER);
        let after = named.and_then(|value| retry_after::of_header(value.to_str().ok()?));
        let why = || format!("{} answered {status}", self.shown);
        match status.as_u16() {
            200..=299 => Ok(()),
            300..=399 => Err(Failure::Later { why: format!("{}: {NO_REDIRECT}", why()), after }),
            408 | 425 | 429 => Err(Failure::Later { why: why(), after }),
            400..=499 => Err(Failure::Refused { why: why() }),
            _ => Err(Failure::Later { why: why(), after }),
        }
    }
}

// Of Standard Webhooks, and of W3C's Trace Context.
const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const TRACE: HeaderName = HeaderName::from_static(TRACEPARENT);

/// A POST that is sent elsewhere may arrive there as a GET without its records.
const NO_REDIRECT: &str = "a hook follows no redirect, give it the URL that takes its records";

impl Head {
    fn of(options: &HttpLogHook) -> Result<Head, String> {
        let url = options.url.0.parse().map_err(|error| format!("that is no URL: {error}"))?;
        // Room for those of each request, and for the host.
        let mut headers = HeaderMap::with_capacity(options.request_headers.len() + 10);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        if options.is_compressed() {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        for (name, value) in &options.request_headers {
            let key = HeaderName::from_bytes(name.as_bytes());
            let key = key.map_err(|_| format!("`{name}` is not a header name"))?;
            // The value may be a secret, and is not told.
            let mut value = HeaderValue::from_str(&value.0)
                .map_err(|_| format!("header `{name}` has characters that are not allowed"))?;
            value.set_sensitive(true);
            headers.insert(key, value);
        }
        Ok(Head { url, headers })
    }
}

const USER_AGENT: &str = concat!("ringmta/", env!("CARGO_PKG_VERSION"));

/// Connections of their own, which are kept: as many as there may be requests.
fn agent(timeout: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .tls_config(ringmta_policy::trust::http_tls())
        .http_status_as_error(false)
        .max_redirects(0)
        .max_idle_connections(HOOK_REQUESTS_MAX)
        .max_idle_connections_per_host(HOOK_REQUESTS_MAX)
        .max_idle_age(Duration::from_secs(HOOK_CONNECTION_IDLE_SECS))
        .build()
        .new_agent()
}

/// Runs on a helper thread.
fn send(agent: &ureq::Agent, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, String> {
    let answer = agent.run(request).map_err(|error| error.to_string())?;
    let (head, mut body) = answer.into_parts();
    // Only when an answer was read to its end is its connection used again.
    let body = body.with_config().limit(HOOK_ANSWER_BYTES).read_to_vec().unwrap_or_default();
    Ok(Response::from_parts(head, body))
}

/// The trace that an event belongs to. (Within a string its quotes would be escaped.)
pub(super) fn trace_of(line: &str) -> Option<&str> {
    static FIELD: event_key::Field = event_key::field!(",\"traceparent\":\"");
    let rest = event_key::after(line, &FIELD)?;
    rest.split('"').next().filter(|context| TraceContext::parse(context).is_some())
}

/// At the quickest level: it is the network that is spared, and the level above costs twice the time.
fn compressed(content: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(content.len() / 4), Compression::fast());
    encoder.write_all(content)?;
    encoder.finish()
}

//! One request of a hook of the engine: events as a JSON array, posted from a helper thread.

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
use ringmta_options::HttpLogHook;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

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
    pub options: Arc<HttpLogHook>,
    /// Threads of its own: a hook whose receiver hangs holds up no other.
    target: String,
    agent: ureq::Agent,
    signer: Option<Arc<Signer>>,
}

impl Poster {
    /// With connections of its own, which are kept: as many as there may be requests.
    pub fn new(options: &HttpLogHook) -> Poster {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(options.timeout))
            .tls_config(ringmta_policy::trust::http_tls())
            .http_status_as_error(false)
            .max_idle_connections(HOOK_REQUESTS_MAX)
            .max_idle_connections_per_host(HOOK_REQUESTS_MAX)
            .max_idle_age(Duration::from_secs(HOOK_CONNECTION_IDLE_SECS))
            .build()
            .new_agent();
        let signer = options.signing_secret.as_ref().map(|secret| Arc::new(Signer::new(&secret.0)));
        let target = format!("hook {}", options.name);
        Poster { options: Arc::new(options.clone()), target, agent, signer }
    }

    /// Posts `events`.
    ///
    /// # Errors
    /// Why they were not taken.
    pub async fn post(&self, context: &Context, events: &[Event]) -> Result<(), Failure> {
        let request = Request {
            options: self.options.clone(),
            agent: self.agent.clone(),
            signer: self.signer.clone(),
            lines: events.iter().map(|event| event.line.clone()).collect(),
        };
        let helpers = context.policy_shared.helpers();
        helpers.run_for(&self.target, move || request.send()).await
    }
}

/// The trace that an event belongs to. (Within a string its quotes would be escaped.)
pub(super) fn trace_of(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(",\"traceparent\":\"")?;
    rest.split('"').next().filter(|context| TraceContext::parse(context).is_some())
}

struct Request {
    options: Arc<HttpLogHook>,
    agent: ureq::Agent,
    signer: Option<Arc<Signer>>,
    lines: Vec<String>,
}

impl Request {
    /// Sends it; blocks.
    fn send(self) -> Result<(), Failure> {
        let content = self.content();
        let id = event_key::of_batch(&self.lines);
        let timestamp = io::unix_nanos() / 1_000_000_000;
        let shown = redact::url(&self.options.url.0);
        let mut request = self.agent.post(&self.options.url.0);
        request = request.header("content-type", "application/json").header("webhook-id", &id);
        request = request.header("webhook-timestamp", timestamp.to_string());
        if let [line] = &self.lines[..] {
            if let Some(context) = trace_of(line) {
                request = request.header(TRACEPARENT, context);
            }
        }
        if let Some(signer) = &self.signer {
            request = request.header("webhook-signature", signer.sign(&id, timestamp, &content));
        }
        for (name, value) in &self.options.request_headers {
            request = request.header(name, &value.0);
        }
        let sent = if self.options.is_compressed() {
            let body = compressed(&content).map_err(|error| Failure::Later {
                why: format!("{shown}: the body could not be compressed: {error}"),
                after: None,
            })?;
            request.header("content-encoding", "gzip").send(&body)
        } else {
            request.send(&content)
        };
        let response = sent.map_err(|error| {
            // Some of its errors quote the URL.
            let error = error.to_string().replace(&self.options.url.0, &shown);
            Failure::Later { why: format!("{shown}: {error}"), after: None }
        })?;
        outcome(response, &shown)
    }

    /// The events as a JSON array.
    fn content(&self) -> Vec<u8> {
        let room = self.lines.iter().map(|line| line.len() + 64).sum::<usize>() + 2;
        let mut content = Vec::with_capacity(room);
        content.push(b'[');
        for (at, line) in self.lines.iter().enumerate() {
            if at > 0 {
                content.push(b',');
            }
            match line.strip_suffix('}').filter(|_| self.options.event_ids) {
                Some(open) => {
                    let id = event_key::id(line);
                    content.extend_from_slice(open.as_bytes());
                    content.extend_from_slice(format!(",\"event_id\":\"{id}\"}}").as_bytes());
                }
                None => content.extend_from_slice(line.as_bytes()),
            }
        }
        content.push(b']');
        content
    }
}

/// At the quickest level: it is the network that is spared, and the level above costs twice the time.
fn compressed(content: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(content.len() / 4), Compression::fast());
    encoder.write_all(content)?;
    encoder.finish()
}

/// What an answer means for the events.
fn outcome(mut response: ureq::http::Response<ureq::Body>, shown: &str) -> Result<(), Failure> {
    let status = response.status();
    let named = response.headers().get("retry-after");
    let after = named.and_then(|value| retry_after::of_header(value.to_str().ok()?));
    // Only when an answer was read to its end is its connection used again.
    let _ = response.body_mut().with_config().limit(HOOK_ANSWER_BYTES).read_to_vec();
    let why = format!("{shown} answered {status}");
    match status.as_u16() {
        200..=299 => Ok(()),
        408 | 425 | 429 => Err(Failure::Later { why, after }),
        400..=499 => Err(Failure::Refused { why }),
        _ => Err(Failure::Later { why, after }),
    }
}

//! A request carried out: its messages made, asked about, stored.

use crate::followed::Followed;
use crate::inject::fill::Filler;
use crate::inject::request::{Content, Injection, Recipient, Trace};
use crate::inject::{header, parts};
use crate::limits::{
    INJECT_BATCH_BYTES, INJECT_BATCH_MESSAGES, INJECT_HANDLER_SECS, INJECT_RATE_WAIT_MAX,
    INJECT_RECIPIENTS_MAX, INJECT_SLICE_MS, TRACE_HEADER_NAME_BYTES,
};
use crate::receive::header_too_large;
use crate::room::no_room;
use crate::store::store_each;
use ringmta_events::spans::trail::along;
use ringmta_events::spans::TRACEPARENT;
use ringmta_http::{Request, Response, StatusCode};
use ringmta_io::{self as io, deadline, mono_nanos, sleep};
use ringmta_policy::{AuthInfo, EnvelopeAddress, Message, Meta, TraceHeaders};
use ringmta_shard::state::Shard;
use ringmta_smtp::limits::MESSAGE_BYTES_MAX;
use ringmta_smtp::trace;
use ringmta_smtp::trace::Origin;
use serde_json::{json, Value};
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// What came of a request.
pub(super) struct CarriedOut {
    /// The answer, JSON.
    pub(super) text: String,
    /// Recipients taken.
    pub(super) taken: u64,
}

/// Carries a request out.
///
/// # Errors
/// The answer to a request of which nothing was taken.
pub(super) async fn run_text(
    shard: &Rc<Shard>,
    caller: &AuthInfo,
    request: &Request,
) -> Result<CarriedOut, Response> {
    if let Some(refusal) = no_room(shard) {
        let text = refusal.reply().text.into_owned();
        return Err(Response::text(StatusCode::SERVICE_UNAVAILABLE, text));
    }
    let injection: Injection = serde_json::from_slice(&request.body)
        .map_err(|error| Response::json_error(&error, &request.body))?;
    let followed = Followed::begin(shard, || request.header(TRACEPARENT).map(str::to_string));
    let from = (request.peer, request.local);
    let answer = run(shard, &injection, caller, from, followed.as_ref()).await;
    if let Some(followed) = followed {
        let count = injection.recipients.len();
        let peer = request.peer.ip().to_string();
        let attributes = vec![("network.peer.address", peer.into()), ("recipients", count.into())];
        followed.end(attributes, answer.as_ref().err().cloned());
    }
    let wrong = |text| Response::text(StatusCode::UNPROCESSABLE_ENTITY, text + "\n");
    let answer = answer.map_err(wrong)?;
    let taken = answer["success_count"].as_u64().unwrap_or(0);
    Ok(CarriedOut { text: answer.to_string(), taken })
}

/// Injects for the policy itself.
///
/// # Errors
/// What is wrong with the request.
pub async fn inject_value(shard: &Rc<Shard>, request: Value) -> Result<Value, String> {
    if let Some(refusal) = no_room(shard) {
        return Err(refusal.reply().text.into_owned());
    }
    let injection = serde_json::from_value(request).map_err(|error| error.to_string())?;
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    run(shard, &injection, &AuthInfo::default(), (nowhere, nowhere), None).await
}

/// Makes the messages of a request for the policy itself, and leaves what becomes of them to it.
///
/// # Errors
/// What is wrong with the request, or with the first recipient that cannot be taken.
pub async fn build_value(shard: &Rc<Shard>, request: Value) -> Result<Vec<Message>, String> {
    let injection: Injection =
        serde_json::from_value(request).map_err(|error| error.to_string())?;
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let caller = AuthInfo::default();
    let job = Job::new(&injection, &caller, (nowhere, nowhere))?;
    let mut built = Vec::with_capacity(injection.recipients.len());
    for to in &injection.recipients {
        let one = job.generate(shard, to).await;
        built.push(one.map_err(|text| format!("{}: {text}", to.email))?);
    }
    Ok(built)
}

/// What all recipients of a request have in common.
struct Job<'i> {
    injection: &'i Injection,
    sender: EnvelopeAddress,
    filler: Filler<'i>,
    trace: TraceHeaders,
    caller: &'i AuthInfo,
    peer: SocketAddr,
    local: SocketAddr,
    /// Policy took too long over a recipient: it is not asked about those behind it.
    is_late: Cell<bool>,
}

/// What became of the recipients of a request.
#[derive(Default)]
struct Outcome {
    taken: usize,
    failed: Vec<String>,
    errors: Vec<String>,
}

impl Outcome {
    fn refused(&mut self, recipient: &str, why: &str) {
        self.errors.push(format!("{recipient}: {why}"));
        self.failed.push(recipient.to_string());
    }
}

async fn run(
    shard: &Rc<Shard>,
    injection: &Injection,
    caller: &AuthInfo,
    from: (SocketAddr, SocketAddr),
    followed: Option<&Followed>,
) -> Result<Value, String> {
    let job = Job::new(injection, caller, from)?;
    let mut outcome = Outcome::default();
    // Messages are stored many at a time: what waits together is written together.
    let mut batch: Vec<(&str, Message)> = Vec::new();
    let mut bytes = 0;
    let mut slice_end = mono_nanos() + INJECT_SLICE_MS * 1_000_000;
    let trail = followed.map(Followed::trail);
    for recipient in &injection.recipients {
        match along(trail.clone(), job.take(shard, recipient)).await {
            Ok(message) => {
                if let Some(followed) = followed {
                    followed.mark(&message);
                }
                bytes += message.body_size();
                batch.push((&recipient.email, message));
            }
            Err(why) => outcome.refused(&recipient.email, &why),
        }
        if batch.len() >= INJECT_BATCH_MESSAGES || bytes >= INJECT_BATCH_BYTES {
            store(shard, std::mem::take(&mut batch), &mut outcome).await;
            bytes = 0;
        }
        if mono_nanos() > slice_end {
            io::yield_now().await;
            slice_end = mono_nanos() + INJECT_SLICE_MS * 1_000_000;
        }
    }
    store(shard, batch, &mut outcome).await;
    Ok(json!({
        "success_count": outcome.taken,
        "fail_count": outcome.failed.len(),
        "failed_recipients": outcome.failed,
        "errors": outcome.errors,
    }))
}

async fn store(shard: &Rc<Shard>, batch: Vec<(&str, Message)>, outcome: &mut Outcome) {
    let (recipients, messages): (Vec<&str>, Vec<Message>) = batch.into_iter().unzip();
    let results = store_each(shard, messages).await;
    for (recipient, result) in recipients.into_iter().zip(results) {
        match result {
            Ok(()) => outcome.taken += 1,
            Err(refusal) => outcome.refused(recipient, &refusal.reply().text),
        }
    }
}

impl<'i> Job<'i> {
    /// Checks what concerns the request as a whole, and compiles its templates.
    fn new(
        injection: &'i Injection,
        caller: &'i AuthInfo,
        (peer, local): (SocketAddr, SocketAddr),
    ) -> Result<Job<'i>, String> {
        if injection.recipients.is_empty() {
            return Err("recipients: at least one is needed".into());
        }
        if injection.recipients.len() > INJECT_RECIPIENTS_MAX {
            return Err(format!("recipients: at most {INJECT_RECIPIENTS_MAX} in one request"));
        }
        let sender = EnvelopeAddress::parse(&injection.envelope_sender)
            .map_err(|error| format!("envelope_sender: {error}"))?;
        let trace = trace_options(injection.trace_headers.as_ref())?;
        let filler = Filler::compile(injection)?;
        let is_late = Cell::new(false);
        Ok(Job { injection, sender, filler, trace, caller, peer, local, is_late })
    }

    /// The message of one recipient, when policy takes it.
    async fn take(&self, shard: &Rc<Shard>, recipient: &Recipient) -> Result<Message, String> {
        const LATE: &str = "policy took too long, try again later";
        if self.is_late.get() {
            return Err(LATE.into());
        }
        let message = self.generate(shard, recipient).await?;
        let (policy, limit) = (shard.policy(), Duration::from_secs(INJECT_HANDLER_SECS));
        let seen = deadline(limit, policy.http_message_generated(&message, self.caller)).await;
        let Ok(seen) = seen else {
            tracing::error!("http_message_generated took longer than {limit:?}");
            self.is_late.set(true);
            return Err(LATE.into());
        };
        seen.map_err(|error| error.to_string())?;
        Ok(message)
    }

    /// The message of one recipient.
    async fn generate(&self, shard: &Rc<Shard>, recipient: &Recipient) -> Result<Message, String> {
        let to = EnvelopeAddress::parse(&recipient.email).map_err(|error| error.to_string())?;
        if to.is_null() {
            return Err("an address is needed".into());
        }
        recipient_turn(shard).await?;
        let (id, created) = shard.context.ids.next();
        let body = match &self.injection.content {
            Content::Raw(_) => self.filler.raw(recipient)?.unwrap_or_default(),
            Content::Parts(given) => {
                let about = parts::About {
                    id: id.to_string(),
                    hostname: &shard.process.hostname,
                    created_secs: created / 1_000_000_000,
                };
                parts::build(given, &self.filler, recipient, &about)?
            }
        };
        if body.len() > MESSAGE_BYTES_MAX {
            return Err("content: the message is too large".into());
        }
        if header_too_large(&body) {
            return Err("content: the message's header is larger than 1 MB".into());
        }
        if let Some(line) = too_long(&body) {
            return Err(format!("content: line {line} is longer than 998 bytes"));
        }
        let meta = self.meta(shard, recipient);
        let recipients = vec![to];
        let peer = self.peer.ip().to_string();
        let origin = Origin {
            client_name: &peer,
            client_addr: &peer,
            hostname: &shard.process.hostname,
            protocol: "HTTP",
        };
        let mut whole = trace::headers(&self.trace, &origin, id, created, &recipients, &meta);
        whole.extend_from_slice(&body);
        Ok(Message::new(id, self.sender.clone(), recipients, meta, Rc::new(whole)))
    }

    /// What the caller says of a recipient has a place of its own: where a message goes, and for whom, is decided by
    /// metadata that only the policy sets.
    fn meta(&self, shard: &Shard, recipient: &Recipient) -> Meta {
        let mut meta = Meta::new();
        if !recipient.metadata.is_empty() {
            meta.insert("extra".into(), Value::Object(recipient.metadata.clone()));
        }
        meta.insert("reception_protocol".into(), "HTTP".into());
        meta.insert("hostname".into(), shard.process.hostname.clone().into());
        meta.insert("received_from".into(), self.peer.ip().to_string().into());
        meta.insert("received_via".into(), self.local.ip().to_string().into());
        let who = self.caller.identities.first().cloned();
        let who = who.unwrap_or_else(|| self.peer.ip().to_string());
        meta.insert("http_auth".into(), who.into());
        meta
    }
}

/// The first line longer than mail may have (RFC 5322 section 2.1.1), counted from 1.
pub(super) fn too_long(body: &[u8]) -> Option<usize> {
    const LONGEST: usize = 998;
    let mut from = 0;
    for (number, end) in memchr::memchr_iter(b'\n', body).enumerate() {
        // The CR is no part of the line.
        if end - from > LONGEST + 1 {
            return Some(number + 1);
        }
        from = end + 1;
    }
    None
}

/// Waits until the policy's limit on generated recipients lets one more pass.
async fn recipient_turn(shard: &Rc<Shard>) -> Result<(), String> {
    let started = mono_nanos();
    loop {
        let now = mono_nanos();
        let Err(wait) = shard.process.policy_shared.take_recipient(now) else { return Ok(()) };
        if Duration::from_nanos(now.saturating_sub(started)) + wait > INJECT_RATE_WAIT_MAX {
            return Err("more recipients than the limit set by the policy allows".into());
        }
        sleep(wait).await;
    }
}

pub(super) fn trace_options(given: Option<&Trace>) -> Result<TraceHeaders, String> {
    let mut options = TraceHeaders::default();
    if let Some(given) = given {
        options.received_header = given.received_header;
        options.supplemental_header = given.supplemental_header;
        options.include_meta_names = given.include_meta_names.clone();
        if let Some(name) = &given.header_name {
            if !header::is_name(name) || name.len() > TRACE_HEADER_NAME_BYTES {
                return Err(format!("trace_headers.header_name: {name:?} is not a header name"));
            }
            options.header_name = name.clone();
        }
    }
    Ok(options)
}

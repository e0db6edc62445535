//! One request of a hook: over a connection object of the policy, or posted by the engine.

use crate::context::Context;
use crate::hook::{Hook, Target};
use crate::limits::{
    HOOK_ANSWER_BYTES, HOOK_CONNECTION_IDLE_SECS, HOOK_QUEUES_MAX, HOOK_SEND_SECS,
};
use crate::window::Event;
use ringmta_io::{self as io};
use ringmta_mail::{redact, EnvelopeAddress, Message, Meta};
use ringmta_options::{HttpLogHook, LogHook};
use ringmta_policy::{LuaConnection, Policy, PolicyError, Protocol};
use std::rc::Rc;
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
        /// Without any further try: the policy said so.
        at_once: bool,
    },
}

/// How many of the events were taken, from the first on, and why the others were not.
pub type Sent = (usize, Result<(), Failure>);

/// Tells `events` with one request, or over one connection.
pub async fn send(context: &Rc<Context>, hook: &Rc<Hook>, events: &[Event]) -> Sent {
    match &hook.target {
        Target::Http(options, agent) => {
            let lines = events.iter().map(|event| event.line.clone()).collect();
            match post(context, &hook.name, options.clone(), agent.clone(), lines).await {
                Ok(()) => (events.len(), Ok(())),
                Err(failure) => (0, Err(failure)),
            }
        }
        Target::Lua(options) => {
            let limit = Duration::from_secs(HOOK_SEND_SECS);
            // What was taken before the call that hangs is told again.
            match io::deadline(limit, send_lua(context, hook, options, events)).await {
                Ok(sent) => sent,
                Err(_) => (0, Err(Failure::of(format!("`send` has not ended within {limit:?}")))),
            }
        }
    }
}

impl Failure {
    fn of(why: String) -> Failure {
        Failure::Later { why, after: None }
    }

    /// A constructor that refuses says nothing of the event.
    fn of_connection(self) -> Failure {
        match self {
            Failure::Refused { why, .. } => Failure::of(why),
            later => later,
        }
    }

    fn of_policy(error: &PolicyError) -> Failure {
        match error.rejection() {
            Some(rejection) if rejection.code >= 500 => {
                Failure::Refused { why: rejection.to_string(), at_once: true }
            }
            Some(rejection) => {
                let why = rejection.to_string();
                Failure::Later { after: named_pause(&rejection.text), why }
            }
            None => Failure::of(error.to_string()),
        }
    }
}

/// The pause that the text of a rejection names: policies pass on what their receiver has said.
fn named_pause(text: &str) -> Option<Duration> {
    const FIELD: &str = "retry-after:";
    let at = text.to_ascii_lowercase().find(FIELD)? + FIELD.len();
    retry_after(text.get(at..)?.split(['\r', '\n']).next()?)
}

/// The value of a Retry-After header (RFC 9110 section 10.2.3): seconds, or a date.
fn retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0 {
        return value[..digits].parse().ok().map(Duration::from_secs);
    }
    let date = mail_parser::DateTime::parse_rfc822(value)?.to_timestamp();
    let now = (io::unix_nanos() / 1_000_000_000) as i64;
    Some(Duration::from_secs(u64::try_from(date - now).unwrap_or(0)))
}

// ---- over the policy -------------------------------------------------------------------------

/// Closes connections that nobody uses, until there are none.
fn reap(hook: &Rc<Hook>) {
    if hook.connections.has_reaper.replace(true) {
        return;
    }
    let hook = hook.clone();
    io::spawn(async move {
        while !hook.connections.idle.borrow().is_empty() {
            io::sleep(Duration::from_secs(HOOK_CONNECTION_IDLE_SECS)).await;
            for old in hook.connections.take_old() {
                close(old).await;
            }
        }
        hook.connections.has_reaper.set(false);
    });
}

async fn close(connection: LuaConnection) {
    let limit = Duration::from_secs(HOOK_SEND_SECS);
    if io::deadline(limit, connection.close()).await.is_err() {
        tracing::warn!("a hook's `close` has not ended within {limit:?}");
    }
}

/// An event as the policy wants it.
struct Told {
    /// Which of the events it is.
    at: usize,
    message: Message,
    /// The event that makes the connection it goes over.
    constructor: Rc<str>,
}

async fn send_lua(
    context: &Rc<Context>,
    hook: &Rc<Hook>,
    options: &LogHook,
    events: &[Event],
) -> Sent {
    let policy = context.policy.current();
    let mut told = Vec::with_capacity(events.len());
    for (at, event) in events.iter().enumerate() {
        let Some(message) = wanted(context, &policy, hook, event).await else { continue };
        match constructor_of(&policy, hook, options, &message).await {
            Ok(constructor) => told.push(Told { at, message, constructor }),
            Err(error) => return (0, Err(Failure::of_policy(&error))),
        }
    }
    for run in told.chunk_by(|a, b| a.constructor == b.constructor) {
        if let Err((taken, failure)) = send_run(&policy, hook, options, run).await {
            return (taken, Err(failure));
        }
    }
    (events.len(), Ok(()))
}

/// The event that makes the connection for a record: the hook names it, or its queue's configuration does.
async fn constructor_of(
    policy: &Rc<Policy>,
    hook: &Hook,
    options: &LogHook,
    message: &Message,
) -> Result<Rc<str>, PolicyError> {
    if let Some(constructor) = &options.constructor {
        return Ok(constructor.as_str().into());
    }
    let queue = message.queue_name();
    let name = queue.to_string();
    if let Some(known) = hook.connections.known(policy, &name) {
        return Ok(known);
    }
    let (tenant, campaign) = (queue.tenant.as_deref(), queue.campaign.as_deref());
    let routing_domain = queue.routing_domain.as_deref();
    let config = policy.queue_config(&queue.domain, tenant, campaign, routing_domain).await?;
    let constructor: Rc<str> = match config.map(|config| config.protocol) {
        Some(Protocol::Lua { constructor, .. }) => constructor.into(),
        _ => format!("make.{}.log_hook", options.name).into(),
    };
    let mut known = hook.connections.known.borrow_mut();
    if known.constructors.len() < HOOK_QUEUES_MAX {
        known.constructors.insert(name, constructor.clone());
    }
    Ok(constructor)
}

/// Sends events that go over one connection; when it fails, how many of all were taken before, and why.
async fn send_run(
    policy: &Rc<Policy>,
    hook: &Rc<Hook>,
    options: &LogHook,
    run: &[Told],
) -> Result<(), (usize, Failure)> {
    let Some(first) = run.first() else { return Ok(()) };
    let constructor = first.constructor.clone();
    let connection = match hook.connections.take(policy, &constructor) {
        Some(connection) => connection,
        None => {
            let queue = first.message.queue_name();
            let (tenant, campaign) = (queue.tenant.as_deref(), queue.campaign.as_deref());
            let opened =
                policy.open_connection(&constructor, &queue.domain, tenant, campaign).await;
            opened.map_err(|error| (first.at, Failure::of_policy(&error).of_connection()))?
        }
    };
    let sent = send_over(options, &connection, run).await;
    if sent.is_ok() {
        hook.connections.put(connection, policy.clone(), constructor);
        reap(hook);
    } else {
        io::spawn(close(connection));
    }
    sent
}

async fn send_over(
    options: &LogHook,
    connection: &LuaConnection,
    run: &[Told],
) -> Result<(), (usize, Failure)> {
    if connection.has_batch() && options.batch_size > 1 {
        let messages: Vec<Message> = run.iter().map(|told| told.message.clone()).collect();
        let sent = connection.send_batch(&messages).await;
        let first = run.first().map_or(0, |told| told.at);
        return sent.map(drop).map_err(|error| (first, Failure::of_policy(&error)));
    }
    for told in run {
        let sent = connection.send(&told.message).await;
        sent.map_err(|error| (told.at, Failure::of_policy(&error)))?;
    }
    Ok(())
}

/// The event as the message the policy's handlers expect, when it wants it for this hook.
async fn wanted(
    context: &Rc<Context>,
    policy: &Rc<Policy>,
    hook: &Hook,
    event: &Event,
) -> Option<Message> {
    let message = as_message(context, hook, &event.line);
    if !policy.handles("should_enqueue_log_record") {
        return Some(message);
    }
    // A filter that fails must not lose events.
    let wanted = policy.should_enqueue_log_record(&message, &hook.name).await;
    wanted.unwrap_or(true).then_some(message)
}

fn as_message(context: &Context, hook: &Hook, line: &str) -> Message {
    let (id, _) = context.ids.next();
    let mut meta = Meta::new();
    let record: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    let key = hook.select.key_of(record["type"].as_str().unwrap_or_default());
    let text = match hook.templates.get(key).map(|template| template.render(line.as_bytes())) {
        Some(Ok(text)) => text,
        Some(Err(why)) => {
            tracing::error!("hook {}: log template: {why}", hook.name);
            line.to_string()
        }
        None => line.to_string(),
    };
    meta.insert("log_record".into(), record);
    meta.insert("reception_protocol".into(), "LogRecord".into());
    meta.insert("queue".into(), format!("{}.log_hook", hook.name).into());
    let recipient = EnvelopeAddress::parse(&format!("record@{}.log_hook", hook.name));
    let recipients = recipient.into_iter().collect();
    let body = Rc::new(text.into_bytes());
    Message::new(id, EnvelopeAddress::null(), recipients, meta, body)
}

// ---- by the engine ---------------------------------------------------------------------------

/// Posts a batch as a JSON array from a helper thread.
async fn post(
    context: &Rc<Context>,
    name: &str,
    options: Arc<HttpLogHook>,
    agent: ureq::Agent,
    lines: Vec<String>,
) -> Result<(), Failure> {
    // Each hook has threads of its own: one that hangs holds up no other.
    let target = format!("hook {name}");
    let helpers = context.policy_shared.helpers();
    helpers.run_for(&target, move || post_blocking(&agent, &options, &lines)).await
}

fn post_blocking(
    agent: &ureq::Agent,
    options: &HttpLogHook,
    lines: &[String],
) -> Result<(), Failure> {
    let mut body = String::with_capacity(lines.iter().map(|l| l.len() + 1).sum::<usize>() + 2);
    body.push('[');
    for (at, line) in lines.iter().enumerate() {
        if at > 0 {
            body.push(',');
        }
        body.push_str(line);
    }
    body.push(']');
    let mut request = agent.post(&options.url.0).header("content-type", "application/json");
    for (name, value) in &options.request_headers {
        request = request.header(name, &value.0);
    }
    let shown = redact::url(&options.url.0);
    let mut response = match request.send(body.as_bytes()) {
        Ok(response) => response,
        Err(error) => {
            // Some of its errors quote the URL.
            let error = error.to_string().replace(&options.url.0, &shown);
            return Err(Failure::of(format!("{shown}: {error}")));
        }
    };
    let status = response.status();
    let after = response.headers().get("retry-after").and_then(|v| retry_after(v.to_str().ok()?));
    // Only when an answer was read to its end is its connection used again.
    let _ = response.body_mut().with_config().limit(HOOK_ANSWER_BYTES).read_to_vec();
    let why = format!("{shown} answered {status}");
    match status.as_u16() {
        200..=299 => Ok(()),
        408 | 425 | 429 => Err(Failure::Later { why, after }),
        400..=499 => Err(Failure::Refused { why, at_once: false }),
        _ => Err(Failure::Later { why, after }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_that_receivers_ask_for() {
        assert_eq!(retry_after("120"), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert!(
            retry_after("Wed, 21 Oct 2099 07:28:00 GMT").unwrap() > Duration::from_secs(86_400)
        );
        assert_eq!(retry_after("soon"), None);
        let text = "http://a/: 429 Too Many Requests (Retry-After: 7)";
        assert_eq!(named_pause(text), Some(Duration::from_secs(7)));
        assert_eq!(named_pause("429 Too Many Requests"), None);
    }
}

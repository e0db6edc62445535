//! Mail that comes over HTTP: `POST /api/inject/v1`. One message per recipient, from raw MIME or
//! from parts, each with its substitutions.

use super::receive::{no_room, store_and_queue};
use crate::control::admin::json_error;
use crate::control::http::{Request, Response, StatusCode};
use crate::io::{mono_nanos, sleep};
use crate::limits::{INJECT_RATE_WAIT_MAX, INJECT_RECIPIENTS_MAX, MESSAGE_BYTES_MAX};
use crate::message::trace::{self, Origin};
use crate::shard::Shard;
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use mail_builder::headers::address::Address;
use mail_builder::MessageBuilder;
use minijinja::Environment;
use ringmta_policy::{AuthInfo, EnvelopeAddress, HttpListener, Message, Meta, TraceHeaders};
use serde::Deserialize;
use serde_json::{json, Map, Value};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Injection {
    envelope_sender: String,
    recipients: Vec<Recipient>,
    content: Content,
    #[serde(default)]
    substitutions: Map<String, Value>,
    #[serde(default)]
    template_dialect: Dialect,
    #[serde(default)]
    deferred_spool: bool,
    #[serde(default)]
    deferred_generation: bool,
    #[serde(default)]
    trace_headers: Option<Trace>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trace {
    #[serde(default = "yes")]
    received_header: bool,
    #[serde(default = "yes")]
    supplemental_header: bool,
    #[serde(default)]
    header_name: Option<String>,
    #[serde(default)]
    include_meta_names: Vec<String>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
enum Dialect {
    #[default]
    Jinja,
    Handlebars,
    Static,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipient {
    email: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    substitutions: Map<String, Value>,
    #[serde(default)]
    metadata: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Raw(String),
    Parts(Box<Parts>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    #[serde(default)]
    text_body: Option<String>,
    #[serde(default)]
    html_body: Option<String>,
    #[serde(default)]
    amp_html_body: Option<String>,
    #[serde(default)]
    attachments: Vec<Attachment>,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    from: Option<Mailbox>,
    #[serde(default)]
    reply_to: Option<Mailbox>,
    #[serde(default)]
    subject: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mailbox {
    email: String,
    #[serde(default)]
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attachment {
    data: String,
    content_type: String,
    #[serde(default)]
    file_name: Option<String>,
    #[serde(default)]
    content_id: Option<String>,
    #[serde(default)]
    base64: bool,
}

/// Answers one request. A recipient that cannot be taken is reported; the others are taken.
pub async fn inject(
    shard: &Rc<Shard>,
    _listener: &HttpListener,
    caller: &AuthInfo,
    request: &Request,
) -> Response {
    if let Some(refusal) = no_room(shard) {
        return Response::text(StatusCode::SERVICE_UNAVAILABLE, refusal.reply().text.into_owned());
    }
    let injection: Injection = match serde_json::from_slice(&request.body) {
        Ok(injection) => injection,
        Err(error) => return json_error(&error),
    };
    match run(shard, &injection, caller, request.peer, request.local).await {
        Ok(answer) => Response::json(&answer),
        Err(text) => Response::text(StatusCode::UNPROCESSABLE_ENTITY, text + "\n"),
    }
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
    run(shard, &injection, &AuthInfo::default(), nowhere, nowhere).await
}

/// Makes the messages of a request for the policy itself, and leaves what becomes of them to it.
///
/// # Errors
/// What is wrong with the request, or with the first recipient that cannot be taken.
pub async fn build_value(shard: &Rc<Shard>, request: Value) -> Result<Vec<Message>, String> {
    let injection: Injection =
        serde_json::from_value(request).map_err(|error| error.to_string())?;
    let sender = checked(&injection)?;
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let caller = AuthInfo::default();
    let mut built = Vec::with_capacity(injection.recipients.len());
    for to in &injection.recipients {
        let one = generate(shard, &injection, &sender, to, &caller, (nowhere, nowhere));
        built.push(one.await.map_err(|trouble| match trouble {
            Trouble::Content(text) => text,
            Trouble::Recipient(text) => format!("{}: {text}", to.email),
        })?);
    }
    Ok(built)
}

/// The sender of a request that makes sense.
fn checked(injection: &Injection) -> Result<EnvelopeAddress, String> {
    check(injection)?;
    EnvelopeAddress::parse(&injection.envelope_sender)
        .map_err(|error| format!("envelope_sender: {error}"))
}

async fn run(
    shard: &Rc<Shard>,
    injection: &Injection,
    caller: &AuthInfo,
    peer: SocketAddr,
    local: SocketAddr,
) -> Result<Value, String> {
    let sender = checked(injection)?;
    let mut failed = Vec::new();
    let mut errors = Vec::new();
    let mut success_count = 0;
    for recipient in &injection.recipients {
        match one(shard, injection, &sender, recipient, caller, (peer, local)).await {
            Ok(()) => success_count += 1,
            Err(Trouble::Content(text)) => return Err(text),
            Err(Trouble::Recipient(text)) => {
                errors.push(format!("{}: {text}", recipient.email));
                failed.push(recipient.email.clone());
            }
        }
    }
    Ok(json!({
        "success_count": success_count,
        "fail_count": failed.len(),
        "failed_recipients": failed,
        "errors": errors,
    }))
}

fn check(injection: &Injection) -> Result<(), String> {
    if injection.recipients.is_empty() {
        return Err("recipients: at least one is needed".into());
    }
    if injection.recipients.len() > INJECT_RECIPIENTS_MAX {
        return Err(format!("recipients: at most {INJECT_RECIPIENTS_MAX} in one request"));
    }
    if injection.template_dialect == Dialect::Handlebars {
        return Err("template_dialect: Handlebars is not supported; use Jinja or Static".into());
    }
    if injection.deferred_generation || injection.deferred_spool {
        return Err("deferred_generation and deferred_spool are not supported: \
                    every accepted message is durable"
            .into());
    }
    Ok(())
}

enum Trouble {
    /// Of one recipient.
    Recipient(String),
    /// Of the request as a whole.
    Content(String),
}

async fn one(
    shard: &Rc<Shard>,
    injection: &Injection,
    sender: &EnvelopeAddress,
    recipient: &Recipient,
    caller: &AuthInfo,
    between: (SocketAddr, SocketAddr),
) -> Result<(), Trouble> {
    let message = generate(shard, injection, sender, recipient, caller, between).await?;
    shard
        .policy()
        .http_message_generated(&message, caller)
        .await
        .map_err(|error| Trouble::Recipient(error.to_string()))?;
    store_and_queue(shard, vec![message])
        .await
        .map_err(|refusal| Trouble::Recipient(refusal.reply().text.into_owned()))
}

/// The message of one recipient.
async fn generate(
    shard: &Rc<Shard>,
    injection: &Injection,
    sender: &EnvelopeAddress,
    recipient: &Recipient,
    caller: &AuthInfo,
    (peer, local): (SocketAddr, SocketAddr),
) -> Result<Message, Trouble> {
    let of_recipient = |text: String| Trouble::Recipient(text);
    let to = EnvelopeAddress::parse(&recipient.email)
        .map_err(|error| of_recipient(error.to_string()))?;
    if to.is_null() {
        return Err(of_recipient("an address is needed".into()));
    }
    recipient_turn(shard).await.map_err(of_recipient)?;
    let body = render(injection, recipient).map_err(Trouble::Content)?;
    if body.len() > MESSAGE_BYTES_MAX {
        return Err(Trouble::Content("content: the message is too large".into()));
    }
    let mut meta: Meta = recipient.metadata.clone();
    meta.insert("reception_protocol".into(), "HTTP".into());
    meta.insert("received_from".into(), peer.to_string().into());
    meta.insert("received_via".into(), local.to_string().into());
    if let Some(id) = caller.identities.first() {
        meta.insert("http_auth".into(), id.clone().into());
    }
    let (id, created) = shard.ids.next();
    let recipients = vec![to];
    let peer = peer.ip().to_string();
    let origin = Origin {
        client_name: &peer,
        client_addr: &peer,
        hostname: &shard.process.hostname,
        protocol: "HTTP",
    };
    let options = trace_options(injection.trace_headers.as_ref());
    let mut whole = trace::headers(&options, &origin, id, created, &recipients, &meta);
    whole.extend_from_slice(&body);
    Ok(Message::new(id, sender.clone(), recipients, meta, Rc::new(whole)))
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

fn trace_options(given: Option<&Trace>) -> TraceHeaders {
    let mut options = TraceHeaders::default();
    if let Some(given) = given {
        options.received_header = given.received_header;
        options.supplemental_header = given.supplemental_header;
        options.include_meta_names = given.include_meta_names.clone();
        if let Some(name) = &given.header_name {
            options.header_name = name.clone();
        }
    }
    options
}

/// The message for one recipient.
fn render(injection: &Injection, recipient: &Recipient) -> Result<Vec<u8>, String> {
    let mut context = injection.substitutions.clone();
    context.extend(recipient.substitutions.clone());
    context.entry("email").or_insert_with(|| recipient.email.clone().into());
    if let Some(name) = &recipient.name {
        context.entry("name").or_insert_with(|| name.clone().into());
    }
    let fill = |field: &str, text: &str, html: bool| -> Result<String, String> {
        if injection.template_dialect == Dialect::Static {
            return Ok(text.to_string());
        }
        // What is filled into HTML is escaped there; elsewhere it is plain text.
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|name| {
            if name.ends_with(".html") {
                minijinja::AutoEscape::Html
            } else {
                minijinja::AutoEscape::None
            }
        });
        let name = if html { "part.html" } else { "part.txt" };
        environment
            .render_named_str(name, text, &context)
            .map_err(|error| format!("{field}: {error}"))
    };
    match &injection.content {
        Content::Raw(text) => Ok(crlf(&fill("content", text, false)?)),
        Content::Parts(parts) => build(parts, recipient, &fill),
    }
}

/// Line ends as mail has them, whatever the JSON had.
fn crlf(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 32);
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                out.extend_from_slice(b"\r\n");
                if bytes.peek() == Some(&b'\n') {
                    bytes.next();
                }
            }
            b'\n' => out.extend_from_slice(b"\r\n"),
            other => out.push(other),
        }
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn build(
    parts: &Parts,
    recipient: &Recipient,
    fill: &impl Fn(&str, &str, bool) -> Result<String, String>,
) -> Result<Vec<u8>, String> {
    if parts.amp_html_body.is_some() {
        return Err("content.amp_html_body: AMP parts are not supported".into());
    }
    let mut message = MessageBuilder::new();
    let address = |mailbox: &Mailbox| -> Result<Address<'static>, String> {
        let email = one_line("email", &mailbox.email)?;
        let name = mailbox.name.as_deref().map(|n| one_line("name", n)).transpose()?;
        Ok(Address::new_address(name, email))
    };
    if let Some(from) = &parts.from {
        message = message.from(address(from)?);
    }
    if let Some(reply_to) = &parts.reply_to {
        message = message.reply_to(address(reply_to)?);
    }
    let to_given = parts.headers.keys().any(|name| name.eq_ignore_ascii_case("to"));
    if !to_given {
        let email = one_line("email", &recipient.email)?;
        let name = recipient.name.as_deref().map(|n| one_line("name", n)).transpose()?;
        message = message.to(Address::new_address(name, email));
    }
    if let Some(subject) = &parts.subject {
        message = message.subject(one_line("subject", &fill("subject", subject, false)?)?);
    }
    for (name, value) in &parts.headers {
        let valid = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
        let text = value.as_str().ok_or_else(|| format!("headers.{name}: not a string"))?;
        if !valid {
            return Err(format!("headers: {name:?} is not a header name"));
        }
        let text = one_line(name, &fill(name, text, false)?)?;
        message = message.header(name.clone(), mail_builder::headers::raw::Raw::new(text));
    }
    if let Some(text) = &parts.text_body {
        message = message.text_body(fill("text_body", text, false)?);
    }
    if let Some(html) = &parts.html_body {
        message = message.html_body(fill("html_body", html, true)?);
    }
    for attachment in &parts.attachments {
        message = attach(message, attachment)?;
    }
    message.write_to_vec().map_err(|error| format!("content: {error}"))
}

fn attach<'a>(
    message: MessageBuilder<'a>,
    attachment: &Attachment,
) -> Result<MessageBuilder<'a>, String> {
    let data = if attachment.base64 {
        let compact: String = attachment.data.split_ascii_whitespace().collect();
        STANDARD.decode(compact).map_err(|error| format!("attachments.data: {error}"))?
    } else {
        attachment.data.clone().into_bytes()
    };
    let content_type = one_line("attachments.content_type", &attachment.content_type)?;
    let name = attachment.file_name.as_deref().unwrap_or("attachment");
    let name = one_line("attachments.file_name", name)?;
    Ok(match &attachment.content_id {
        Some(id) => message.inline(content_type, one_line("attachments.content_id", id)?, data),
        None => message.attachment(content_type, name, data),
    })
}

/// A value that goes into a header must not bring another line with it.
fn one_line(field: &str, text: &str) -> Result<String, String> {
    if text.contains(['\r', '\n', '\0']) {
        return Err(format!("{field}: must be a single line"));
    }
    Ok(text.to_string())
}

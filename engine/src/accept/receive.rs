//! A transaction becomes durable messages.

use super::deferred;
use super::reply::{Refusal, Reply};
use super::reports::{self, Report, Verdict};
use super::session::{Answer, Transaction};
use crate::egress::reply::Response;
use crate::events::record::{Client, Kind, Record, TlsInfo};
use crate::io::{deadline, mono_nanos};
use crate::limits;
use crate::message::trace::{self, Origin};
use crate::shard::Shard;
use crate::spool::Location;
use ringmta_policy::{
    BatchHandling, ConnMeta, EnvelopeAddress, HeaderBlock, Message, Policy, PolicyError,
    TraceHeaders,
};
use std::rc::Rc;
use std::time::Duration;

/// What is known of the session a message came over.
pub struct Source<'a> {
    /// The policy the session runs on.
    pub policy: &'a Policy,
    /// The session's metadata.
    pub meta: &'a ConnMeta,
    /// For the Received header.
    pub origin: Origin<'a>,
    /// Which headers are added.
    pub trace: &'a TraceHeaders,
    /// How recipients become messages.
    pub batching: BatchHandling,
    /// Id of the session, for records.
    pub session_id: &'a str,
    /// Address of the listener, as policy knows it.
    pub listener: &'a str,
    /// Recipients that take nothing but reports.
    pub reports_only: &'a [EnvelopeAddress],
    /// Policy is asked about the messages only after they were acknowledged.
    pub deferred: bool,
}

/// What comes of a transaction.
#[derive(Default)]
struct Prepared {
    /// To be stored.
    accepted: Vec<Message>,
    /// Reports that are logged and go no further.
    dropped: Vec<Message>,
    /// What is logged of reports, once all is stored.
    reports: Vec<(Message, Report)>,
    /// Text of the reply then.
    text: String,
}

/// Runs policy over a received message, which may take `limit`, and stores what comes of it. The answer
/// is the reply to the final dot: positive only when every message is on stable storage.
pub async fn receive(
    shard: &Rc<Shard>,
    source: &Source<'_>,
    transaction: Transaction,
    limit: Duration,
) -> Answer {
    let started = mono_nanos();
    let Prepared { accepted, reports, text, .. } =
        match deadline(limit, prepare(shard, source, transaction)).await {
            Ok(Ok(prepared)) => prepared,
            Ok(Err(answer)) => return answer,
            Err(_) => return took_too_long(source.origin.client_addr, limit),
        };
    // Once it is being stored it is not given up for a slow policy's sake: a client that was told 451
    // would send again what may be on disk.
    let wait = Duration::from_secs(limits::STORE_WAIT_SECS);
    match deadline(wait, store_for(shard, accepted, Some(source))).await {
        Ok(Ok(())) => {
            if !reports.is_empty() {
                for (message, report) in &reports {
                    reports::log(shard, source, message, report);
                }
                // A dropped report lives on in its records alone.
                if deadline(wait, shard.events.flush_hooks()).await.is_err() {
                    tracing::error!("event logs cannot be written: a report may come twice");
                    return Answer::Refuse(Refusal::SpoolFailed.reply());
                }
            }
            let micros = (mono_nanos() - started) / 1000;
            shard.metrics.accept_micros.borrow_mut().saturating_record(micros.max(1));
            Answer::Stored(Reply::new(250, text))
        }
        Ok(Err(refusal)) => Answer::Refuse(refusal.reply()),
        Err(_) => {
            tracing::error!("the disk has not answered for {wait:?}: a message may come twice");
            Answer::Refuse(Refusal::SpoolFailed.reply())
        }
    }
}

/// The reply where a policy does not come to an end.
pub fn took_too_long(peer: &str, limit: Duration) -> Answer {
    tracing::error!("session of {peer}: policy took longer than {limit:?}");
    Answer::Refuse(Refusal::PolicyFailed.reply())
}

/// What is to be stored of a transaction, and the text of the reply when it is.
async fn prepare(
    shard: &Rc<Shard>,
    source: &Source<'_>,
    transaction: Transaction,
) -> Result<Prepared, Answer> {
    if let Some(refusal) = no_room(shard) {
        return Err(Answer::Refuse(refusal.reply()));
    }
    if HeaderBlock::new(&transaction.body).named("Received").count() > limits::RECEIVED_HEADERS_MAX
    {
        return Err(Answer::Refuse(Refusal::Loop.reply()));
    }
    let messages = match make_messages(shard, source, transaction).await {
        Ok(messages) => messages,
        Err(error) => return Err(refuse(&error)),
    };
    let accepted = Vec::with_capacity(messages.len());
    let mut out = Prepared { accepted, ..Prepared::default() };
    let mut refusal = None;
    let handled = source.policy.handles("smtp_server_message_received");
    let may_report = source.policy.handles("get_listener_domain");
    for message in messages {
        if source.deferred {
            deferred::set_aside(&message);
        } else if handled {
            if let Err(error) = source.policy.message_received(&message, source.meta).await {
                refusal = Some(refuse(&error));
                continue;
            }
        }
        let verdict = match may_report {
            true => reports::look(source, &message).await,
            false => Ok(Verdict::Mail),
        };
        match verdict {
            Ok(Verdict::Mail) => out.accepted.push(message),
            Ok(Verdict::Report { report, relay }) => {
                out.reports.push((message.clone(), report));
                if relay {
                    out.accepted.push(message);
                } else {
                    out.dropped.push(message);
                }
            }
            Ok(Verdict::Refused) => {
                refusal = Some(Answer::Refuse(Refusal::RelayDenied.reply()));
            }
            Err(error) => refusal = Some(refuse(&error)),
        }
    }
    let partial = refusal.is_some();
    match refusal {
        Some(refusal) if out.accepted.is_empty() && out.dropped.is_empty() => return Err(refusal),
        _ => {}
    }
    let mut text = String::from(if partial { "PARTIAL ids=" } else { "OK ids=" });
    for (at, message) in out.accepted.iter().chain(&out.dropped).enumerate() {
        let gap = if at > 0 { " " } else { "" };
        text.push_str(&format!("{gap}{}", message.id()));
    }
    out.text = text;
    Ok(out)
}

/// Whether new mail must be turned away for now.
pub fn no_room(shard: &Shard) -> Option<Refusal> {
    if shard.stopping.get() {
        Some(Refusal::Stopping)
    } else if shard.spool.full.get() {
        Some(Refusal::SpoolFull)
    } else if shard.queues.resident.get() > shard.queues.budget.refuse {
        Some(Refusal::MemoryFull)
    } else {
        None
    }
}

/// The reply to a handler's refusal or failure.
pub fn refuse(error: &PolicyError) -> Answer {
    match error.rejection() {
        Some(rejection) => {
            let reply = Reply::new(rejection.code, rejection.text.clone());
            if rejection.closes_session() {
                Answer::Disconnect(reply)
            } else {
                Answer::Refuse(reply)
            }
        }
        // The handler's own failure was logged where it happened, with file and line.
        None => Answer::Refuse(Refusal::PolicyFailed.reply()),
    }
}

async fn make_messages(
    shard: &Shard,
    source: &Source<'_>,
    transaction: Transaction,
) -> Result<Vec<Message>, PolicyError> {
    let Transaction { sender, recipients, body } = transaction;
    let policy = source.policy;
    let mut meta = source.meta.snapshot();
    let mut body = Rc::new(body);
    let mut envelope = (sender, recipients);
    let mut groups = None;
    let mut timing = None;
    if policy.handles("smtp_server_data") || policy.handles("smtp_server_split_transaction") {
        let (id, _) = shard.ids.next();
        let (sender, recipients) = envelope;
        let whole = Message::new(id, sender, recipients, meta, body);
        policy.data(&whole, source.meta).await?;
        let split = policy.split_transaction(&whole, source.meta).await?;
        groups = split.map(|groups| parse_groups(&groups));
        body = whole.body().unwrap_or_default();
        envelope = (whole.sender(), whole.recipients());
        timing = Some((whole.scheduling(), whole.due()));
        meta = whole.take_meta();
    }
    let (sender, recipients) = envelope;
    let mut groups = groups.unwrap_or_else(|| split(recipients, source.batching));
    let mut messages = Vec::with_capacity(groups.len());
    while let Some(group) = groups.pop() {
        let (id, created) = shard.ids.next();
        let head = trace::headers(source.trace, &source.origin, id, created, &group, &meta);
        let last = groups.is_empty();
        let own = if last { std::mem::take(&mut body) } else { body.clone() };
        let body = Rc::new(with_headers(head, own));
        let own_meta = if last { std::mem::take(&mut meta) } else { meta.clone() };
        let message = Message::new(id, sender.clone(), group, own_meta, body);
        if let Some((scheduling, due)) = &timing {
            message.set_timing(scheduling.clone(), *due);
        }
        messages.push(message);
    }
    messages.reverse();
    Ok(messages)
}

/// `head` in front of `body`; the bytes move in place when nobody else holds them.
fn with_headers(head: Vec<u8>, body: Rc<Vec<u8>>) -> Vec<u8> {
    match Rc::try_unwrap(body) {
        Ok(mut body) => {
            body.splice(0..0, head);
            body
        }
        Err(shared) => {
            let mut out = head;
            out.extend_from_slice(&shared);
            out
        }
    }
}

fn split(recipients: Vec<EnvelopeAddress>, how: BatchHandling) -> Vec<Vec<EnvelopeAddress>> {
    match how {
        BatchHandling::BifurcateAlways => recipients.into_iter().map(|r| vec![r]).collect(),
        BatchHandling::BatchByDomain => {
            let mut groups: Vec<Vec<EnvelopeAddress>> = Vec::new();
            for recipient in recipients {
                let domain = recipient.routing_domain();
                match groups.iter_mut().find(|group| group[0].routing_domain() == domain) {
                    Some(group) => group.push(recipient),
                    None => groups.push(vec![recipient]),
                }
            }
            groups
        }
    }
}

/// Groups of addresses a handler chose; those that cannot be read are left out and logged.
fn parse_groups(groups: &[Vec<String>]) -> Vec<Vec<EnvelopeAddress>> {
    let parse = |text: &String| match EnvelopeAddress::parse(text) {
        Ok(address) => Some(address),
        Err(error) => {
            tracing::error!("smtp_server_split_transaction: {text:?}: {error}");
            None
        }
    };
    let parsed = groups.iter().map(|group| group.iter().filter_map(parse).collect::<Vec<_>>());
    parsed.filter(|group| !group.is_empty()).collect()
}

/// Stores messages that did not come over SMTP, and queues them.
///
/// # Errors
/// Why they could not be stored.
pub async fn store_and_queue(shard: &Rc<Shard>, messages: Vec<Message>) -> Result<(), Refusal> {
    store_for(shard, messages, None).await
}

async fn store_for(
    shard: &Rc<Shard>,
    messages: Vec<Message>,
    source: Option<&Source<'_>>,
) -> Result<(), Refusal> {
    let mut commits = Vec::with_capacity(messages.len());
    let mut failed = None;
    for message in messages {
        // The queue `null` is where a policy sends what it wants dropped.
        if message.meta_str("queue", |queue| queue == Some("null")) {
            continue;
        }
        let body = message.body().unwrap_or_default();
        match shard.spool.store(&message, &body) {
            Ok(commit) => commits.push((message, commit)),
            Err(error) => {
                failed = Some(error.refusal());
                break;
            }
        }
    }
    let mut stored: Vec<(Message, Location)> = Vec::with_capacity(commits.len());
    for (message, commit) in commits {
        match commit.await {
            Ok(at) => stored.push((message, at)),
            Err(error) => failed = Some(error.refusal()),
        }
    }
    if let Some(refusal) = failed {
        // The client will send all of it again: what was stored of it is let go.
        for (_, at) in stored {
            shard.spool.done(at);
        }
        return Err(refusal);
    }
    for (message, at) in stored {
        message.clear_changes();
        let counter = match source {
            Some(_) => &shard.metrics.received_smtp,
            None => &shard.metrics.received_http,
        };
        counter.inc();
        record_reception(shard, &message, source);
        shard.queues.accept(shard, message, at);
    }
    Ok(())
}

fn record_reception(shard: &Rc<Shard>, message: &Message, source: Option<&Source<'_>>) {
    if !shard.events.wants(Kind::Reception) {
        return;
    }
    let response = Response { code: 250, ..Response::default() };
    let recipients = message.recipients();
    let queue = message.queue_name().to_string();
    let mut record = Record::of_message(Kind::Reception, message, &queue, &response);
    record.recipients = &recipients;
    record.client = source
        .map(|source| Client { name: source.origin.client_name, addr: source.origin.client_addr });
    record.session_id = source.map(|source| source.session_id);
    record.tls = source.and_then(|_| message.meta(TlsInfo::of_meta));
    shard.events.record(shard, &record, Some(message));
}

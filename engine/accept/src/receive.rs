//! A transaction becomes durable messages.

use crate::deferred;
use crate::followed::Followed;
use crate::limits;
use crate::origin::ClientSession;
use crate::reports;
use crate::reports::{Report, Verdict};
use crate::room::no_room;
use crate::store::Stored;
use ringmta_events::spans::trail::along;
use ringmta_events::spans::TRACEPARENT;
use ringmta_io::sim::planted::{is_planted, Bug};
use ringmta_io::{deadline, mono_nanos, unix_nanos};
use ringmta_policy::{
    BatchHandling, EnvelopeAddress, HeaderBlock, Message, Meta, PolicyError, Scheduling,
};
use ringmta_shard::state::Shard;
use ringmta_smtp::reply::{Refusal, Reply};
use ringmta_smtp::server::vocabulary::{Answer, Transaction};
use ringmta_smtp::trace;
use std::rc::Rc;
use std::time::Duration;

/// What comes of a transaction.
struct Prepared<'s> {
    /// Stored already: of a large transaction some go to disk while the others are made.
    stored: Stored<'s>,
    /// To be stored.
    accepted: Vec<Message>,
    /// What is logged of reports, once all is stored.
    reports: Vec<(Message, Report)>,
    /// Text of the reply then.
    text: String,
    /// Its span, when it is followed.
    followed: Option<Followed>,
}

/// Runs policy over a received message, which may take `limit`, and stores what comes of it. The answer
/// is the reply to the final dot: positive only when every message is on stable storage.
pub async fn receive(
    shard: &Rc<Shard>,
    source: &ClientSession<'_>,
    transaction: Transaction,
    limit: Duration,
) -> Answer {
    let started = mono_nanos();
    // Its bytes stay counted until all of it is stored, or nothing.
    let mut transaction = transaction;
    let _held = std::mem::take(&mut transaction.held);
    let Prepared { mut stored, accepted, reports, text, followed } =
        match deadline(limit, prepare(shard, source, transaction)).await {
            Ok(Ok(prepared)) => prepared,
            Ok(Err(answer)) => return answer,
            Err(_) => return took_too_long(source.origin.client_addr, limit),
        };
    // Once it is being stored it is not given up for a slow policy's sake: a client that was told 451
    // would send again what may be on disk.
    let wait = Duration::from_secs(limits::STORE_WAIT_SECS);
    let began = unix_nanos();
    match deadline(wait, stored.add_all(accepted)).await {
        Ok(Ok(())) => {
            if let Some(followed) = followed {
                followed.did("store", began);
                let peer = source.origin.client_addr.to_string();
                let attributes =
                    vec![("network.peer.address", peer.into()), ("reply", text.clone().into())];
                followed.end(attributes, None);
            }
            stored.queue(Some(source), &reports);
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
            tracing::error!("the disk has not answered for {wait:?}: a message is given up");
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
async fn prepare<'s>(
    shard: &'s Rc<Shard>,
    source: &ClientSession<'_>,
    transaction: Transaction,
) -> Result<Prepared<'s>, Answer> {
    if let Some(refusal) = no_room(shard) {
        return Err(Answer::Refuse(refusal.reply()));
    }
    if HeaderBlock::new(&transaction.body).named("Received").count() > limits::RECEIVED_HEADERS_MAX
    {
        return Err(Answer::Refuse(Refusal::Loop.reply()));
    }
    if header_too_large(&transaction.body) {
        return Err(Answer::Refuse(Refusal::HeaderTooLarge.reply()));
    }
    let followed = Followed::begin(shard, || {
        let head = HeaderBlock::new(&transaction.body);
        head.first(TRACEPARENT).map(|field| field.decoded())
    });
    let asking = followed.as_ref().map(Followed::begin_part);
    let trail = || asking.as_ref().map(|part| part.trail.clone());
    let mut maker = match along(trail(), Maker::new(shard, source, transaction)).await {
        Ok(maker) => maker,
        Err(error) => return Err(refuse(&error)),
    };
    let (stored, accepted) = (Stored::new(shard), Vec::with_capacity(maker.groups.len()));
    let text = String::from("OK ids=");
    let mut out = Prepared { stored, accepted, reports: Vec::new(), text, followed };
    let (mut refusal, mut bytes) = (None, 0);
    while let Some(message) = maker.next(shard, source) {
        let gap = if out.text.ends_with('=') { "" } else { " " };
        out.text.push_str(&format!("{gap}{}", message.id()));
        let decided = decide(source, &message, &mut out.reports, &mut refusal);
        if !along(trail(), decided).await {
            continue;
        }
        if let Some(followed) = &out.followed {
            followed.mark(&message);
        }
        bytes += message.body_size();
        out.accepted.push(message);
        if bytes > limits::STAGE_BYTES && !maker.groups.is_empty() && refusal.is_none() {
            let staged = std::mem::take(&mut out.accepted);
            out.stored.stage(staged, &out.reports).await.map_err(|r| Answer::Refuse(r.reply()))?;
            bytes = 0;
        }
    }
    // After a 250 every recipient is ours (RFC 5321 sections 4.2.5, 6.1), and there is no reply that takes some of them: the
    // client keeps all of it.
    if let (Some(followed), Some(part)) = (&out.followed, &asking) {
        followed.end_part("policy", part);
    }
    match refusal {
        Some(refusal) => {
            if let Some(followed) = out.followed {
                followed.end(Vec::new(), Some(words_of(&refusal)));
            }
            Err(refusal)
        }
        None => Ok(out),
    }
}

/// A refusal, for a trace.
fn words_of(refusal: &Answer) -> String {
    match refusal {
        Answer::Refuse(reply) | Answer::Disconnect(reply) => {
            format!("{} {}", reply.code, reply.text)
        }
        _ => String::new(),
    }
}

/// Whether the fields of a message's header take more than [`limits::HEADER_BYTES_MAX`].
pub fn header_too_large(message: &[u8]) -> bool {
    if message.len() <= limits::HEADER_BYTES_MAX {
        return false;
    }
    let mut bytes = 0;
    HeaderBlock::new(message).fields().any(|field| {
        bytes += field.range.len();
        bytes > limits::HEADER_BYTES_MAX
    })
}

/// Asks policy about one message of a transaction. Whether it is to be stored; a report that is only logged is not.
async fn decide(
    source: &ClientSession<'_>,
    message: &Message,
    reports: &mut Vec<(Message, Report)>,
    refusal: &mut Option<Answer>,
) -> bool {
    if source.deferred {
        deferred::set_aside(message);
    } else if source.policy.handles("smtp_server_message_received") {
        if let Err(error) = source.policy.message_received(message, source.meta).await {
            refuse_all(refusal, &error);
            return false;
        }
    }
    let verdict = match source.policy.handles("get_listener_domain") {
        true => reports::look(source, message).await,
        false => Ok(Verdict::Mail),
    };
    match verdict {
        Ok(Verdict::Mail) => return true,
        Ok(Verdict::Report { report, relay }) => {
            reports.push((message.clone(), report));
            return relay;
        }
        Ok(Verdict::Refused) => {
            refusal.get_or_insert_with(|| Answer::Refuse(Refusal::RelayDenied.reply()));
        }
        Err(error) => refuse_all(refusal, &error),
    }
    false
}

/// Notes why a transaction is refused: the first refusal, but a handler that failed comes before any, for what it would have
/// said is not known and the client may try again.
fn refuse_all(so_far: &mut Option<Answer>, error: &PolicyError) {
    let is_failure = error.rejection().is_none();
    if is_planted(if is_failure { Bug::FailedLeftOut } else { Bug::RefusedLeftOut }) {
        return;
    }
    if so_far.is_none() || is_failure {
        *so_far = Some(refuse(error));
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

/// Makes the messages of a transaction one after the other: each has a copy of the body, but for the last, which has the
/// body.
struct Maker {
    sender: EnvelopeAddress,
    /// Recipients of the messages to come, the next one last.
    groups: Vec<Vec<EnvelopeAddress>>,
    meta: Meta,
    body: Rc<Vec<u8>>,
    timing: Option<(Option<Rc<Scheduling>>, Option<u64>)>,
}

impl Maker {
    /// Asks policy about the transaction as a whole.
    async fn new(
        shard: &Shard,
        source: &ClientSession<'_>,
        transaction: Transaction,
    ) -> Result<Maker, PolicyError> {
        let Transaction { sender, recipients, body, meta: asked, .. } = transaction;
        let policy = source.policy;
        let mut meta = source.meta.snapshot();
        meta.extend(asked);
        let body = Rc::new(body);
        if !policy.handles("smtp_server_data") && !policy.handles("smtp_server_split_transaction") {
            let mut groups = split(recipients, source.batching);
            groups.reverse();
            return Ok(Maker { sender, groups, meta, body, timing: None });
        }
        let (id, _) = shard.context.ids.next();
        let whole = Message::new(id, sender, recipients, meta, body);
        policy.data(&whole, source.meta).await?;
        let chosen = policy.split_transaction(&whole, source.meta).await?;
        let chosen = chosen.map(|groups| parse_groups(&groups));
        let mut groups = chosen.unwrap_or_else(|| split(whole.recipients(), source.batching));
        groups.reverse();
        let body = whole.body().unwrap_or_default();
        let timing = Some((whole.scheduling(), whole.due()));
        whole.drop_body();
        Ok(Maker { sender: whole.sender(), groups, meta: whole.take_meta(), body, timing })
    }

    fn next(&mut self, shard: &Shard, source: &ClientSession<'_>) -> Option<Message> {
        let group = self.groups.pop()?;
        let (id, created) = shard.context.ids.next();
        let head = trace::headers(source.trace, &source.origin, id, created, &group, &self.meta);
        let last = self.groups.is_empty();
        let own = if last { std::mem::take(&mut self.body) } else { self.body.clone() };
        let body = Rc::new(with_headers(head, own));
        let meta = if last { std::mem::take(&mut self.meta) } else { self.meta.clone() };
        let message = Message::new(id, self.sender.clone(), group, meta, body);
        if let Some((scheduling, due)) = &self.timing {
            message.set_timing(scheduling.clone(), *due);
        }
        Some(message)
    }
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

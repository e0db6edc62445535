//! What becomes of a message a peer has answered for: delivered, tried again, failed. The one place
//! that turns an answer into records, counters and the message's next state. What no peer has seen is
//! in [`undelivered`].

use super::connect::Opened;
use super::dispatch::Delivery;
use super::reply::Response;
use super::undelivered;
use crate::events::metrics::Path;
use crate::events::record::{Kind, Record, TlsInfo};
use crate::io::{self, steady_millis};
use crate::limits::DELIVERY_HANDLER_SECS;
use crate::queue::retry::{after_failure, Next};
use crate::queue::{Item, ReadyQueue};
use crate::shard::Shard;
use crate::spool::reclaim::AttemptState;
use ringmta_policy::{EnvelopeAddress, Message};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

pub use super::undelivered::connection_failed;

/// The connection a delivery went over, as records tell it.
#[derive(Debug, Clone)]
pub struct Via {
    /// Ready queue.
    pub site: String,
    /// Pool of the source.
    pub pool: String,
    /// Source.
    pub source: String,
    /// Host name of the peer; empty when there was none.
    pub host: String,
    /// Its address.
    pub peer: Option<SocketAddr>,
    /// Our address.
    pub local: Option<SocketAddr>,
    /// The proxy in between: protocol, address.
    pub proxy: Option<(&'static str, SocketAddr)>,
    /// Under TLS: what it came to.
    pub tls: Option<TlsInfo>,
    /// Id of this connection.
    pub session_id: String,
    /// Provider of the path.
    pub provider: Option<String>,
    /// ESMTP, LMTP, Lua.
    pub protocol: &'static str,
}

impl Via {
    /// For metrics, when the provider has a name.
    pub(super) fn path(&self) -> Option<Path<'_>> {
        let provider = self.provider.as_deref()?;
        Some(Path { provider, source: &self.source, pool: &self.pool })
    }

    /// Over an open connection.
    pub fn new(ready: &ReadyQueue, opened: &Opened, session_id: String) -> Via {
        Via {
            host: opened.host.clone(),
            peer: Some(opened.peer),
            local: opened.local,
            proxy: opened.proxy,
            tls: opened.tls.clone(),
            ..Via::nowhere(ready, session_id)
        }
    }

    /// No way at all: only the place a message was in has a name.
    pub fn of_queue(name: &str) -> Via {
        Via {
            site: name.to_string(),
            pool: String::new(),
            source: String::new(),
            host: String::new(),
            peer: None,
            local: None,
            proxy: None,
            tls: None,
            session_id: String::new(),
            provider: None,
            protocol: "",
        }
    }

    /// Without a connection.
    pub fn nowhere(ready: &ReadyQueue, session_id: String) -> Via {
        let path = ready.path();
        Via {
            site: ready.name.clone(),
            pool: ready.pool.clone(),
            source: ready.source_name(),
            host: String::new(),
            peer: None,
            local: None,
            proxy: None,
            tls: None,
            session_id,
            provider: path.provider_name.clone(),
            protocol: if path.use_lmtp { "LMTP" } else { "ESMTP" },
        }
    }
}

/// The peer took the message for `recipients`.
pub fn delivered(
    shard: &Rc<Shard>,
    via: &Via,
    delivery: &Delivery,
    recipients: &[EnvelopeAddress],
    response: &Response,
) {
    shard.metrics.delivered(&via.site, recipients.len(), delivery.item.id, via.path());
    record(shard, Kind::Delivery, via, delivery, recipients, response);
}

/// The peer refused `recipients` for now.
pub fn transient(
    shard: &Rc<Shard>,
    via: &Via,
    delivery: &Delivery,
    recipients: &[EnvelopeAddress],
    response: &Response,
) {
    shard.metrics.transfail(&via.site, recipients.len(), via.path());
    *delivery.item.queue.last_trouble.borrow_mut() =
        format!("{} {}", response.code, response.content);
    record(shard, Kind::TransientFailure, via, delivery, recipients, response);
}

/// An answer to a recipient.
pub type Answer = (EnvelopeAddress, Response);

/// The recipients of each answer, in the order the answers came.
pub fn by_answer(answers: &[Answer]) -> Vec<(&Response, Vec<EnvelopeAddress>)> {
    let mut groups: Vec<(&Response, Vec<EnvelopeAddress>)> = Vec::new();
    for (recipient, response) in answers {
        match groups.iter_mut().find(|(known, _)| *known == response) {
            Some((_, recipients)) => recipients.push(recipient.clone()),
            None => groups.push((response, vec![recipient.clone()])),
        }
    }
    groups
}

/// The message failed for good for `recipients`.
pub fn bounce(
    shard: &Rc<Shard>,
    via: &Via,
    delivery: &Delivery,
    recipients: &[EnvelopeAddress],
    response: &Response,
) {
    shard.metrics.failed(&via.site, recipients.len(), via.path());
    record(shard, Kind::Bounce, via, delivery, recipients, response);
}

fn record(
    shard: &Rc<Shard>,
    kind: Kind,
    via: &Via,
    delivery: &Delivery,
    recipients: &[EnvelopeAddress],
    response: &Response,
) {
    if !shard.events.wants(kind) {
        return;
    }
    let item = &delivery.item;
    let mut record = Record::of_message(kind, &delivery.message, &item.queue.name, response);
    record.recipients = recipients;
    record.num_attempts = item.attempts;
    record.via = Some(via);
    shard.events.record(shard, &record, Some(&delivery.message));
}

/// No recipient is left: the message leaves the spool.
pub fn finish(shard: &Shard, item: Item) {
    shard.spool.done(item.at);
    shard.queues.finished(&item);
    io::sim::tell(&io::sim::Note::Finished { shard: shard.index, id: item.id });
}

/// `remaining` recipients are tried again later, or expire; all of them for the same reason.
pub async fn retry(
    shard: &Rc<Shard>,
    delivery: Delivery,
    remaining: Vec<EnvelopeAddress>,
    response: &Response,
) {
    let answers = remaining.into_iter().map(|to| (to, response.clone())).collect();
    retry_each(shard, delivery, answers, AFTER_ATTEMPT).await;
}

/// What `requeue_message` is told of a message whose failed attempt has its record.
pub const AFTER_ATTEMPT: &[&str] = &["LoggedTransientFailure"];

/// The recipients are tried again later, or expire. Policy hears each answer, and may say when the
/// next attempt is due, or that those who got this answer are given up.
pub async fn retry_each(
    shard: &Rc<Shard>,
    delivery: Delivery,
    answers: Vec<Answer>,
    context: &[&str],
) {
    let Delivery { mut item, message, hand: _hand } = delivery;
    item.attempts = item.attempts.saturating_add(1);
    message.set_num_attempts(item.attempts);
    narrow(&message, &answers);
    let (answers, delay) = requeue(shard, &item, &message, answers, context).await;
    if answers.is_empty() {
        return finish(shard, item);
    }
    narrow(&message, &answers);
    if message.changes().of_record() {
        rewrite(shard, &mut item, &message).await;
    }
    let config = item.queue.config();
    let windows = &shard.queues.windows;
    let (scheduling, end) = (windows.get(item.id), windows.end_of_life(&item));
    let now = steady_millis();
    let orders = &shard.queues.orders;
    if let Some(order) = orders.bounced(&item.queue.name, &item.queue.parts, now) {
        orders.count_bounced(&order.id, &item.queue.name);
        return undelivered::admin_bounce(shard, item, &message, &order);
    }
    match after_failure(&config, scheduling.as_deref(), end, item.attempts, now, delay) {
        Next::Retry(due) => shard.queues.defer(shard, item, due),
        Next::Expire(due) => {
            let text = undelivered::too_late(shard, &item, due);
            undelivered::expired(shard, item, &message, text);
        }
    }
}

/// Leaves the message only those recipients.
fn narrow(message: &Message, answers: &[Answer]) {
    if answers.len() < message.with_recipients(<[EnvelopeAddress]>::len) {
        message.set_recipients(answers.iter().map(|(recipient, _)| recipient.clone()).collect());
    }
}

/// Tells policy of each answer. Gives back what is tried again, and when, milliseconds from now, if
/// policy has a word on that.
async fn requeue(
    shard: &Rc<Shard>,
    item: &Item,
    message: &Message,
    mut answers: Vec<Answer>,
    context: &[&str],
) -> (Vec<Answer>, Option<u64>) {
    let policy = shard.policy();
    if !policy.handles("requeue_message") {
        return (answers, None);
    }
    let limit = Duration::from_secs(DELIVERY_HANDLER_SECS);
    let groups: Vec<_> =
        by_answer(&answers).into_iter().map(|(said, to)| (said.clone(), to)).collect();
    let mut due: Option<u64> = None;
    for (said, recipients) in groups {
        message.set_due(None);
        let text = said.to_text();
        let context = context.iter().map(|word| (*word).to_string()).collect();
        let asked = policy.requeue_message(message, &text, context, true, None);
        match io::deadline(limit, asked).await {
            Ok(Ok(())) => due = due.into_iter().chain(message.due()).min(),
            Ok(Err(error)) => {
                // A failure was logged where it happened; the message is tried again then.
                let Some(rejection) = error.rejection() else { continue };
                let response = Response::internal(rejection.code, &rejection.text);
                fail_some(shard, Kind::Bounce, item, message, &recipients, &response, None);
                answers.retain(|(_, answer)| *answer != said);
            }
            Err(_) => tracing::error!("requeue_message took longer than {limit:?}"),
        }
    }
    (answers, due.map(|due| due.saturating_sub(steady_millis())))
}

/// A record of the end of some recipients.
pub(super) fn fail_some(
    shard: &Rc<Shard>,
    kind: Kind,
    item: &Item,
    message: &Message,
    recipients: &[EnvelopeAddress],
    response: &Response,
    via: Option<&Via>,
) {
    shard.metrics.failed("", recipients.len(), None);
    if shard.events.wants(kind) {
        let mut record = Record::of_message(kind, message, &item.queue.name, response);
        record.recipients = recipients;
        record.num_attempts = item.attempts;
        record.via = via;
        shard.events.record(shard, &record, Some(message));
    }
}

/// The end of a message for all its recipients.
pub(super) fn fail(
    shard: &Rc<Shard>,
    kind: Kind,
    item: Item,
    message: &Message,
    response: &Response,
    via: Option<&Via>,
) {
    fail_some(shard, kind, &item, message, &message.recipients(), response, via);
    finish(shard, item);
}

/// Policy refuses a message that was accepted before it was asked.
pub fn refused(shard: &Rc<Shard>, item: Item, message: &Message, response: &Response) {
    fail(shard, Kind::Bounce, item, message, response, None);
}

/// Envelope or content of a waiting message have changed: its record is written anew, and only
/// then is the old one let go.
pub async fn rewrite(shard: &Rc<Shard>, item: &mut Item, message: &Message) {
    if message.changes().scheduling {
        shard.queues.windows.note(item.id, message.scheduling());
    }
    // What hooks need of the recipients that are done must be durable before a record is that knows
    // nothing of them.
    shard.events.flush_hooks().await;
    let body = message.body().unwrap_or_default();
    let generation = item.generation.saturating_add(1);
    let stored = match shard.spool.store_anew(message, &body, generation) {
        Ok(commit) => commit.await,
        Err(error) => Err(error),
    };
    match stored {
        Ok(at) => {
            let before = std::mem::replace(&mut item.at, at);
            if item.attempts > 0 {
                // The new record knows nothing of them: they are noted before the one that does is let go.
                let state = AttemptState { attempts: item.attempts, due_millis: steady_millis() };
                item.at = shard.spool.attempted(item.at, state);
                io::sim::tell(&io::sim::Note::Rewritten { shard: shard.index, id: item.id, state });
            }
            shard.spool.done(before);
            item.generation = generation;
            message.clear_changes();
            let name = message.queue_name().to_string();
            if *name != *item.queue.name {
                shard.queues.left(item);
                item.queue = shard.queues.queue(shard, &name);
                item.queue.count.set(item.queue.count.get() + 1);
            }
        }
        Err(error) => {
            // The old record stands: some recipients may get the message twice, none is lost.
            tracing::error!("message {}: change could not be stored: {error}", item.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_are_grouped_by_their_answer() {
        let to = |name: &str| EnvelopeAddress::parse(&format!("{name}@d.test")).unwrap();
        let said =
            |code, text: &str| Response { code, content: text.into(), ..Response::default() };
        let answers = [
            (to("a"), said(450, "busy")),
            (to("b"), said(452, "full")),
            (to("c"), said(450, "busy")),
            (to("d"), said(450, "greylisted")),
        ];
        let groups = by_answer(&answers);
        let names = |at: usize| -> Vec<String> {
            groups[at].1.iter().map(|to| to.email().to_string()).collect()
        };
        assert_eq!(groups.len(), 3);
        assert_eq!(names(0), ["a@d.test", "c@d.test"]);
        assert_eq!((groups[1].0.code, names(1)), (452, vec!["b@d.test".to_string()]));
        assert_eq!(groups[2].0.content, "greylisted");
    }
}

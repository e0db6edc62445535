//! What becomes of a message: delivered, tried again, failed, expired. The one place that turns
//! an answer into records, counters and the message's next state.

use super::connect::Opened;
use super::dispatch::{self, Delivery};
use super::reply::Response;
use crate::events::metrics::Path;
use crate::events::record::{Kind, Record, TlsInfo};
use crate::io::{self, mono_nanos, unix_millis};
use crate::queue::retry::{after_failure, Next};
use crate::queue::suspend::{About, Order};
use crate::queue::{Item, ReadyQueue, ScheduledQueue};
use crate::shard::Shard;
use crate::spool::load;
use ringmta_policy::{schedule, EnvelopeAddress, Message};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

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
    fn path(&self) -> Option<Path<'_>> {
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

/// `remaining` recipients are tried again later, or expire.
pub async fn retry(
    shard: &Rc<Shard>,
    delivery: Delivery,
    remaining: Vec<EnvelopeAddress>,
    response: &Response,
) {
    let Delivery { mut item, message } = delivery;
    item.attempts = item.attempts.saturating_add(1);
    message.set_num_attempts(item.attempts);
    let mut delay = None;
    let policy = shard.policy();
    if policy.handles("requeue_message") {
        let text = format!("{} {}", response.code, response.content);
        let context = vec!["TransientFailure".to_string()];
        message.set_due(None);
        match policy.requeue_message(&message, &text, context, true, None).await {
            Ok(()) => delay = message.due().map(|due| due.saturating_sub(unix_millis())),
            Err(error) => {
                if let Some(rejection) = error.rejection() {
                    let response = Response::internal(rejection.code, &rejection.text);
                    return fail(shard, Kind::Bounce, item, &message, &response);
                }
            }
        }
    }
    let narrowed = remaining.len() < message.with_recipients(<[EnvelopeAddress]>::len);
    if narrowed {
        message.set_recipients(remaining);
    }
    if narrowed || message.changes().of_record() {
        rewrite(shard, &mut item, &message).await;
    }
    let config = item.queue.config();
    let windows = &shard.queues.windows;
    let (scheduling, end) = (windows.get(item.id), windows.end_of_life(&item));
    let now = unix_millis();
    match after_failure(&config, scheduling.as_deref(), end, item.attempts, now, delay) {
        Next::Retry(due) => shard.queues.defer(shard, item, due),
        Next::Expire(due) => {
            let text = too_late(shard, &item, due);
            expire(shard, item, &message, text);
        }
    }
}

/// Why a message is not tried at `due_millis`.
fn too_late(shard: &Shard, item: &Item, due_millis: u64) -> String {
    let expires = shard.queues.windows.get(item.id).and_then(|scheduling| scheduling.expires);
    if let Some(expires) = expires {
        return format!(
            "Next delivery time would be {}, which exceeds expires={}",
            schedule::text_of(due_millis),
            schedule::text_of(expires),
        );
    }
    let age = Duration::from_millis(due_millis.saturating_sub(item.created_millis()));
    format!(
        "Next delivery time would be {} after creation, which exceeds max_age={}",
        ringmta_policy::format_duration(age),
        ringmta_policy::format_duration(item.queue.config().max_age),
    )
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
            shard.spool.done(item.at);
            item.at = at;
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

fn expire(shard: &Rc<Shard>, item: Item, message: &Message, text: String) {
    let response = Response { code: 551, enhanced: Some((5, 4, 7)), content: text, command: None };
    fail(shard, Kind::Expiration, item, message, &response);
}

fn fail(shard: &Rc<Shard>, kind: Kind, item: Item, message: &Message, response: &Response) {
    shard.metrics.failed("", message.with_recipients(<[EnvelopeAddress]>::len), None);
    if shard.events.wants(kind) {
        let recipients = message.recipients();
        let mut record = Record::of_message(kind, message, &item.queue.name, response);
        record.recipients = &recipients;
        record.num_attempts = item.attempts;
        shard.events.record(shard, &record, Some(message));
    }
    finish(shard, item);
}

/// Policy refuses a message that was accepted before it was asked.
pub fn refused(shard: &Rc<Shard>, item: Item, message: &Message, response: &Response) {
    fail(shard, Kind::Bounce, item, message, response);
}

/// The message of an item, read back when it is not in memory; `None` when it cannot be read, and
/// then the item waits.
async fn message_of(shard: &Rc<Shard>, item: Item) -> Option<(Item, Message)> {
    if let Some(loaded) = &item.loaded {
        let message = loaded.message.clone();
        return Some((item, message));
    }
    match load::load(&shard.spool, item.at).await {
        Ok(message) => Some((item, message)),
        Err(why) => {
            tracing::error!("message {} cannot be read: {why}", item.id);
            shard.queues.defer(shard, item, unix_millis() + 60_000);
            None
        }
    }
}

/// Expires a message wherever it lay.
pub fn expire_later(shard: &Rc<Shard>, item: Item) {
    let shard = shard.clone();
    io::spawn(async move {
        let Some((item, message)) = message_of(&shard, item).await else { return };
        let scheduling = shard.queues.windows.get(item.id);
        let text = match scheduling.and_then(|scheduling| scheduling.expires) {
            Some(expires) => format!("Message has reached expires={}", schedule::text_of(expires)),
            None => {
                let age = unix_millis().saturating_sub(item.created_millis());
                format!(
                    "Message is {} old, which exceeds max_age={}",
                    ringmta_policy::format_duration(Duration::from_millis(age)),
                    ringmta_policy::format_duration(item.queue.config().max_age),
                )
            }
        };
        expire(&shard, item, &message, text);
    });
}

/// Expires a message that may not be tried before `due_millis`, when its life is over.
pub fn expire_unsent(shard: &Rc<Shard>, item: Item, due_millis: u64) {
    let shard = shard.clone();
    io::spawn(async move {
        let Some((item, message)) = message_of(&shard, item).await else { return };
        let text = too_late(&shard, &item, due_millis);
        expire(&shard, item, &message, text);
    });
}

/// Fails a message because an operator said so.
pub fn admin_bounce_later(shard: &Rc<Shard>, item: Item, order: Order) {
    let shard = shard.clone();
    io::spawn(async move {
        let Some((item, message)) = message_of(&shard, item).await else { return };
        let quiet = matches!(order.about, About::Bounce { suppress_logging: true, .. });
        if quiet {
            return finish(&shard, item);
        }
        let response = Response {
            enhanced: Some((5, 7, 1)),
            ..Response::internal(
                551,
                format!("Administrator bounced with reason: {}", order.reason),
            )
        };
        fail(&shard, Kind::AdminBounce, item, &message, &response);
    });
}

/// No route could be found for what waits in `queue`.
pub async fn fail_waiting(shard: &Rc<Shard>, queue: &Rc<ScheduledQueue>, response: Response) {
    let waiting = std::mem::take(&mut *queue.waiting.borrow_mut());
    for item in waiting {
        fail_attempt(shard, item, None, &response).await;
    }
}

/// One attempt of one message has failed before any peer saw it.
async fn fail_attempt(shard: &Rc<Shard>, item: Item, via: Option<&Via>, response: &Response) {
    let Some((item, message)) = message_of(shard, item).await else { return };
    let recipients = message.recipients();
    if response.is_permanent() {
        return fail(shard, Kind::Bounce, item, &message, response);
    }
    shard.metrics.transfail(
        via.map_or("", |via| &via.site),
        recipients.len(),
        via.and_then(Via::path),
    );
    *item.queue.last_trouble.borrow_mut() = response.content.clone();
    if shard.events.wants(Kind::TransientFailure) {
        let kind = Kind::TransientFailure;
        let mut record = Record::of_message(kind, &message, &item.queue.name, response);
        record.recipients = &recipients;
        record.num_attempts = item.attempts;
        record.via = via;
        shard.events.record(shard, &record, Some(&message));
    }
    retry(shard, Delivery { item, message }, recipients, response).await;
}

/// No connection to the site could be opened. What waits has had its attempt, unless other
/// connections are open: then the site merely has enough of us.
pub async fn connection_failed(shard: &Rc<Shard>, ready: &Rc<ReadyQueue>, response: Response) {
    let failures = ready.failures.get().saturating_add(1);
    ready.failures.set(failures);
    *ready.last_trouble.borrow_mut() = response.content.clone();
    tracing::debug!("{}: {}", ready.name, response.content);
    let pause = Duration::from_secs(1 << failures.min(4));
    if ready.connections.get() > 1 && !response.is_permanent() {
        ready.connect_after.set(mono_nanos() + pause.as_nanos() as u64);
        return;
    }
    if !response.is_permanent() {
        // New mail need not knock at a closed door each time.
        dispatch::block(shard, ready, pause);
    }
    let via = Via::nowhere(ready, shard.new_uuid());
    let waiting = std::mem::take(&mut *ready.items.borrow_mut());
    for item in waiting {
        fail_attempt(shard, item, Some(&via), &response).await;
    }
    ready.last_used.set(mono_nanos());
}

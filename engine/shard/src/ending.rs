//! How a message ends, and how its record in the spool is written anew.

use crate::limits;
use crate::places;
use crate::state::Shard;
use ringmta_events::observe;
use ringmta_events::record::{Kind, Record};
use ringmta_io::steady_millis;
use ringmta_policy::{schedule, EnvelopeAddress, Message};
use ringmta_queue::model::{Item, Loaded};
use ringmta_queue::orders::{About, Order};
use ringmta_smtp::response::Response;
use ringmta_smtp::via::Via;
use ringmta_spool::log::load;
use ringmta_spool::log::reclaim::AttemptState;
use std::rc::Rc;
use std::time::Duration;

/// No recipient is left: the message leaves the spool.
pub fn finish(shard: &Shard, item: Item) {
    shard.spool.done(item.at);
    shard.queues.finished(&item);
    observe::tell(&observe::Note::Finished { shard: shard.index, id: item.id });
}

/// A record of the end of some recipients.
pub fn fail_some(
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
        shard.events.record(&record, Some(message));
    }
}

/// The end of a message for all its recipients.
pub fn fail(
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
                observe::tell(&observe::Note::Rewritten {
                    shard: shard.index,
                    id: item.id,
                    attempts: state.attempts,
                    due_millis: state.due_millis,
                });
            }
            shard.spool.done(before);
            item.generation = generation;
            message.clear_changes();
            let name = message.queue_name().to_string();
            if *name != *item.queue.name {
                shard.queues.left(item);
                item.queue = places::queue(shard, &name);
                item.queue.count.set(item.queue.count.get() + 1);
            }
        }
        Err(error) => {
            // The old record stands: some recipients may get the message twice, none is lost.
            tracing::error!("message {}: change could not be stored: {error}", item.id);
        }
    }
}

/// Why a message is not tried at `due_millis`.
pub fn too_late(shard: &Shard, item: &Item, due_millis: u64) -> String {
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

/// The message of an item, read back when it is not in memory; `None` when it cannot be read, and
/// then the item waits.
pub async fn message_of(shard: &Rc<Shard>, mut item: Item) -> Option<(Item, Message)> {
    if let Some(loaded) = &item.loaded {
        let message = loaded.message.clone();
        return Some((item, message));
    }
    match load::load(&shard.spool, item.at).await {
        Ok(message) => {
            message.set_num_attempts(item.attempts);
            item.loaded = Some(Box::new(Loaded::new(message.clone(), &shard.queues.resident)));
            Some((item, message))
        }
        Err(why) => {
            tracing::error!("message {} cannot be read: {why}", item.id);
            places::defer(shard, item, steady_millis() + limits::UNREADABLE_RETRY_MS);
            None
        }
    }
}

/// A message is given up for its age.
pub fn expired(shard: &Rc<Shard>, item: Item, message: &Message, text: String) {
    let response = Response { code: 551, enhanced: Some((5, 4, 7)), content: text, command: None };
    fail(shard, Kind::Expiration, item, message, &response, None);
}

/// The same with the message in memory.
pub fn admin_bounce(shard: &Rc<Shard>, item: Item, message: &Message, order: &Order) {
    shard.queues.orders.kept.note(&order.id, &item.queue.name);
    if matches!(order.about, About::Bounce { suppress_logging: true, .. }) {
        return finish(shard, item);
    }
    let response = Response {
        code: 551,
        enhanced: Some((5, 7, 1)),
        content: format!("Administrator bounced with reason: {}", order.reason),
        command: None,
    };
    let via = Via::of_queue("localhost");
    fail(shard, Kind::AdminBounce, item, message, &response, Some(&via));
}

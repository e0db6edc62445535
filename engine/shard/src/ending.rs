//! How a message ends, and how its record in the spool is written anew.

use crate::limits;
use crate::places;
use crate::state::Shard;
use ringmta_events::observe;
use ringmta_events::recent::Became;
use ringmta_events::record::{Kind, Record};
use ringmta_io::steady_millis;
use ringmta_policy::{schedule, EnvelopeAddress, Message};
use ringmta_queue::model::{Item, Kept, Loaded};
use ringmta_queue::orders::{About, Order};
use ringmta_smtp::response::Response;
use ringmta_smtp::via::Via;
use ringmta_spool::log::reclaim::AttemptState;
use std::rc::Rc;
use std::time::Duration;

/// No recipient is left: the message leaves the spool, or the log of its hook.
pub fn finish(shard: &Shard, item: Item) {
    shard.queues.finished(&item);
    match item.at {
        Kept::Record(at) => {
            shard.spool.done(at);
            observe::tell(&observe::Note::Finished { shard: shard.index, id: item.id });
        }
        Kept::Event(hook) => shard.events.ended(hook, item.id),
    }
}

/// An event whose attempt has failed may go to the end of its log, from where it comes into its queue again; gives back
/// what stays.
pub fn unless_moved_back(shard: &Shard, item: Item) -> Option<Item> {
    match item.at {
        Kept::Event(hook) if shard.events.moves_back(hook, item.id) => {
            shard.queues.finished(&item);
            None
        }
        _ => Some(item),
    }
}

/// Keeps an event that ends without its receiver, for a person to send it again. Mail has its record, and no more.
pub fn set_aside(shard: &Shard, item: &Item, response: &Response) {
    if let Kept::Event(hook) = item.at {
        shard.events.refused(hook, item.id, &response.to_text());
    }
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
    if !item.is_event() {
        shard.metrics.failed("", recipients.len(), None);
        shard.metrics.recent.note(Became::Failed, recipients.len(), &item.queue.parts, via);
    }
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
    if kind != Kind::AdminBounce {
        set_aside(shard, &item, response);
    }
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
    let Kept::Record(before) = item.at else {
        // What is kept of an event stays as it was told.
        message.clear_changes();
        return change_queue(shard, item, message);
    };
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
            item.at = Kept::Record(at);
            let mut known = None;
            if item.attempts > 0 {
                // The new record knows nothing of them: they are noted before the one that does is let go.
                let state = AttemptState::due(item.attempts, steady_millis());
                item.at = Kept::Record(shard.spool.attempted(at, state));
                known = Some((state.attempts, state.due_millis));
            }
            let (shard_index, id) = (shard.index, item.id);
            observe::tell(&observe::Note::Rewritten { shard: shard_index, id, state: known });
            shard.spool.done(before);
            item.generation = generation;
            message.clear_changes();
            change_queue(shard, item, message);
        }
        Err(error) => {
            // The old record stands: some recipients may get the message twice, none is lost.
            tracing::error!("message {}: change could not be stored: {error}", item.id);
        }
    }
}

/// Policy may have given the message to another queue.
fn change_queue(shard: &Shard, item: &mut Item, message: &Message) {
    let name = message.queue_name().to_string();
    if *name != *item.queue.name {
        shard.queues.left(item);
        item.queue = places::queue(shard, &name);
        item.queue.count.set(item.queue.count.get() + 1);
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
    match places::load(shard, item.at, item.id).await {
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
    // What a person deletes by hand is no order that stands.
    if shard.queues.orders.has(&order.id) {
        shard.queues.orders.kept.note(&order.id, &item.queue.name);
    }
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

//! What becomes of a message that no peer has seen: there is no route or no connection, it is too old, or an operator
//! fails or holds it. All but the failed connection itself is done from the list of work, a few messages at a time.

use super::dispatch::{self, Delivery};
use super::outcome::{self, Via};
use super::reply::Response;
use crate::events::record::{Kind, Record};
use crate::io::{mono_nanos, steady_millis};
use crate::limits;
use crate::queue::hand::Hand;
use crate::queue::scheduled::Loaded;
use crate::queue::suspend::{About, Order};
use crate::queue::work::{self, Failed, Held, Task};
use crate::queue::{admit, Item, ReadyQueue, ScheduledQueue};
use crate::shard::Shard;
use crate::spool::load;
use ringmta_policy::{schedule, Message};
use std::rc::Rc;
use std::time::Duration;

/// What `requeue_message` is told of a message that has not come as far as a ready queue.
const NOT_INSERTED: &[&str] = &["LoggedTransientFailure", "FailedToInsertIntoReadyQueue"];

/// Why a message is not tried at `due_millis`.
pub(super) fn too_late(shard: &Shard, item: &Item, due_millis: u64) -> String {
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
async fn message_of(shard: &Rc<Shard>, mut item: Item) -> Option<(Item, Message)> {
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
            shard.queues.defer(shard, item, steady_millis() + limits::UNREADABLE_RETRY_MS);
            None
        }
    }
}

/// A message is given up for its age.
pub(super) fn expired(shard: &Rc<Shard>, item: Item, message: &Message, text: String) {
    let response = Response { code: 551, enhanced: Some((5, 4, 7)), content: text, command: None };
    outcome::fail(shard, Kind::Expiration, item, message, &response, None);
}

/// Expires a message wherever it lay.
pub async fn expire(shard: &Rc<Shard>, item: Item) {
    let Some((item, message)) = message_of(shard, item).await else { return };
    let scheduling = shard.queues.windows.get(item.id);
    let text = match scheduling.and_then(|scheduling| scheduling.expires) {
        Some(expires) => format!("Message has reached expires={}", schedule::text_of(expires)),
        None => {
            let age = steady_millis().saturating_sub(item.created_millis());
            format!(
                "Message is {} old, which exceeds max_age={}",
                ringmta_policy::format_duration(Duration::from_millis(age)),
                ringmta_policy::format_duration(item.queue.config().max_age),
            )
        }
    };
    expired(shard, item, &message, text);
}

/// Expires a message that may not be tried before `due_millis`, when its life is over.
pub async fn expire_unsent(shard: &Rc<Shard>, item: Item, due_millis: u64) {
    let Some((item, message)) = message_of(shard, item).await else { return };
    let text = too_late(shard, &item, due_millis);
    expired(shard, item, &message, text);
}

/// Fails a message because an operator said so.
pub async fn bounce(shard: &Rc<Shard>, item: Item, order: &Order) {
    let name = item.queue.name.clone();
    match message_of(shard, item).await {
        Some((item, message)) => admin_bounce(shard, item, &message, order),
        // It is when it can be read.
        None => shard.queues.orders.uncount_bounced(&order.id, &name),
    }
}

/// The same with the message in memory.
pub(super) fn admin_bounce(shard: &Rc<Shard>, item: Item, message: &Message, order: &Order) {
    shard.queues.orders.kept.note(&order.id, &item.queue.name);
    if matches!(order.about, About::Bounce { suppress_logging: true, .. }) {
        return outcome::finish(shard, item);
    }
    let response = Response {
        code: 551,
        enhanced: Some((5, 7, 1)),
        content: format!("Administrator bounced with reason: {}", order.reason),
        command: None,
    };
    let via = Via::of_queue("localhost");
    outcome::fail(shard, Kind::AdminBounce, item, message, &response, Some(&via));
}

/// Holds a message that an operator has stopped: one record of it, and no attempt.
pub async fn hold(shard: &Rc<Shard>, mut item: Item, held: &Held) {
    *item.queue.last_trouble.borrow_mut() = held.response.content.clone();
    if shard.events.wants(Kind::TransientFailure) {
        let Some((found, message)) = message_of(shard, item).await else { return };
        let recipients = message.recipients();
        let name = &found.queue.name;
        let mut record = Record::of_message(Kind::TransientFailure, &message, name, &held.response);
        record.recipients = &recipients;
        record.num_attempts = found.attempts;
        record.via = held.via.as_ref();
        shard.events.record(shard, &record, Some(&message));
        item = found;
    }
    // Orders may have come and gone meanwhile.
    let Some(item) = admit::lying(shard, item) else { return };
    let ready = held.ready.as_deref();
    let until = ready.map_or(0, |ready| shard.queues.orders.ready_held_until(ready));
    if until > steady_millis() {
        let due = dispatch::held_until(shard, &item, until);
        return shard.queues.defer(shard, item, due);
    }
    shard.queues.submit(shard, item);
}

/// No route could be found for what waits in `queue`.
pub fn fail_waiting(shard: &Rc<Shard>, queue: &Rc<ScheduledQueue>, response: Response) {
    let failed = Rc::new(Failed { response, via: None, context: NOT_INSERTED });
    let waiting = std::mem::take(&mut *queue.waiting.borrow_mut());
    for item in waiting {
        work::add(shard, item, Task::Fail(failed.clone()));
    }
}

/// One attempt of one message has failed before any peer saw it.
pub async fn attempt_failed(shard: &Rc<Shard>, item: Item, hand: Hand, failed: &Failed) {
    // What an operator has stopped is charged no attempt; it may be that it has not been told yet.
    let came_far = failed.via.is_some();
    let free = if came_far { admit::lying(shard, item) } else { admit::arriving(shard, item) };
    let Some(item) = free else { return };
    let Some((item, message)) = message_of(shard, item).await else { return };
    let Failed { response, via, context } = failed;
    let recipients = message.recipients();
    if response.is_permanent() {
        return outcome::fail(shard, Kind::Bounce, item, &message, response, via.as_ref());
    }
    let site = via.as_ref().map_or("", |via| &via.site);
    shard.metrics.transfail(site, recipients.len(), via.as_ref().and_then(Via::path));
    *item.queue.last_trouble.borrow_mut() = response.content.clone();
    if shard.events.wants(Kind::TransientFailure) {
        let kind = Kind::TransientFailure;
        let mut record = Record::of_message(kind, &message, &item.queue.name, response);
        record.recipients = &recipients;
        record.num_attempts = item.attempts;
        record.via = via.as_ref();
        shard.events.record(shard, &record, Some(&message));
    }
    let answers = recipients.into_iter().map(|to| (to, response.clone())).collect();
    outcome::retry_each(shard, Delivery { item, message, hand }, answers, context).await;
}

/// No connection to the site could be opened. The one message that was to leave first has had its
/// attempt, unless other connections are open: then the site merely has enough of us. All that wait
/// are delayed only after `consecutive_connection_failures_before_delay` failures in a row, or when no
/// host of the site may ever be spoken to.
pub async fn connection_failed(shard: &Rc<Shard>, ready: &Rc<ReadyQueue>, response: Response) {
    let failures = ready.failures.get().saturating_add(1);
    ready.failures.set(failures);
    *ready.last_trouble.borrow_mut() = response.content.clone();
    ready.last_used.set(mono_nanos());
    tracing::debug!("{}: {}", ready.name, response.content);
    let most = ready.path().consecutive_connection_failures_before_delay;
    let is_down = failures as usize > most;
    let pause = if is_down { SITE_DOWN_PAUSE } else { pause_after(failures) };
    if ready.established.get() > 0 && !response.is_permanent() {
        ready.connect_after.set(mono_nanos() + pause.as_nanos() as u64);
        return;
    }
    let via = Via::nowhere(ready, shard.new_uuid());
    if response.is_permanent() {
        return fail_all(shard, ready, via, response);
    }
    // New mail need not knock at a closed door each time.
    dispatch::block(shard, ready, pause);
    if ready.is_held() {
        return;
    }
    let first = ready.items.borrow_mut().pop_front();
    if let Some(item) = first {
        let context = outcome::AFTER_ATTEMPT;
        let failed = Failed { response, via: Some(via.clone()), context };
        work::add(shard, item, Task::Fail(Rc::new(failed)));
    }
    if ready.suspended_for().is_some() {
        // Its source is left alone: what waits may leave from another.
        let waiting = std::mem::take(&mut *ready.items.borrow_mut());
        waiting.into_iter().for_each(|item| shard.queues.submit(shard, item));
    } else if is_down {
        let response = Response {
            code: 451,
            enhanced: Some((4, 4, 1)),
            content: "No answer from any hosts listed in MX".into(),
            command: None,
        };
        fail_all(shard, ready, via, response);
    }
}

/// Time until the next connection to a site of which it is known that it is down.
const SITE_DOWN_PAUSE: Duration = Duration::from_secs(limits::SITE_DOWN_PAUSE_SECS);

/// Time until the next connection after so many failures in a row.
fn pause_after(failures: u32) -> Duration {
    let doubled = limits::CONNECT_PAUSE_MIN_MS << failures.saturating_sub(1).min(20);
    Duration::from_millis(doubled.min(limits::CONNECT_PAUSE_MAX_MS))
}

fn fail_all(shard: &Rc<Shard>, ready: &ReadyQueue, via: Via, response: Response) {
    let failed = Failed { response, via: Some(via), context: outcome::AFTER_ATTEMPT };
    let failed = Rc::new(failed);
    let waiting = std::mem::take(&mut *ready.items.borrow_mut());
    for item in waiting {
        work::add(shard, item, Task::Fail(failed.clone()));
    }
}

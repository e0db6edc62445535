//! What becomes of a message that no peer has seen: there is no route or no connection, it is too old, or an operator
//! fails or holds it. All but the failed connection itself is done from the list of work, a few messages at a time.

use crate::admit;
use crate::delivery::Delivery;
use crate::ending;
use crate::flow;
use crate::places;
use crate::retry;
use crate::state::Shard;
use ringmta_events::recent::Became;
use ringmta_events::record::{Kind, Record};
use ringmta_io::{steady_millis, unix_nanos};
use ringmta_policy::schedule;
use ringmta_queue::hand::Hand;
use ringmta_queue::model::{Item, ScheduledQueue};
use ringmta_queue::orders::Order;
use ringmta_queue::tasks::{Failed, Held, Task};
use ringmta_smtp::response::Response;
use ringmta_smtp::via::Via;
use std::rc::Rc;
use std::time::Duration;

/// What `requeue_message` is told of a message that has not come as far as a ready queue.
const NOT_INSERTED: &[&str] = &["LoggedTransientFailure", "FailedToInsertIntoReadyQueue"];

/// Expires a message wherever it lay.
pub async fn expire(shard: &Rc<Shard>, item: Item) {
    let Some((item, message)) = ending::message_of(shard, item).await else { return };
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
    ending::expired(shard, item, &message, text);
}

/// Expires a message that may not be tried before `due_millis`, when its life is over.
pub async fn expire_unsent(shard: &Rc<Shard>, item: Item, due_millis: u64) {
    let Some((item, message)) = ending::message_of(shard, item).await else { return };
    let text = ending::too_late(shard, &item, due_millis);
    ending::expired(shard, item, &message, text);
}

/// Fails a message because an operator said so.
pub async fn bounce(shard: &Rc<Shard>, item: Item, order: &Order) {
    let name = item.queue.name.clone();
    match ending::message_of(shard, item).await {
        Some((item, message)) => ending::admin_bounce(shard, item, &message, order),
        // It is when it can be read.
        None => shard.queues.orders.uncount_bounced(&order.id, &name),
    }
}

/// Holds a message that an operator has stopped: one record of it, and no attempt.
pub async fn hold(shard: &Rc<Shard>, mut item: Item, held: &Held) {
    *item.queue.last_trouble.borrow_mut() = held.response.content.clone();
    if shard.events.wants(Kind::TransientFailure) {
        let Some((found, message)) = ending::message_of(shard, item).await else { return };
        let recipients = message.recipients();
        let name = &found.queue.name;
        let mut record = Record::of_message(Kind::TransientFailure, &message, name, &held.response);
        record.recipients = &recipients;
        record.num_attempts = found.attempts;
        record.via = held.via.as_ref();
        shard.events.record(&record, Some(&message));
        item = found;
    }
    // Orders may have come and gone meanwhile.
    let Some(item) = admit::lying(shard, item) else { return };
    let ready = held.ready.as_deref();
    let until = ready.map_or(0, |ready| shard.queues.orders.ready_held_until(ready));
    if until > steady_millis() {
        return places::hold(shard, item, until);
    }
    flow::submit(shard, item);
}

/// No route could be found for what waits in `queue`; `via` when it is known how it would have left, which makes it a
/// failed attempt like any other.
pub fn fail_waiting(
    shard: &Rc<Shard>,
    queue: &Rc<ScheduledQueue>,
    response: Response,
    via: Option<Via>,
) {
    let context = if via.is_some() { retry::AFTER_ATTEMPT } else { NOT_INSERTED };
    let failed = Rc::new(Failed { response, via, was_ready: false, context });
    let waiting = queue.waiting.take();
    for item in waiting {
        shard.queues.end(item, Task::Fail(failed.clone()));
    }
}

/// One attempt of one message has failed before any peer saw it.
pub async fn attempt_failed(shard: &Rc<Shard>, item: Item, hand: Hand, failed: &Failed) {
    // What an operator has stopped is charged no attempt; it may be that it has not been told yet.
    let free =
        if failed.was_ready { admit::lying(shard, item) } else { admit::arriving(shard, item) };
    let Some(item) = free else { return };
    let Some((item, message)) = ending::message_of(shard, item).await else { return };
    let Failed { response, via, was_ready, context } = failed;
    let recipients = message.recipients();
    if response.is_permanent() {
        return ending::fail(shard, Kind::Bounce, item, &message, response, via.as_ref());
    }
    // Of a site that never was there is no series.
    let site = via.as_ref().filter(|_| *was_ready).map_or("", |via| &via.site);
    shard.metrics.transfail(site, recipients.len(), via.as_ref().and_then(Via::path));
    if !item.is_event() {
        let recent = &shard.metrics.recent;
        recent.note(Became::Deferred, recipients.len(), &item.queue.parts, via.as_ref());
        via.iter().for_each(|via| recent.answered(via, response));
    }
    if *was_ready {
        *item.queue.last_trouble.borrow_mut() = response.content.clone();
    }
    if shard.events.wants(Kind::TransientFailure) {
        let kind = Kind::TransientFailure;
        let mut record = Record::of_message(kind, &message, &item.queue.name, response);
        record.recipients = &recipients;
        record.num_attempts = item.attempts;
        record.via = via.as_ref();
        shard.events.record(&record, Some(&message));
    }
    let answers = recipients.into_iter().map(|to| (to, response.clone())).collect();
    let answers = retry::Answers::all(answers);
    retry::retry_each(
        shard,
        Delivery { item, message, hand, since: unix_nanos(), charged: 0 },
        answers,
        context,
    )
    .await;
}

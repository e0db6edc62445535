//! Mail that was acknowledged before policy saw it (`deferred_queue`): it lies in a queue of its own, as durable as any
//! other, until `smtp_server_message_deferred_inject` has had its say; then it goes to the queue it belongs to.

use crate::egress::outcome;
use crate::egress::reply::Response;
use crate::io::{self, deadline, steady_millis};
use crate::limits::{DEFERRED_INJECT_RETRY_MS, DEFERRED_INJECT_TASKS, DELIVERY_HANDLER_SECS};
use crate::queue::work::{self, Task};
use crate::queue::{Item, ScheduledQueue};
use crate::shard::Shard;
use crate::spool::load;
use ringmta_policy::{ConnMeta, Message};
use serde_json::Value;
use std::rc::Rc;
use std::time::Duration;

/// The queue.
pub const QUEUE: &str = "deferred_smtp_inject.kumomta.internal";
/// Metadata entry that keeps the queue a handler of `smtp_server_data` chose.
const CHOSEN: &str = "ringmta.queue";

/// Puts a fresh message into the queue, before it is stored.
pub fn set_aside(message: &Message) {
    if let Some(chosen) = message.get_meta("queue") {
        message.set_meta(CHOSEN, chosen);
    }
    message.set_meta("queue", QUEUE);
}

/// Has what waits in the queue asked about, few at a time: after a start there may be very many.
pub fn kick(shard: &Rc<Shard>, queue: &Rc<ScheduledQueue>) {
    if queue.injecting.get() >= DEFERRED_INJECT_TASKS {
        return;
    }
    queue.injecting.set(queue.injecting.get() + 1);
    let (shard, queue) = (shard.clone(), queue.clone());
    io::spawn(async move {
        while !shard.stopping.get() {
            let next = queue.waiting.borrow_mut().pop_front();
            let Some(item) = next else { break };
            let hand = shard.queues.in_hand.take(item.id);
            inject(&shard, item).await;
            drop(hand);
        }
        queue.injecting.set(queue.injecting.get() - 1);
    });
}

/// Asks policy about a message of the queue and sends it on its way.
async fn inject(shard: &Rc<Shard>, mut item: Item) {
    let message = match load::load(&shard.spool, item.at).await {
        Ok(message) => message,
        Err(why) => {
            tracing::error!("message {} cannot be read: {why}", item.id);
            return later(shard, item);
        }
    };
    message.set_meta("queue", message.get_meta(CHOSEN).unwrap_or_default());
    message.set_meta(CHOSEN, Value::Null);
    let meta = ConnMeta::new();
    message.meta(|all| all.iter().for_each(|(name, value)| meta.set(name.clone(), value.clone())));
    let policy = shard.policy();
    let limit = Duration::from_secs(DELIVERY_HANDLER_SECS);
    let asked = policy.message_deferred_inject(&message, &meta);
    let Ok(asked) = deadline(limit, asked).await else {
        tracing::error!("smtp_server_message_deferred_inject took longer than {limit:?}");
        return later(shard, item);
    };
    if let Err(error) = asked {
        return match error.rejection() {
            Some(rejection) if rejection.code >= 500 => {
                let response = Response {
                    code: rejection.code,
                    content: rejection.text.clone(),
                    ..Response::default()
                };
                outcome::refused(shard, item, &message, &response);
            }
            // A handler that fails may be mended; the message was acknowledged, and waits for that.
            _ => later(shard, item),
        };
    }
    if message.meta_str("queue", |queue| queue == Some("null")) {
        return outcome::finish(shard, item);
    }
    // Tries of this queue are no attempts at delivery.
    let tries = std::mem::take(&mut item.attempts);
    outcome::rewrite(shard, &mut item, &message).await;
    if &*item.queue.name == QUEUE {
        // It could not be stored: the next try begins where this one did.
        item.attempts = tries;
        return later(shard, item);
    }
    message.set_num_attempts(0);
    shard.queues.resume(shard, item, message);
}

/// It is asked about again after a while, until it is too old.
fn later(shard: &Rc<Shard>, item: Item) {
    // No attempt at delivery was made.
    let due = steady_millis() + DEFERRED_INJECT_RETRY_MS;
    if due > shard.queues.windows.end_of_life(&item) {
        return work::add(shard, item, Task::ExpireUnsent(due));
    }
    shard.queues.defer(shard, item, due);
}

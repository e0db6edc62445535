//! Mail that was acknowledged before policy saw it (`deferred_queue`): it lies in a queue of its own, as durable as any
//! other, until `smtp_server_message_deferred_inject` has had its say; then it goes to the queue it belongs to.

use crate::limits::{DEFERRED_INJECT_RETRY_MS, DEFERRED_INJECT_TASKS};
use ringmta_events::spans::trail::{along, Trail};
use ringmta_io::{self as io, deadline, steady_millis};
use ringmta_policy::{ConnMeta, Message};
use ringmta_queue::model::{Item, ScheduledQueue};
use ringmta_queue::scheduled::DEFERRED_QUEUE;
use ringmta_queue::tasks::Task;
use ringmta_shard::limits::DELIVERY_HANDLER_SECS;
use ringmta_shard::state::Shard;
use ringmta_shard::{ending, entry, places};
use ringmta_smtp::response::Response;
use serde_json::Value;
use std::rc::Rc;
use std::time::Duration;

/// Metadata entry that keeps the queue a handler of `smtp_server_data` chose.
const CHOSEN: &str = "ringmta.queue";

/// Puts a fresh message into the queue, before it is stored.
pub fn set_aside(message: &Message) {
    if let Some(chosen) = message.get_meta("queue") {
        message.set_meta(CHOSEN, chosen);
    }
    message.set_meta("queue", DEFERRED_QUEUE);
}

/// Has what waits in the queue asked about, few at a time: after a start there may be very many. For as long as the shard
/// lives.
pub async fn run(shard: Rc<Shard>) {
    loop {
        shard.queues.to_ask.pushed().await;
        while let Some(queue) = shard.queues.to_ask.pop() {
            queue.asked.set(false);
            // Those that ask already take what comes as well.
            let free = DEFERRED_INJECT_TASKS.saturating_sub(queue.injecting.get());
            let waiting = queue.waiting.borrow().len();
            for _ in 0..free.min(waiting) {
                queue.injecting.set(queue.injecting.get() + 1);
                io::spawn(inject_all(shard.clone(), queue.clone()));
            }
        }
    }
}

async fn inject_all(shard: Rc<Shard>, queue: Rc<ScheduledQueue>) {
    while !shard.context.stopping.get() {
        let next = queue.waiting.borrow_mut().pop_front();
        let Some(item) = next else { break };
        let hand = shard.queues.in_hand.take(&item);
        inject(&shard, item).await;
        drop(hand);
    }
    queue.injecting.set(queue.injecting.get() - 1);
}

/// Asks policy about a message of the queue and sends it on its way.
async fn inject(shard: &Rc<Shard>, mut item: Item) {
    let message = match places::load(shard, item.at, item.id).await {
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
    let trail = Trail::of(shard.process.spans.as_ref(), &message);
    let asked = along(trail, policy.message_deferred_inject(&message, &meta));
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
                ending::refused(shard, item, &message, &response);
            }
            // A handler that fails may be mended; the message was acknowledged, and waits for that.
            _ => later(shard, item),
        };
    }
    if message.meta_str("queue", |queue| queue == Some("null")) {
        return ending::finish(shard, item);
    }
    // Tries of this queue are no attempts at delivery.
    let tries = std::mem::take(&mut item.attempts);
    ending::rewrite(shard, &mut item, &message).await;
    if &*item.queue.name == DEFERRED_QUEUE {
        // It could not be stored: the next try begins where this one did.
        item.attempts = tries;
        return later(shard, item);
    }
    message.set_num_attempts(0);
    entry::resume(shard, item, message);
}

/// It is asked about again after a while, until it is too old.
fn later(shard: &Rc<Shard>, item: Item) {
    // No attempt at delivery was made.
    let due = steady_millis() + DEFERRED_INJECT_RETRY_MS;
    if due > shard.queues.windows.end_of_life(&item) {
        return shard.queues.end(item, Task::ExpireUnsent(due));
    }
    places::defer(shard, item, due);
}

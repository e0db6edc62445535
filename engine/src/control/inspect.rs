//! Answers to "why is this here": messages, scheduled queues, ready queues of one shard.

use crate::console;
use crate::control::at_millis;
use crate::control::order_view::order_json;
use crate::control::walk::{fullest, Walk};
use crate::control::why::message::Place;
use crate::control::{facts, hooks, ready_view, why};
use crate::limits::{LIST_MAX, SAMPLE_READ_SECS};
use ringmta_io::{mono_nanos, steady_millis, unix_nanos};
use ringmta_policy::{Message, MessageId, OptionTable};
use ringmta_queue::model::{Item, Kept, ReadyQueue, ScheduledQueue};
use ringmta_shard::check;
use ringmta_shard::mesh::Inspect;
use ringmta_shard::places;
use ringmta_shard::state::Shard;
use ringmta_smtp::dates::rfc3339;
use serde_json::{json, Value};
use std::rc::Rc;

/// Answers one question about `shard`; `null` when it knows nothing of what was asked.
pub async fn answer(shard: &Rc<Shard>, question: Inspect) -> Value {
    match question {
        Inspect::Orders => {
            let orders = shard.queues.orders.list(steady_millis());
            orders.iter().map(|order| order_json(shard, order)).collect()
        }
        Inspect::Scheduled(name, skip, most, want_body) => {
            scheduled(shard, &name, (skip, most), want_body).await
        }
        Inspect::Ready(name, with_scheduled) => {
            ready_view::ready(shard, &name, with_scheduled).await
        }
        Inspect::ReadyStates(names) => ready_view::states(shard, &names).await,
        Inspect::Memory => facts::memory_of(shard),
        Inspect::Tasks => facts::tasks_of(shard),
        // Asked of the stage that knows.
        Inspect::Path(..) => Value::Null,
        Inspect::Message(id, want_body) => message(shard, &id, want_body).await,
        Inspect::Queues => queues(shard).await,
        Inspect::FindQueues(part, most) => console::queues::of_shard(shard, &part, most).await,
        Inspect::Hooks => hooks::of_shard(shard),
        Inspect::SelfCheck => json!(check::check(shard)),
        Inspect::Why(about, name) => why::of_shard(shard, about, &name).await,
    }
}

/// `page` is how many messages are skipped, and how many are shown at the most.
async fn scheduled(shard: &Shard, name: &str, page: (usize, usize), want_body: bool) -> Value {
    let Some(queue) = shard.queues.scheduled.borrow().get(name).cloned() else {
        return Value::Null;
    };
    let end = mono_nanos() + SAMPLE_READ_SECS * 1_000_000_000;
    let mut walk = Walk::until(end);
    let (waiting, sample) = sample(shard, &queue, (page.0, page.1.min(LIST_MAX)), &mut walk).await;
    let mut messages = Vec::with_capacity(sample.len());
    for (at, id, mut known) in sample {
        if mono_nanos() > end {
            break;
        }
        known["message"] = match places::load(shard, at, id).await {
            Ok(message) => {
                let mut told = message_json(&message, want_body);
                told["due"] = known["due"].clone();
                told["num_attempts"] = known["attempts"].clone();
                told
            }
            Err(why) => json!({"error": why}),
        };
        messages.push(known);
    }
    let suspended = shard.queues.orders.suspended(name, &queue.parts, steady_millis());
    let last_used = mono_nanos().saturating_sub(queue.last_used.get());
    json!({
        "queue_name": name,
        "messages": messages,
        "num_scheduled": waiting,
        "num_scheduled_is_whole": !walk.is_cut(),
        "count": queue.count.get(),
        "queue_config": queue.config().shown().to_json(),
        "set_by": queue.made.borrow().of("protocol"),
        "ready_queues": ready_names(&queue),
        "suspended_until": suspended.map(|held| at_millis(held.until_millis)),
        "last_trouble": *queue.last_trouble.borrow(),
        "delayed_metric": 0,
        "now": rfc3339(unix_nanos()),
        "last_changed": rfc3339(unix_nanos().saturating_sub(last_used)),
    })
}

type Sampled = (Kept, MessageId, Value);

/// How many messages wait in `queue`, and those behind the first `skip`, `most` of them; as far as the walk goes.
async fn sample(
    shard: &Shard,
    queue: &Rc<ScheduledQueue>,
    (skip, most): (usize, usize),
    walk: &mut Walk,
) -> (usize, Vec<Sampled>) {
    let (mut messages, mut waiting) = (Vec::new(), 0);
    let mut see = |item: &Item, due: Option<u64>| {
        waiting += 1;
        if waiting > skip && messages.len() < most {
            messages.push((item.at, item.id, item_json(item, due)));
        }
    };
    let in_timer = walk.timer(&shard.queues.timers, |due, item| {
        if Rc::ptr_eq(&item.queue, queue) {
            see(item, Some(due));
        }
        None::<()>
    });
    in_timer.await;
    let in_queue = walk.line(&queue.waiting, |_, item| {
        see(item, None);
        None::<()>
    });
    in_queue.await;
    (waiting, messages)
}

/// What a message says of itself.
fn message_json(message: &Message, want_body: bool) -> Value {
    let to: Vec<String> = message.recipients().iter().map(|r| r.email().to_string()).collect();
    let data = want_body.then(|| {
        let body = message.body().unwrap_or_default();
        String::from_utf8_lossy(&body).into_owned()
    });
    json!({
        "sender": message.sender().email(),
        "recipient": to,
        "meta": message.meta(|meta| Value::Object(meta.clone())),
        "scheduling": message.scheduling().map_or(Value::Null, |s| s.to_json()),
        "data": data,
    })
}

fn ready_names(queue: &ScheduledQueue) -> Vec<String> {
    let route = queue.route.borrow();
    route.iter().flat_map(|route| route.ready()).map(|ready| ready.name.clone()).collect()
}

fn item_json(item: &Item, due_millis: Option<u64>) -> Value {
    facts_json((item.id, item.at, item.attempts), due_millis)
}

fn facts_json((id, at, attempts): (MessageId, Kept, u16), due_millis: Option<u64>) -> Value {
    json!({
        "id": id.to_string(),
        "attempts": attempts,
        "created": rfc3339(id.created_unix_nanos()),
        "due": due_millis.map(at_millis),
        "bytes": at.bytes(),
    })
}

/// The fullest queues, and how many there are besides.
async fn queues(shard: &Shard) -> Value {
    let all: Vec<_> = shard.queues.scheduled.borrow().values().cloned().collect();
    let (used, further_scheduled) = fullest(all, LIST_MAX, |queue| queue.count.get()).await;
    let scheduled: serde_json::Map<String, Value> =
        used.into_iter().map(|queue| (queue.name.to_string(), queue.count.get().into())).collect();
    // One with nothing in it but connections is told as well.
    let all: Vec<_> = shard.queues.ready.borrow().values().cloned().collect();
    let (used, further_ready) = fullest(all, LIST_MAX, |queue| queue.len() + 1).await;
    let of =
        |queue: &ReadyQueue| json!({"ready": queue.len(), "connections": queue.connections.get()});
    let ready: serde_json::Map<String, Value> =
        used.into_iter().map(|queue| (queue.name.clone(), of(&queue))).collect();
    let further = json!({"scheduled": further_scheduled, "ready": further_ready});
    json!({"scheduled": scheduled, "ready": ready, "further": further})
}

/// What is kept of message `id`, when this shard has it.
pub async fn find(shard: &Shard, id: MessageId) -> Option<Kept> {
    why::message::find(shard, id).await.map(|(facts, _)| facts.at)
}

async fn message(shard: &Rc<Shard>, id: &str, want_body: bool) -> Value {
    let Ok(id) = id.parse::<MessageId>() else { return Value::Null };
    let Some((facts, place)) = why::message::find(shard, id).await else { return Value::Null };
    let answer = why::message::state(shard, &facts, &place);
    let due = match place {
        Place::Timer(due) => Some(due),
        _ => None,
    };
    let (at, queue) = (facts.at, &facts.queue);
    let mut known = facts_json((id, at, facts.attempts), due);
    known["state"] = answer.state.words().says.into();
    known["since"] = answer.since.map(at_millis).into();
    known["because"] = json!(answer.because);
    known["queue"] = queue.name.to_string().into();
    known["last_trouble"] = queue.last_trouble.borrow().clone().into();
    known["shard"] = shard.index.into();
    if let Some(held) = shard.queues.orders.suspended(&queue.name, &queue.parts, steady_millis()) {
        known["suspended_until"] = at_millis(held.until_millis).into();
    }
    match places::load(shard, at, id).await {
        Ok(message) => {
            if let Value::Object(told) = message_json(&message, want_body) {
                for (field, value) in told {
                    known[field] = value;
                }
            }
            known["num_attempts"] = known["attempts"].clone();
        }
        Err(why) => known["error"] = why.into(),
    }
    known
}

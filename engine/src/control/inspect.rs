//! Answers to "why is this here": messages, scheduled queues, ready queues of one shard.

use crate::console;
use crate::control::hooks;
use crate::limits::LIST_MAX;
use ringmta_io::{mono_nanos, steady_millis, unix_nanos};
use ringmta_policy::{MessageId, OptionTable};
use ringmta_queue::model::ReadyQueue;
use ringmta_queue::model::{Item, Kept, ScheduledQueue};
use ringmta_queue::orders::{About, Order};
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
        Inspect::Scheduled(name, most) => scheduled(shard, &name, most),
        Inspect::Ready(name) => ready(shard, &name),
        Inspect::Message(id, want_body) => message(shard, &id, want_body).await,
        Inspect::Queues => queues(shard),
        Inspect::FindQueues(part, most) => console::queues::of_shard(shard, &part, most).await,
        Inspect::Hooks => hooks::of_shard(shard),
        Inspect::SelfCheck => json!(check::check(shard)),
    }
}

fn order_json(shard: &Shard, order: &Order) -> Value {
    let left = order.until_millis.saturating_sub(steady_millis());
    let duration = ringmta_policy::format_duration(std::time::Duration::from_millis(left));
    let expires = rfc3339(order.until_millis * 1_000_000);
    let mut base = json!({"id": order.id, "reason": order.reason, "duration": duration});
    if order.placed_millis > 0 {
        base["created"] = rfc3339(order.placed_millis * 1_000_000).into();
        base["created_by"] = order.by.as_str().into();
    }
    let (kind, more) = match &order.about {
        About::Suspend(selector) => ("suspend", json!(selector)),
        About::SuspendReady(name) => ("suspend-ready-q", json!({"name": name, "expires": expires})),
        About::Bounce { selector, .. } => {
            let mut more = json!(selector);
            let bounced = shard.queues.orders.bounced_by(&order.id);
            more["total_bounced"] = json!(bounced.values().sum::<u64>());
            more["bounced"] = json!(bounced);
            ("bounce", more)
        }
    };
    let mut out = json!({"kind": kind});
    for part in [base, more] {
        if let (Value::Object(out), Value::Object(part)) = (&mut out, part) {
            out.extend(part.into_iter().filter(|(_, value)| !value.is_null()));
        }
    }
    out
}

fn scheduled(shard: &Shard, name: &str, most: usize) -> Value {
    let Some(queue) = shard.queues.scheduled.borrow().get(name).cloned() else {
        return Value::Null;
    };
    let mut messages = Vec::new();
    let mut waiting = 0;
    let most = most.min(LIST_MAX);
    let timers = shard.queues.timers.borrow();
    for (due, item) in timers.iter().filter(|(_, item)| Rc::ptr_eq(&item.queue, &queue)) {
        waiting += 1;
        if messages.len() < most {
            messages.push(item_json(item, Some(due)));
        }
    }
    for item in queue.waiting.borrow().iter() {
        waiting += 1;
        if messages.len() < most {
            messages.push(item_json(item, None));
        }
    }
    let suspended = shard.queues.orders.suspended(name, &queue.parts, steady_millis());
    json!({
        "queue_name": name,
        "messages": messages,
        "num_scheduled": waiting,
        "count": queue.count.get(),
        "queue_config": queue.config().shown().to_json(),
        "ready_queues": ready_names(&queue),
        "suspended_until": suspended.map(|held| rfc3339(held.until_millis * 1_000_000)),
        "last_trouble": *queue.last_trouble.borrow(),
        "delayed_metric": 0,
        "now": rfc3339(unix_nanos()),
    })
}

fn ready_names(queue: &ScheduledQueue) -> Vec<String> {
    let route = queue.route.borrow();
    route.iter().flat_map(|route| route.ready()).map(|ready| ready.name.clone()).collect()
}

fn item_json(item: &Item, due_millis: Option<u64>) -> Value {
    json!({
        "id": item.id.to_string(),
        "attempts": item.attempts,
        "created": rfc3339(item.id.created_unix_nanos()),
        "due": due_millis.map(|due| rfc3339(due * 1_000_000)),
        "bytes": item.at.bytes(),
    })
}

fn ready(shard: &Shard, name: &str) -> Value {
    let Some(queue) = shard.queues.ready.borrow().get(name).cloned() else { return Value::Null };
    ready_json(&queue)
}

fn ready_json(queue: &ReadyQueue) -> Value {
    let path = queue.path();
    let plan = queue.plan.borrow();
    let blocked = queue.blocked_until.get().saturating_sub(mono_nanos());
    let suspended = Some(queue.held_until.get()).filter(|until| *until > steady_millis());
    let hosts: Vec<_> =
        plan.hosts.iter().map(|host| json!({"name": host.name, "addr": host.addr})).collect();
    json!({
        "queue_name": queue.name,
        "mx": {"site_name": plan.site, "hosts": hosts},
        "egress_source": queue.source_name(),
        "egress_pool": queue.pool,
        "protocol": queue.carrier.borrow().kind(),
        "state": {
            "ready_count": queue.len(),
            "connection_count": queue.connections.get(),
            "connection_limited": queue.wants_lease.get(),
            "blocked_for_ms": blocked / 1_000_000,
            "suspended": suspended.map(|at| rfc3339(at * 1_000_000)),
            "connections_all_shards": queue.leases(),
            "idle_connections": queue.idle_connections(),
            "failures_in_a_row": queue.failures.get(),
            "last_trouble": *queue.last_trouble.borrow(),
        },
        "path_config": path.shown().to_json(),
        "constraints": ringmta_policy::Ceilings::of_path(&path).to_json(),
        "now": rfc3339(unix_nanos()),
    })
}

fn queues(shard: &Shard) -> Value {
    let scheduled: serde_json::Map<String, Value> = shard
        .queues
        .scheduled
        .borrow()
        .values()
        .filter(|queue| queue.count.get() > 0)
        .take(LIST_MAX)
        .map(|queue| (queue.name.to_string(), queue.count.get().into()))
        .collect();
    let ready: serde_json::Map<String, Value> = shard
        .queues
        .ready
        .borrow()
        .values()
        .take(LIST_MAX)
        .map(|queue| {
            let state = json!({"ready": queue.len(), "connections": queue.connections.get()});
            (queue.name.clone(), state)
        })
        .collect();
    json!({"scheduled": scheduled, "ready": ready})
}

/// What is kept of message `id`, when this shard has it.
pub fn find(shard: &Shard, id: MessageId) -> Option<Kept> {
    with_item(shard, id, |item, _, _| item.at)
}

fn with_item<R>(
    shard: &Shard,
    id: MessageId,
    tell: impl FnOnce(&Item, &str, Option<u64>) -> R,
) -> Option<R> {
    let timers = shard.queues.timers.borrow();
    if let Some((due, item)) = timers.iter().find(|(_, item)| item.id == id) {
        return Some(tell(item, "waits for its due time", Some(due)));
    }
    for queue in shard.queues.scheduled.borrow().values() {
        if let Some(item) = queue.waiting.borrow().iter().find(|item| item.id == id) {
            return Some(tell(item, "waits for a route or for room", None));
        }
    }
    for queue in shard.queues.ready.borrow().values() {
        if let Some(item) = queue.items.borrow().iter().find(|item| item.id == id) {
            return Some(tell(item, "waits for a connection", None));
        }
    }
    let what = "is about to be failed, expired or held";
    shard.queues.to_end.find(|(item, _)| item.id == id, |(item, _)| tell(item, what, None))
}

async fn message(shard: &Rc<Shard>, id: &str, want_body: bool) -> Value {
    let Ok(id) = id.parse::<MessageId>() else { return Value::Null };
    let known = with_item(shard, id, |item, state, due| {
        let mut known = item_json(item, due);
        known["state"] = state.into();
        known["queue"] = item.queue.name.to_string().into();
        known["last_trouble"] = item.queue.last_trouble.borrow().clone().into();
        known["shard"] = shard.index.into();
        let (name, parts) = (&item.queue.name, &item.queue.parts);
        if let Some(held) = shard.queues.orders.suspended(name, parts, steady_millis()) {
            known["state"] = format!("is held by an operator: {}", held.reason).into();
            known["suspended_until"] = rfc3339(held.until_millis * 1_000_000).into();
        }
        (item.at, known)
    });
    let Some((at, mut known)) = known else { return Value::Null };
    match places::load(shard, at, id).await {
        Ok(message) => {
            known["sender"] = message.sender().email().into();
            known["recipient"] =
                message.recipients().iter().map(|r| r.email().to_string()).collect();
            known["meta"] = message.meta(|meta| Value::Object(meta.clone()));
            known["scheduling"] = message.scheduling().map_or(Value::Null, |s| s.to_json());
            if want_body {
                let body = message.body().unwrap_or_default();
                known["data"] = String::from_utf8_lossy(&body).into();
            }
        }
        Err(why) => known["error"] = why.into(),
    }
    known
}

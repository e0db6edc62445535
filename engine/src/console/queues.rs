//! Queues looked for by a part of their name, those with the most mail first.

use crate::control::ask;
use memchr::memmem;
use ringmta_http::{Request, Response, StatusCode};
use ringmta_io as io;
use ringmta_queue::model::{ReadyQueue, ScheduledQueue};
use ringmta_shard::mesh::Inspect;
use ringmta_shard::state::Shard;
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Queues looked at before other tasks have their turn.
const SLICE: usize = 2_000;
/// Queues of each kind that are told at most.
const TOLD_MAX: usize = 1_000;
/// Those that are told unless more are asked for.
const TOLD: usize = 100;

/// GET: `search` is a part of the name, in any case; `limit` how many of each kind.
pub async fn search(shard: &Rc<Shard>, request: &Request) -> Response {
    let Ok(limit) = super::number(request, "limit") else {
        return Response::text(StatusCode::BAD_REQUEST, "`limit` is a whole number\n");
    };
    let limit = limit.map_or(TOLD, |limit| (limit as usize).min(TOLD_MAX));
    let needle = request.query.get("search").unwrap_or("").trim().to_ascii_lowercase();
    let question = Inspect::FindQueues(needle, limit);
    let answers = ask::inspect(&shard.process, question).await;
    let (mut scheduled, mut ready, mut found) = (Sums::new(), Sums::new(), 0);
    for answer in &answers {
        add(&mut scheduled, &answer["scheduled"]);
        add(&mut ready, &answer["ready"]);
        found += answer["found"].as_u64().unwrap_or(0);
    }
    Response::json(&json!({
        "scheduled": most(scheduled, limit),
        "ready": most(ready, limit),
        "found_on_shards": found,
    }))
}

type Sums = BTreeMap<String, Value>;

/// Adds one shard's queues: numbers are summed, words of any shard stand for all.
fn add(sums: &mut Sums, list: &Value) {
    for one in list.as_array().into_iter().flatten() {
        let name = one["name"].as_str().unwrap_or_default().to_string();
        let sum = sums.entry(name).or_insert_with(|| json!({}));
        for (key, value) in one.as_object().into_iter().flatten() {
            let before = &sum[key];
            let is_new = before.is_null() || before == "";
            match (before.as_u64(), value.as_u64()) {
                (Some(a), Some(b)) => sum[key] = (a + b).into(),
                _ if is_new => sum[key] = value.clone(),
                _ => {}
            }
        }
    }
}

fn most(sums: Sums, limit: usize) -> Value {
    let mut list: Vec<Value> = sums.into_values().collect();
    list.sort_by_key(|one| std::cmp::Reverse(one["count"].as_u64().unwrap_or(0)));
    list.truncate(limit);
    list.into()
}

/// One shard's answer. It goes over copies of the handles, a slice at a time, since queues come and go meanwhile.
pub async fn of_shard(shard: &Shard, needle: &str, limit: usize) -> Value {
    let scheduled: Vec<Rc<ScheduledQueue>> =
        shard.queues.scheduled.borrow().values().cloned().collect();
    let scheduled =
        matching(scheduled, needle, |queue| (queue.name.to_string(), queue.count.get() as u64));
    let (scheduled, found) = scheduled.await;
    let ready: Vec<Rc<ReadyQueue>> = shard.queues.ready.borrow().values().cloned().collect();
    let ready = matching(ready, needle, |queue| (queue.name.clone(), queue.len() as u64));
    let (ready, found_ready) = ready.await;
    let scheduled = scheduled.iter().take(limit).map(|(count, queue)| {
        json!({
            "name": &*queue.name,
            "count": count,
            "suspended": is_suspended(shard, queue),
            "last_trouble": *queue.last_trouble.borrow(),
        })
    });
    let scheduled: Value = scheduled.collect();
    let ready = ready.iter().take(limit).map(|(count, queue)| {
        json!({
            "name": queue.name,
            "count": count,
            "connections": queue.connections.get(),
            "suspended": u64::from(queue.is_held()),
            "failures": queue.failures.get(),
            "last_trouble": *queue.last_trouble.borrow(),
        })
    });
    let ready: Value = ready.collect();
    json!({"scheduled": scheduled, "ready": ready, "found": found + found_ready})
}

fn is_suspended(shard: &Shard, queue: &ScheduledQueue) -> u64 {
    let now = io::steady_millis();
    u64::from(shard.queues.orders.suspended(&queue.name, &queue.parts, now).is_some())
}

/// Those with mail, or all that the words name, most mail first; and how many there are.
async fn matching<T>(
    queues: Vec<Rc<T>>,
    needle: &str,
    tell: impl Fn(&T) -> (String, u64),
) -> (Vec<(u64, Rc<T>)>, usize) {
    let finder = memmem::Finder::new(needle);
    let mut found = Vec::new();
    for slice in queues.chunks(SLICE) {
        for queue in slice {
            let (name, count) = tell(queue);
            let is_meant = match needle.is_empty() {
                true => count > 0,
                false => finder.find(name.to_ascii_lowercase().as_bytes()).is_some(),
            };
            if is_meant {
                found.push((count, queue.clone()));
            }
        }
        io::yield_now().await;
    }
    found.sort_unstable_by_key(|(count, _)| std::cmp::Reverse(*count));
    let all = found.len();
    found.truncate(TOLD_MAX);
    (found, all)
}

//! Sources and pools of one shard: how each source does, and which mail chooses it.

use super::queues::of_ready;
use super::reasons;
use crate::limits::WHY_LISTED_MAX;
use ringmta_io::deadline;
use ringmta_policy::{Policy, PoolEntry, UNSPECIFIED};
use ringmta_queue::model::ScheduledQueue;
use ringmta_queue::quota::health::Fault;
use ringmta_shard::state::Shard;
use serde_json::{json, Map, Value};
use std::collections::BTreeSet;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

/// What the policy answers within the time for a route; none when it has nothing, fails or takes longer.
async fn asked<T, E>(question: impl Future<Output = Result<Option<T>, E>>) -> Option<T> {
    let limit = Duration::from_secs(ringmta_egress::limits::ROUTE_SECS);
    match deadline(limit, question).await {
        Ok(Ok(found)) => found,
        _ => None,
    }
}

/// A name that no policy knows: one that makes a source or a pool of it makes them of any name.
const NO_NAME: &str = "ringmta.no-such-name";
/// Pools in use that are looked through for a source.
const POOLS_MAX: usize = 20;

/// Whether the policy has a source of this name in mind: a pool in use names it, or not every name would do.
async fn is_meant(shard: &Shard, policy: &Policy, name: &str) -> bool {
    if asked(policy.egress_source(NO_NAME)).await.is_none() {
        return true;
    }
    let of = |queue: &Rc<ScheduledQueue>| queue.config.borrow().egress_pool.clone();
    let in_use: BTreeSet<String> = shard.queues.scheduled.borrow().values().map(of).collect();
    for pool in in_use.iter().take(POOLS_MAX) {
        let made = asked(policy.egress_pool(pool)).await;
        if made.is_some_and(|made| made.options.entries.iter().any(|entry| entry.name == name)) {
            return true;
        }
    }
    false
}

/// How much longer a source is left alone, and what has failed from it.
fn health(shard: &Shard, name: &str) -> (Option<String>, Map<String, Value>) {
    let now = ringmta_io::mono_nanos() / 1_000_000;
    let health = shard.process.limits.source(name);
    let left_alone = health.suspended_for(now).map(|left| reasons::rough(left.as_millis() as u64));
    let of = |fault: &Fault| {
        let tally = health.tally(*fault, now);
        let told = json!({"failed": tally.failed, "suspensions": tally.suspensions, "suspended": tally.suspended});
        (fault.name().to_string(), told)
    };
    (left_alone, Fault::ALL.iter().map(of).collect())
}

/// A source: how it does, and the ready queues that leave from it.
pub async fn source(shard: &Rc<Shard>, name: &str) -> Value {
    let queues = of_ready(shard, |ready| *ready.source.borrow().name == *name).await;
    let policy = shard.policy();
    let made = asked(policy.egress_source(name)).await;
    if queues.is_null() && (made.is_none() || !is_meant(shard, &policy, name).await) {
        return Value::Null;
    }
    let (left_alone, faults) = health(shard, name);
    json!({
        "source": name, "shard": shard.index,
        "set_by": made.map(|made| made.at.of("name")),
        "left_alone_for": left_alone,
        "faults": faults,
        "ready_queues": if queues.is_null() { json!([]) } else { queues },
    })
}

/// A pool: which queues choose from it, and each of its sources with its share and how it does.
pub async fn pool(shard: &Rc<Shard>, name: &str) -> Value {
    let (queues, messages) = users(shard, name);
    let policy = shard.policy();
    let made = match name {
        UNSPECIFIED => None,
        _ => asked(policy.egress_pool(name)).await,
    };
    let is_known =
        queues > 0 || (made.is_some() && asked(policy.egress_pool(NO_NAME)).await.is_none());
    if !is_known {
        return Value::Null;
    }
    let own = PoolEntry { name: UNSPECIFIED.into(), weight: 1 };
    let entries = match (&made, name) {
        (Some(made), _) => made.options.entries.clone(),
        (None, UNSPECIFIED) => vec![own],
        (None, _) => Vec::new(),
    };
    let all: u64 = entries.iter().map(|entry| u64::from(entry.weight)).sum();
    let mut sources = Vec::new();
    for entry in entries.iter().take(WHY_LISTED_MAX) {
        let is_defined =
            entry.name == UNSPECIFIED || asked(policy.egress_source(&entry.name)).await.is_some();
        sources.push(of_pool(shard, name, entry, all, is_defined));
    }
    json!({
        "pool": name, "shard": shard.index,
        "set_by": made.as_ref().map(|made| made.at.of("name")),
        "is_defined": made.is_some() || name == UNSPECIFIED,
        "queues": queues, "messages": messages,
        "sources": sources,
    })
}

/// How many scheduled queues choose from a pool, and the messages in them.
fn users(shard: &Shard, pool: &str) -> (usize, usize) {
    let all = shard.queues.scheduled.borrow();
    let using = all.values().filter(|queue| queue.config.borrow().egress_pool == pool);
    using.fold((0, 0), |(queues, messages), queue| (queues + 1, messages + queue.count.get()))
}

fn of_pool(shard: &Shard, pool: &str, entry: &PoolEntry, all: u64, is_defined: bool) -> Value {
    let (left_alone, faults) = health(shard, &entry.name);
    let ready = shard.queues.ready.borrow();
    let own = ready
        .values()
        .filter(|ready| ready.pool == pool && *ready.source.borrow().name == *entry.name);
    let (waiting, connections) =
        own.fold((0, 0), |(waiting, open), of| (waiting + of.len(), open + of.connections.get()));
    let state = match (is_defined, entry.weight, &left_alone) {
        (false, ..) => "not defined by the policy: no mail of this pool finds a route".to_string(),
        (_, 0, _) => "never chosen: its weight is 0".into(),
        (_, _, Some(left)) => format!("left alone for another {left}"),
        _ => "may be chosen".into(),
    };
    json!({
        "source": entry.name, "weight": entry.weight,
        "percent": (u64::from(entry.weight) * 100).checked_div(all).unwrap_or(0),
        "may_be_chosen": is_defined && entry.weight > 0 && left_alone.is_none(),
        "state": state, "left_alone_for": left_alone, "faults": faults,
        "ready": waiting, "connections": connections,
    })
}

//! Ready queues as KumoMTA's clients read them: one in full, and which states apply to all of them.

use crate::control::at_millis;
use crate::control::order_view::order_json;
use crate::control::walk::Walk;
use crate::control::why::reasons::{limit, wall};
use crate::limits::LIST_MAX;
use ringmta_egress::routing::explain;
use ringmta_egress::Egress;
use ringmta_io::{mono_nanos, steady_millis, unix_nanos};
use ringmta_policy::{format_duration, EgressPath, OptionTable};
use ringmta_queue::connections::Connection;
use ringmta_queue::model::{Block, ReadyQueue};
use ringmta_queue::plan::Plan;
use ringmta_shard::state::Shard;
use ringmta_smtp::dates::rfc3339;
use serde_json::{json, Map, Value};
use std::rc::Rc;
use std::time::Duration;

/// One ready queue of this shard.
pub async fn ready(shard: &Shard, name: &str, with_scheduled: bool) -> Value {
    let Some(queue) = shard.queues.ready.borrow().get(name).cloned() else { return Value::Null };
    let mut told = ready_json(shard, &queue);
    if with_scheduled {
        told["scheduled_queue_names"] = json!(feeding(shard, &queue).await);
    }
    told
}

fn ready_json(shard: &Shard, queue: &ReadyQueue) -> Value {
    let path = queue.path();
    let open = queue.open.borrow();
    let dispatchers: Vec<Value> = open.iter().take(LIST_MAX).map(|c| dispatcher(c)).collect();
    let plan = queue.plan.borrow();
    json!({
        "queue_name": queue.name,
        "mx": mx(&plan),
        "hosts": plan.hosts.iter().map(|host| json!({"name": host.name, "addr": host.addr})).collect::<Vec<_>>(),
        "egress_source": queue.source_name(),
        "egress_pool": queue.pool,
        "protocol": queue.carrier.borrow().kind(),
        "state": state(shard, queue, &path),
        "path_config": path.shown().to_json(),
        "constraints": ringmta_policy::Ceilings::of_path(&path).to_json(),
        "dispatchers": dispatchers,
        "set_by": queue.path_made.borrow().of("connection_limit"),
        "now": rfc3339(unix_nanos()),
    })
}

async fn feeding(shard: &Shard, ready: &Rc<ReadyQueue>) -> Vec<String> {
    let all: Vec<_> = shard.queues.scheduled.borrow().values().cloned().collect();
    let (mut names, mut walk) = (Vec::new(), Walk::to_the_end());
    for queue in all {
        walk.looked_at(1).await;
        let route = queue.route.borrow().clone();
        if route.iter().any(|route| route.ready().any(|other| Rc::ptr_eq(other, ready))) {
            names.push(queue.name.to_string());
        }
        if names.len() >= LIST_MAX {
            break;
        }
    }
    names.sort();
    names
}

fn state(shard: &Shard, queue: &ReadyQueue, path: &EgressPath) -> Value {
    let blocked = queue.blocked_until.get().saturating_sub(mono_nanos());
    let mut told = json!({
        "ready_count": queue.len(),
        "connection_count": queue.connections.get(),
        "connection_rate_throttled": throttled(queue),
        "connection_limited": limited(queue),
        "suspended": Value::Null,
        "watchdog_threshold": format_duration(path.dispatcher_progress_watchdog_timeout.unwrap_or_else(|| longest_wait(path))),
        "blocked_for_ms": blocked / 1_000_000,
        "connections_all_shards": queue.leases(),
        "idle_connections": queue.idle_connections(),
        "failures_in_a_row": queue.failures.get(),
        "last_trouble": *queue.last_trouble.borrow(),
    });
    if let Some(order) = shard.queues.orders.holding_ready(&queue.name, steady_millis()) {
        let mut order = order_json(shard, &order);
        if let Some(fields) = order.as_object_mut() {
            fields.remove("kind");
        }
        told["suspended"] = order;
    }
    told
}

/// No connection makes no progress for longer than its longest wait.
fn longest_wait(path: &EgressPath) -> Duration {
    [
        path.connect_timeout,
        path.banner_timeout,
        path.ehlo_timeout,
        path.mail_from_timeout,
        path.rcpt_to_timeout,
        path.data_timeout,
        path.data_dot_timeout,
        path.idle_timeout,
    ]
    .into_iter()
    .max()
    .unwrap_or_default()
}

fn throttled(queue: &ReadyQueue) -> Value {
    let applies = queue.is_blocked_now() && queue.blocked_by.get() == Block::ConnectionRate;
    let rate = queue.path().max_connection_rate.filter(|_| applies);
    let Some(rate) = rate else { return Value::Null };
    let made = queue.path_made.borrow();
    let reason = limit("max_connection_rate", &rate.to_string(), &made, "");
    state_json(&reason, queue.blocked_since.get())
}

fn limited(queue: &ReadyQueue) -> Value {
    let Some((name, most, out)) = queue.used_up().into_iter().next() else { return Value::Null };
    if !queue.wants_lease.get() {
        return Value::Null;
    }
    let state = format!("{out} are open, over all shards");
    let reason = limit(&name, &most.to_string(), &queue.path_made.borrow(), &state);
    state_json(&reason, queue.wants_since.get())
}

fn state_json(reason: &Value, since: u64) -> Value {
    json!({"context": reason["text"], "since": at_millis(wall(since))})
}

/// The hosts of a plan by preference; nothing where the policy has given them.
pub fn mx(plan: &Plan) -> Value {
    if plan.fixed {
        return Value::Null;
    }
    let mut by_preference: Map<String, Value> = Map::new();
    for host in &plan.hosts {
        let name = format!("{}.", host.name.trim_end_matches('.'));
        let list = by_preference.entry(host.preference.to_string()).or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(json!(name));
        }
    }
    let is_literal = plan.hosts.iter().any(|host| host.addr.is_some());
    json!({
        "site_name": plan.site,
        "by_preference": by_preference,
        "is_mx": !is_literal,
        "is_domain_literal": is_literal,
        "is_secure": false,
    })
}

fn dispatcher(connection: &Connection) -> Value {
    let (phase, detail, since) = connection.doing();
    let now = mono_nanos();
    let time = |from: u64| format_duration(Duration::from_nanos(now.saturating_sub(from)));
    let delivered = connection.delivered.get();
    let age = Duration::from_nanos(now.saturating_sub(connection.started)).as_secs_f64();
    json!({
        "session_id": connection.session_id,
        "started_at": rfc3339(connection.started_at),
        "age": time(connection.started),
        "phase": phase.name(),
        "detail": (!detail.is_empty()).then_some(detail),
        "time_in_current_phase": time(since),
        "host": *connection.host.borrow(),
        "message": connection.message.get().map(|id| id.to_string()),
        "messages_delivered": delivered,
        "messages_transfailed": connection.transfailed.get(),
        "messages_failed": connection.failed.get(),
        "delivered_this_connection": delivered,
        "overall_rate_per_sec": if age > 0.0 { delivered as f64 / age } else { 0.0 },
    })
}

/// How mail to `domain` (or of the queue called so) would leave from `source`.
pub async fn path(egress: &Rc<Egress>, domain: &str, source: Option<&str>) -> Value {
    let found = match explain::explain(egress, domain, source).await {
        Ok(found) => found,
        Err(why) => return json!({"error": why}),
    };
    let queue = ringmta_policy::Ceilings::of_queue(&found.queue);
    let constraints = ringmta_policy::Ceilings::of_path_within(&found.path, queue);
    json!({
        "domain": domain,
        "source": found.source,
        "egress_pool": found.queue.egress_pool,
        "sources": found.sources,
        "mx": mx(&found.plan),
        "trouble": found.trouble,
        "queue_name": found.name,
        "queue_config": found.queue.shown().to_json(),
        "queue_config_set_by": found.queue_at.of("protocol"),
        "path_config": found.path.shown().to_json(),
        "path_config_set_by": found.path_at.of("connection_limit"),
        "constraints": constraints.to_json(),
    })
}

/// Puts what another shard says of the same queue to what is known.
pub fn merge(sum: &mut Value, other: &Value) {
    for field in ["ready_count", "connection_count", "idle_connections"] {
        if let (Some(a), Some(b)) = (sum["state"][field].as_u64(), other["state"][field].as_u64()) {
            sum["state"][field] = json!(a + b);
        }
    }
    for field in ["connection_rate_throttled", "connection_limited", "suspended"] {
        if sum["state"][field].is_null() {
            sum["state"][field] = other["state"][field].clone();
        }
    }
    for field in ["dispatchers", "scheduled_queue_names"] {
        let Some(more) = other[field].as_array() else { continue };
        let Some(known) = sum[field].as_array_mut() else { continue };
        for one in more {
            if !known.contains(one) {
                known.push(one.clone());
            }
        }
    }
}

/// The states that apply to ready queues of this shard: to those named, or to all.
pub async fn states(shard: &Shard, names: &[String]) -> Value {
    let all: Vec<Rc<ReadyQueue>> = {
        let ready = shard.queues.ready.borrow();
        match names.is_empty() {
            true => ready.values().cloned().collect(),
            false => names.iter().filter_map(|name| ready.get(name).cloned()).collect(),
        }
    };
    let (mut out, mut walk) = (Map::new(), Walk::to_the_end());
    for queue in all {
        walk.looked_at(1).await;
        let mut states = Map::new();
        for (name, state) in [
            ("connection_rate_throttled", throttled(&queue)),
            ("connection_limited", limited(&queue)),
        ] {
            if !state.is_null() {
                states.insert(name.into(), state);
            }
        }
        if !states.is_empty() && out.len() < LIST_MAX {
            out.insert(queue.name.clone(), Value::Object(states));
        }
    }
    Value::Object(out)
}

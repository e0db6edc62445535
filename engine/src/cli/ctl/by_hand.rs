//! Orders: about queues, single messages, connections, and the process.

use super::api::Api;
use super::args::{BounceArgs, Ctl, OrderArgs, RebindArgs};
use super::ORDER_KINDS;
use ringmta_policy::options::suggest::nearest;
use ringmta_policy::MessageId;
use serde_json::{json, Value};

/// Whether a name is a message's id.
fn is_id(name: &str) -> bool {
    name.parse::<MessageId>().is_ok()
}

/// A message or a queue, as a request names it.
fn meant(name: &str) -> Value {
    if is_id(name) {
        json!({"id": name})
    } else {
        json!({"queue_name": name})
    }
}

fn merged(mut body: Value, more: &[(&str, Value)]) -> Value {
    for (field, value) in more.iter().filter(|(_, value)| !value.is_null()) {
        body[*field] = value.clone();
    }
    body
}

/// What says nothing when it is done.
fn done(answer: Result<String, String>) -> Result<String, String> {
    answer.map(|text| if text.is_empty() { "OK".into() } else { text })
}

fn rebind(args: &RebindArgs) -> Result<Value, String> {
    let narrowed = [&args.domain, &args.routing_domain, &args.tenant, &args.campaign];
    let is_narrowed = narrowed.iter().any(|part| part.is_some()) || !args.queue.is_empty();
    if !is_narrowed && !args.everything {
        return Err("that is every queue: name --domain, --tenant, --campaign or --queue, or say --everything".into());
    }
    let mut data = serde_json::Map::new();
    for set in &args.set {
        let (name, value) =
            set.split_once('=').ok_or_else(|| format!("--set {set}: expected NAME=VALUE"))?;
        data.insert(name.into(), value.into());
    }
    Ok(json!({
        "reason": args.reason, "data": data, "domain": args.domain, "routing_domain": args.routing_domain,
        "tenant": args.tenant, "campaign": args.campaign, "queue_names": args.queue,
        "always_flush": args.always_flush, "suppress_logging": args.suppress_logging,
        "trigger_rebind_event": args.trigger_rebind_event,
    }))
}

/// Ends an order of whichever kind.
fn cancel(api: &Api, id: &str) -> Result<String, String> {
    for kind in ORDER_KINDS {
        let answer = api.send("DELETE", &format!("/api/admin/{kind}/v1"), &json!({"id": id}));
        match answer {
            Err(why) if why.starts_with("404") => {}
            other => return other,
        }
    }
    let orders: Value = super::parsed(&super::orders(api)?)?;
    let lists = orders.as_object().into_iter().flat_map(|kinds| kinds.values());
    let ids = lists.filter_map(Value::as_array).flatten().filter_map(|order| order["id"].as_str());
    let hint = nearest(id, ids).map_or(String::new(), |near| format!("; did you mean {near}?"));
    Err(format!("no order {id} is in force: `ringmta ctl orders` tells which are{hint}"))
}

fn posted(order: &OrderArgs) -> Result<Value, String> {
    let narrow = [&order.domain, &order.tenant, &order.campaign, &order.routing_domain];
    let is_narrowed = narrow.iter().any(|one| one.is_some()) || !order.queue.is_empty();
    if !is_narrowed && !order.everything {
        return Err("that is every queue: name --queue, --domain, --tenant, --campaign or --routing-domain, \
                    or say --everything"
            .into());
    }
    let mut body = json!({
        "reason": order.reason,
        "domain": order.domain,
        "tenant": order.tenant,
        "campaign": order.campaign,
        "routing_domain": order.routing_domain,
        "duration": order.duration,
    });
    if !order.queue.is_empty() {
        body["queue_names"] = json!(order.queue);
    }
    Ok(body)
}

/// Carries one out.
pub fn answer(api: &Api, what: &Ctl) -> Result<String, String> {
    let post = |path: &str, body: Value| api.send("POST", &format!("/api/admin/{path}/v1"), &body);
    match what {
        Ctl::TryNow { name } => post("try-now", meant(name)),
        Ctl::Hold { name, reason, duration } if is_id(name) => {
            post("hold", json!({"message": name, "reason": reason, "duration": duration}))
        }
        Ctl::Hold { name, reason, duration } => {
            post("suspend", json!({"queue_names": [name], "reason": reason, "duration": duration}))
        }
        Ctl::Release { name } => post("release", meant(name)),
        Ctl::Delete { name, message_id, domain, reason, suppress_logging } => {
            let body = name.as_deref().map_or(json!({"message_id": message_id}), meant);
            let more = [
                ("domain", json!(domain)),
                ("reason", json!(reason)),
                ("suppress_logging", json!(suppress_logging)),
            ];
            post("delete", merged(body, &more))
        }
        Ctl::Abort { queue, session } => {
            post("abort-ready-q-conn", json!({"queue_name": queue, "session_id": session}))
        }
        Ctl::Rebind(args) => post("rebind", rebind(args)?),
        Ctl::SuspendReady { name, reason, duration } => {
            post("suspend-ready-q", json!({"name": name, "reason": reason, "duration": duration}))
        }
        Ctl::SpoolCompact { name } => done(post("spool-compact", json!({"name": name}))),
        Ctl::BumpEpoch => api.send("POST", "/api/admin/bump-config-epoch", &json!({})),
        Ctl::LogFilter { filter, .. } => {
            let path = "/api/admin/set_diagnostic_log_filter/v1";
            done(match filter {
                Some(filter) => api.send("POST", path, &json!({"filter": filter})),
                None => api.send("DELETE", path, &json!({})),
            })
        }
        Ctl::Suspend(order) => post("suspend", posted(order)?),
        Ctl::Bounce(BounceArgs { order, suppress_logging }) => {
            post("bounce", merged(posted(order)?, &[("suppress_logging", json!(suppress_logging))]))
        }
        Ctl::Cancel { id } => cancel(api, id),
        Ctl::Reload => post("reload", json!({})),
        other => Err(format!("{other:?} is no order")),
    }
}

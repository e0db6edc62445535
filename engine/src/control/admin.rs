//! Suspend, bounce and their lists: an operator's order goes to every shard.

use crate::control::ask;
use crate::limits::{HOLDS_MAX, ORDER_SECS_MAX};
use ringmta_http::{Request, Response, StatusCode};
use ringmta_io::steady_millis;
use ringmta_policy::MessageId;
use ringmta_queue::order_log;
use ringmta_queue::orders::{About, Order, Selector};
use ringmta_shard::mesh::Inspect;
use ringmta_shard::process::Process;
use ringmta_shard::state::Shard;
use serde::Deserialize;
use serde_json::{json, Value};
use std::rc::Rc;
use std::time::Duration;

/// An order as it is posted. Unknown fields are refused, so that a misspelt one is not taken for
/// a wider order than was meant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Posted {
    reason: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    campaign: Option<String>,
    #[serde(default)]
    tenant: Option<String>,
    #[serde(default)]
    domain: Option<String>,
    #[serde(default)]
    routing_domain: Option<String>,
    #[serde(default)]
    queue_names: Vec<String>,
    #[serde(default)]
    duration: Option<Value>,
    #[serde(default)]
    expires: Option<String>,
    #[serde(default)]
    suppress_logging: bool,
}

/// Which kind of order a path is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Scheduled queues.
    Suspend,
    /// One ready queue.
    SuspendReady,
    /// Bounce.
    Bounce,
    /// One message.
    Hold,
}

const DEFAULT_MILLIS: u64 = 5 * 60 * 1000;
/// A message that is held is looked at by a person: a day.
const HOLD_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// Why an order was not placed or ended as it should be.
pub struct Refused {
    status: StatusCode,
    /// In words.
    pub text: String,
}

impl Refused {
    fn wrong(text: String) -> Refused {
        Refused { status: StatusCode::UNPROCESSABLE_ENTITY, text }
    }

    fn not_kept(error: &std::io::Error) -> Refused {
        let text = format!("the order cannot be made durable, so it was not taken: {error}");
        tracing::error!("{text}");
        Refused { status: StatusCode::INTERNAL_SERVER_ERROR, text }
    }

    /// Some shards have it and others do not, or not yet: never told as done.
    fn not_everywhere(id: &str, silent: &[usize], shards: usize) -> Refused {
        let text = format!(
            "order {id} was taken by {} of {shards} shards; no word from {silent:?}: look again, \
             or repeat it",
            shards - silent.len()
        );
        tracing::error!("{text}");
        Refused { status: StatusCode::SERVICE_UNAVAILABLE, text }
    }

    /// As the API answers it.
    pub fn response(self) -> Response {
        Response::text(self.status, self.text + "\n")
    }
}

/// POST: puts an order in force. `by` is who places it.
pub async fn post(shard: &Rc<Shard>, what: What, request: &Request, by: String) -> Response {
    let posted: Posted = match serde_json::from_slice(&request.body) {
        Ok(posted) => posted,
        Err(error) => return Response::json_error(&error, &request.body),
    };
    match place(shard, what, posted, by).await {
        Ok(answer) => Response::json(&answer),
        Err(refused) => refused.response(),
    }
}

async fn place(
    shard: &Rc<Shard>,
    what: What,
    posted: Posted,
    by: String,
) -> Result<Value, Refused> {
    let order = make(shard, what, posted, by).map_err(Refused::wrong)?;
    let process = &shard.process;
    let kept = order_log::placed(&process.spool.meta, &order).await;
    kept.map_err(|error| Refused::not_kept(&error))?;
    let Order { id, reason, by, .. } = &order;
    tracing::info!("order {id}: {what:?} by {by}: {reason}");
    let taken = ask::order(process, &order).await;
    let bounced =
        taken.map_err(|silent| Refused::not_everywhere(id, &silent, process.inboxes.len()))?;
    Ok(match what {
        What::Bounce => {
            let total: u64 = bounced.values().sum();
            json!({"id": id, "bounced": bounced, "total_bounced": total})
        }
        _ => json!({"id": id}),
    })
}

/// The same as [`post`], from a value.
///
/// # Errors
/// What is wrong with it.
pub async fn place_value(shard: &Rc<Shard>, what: What, order: Value) -> Result<Value, String> {
    let posted = serde_json::from_value(order).map_err(|error| error.to_string())?;
    place(shard, what, posted, "policy".into()).await.map_err(|refused| refused.text)
}

fn make(shard: &Shard, what: What, posted: Posted, by: String) -> Result<Order, String> {
    let until_millis = end(&posted, if what == What::Hold { HOLD_MILLIS } else { DEFAULT_MILLIS })?;
    let selector = Selector {
        campaign: posted.campaign,
        tenant: posted.tenant,
        domain: posted.domain,
        routing_domain: posted.routing_domain,
        queue_names: posted.queue_names,
    };
    let about = match what {
        What::Suspend => About::Suspend(selector),
        What::Bounce => About::Bounce { selector, suppress_logging: posted.suppress_logging },
        What::SuspendReady => About::SuspendReady(posted.name.ok_or("missing field `name`")?),
        What::Hold => About::Hold(held(shard, posted.message)?),
    };
    let (id, reason) = (ringmta_smtp::ids::random_uuid(), posted.reason);
    Ok(Order { id, reason, until_millis, placed_millis: steady_millis(), by, marks: true, about })
}

/// The message that is to be held, as its id is written everywhere.
fn held(shard: &Shard, message: Option<String>) -> Result<String, String> {
    let message = message.ok_or("missing field `message`")?;
    let id = message
        .parse::<MessageId>()
        .map_err(|_| format!("message: {message:?} is no message id"))?;
    if shard.queues.orders.holds() >= HOLDS_MAX {
        return Err(format!(
            "{HOLDS_MAX} messages are held one by one already; suspend their queues"
        ));
    }
    Ok(id.to_string())
}

fn end(posted: &Posted, default: u64) -> Result<u64, String> {
    // Also what counts for nothing has to be right.
    let millis = match &posted.duration {
        None => default,
        Some(duration) => millis_of(duration).ok_or_else(|| {
            format!("duration: {duration} is not a duration, such as \"10m\" or 600")
        })?,
    };
    if millis > ORDER_SECS_MAX * 1000 {
        return Err("duration: an order holds for 100 years at the most".into());
    }
    if let Some(expires) = &posted.expires {
        return ringmta_policy::time::parse_rfc3339(expires)
            .map(|nanos| nanos / 1_000_000)
            .ok_or_else(|| format!("expires: {expires:?} is not an RFC 3339 time"));
    }
    Ok(steady_millis().saturating_add(millis))
}

fn millis_of(duration: &Value) -> Option<u64> {
    let duration = match duration {
        Value::Number(seconds) => Duration::try_from_secs_f64(seconds.as_f64()?).ok()?,
        Value::String(text) => ringmta_policy::parse_duration(text)?,
        _ => return None,
    };
    Some(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// GET: the orders in force.
pub async fn list(shard: &Rc<Shard>, what: What) -> Response {
    Response::json(&list_value(shard, what).await)
}

impl What {
    fn kind(self) -> &'static str {
        match self {
            What::Suspend => "suspend",
            What::SuspendReady => "suspend-ready-q",
            What::Bounce => "bounce",
            What::Hold => "hold",
        }
    }
}

/// The orders in force, each with its kind. Every shard has the same; what a bounce has failed is added up.
pub async fn all_orders(process: &Process) -> Vec<Value> {
    let mut orders: Vec<Value> = Vec::new();
    for answer in ask::inspect(process, Inspect::Orders).await {
        let Value::Array(of_shard) = answer else { continue };
        for order in of_shard {
            match orders.iter_mut().find(|known| known["id"] == order["id"]) {
                Some(known) => add_bounced(known, &order),
                None => orders.push(order),
            }
        }
    }
    orders
}

/// Those of one kind.
pub async fn list_value(shard: &Rc<Shard>, what: What) -> Value {
    let mut orders = all_orders(&shard.process).await;
    orders.retain(|order| order["kind"] == what.kind());
    for order in &mut orders {
        if let Some(fields) = order.as_object_mut() {
            fields.remove("kind");
        }
    }
    Value::Array(orders)
}

fn add_bounced(sum: &mut Value, other: &Value) {
    let Some(more) = other["bounced"].as_object() else { return };
    for (queue, count) in more {
        let before = sum["bounced"][queue].as_u64().unwrap_or(0);
        sum["bounced"][queue] = json!(before + count.as_u64().unwrap_or(0));
    }
    let total = |order: &Value| order["total_bounced"].as_u64().unwrap_or(0);
    sum["total_bounced"] = json!(total(sum) + total(other));
}

/// DELETE: ends an order.
pub async fn delete(shard: &Rc<Shard>, what: What, request: &Request) -> Response {
    #[derive(Deserialize)]
    struct Posted {
        id: String,
    }
    let id = match serde_json::from_slice::<Posted>(&request.body) {
        Ok(posted) => posted.id,
        Err(error) => return Response::json_error(&error, &request.body),
    };
    match end_order(shard, what, &id).await {
        Ok(true) => Response::text(StatusCode::OK, format!("removed {id}")),
        Ok(false) => {
            let text = format!("{} entry {id} not found", what.kind());
            Response::text(StatusCode::NOT_FOUND, text)
        }
        Err(refused) => refused.response(),
    }
}

/// Ends an order; `false` when there is none of that kind and id.
///
/// # Errors
/// When it may come back.
pub async fn end_order(shard: &Rc<Shard>, what: What, id: &str) -> Result<bool, Refused> {
    let orders = list_value(shard, what).await;
    if !orders.as_array().is_some_and(|orders| orders.iter().any(|order| order["id"] == id)) {
        return Ok(false);
    }
    let process = &shard.process;
    let kept = order_log::ended(&process.spool.meta, id).await;
    kept.map_err(|error| Refused::not_kept(&error))?;
    let ended = ask::cancel(process, id).await;
    ended.map_err(|silent| Refused::not_everywhere(id, &silent, process.inboxes.len()))
}

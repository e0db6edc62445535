//! Suspend, bounce and their lists: an operator's order goes to every shard.

use super::ask;
use super::http::{Request, Response, StatusCode};
use crate::io::unix_millis;
use crate::mesh::Inspect;
use crate::queue::suspend::{About, Order, Selector};
use crate::shard::Shard;
use serde::Deserialize;
use serde_json::{json, Value};
use std::rc::Rc;

/// An order as it is posted. Unknown fields are refused, so that a misspelt one is not taken for
/// a wider order than was meant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Posted {
    reason: String,
    #[serde(default)]
    name: Option<String>,
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
}

const DEFAULT_MILLIS: u64 = 5 * 60 * 1000;

/// POST: puts an order in force.
pub async fn post(shard: &Rc<Shard>, what: What, request: &Request) -> Response {
    let posted: Posted = match serde_json::from_slice(&request.body) {
        Ok(posted) => posted,
        Err(error) => return json_error(&error),
    };
    match place(shard, what, posted).await {
        Ok(answer) => Response::json(&answer),
        Err(text) => Response::text(StatusCode::UNPROCESSABLE_ENTITY, text + "\n"),
    }
}

async fn place(shard: &Rc<Shard>, what: What, posted: Posted) -> Result<Value, String> {
    let order = make(shard, what, posted)?;
    ask::order(&shard.process, &order).await;
    tracing::info!("order {}: {what:?} {}", order.id, order.reason);
    Ok(match what {
        What::Bounce => json!({"id": order.id, "bounced": {}, "total_bounced": 0}),
        _ => json!({"id": order.id}),
    })
}

/// The same as [`post`], from a value.
///
/// # Errors
/// What is wrong with it.
pub async fn place_value(shard: &Rc<Shard>, what: What, order: Value) -> Result<Value, String> {
    place(shard, what, serde_json::from_value(order).map_err(|error| error.to_string())?).await
}

/// What is wrong with a body: 400 when it is no JSON, 422 when it is not what is wanted.
pub fn json_error(error: &serde_json::Error) -> Response {
    let status =
        if error.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
    Response::text(status, format!("{error}\n"))
}

fn make(shard: &Shard, what: What, posted: Posted) -> Result<Order, String> {
    let until_millis = end(&posted)?;
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
    };
    Ok(Order { id: shard.new_uuid(), reason: posted.reason, until_millis, about })
}

fn end(posted: &Posted) -> Result<u64, String> {
    if let Some(expires) = &posted.expires {
        return ringmta_policy::time::parse_rfc3339(expires)
            .map(|nanos| nanos / 1_000_000)
            .ok_or_else(|| format!("expires: {expires:?} is not an RFC 3339 time"));
    }
    let millis = match &posted.duration {
        None => DEFAULT_MILLIS,
        Some(Value::Number(number)) => (number.as_f64().unwrap_or(0.0) * 1000.0) as u64,
        Some(Value::String(text)) => {
            let parsed = ringmta_policy::parse_duration(text);
            parsed.ok_or_else(|| format!("duration: {text:?} is not a duration"))?.as_millis()
                as u64
        }
        Some(other) => return Err(format!("duration: {other} is not a duration")),
    };
    Ok(unix_millis() + millis)
}

/// GET: the orders in force. Every shard has the same; one answer is enough.
pub async fn list(shard: &Rc<Shard>, what: What) -> Response {
    Response::json(&list_value(shard, what).await)
}

/// The orders in force.
pub async fn list_value(shard: &Rc<Shard>, what: What) -> Value {
    let answers = ask::inspect(&shard.process, Inspect::Orders).await;
    let kind = match what {
        What::Suspend => "suspend",
        What::SuspendReady => "suspend-ready-q",
        What::Bounce => "bounce",
    };
    let first = answers.into_iter().next().unwrap_or_default();
    let orders = first.as_array().cloned().unwrap_or_default();
    let wanted = orders.into_iter().filter(|order| order["kind"] == kind).map(|mut order| {
        if let Some(fields) = order.as_object_mut() {
            fields.remove("kind");
        }
        order
    });
    Value::Array(wanted.collect())
}

/// DELETE: ends an order.
pub async fn delete(shard: &Rc<Shard>, request: &Request) -> Response {
    #[derive(Deserialize)]
    struct Posted {
        id: String,
    }
    let id = match serde_json::from_slice::<Posted>(&request.body) {
        Ok(posted) => posted.id,
        Err(error) => return json_error(&error),
    };
    if ask::cancel(&shard.process, &id).await {
        Response::text(StatusCode::OK, "removed\n")
    } else {
        Response::text(StatusCode::NOT_FOUND, "no such order\n")
    }
}

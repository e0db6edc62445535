//! What holds mail, one reason at a time: an order, a limit, what a host has said. Each is a sentence, and the same as
//! fields.

use crate::control::at_millis;
use ringmta_io::{mono_nanos, steady_millis};
use ringmta_policy::{format_duration, MadeAt, OptionTable};
use ringmta_queue::connections::Connection;
use ringmta_queue::model::{ReadyQueue, ScheduledQueue};
use ringmta_queue::orders::{About, Order};
use serde_json::{json, Value};
use std::time::Duration;

/// An instant of unix milliseconds, and how far off it is.
pub fn moment(millis: u64) -> String {
    let now = steady_millis();
    let text = at_millis(millis / 1000 * 1000);
    let text = text.replace(".000000000", "");
    match millis.checked_sub(now) {
        Some(left) => format!("{text} (in {})", rough(left)),
        None => format!("{text} ({} ago)", rough(now - millis)),
    }
}

/// A time in whole seconds, or milliseconds where it is shorter.
pub fn rough(millis: u64) -> String {
    let exact = if millis < 1000 { millis } else { millis / 1000 * 1000 };
    format_duration(Duration::from_millis(exact))
}

/// Unix milliseconds of a moment of the monotonic clock.
pub fn wall(mono: u64) -> u64 {
    steady_millis().saturating_sub(mono_nanos().saturating_sub(mono) / 1_000_000)
}

/// The same for one to come.
pub fn wall_ahead(mono: u64) -> u64 {
    steady_millis().saturating_add(mono.saturating_sub(mono_nanos()) / 1_000_000)
}

/// An order.
pub fn order(order: &Order) -> Value {
    let what = match order.about {
        About::Suspend(_) => "suspension of scheduled queues",
        About::SuspendReady(_) => "suspension of a ready queue",
        About::Hold(_) => "hold of this message",
        About::Bounce { .. } => "bounce",
    };
    let by = if order.by.is_empty() { "an unknown caller" } else { &order.by };
    let placed = match order.placed_millis {
        0 => String::new(),
        placed => format!(", placed {}", moment(placed)),
    };
    let until = moment(order.until_millis);
    let text = format!("{what} {}: {:?} by {by}{placed}, until {until}", order.id, order.reason);
    json!({
        "kind": "order", "text": text, "id": order.id, "reason": order.reason, "by": order.by,
        "placed": at_millis(order.placed_millis), "until": at_millis(order.until_millis),
    })
}

/// A limit: the option or its name in an `additional_*` map, what it is set to, who has set it.
pub fn limit(option: &str, value: &str, made: &MadeAt, state: &str) -> Value {
    let set_by = made.of(option);
    let tail = if state.is_empty() { String::new() } else { format!(": {state}") };
    let text = format!("{option} = {value}, set by {set_by}{tail}");
    json!({"kind": "limit", "text": text, "option": option, "value": value, "set_by": set_by})
}

/// An option of a queue's configuration, as the policy would write it.
pub fn queue_option(queue: &ScheduledQueue, option: &str, state: &str) -> Value {
    let value = queue.config().field(option).to_json();
    let value = match (&value, option) {
        (Value::Number(seconds), "max_age" | "retry_interval" | "max_retry_interval") => {
            format_duration(Duration::from_secs_f64(seconds.as_f64().unwrap_or(0.0).max(0.0)))
        }
        (Value::String(text), _) => text.clone(),
        (other, _) => other.to_string(),
    };
    limit(option, &value, &queue.made.borrow(), state)
}

/// What a queue or a host has last had trouble with; nothing when there was none.
pub fn trouble(of: &str, words: &str) -> Option<Value> {
    (!words.is_empty()).then(|| {
        let text = format!("the last trouble of {of}: {words}");
        json!({"kind": "trouble", "text": text, "of": of, "words": words})
    })
}

/// What a connection does.
pub fn connection(connection: &Connection) -> Value {
    let (phase, detail, since) = connection.doing();
    let host = connection.host.borrow();
    let host = if host.is_empty() { "no host yet" } else { &host };
    let detail_text = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
    let took = rough(mono_nanos().saturating_sub(since) / 1_000_000);
    let session = &connection.session_id;
    let text = format!("session {session} with {host}: {}{detail_text} for {took}", phase.name());
    json!({
        "kind": "connection", "text": text, "session_id": session, "host": host,
        "phase": phase.name(), "detail": detail,
    })
}

/// Limits of connections that are used up.
pub fn used_up(ready: &ReadyQueue) -> Vec<Value> {
    let made = ready.path_made.borrow();
    let of = |(name, most, out): (String, u64, u64)| {
        let state = format!("{out} are open, over all shards");
        limit(&name, &most.to_string(), &made, &state)
    };
    ready.used_up().into_iter().map(of).collect()
}

/// Rates of messages that are used up.
pub fn rates(ready: &ReadyQueue) -> Vec<Value> {
    let made = ready.path_made.borrow();
    let of = |(name, rate, wait): (String, ringmta_policy::Throttle, Duration)| {
        let state = format!("the next may leave in {}", rough(wait.as_millis() as u64));
        limit(&name, &rate.to_string(), &made, &state)
    };
    ready.rates_used_up().into_iter().map(of).collect()
}

//! What the paths of the HTTP API answer, as JSON schemas for the OpenAPI document.
//!
//! An object is written as its fields: `id reason created?:time tenant?` is a string `id`, a string `reason`, and a time and
//! a string that may be absent. A kind that ends in `~` may be null. Objects may have more fields than these.

use crate::control::endpoints::Call;
use serde_json::{json, Map, Value};

/// What an order says whatever it is about.
const ORDER: &str = "id reason duration created?:time created_by?";
/// Which scheduled queues it is about.
const SELECTED: &str = "campaign? tenant? domain? routing_domain? queue_names?:strings";
/// A message that waits.
const WAITING: &str = "id attempts:integer created:time due:time~ bytes:integer";

/// The schema of a 200 of this call by `method`; any JSON where more cannot be said.
pub fn schema(call: Call, method: &str) -> Value {
    let is_list = method == "GET";
    match call {
        Call::Inject => object(
            "success_count:integer fail_count:integer failed_recipients:strings errors:strings",
        ),
        Call::Suspend if is_list => list(object(&format!("{ORDER} {SELECTED}"))),
        Call::SuspendReady if is_list => list(object(&format!("{ORDER} name expires:time"))),
        Call::Hold if is_list => list(object(&format!("{ORDER} message expires:time"))),
        Call::Suspend | Call::SuspendReady | Call::Hold => object("id"),
        Call::Bounce if is_list => list(object(&format!(
            "{ORDER} {SELECTED} bounced:counts total_bounced:integer"
        ))),
        Call::Bounce => object("id bounced:counts total_bounced:integer"),
        Call::Release => object("removed:strings"),
        Call::TryNow | Call::Delete => {
            object("messages:integer in_work:integer not_looked_at:integer held:integer")
        }
        Call::Rebind => object("messages:integer"),
        Call::Settings => object("log_filter:object~ config_epoch:object~"),
        Call::MachineInfo => object(
            "node_id hostname mac_address:string~ num_cores:integer kernel_version platform distribution:string~ \
             os_version:string~ total_memory_bytes:integer~ container_runtime:string~ cpu_brand:string~ fingerprint \
             online_since:time~ process_kind version",
        ),
        Call::OpenApi => object("openapi info:object paths:object"),
        Call::MetricsJson => json!({"type": "object", "additionalProperties": {"type": "object"}}),
        Call::ConsoleLogIn | Call::ConsoleLogOut => object("user:string~"),
        _ => inspection(call),
    }
}

/// The same of calls that only look.
fn inspection(call: Call) -> Value {
    match call {
        Call::InspectMessage => with(
            object("id"),
            "message",
            object(&format!(
                "{WAITING} state since:time~ because:objects queue last_trouble shard:integer suspended_until?:time \
                 sender? recipient?:strings meta?:object scheduling?:object~ data?:string~ num_attempts?:integer error?"
            )),
        ),
        Call::InspectScheduled => with(
            object(
                "queue_name num_scheduled:integer count:integer queue_config:object set_by ready_queues:strings \
                 suspended_until:time~ last_trouble delayed_metric:integer now:time last_changed:time",
            ),
            "messages",
            list(object(&format!("{WAITING} message:object"))),
        ),
        Call::InspectReady => with(
            object(
                "queue_name mx:object~ hosts:objects egress_source egress_pool protocol path_config:object \
                 constraints:object dispatchers:objects set_by now:time scheduled_queue_names?:strings",
            ),
            "state",
            object(
                "ready_count:integer connection_count:integer connection_rate_throttled:object~ \
                 connection_limited:object~ suspended:object~ watchdog_threshold blocked_for_ms:integer \
                 connections_all_shards:integer idle_connections:integer failures_in_a_row:integer last_trouble",
            ),
        ),
        Call::ReadyStates => object("states_by_ready_queue:object"),
        Call::ResolvePath => object(
            "domain source egress_pool sources:strings mx:object~ trouble:string~ queue_name queue_config:object queue_config_set_by path_config:object \
             path_config_set_by constraints:object",
        ),
        Call::Queues => list(object("scheduled:counts ready:object further:counts")),
        Call::Why => object(
            "about name state? says? since?:time~ since_text?:string~ because?:objects next?:object can?:strings \
             facts?:object states?:objects queues?:objects shards?:objects",
        ),
        Call::Find => object(
            "what waits:objects records:objects problems:strings has_logs:boolean left_out:integer segments:integer \
             without_index:integer",
        ),
        Call::Hooks => list(object(
            "name kind backlog:integer queued:integer given_up:integer backlog_bytes:integer \
             backlog_limit_bytes:integer dead_letters?:integer more_dead_letters?:boolean error?",
        )),
        Call::DeadLetters => object("count:integer more:boolean letters:objects"),
        Call::Replay => object("hook replayed:integer"),
        Call::SelfCheck => object("ok:boolean problems:strings shards:objects"),
        _ => console(call),
    }
}

/// The same of the console's.
fn console(call: Call) -> Value {
    match call {
        Call::ConsoleNow => object(
            "version hostname node_id user:string~ shards:integer ready:boolean refuses:string~ \
             uptime_seconds:integer policy:object disk:object~ memory:object orders:objects sources:objects \
             stalls:integer",
        ),
        Call::ConsoleHistory => object(
            "by:string~ from:integer step:integer now:object rates:object seconds:object names:object series:objects \
             shards:objects",
        ),
        Call::ConsoleAnswers => json!({"type": "array", "items": {"type": "object"}}),
        Call::ConsoleQueues => object("scheduled:objects ready:objects found_on_shards:integer"),
        _ => json!({}),
    }
}

fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

/// An object with one further field.
fn with(mut object: Value, name: &str, field: Value) -> Value {
    object["properties"][name] = field;
    if let Some(required) = object["required"].as_array_mut() {
        required.push(name.into());
    }
    object
}

/// An object with the fields that `text` names.
fn object(text: &str) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for word in text.split_whitespace() {
        let (name, kind) = word.split_once(':').unwrap_or((word, "string"));
        let field = name.trim_end_matches('?');
        if field == name {
            required.push(field);
        }
        properties.insert(field.into(), one(kind));
    }
    json!({"type": "object", "required": required, "properties": properties})
}

fn one(kind: &str) -> Value {
    let mut told = match kind.trim_end_matches('~') {
        "time" => json!({"type": "string", "format": "date-time"}),
        "strings" => json!({"type": "array", "items": {"type": "string"}}),
        "objects" => json!({"type": "array", "items": {"type": "object"}}),
        "counts" => json!({"type": "object", "additionalProperties": {"type": "integer"}}),
        plain => json!({"type": plain}),
    };
    if kind.ends_with('~') {
        told["type"] = json!([told["type"], "null"]);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::endpoints::ENDPOINTS;

    #[test]
    fn fields_are_read_as_they_are_written() {
        let told = object("id n:integer~ at?:time names:strings");
        let wanted = json!({"type": "object", "required": ["id", "n", "names"], "properties": {
            "id": {"type": "string"}, "n": {"type": ["integer", "null"]},
            "at": {"type": "string", "format": "date-time"},
            "names": {"type": "array", "items": {"type": "string"}},
        }});
        assert_eq!(told, wanted);
    }

    /// Only a websocket has no answer to describe.
    #[test]
    fn every_answer_in_json_is_described() {
        for endpoint in ENDPOINTS.iter().filter(|known| known.answers == "application/json") {
            let is_socket = endpoint.doc.starts_with("A websocket");
            let told = schema(endpoint.call, endpoint.method);
            assert_eq!(told == json!({}), is_socket, "{} {}", endpoint.method, endpoint.path);
        }
    }
}

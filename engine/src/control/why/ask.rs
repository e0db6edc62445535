//! The question as it comes over HTTP, and the shards' answers put together.

use crate::control::ask;
use ringmta_http::{Request, Response, StatusCode};
use ringmta_policy::options::suggest::{self, nearest};
use ringmta_policy::MessageId;
use ringmta_shard::mesh::{Inspect, WhyAbout};
use ringmta_shard::state::Shard;
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::rc::Rc;

const KINDS: [(&str, WhyAbout); 6] = [
    ("message", WhyAbout::Message),
    ("queue", WhyAbout::Queue),
    ("domain", WhyAbout::Domain),
    ("site", WhyAbout::Site),
    ("source", WhyAbout::Source),
    ("pool", WhyAbout::Pool),
];

/// `GET /api/admin/why/v1?name=...&about=...`; without `about` the first kind that knows the name.
pub async fn why(shard: &Rc<Shard>, request: &Request) -> Response {
    let Some(name) = request.query.get("name").filter(|name| !name.is_empty()) else {
        return Response::text(StatusCode::BAD_REQUEST, "missing parameter `name`\n");
    };
    let kinds: Vec<_> = match request.query.get("about") {
        None => KINDS.iter().filter(|(_, about)| fits(*about, name)).collect(),
        Some(kind) => {
            let found: Vec<_> = KINDS.iter().filter(|(known, _)| *known == kind).collect();
            if found.is_empty() {
                let text = suggest::unknown("kind", kind, KINDS.iter().map(|(known, _)| *known));
                return Response::text(StatusCode::BAD_REQUEST, format!("about: {text}\n"));
            }
            found
        }
    };
    // A source that no mail leaves from yet gives way to a pool of the same name.
    let mut unused = None;
    for (kind, about) in kinds {
        let question = Inspect::Why(*about, name.to_string());
        let answers = ask::inspect(&shard.process, question).await;
        match together(kind, name, answers) {
            Some(source) if *about == WhyAbout::Source && !is_used(&source) => {
                unused = Some(source);
            }
            Some(answer) => return Response::json(&answer),
            None => {}
        }
    }
    match unused {
        Some(source) => Response::json(&source),
        None => unknown(shard, name).await,
    }
}

/// Whether mail leaves from a source.
fn is_used(source: &Value) -> bool {
    let shards = source["shards"].as_array().into_iter().flatten();
    shards.filter_map(|shard| shard["ready_queues"].as_array()).any(|queues| !queues.is_empty())
}

/// A message's id is told from names.
fn fits(about: WhyAbout, name: &str) -> bool {
    name.parse::<MessageId>().is_ok() == (about == WhyAbout::Message)
}

fn together(kind: &str, name: &str, answers: Vec<Value>) -> Option<Value> {
    match kind {
        "message" => answers.into_iter().next(),
        "source" | "pool" => {
            (!answers.is_empty()).then(|| json!({"about": kind, "name": name, "shards": answers}))
        }
        _ => {
            let each: Vec<Value> = answers
                .into_iter()
                .flat_map(|answer| match answer {
                    Value::Array(each) => each,
                    other => vec![other],
                })
                .collect();
            (!each.is_empty()).then(|| {
                let sum = states(&each);
                json!({"about": kind, "name": name, "states": sum, "queues": each})
            })
        }
    }
}

/// The states over all queues and shards: how many messages are in each, and the words of the first.
fn states(each: &[Value]) -> Vec<Value> {
    let mut sum: BTreeMap<String, Value> = BTreeMap::new();
    for queue in each {
        let one = [queue.clone()];
        let list = queue["states"].as_array().map_or(&one[..], Vec::as_slice);
        for state in list.iter().filter(|state| state["messages"].as_u64() != Some(0)) {
            let Some(name) = state["state"].as_str() else { continue };
            let more = state["messages"].as_u64().unwrap_or(0);
            match sum.get_mut(name) {
                Some(known) => {
                    known["messages"] = json!(known["messages"].as_u64().unwrap_or(0) + more)
                }
                None => drop(sum.insert(name.to_string(), state.clone())),
            }
        }
    }
    let mut all: Vec<Value> = sum.into_values().collect();
    all.sort_by_key(|state| std::cmp::Reverse(state["messages"].as_u64()));
    all
}

async fn unknown(shard: &Rc<Shard>, name: &str) -> Response {
    if name.parse::<MessageId>().is_ok() {
        let text = format!(
            "no message {name} waits here: it was never here, or it has left; `ringmta ctl find {name}` looks it up in \
             the log files\n"
        );
        return Response::text(StatusCode::NOT_FOUND, text);
    }
    let hint = did_you_mean(shard, name).await;
    let text = format!(
        "no message, queue, domain, site, source or pool called `{name}` has mail here{hint}\n"
    );
    Response::text(StatusCode::NOT_FOUND, text)
}

/// `; did you mean ...?` with the name of a queue, domain, site, source or pool that is nearest to one that is not known; nothing
/// when none is near.
pub async fn did_you_mean(shard: &Rc<Shard>, name: &str) -> String {
    let question = Inspect::Why(WhyAbout::Names, String::new());
    let answers = ask::inspect(&shard.process, question).await;
    let lists = answers.iter().filter_map(Value::as_array).flatten();
    // One that is known has nothing there, and there is no other that is nearer.
    let near = nearest(name, lists.filter_map(Value::as_str)).filter(|near| *near != name);
    near.map_or(String::new(), |near| format!("; did you mean `{near}`?"))
}

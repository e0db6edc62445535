//! Questions about messages and queues as they come over HTTP: the shards' answers put together.

use crate::control::by_hand::unanswered;
use crate::control::why::ask::did_you_mean;
use crate::control::{ask, ready_view};
use crate::limits::LIST_MAX;
use ringmta_http::{Request, Response, StatusCode};
use ringmta_shard::mesh::Inspect;
use ringmta_shard::process::Process;
use ringmta_shard::state::Shard;
use serde_json::{json, Map, Value};
use std::rc::Rc;

/// Messages of a queue that are shown unless the request says how many.
const SHOWN: u64 = 5;

fn bad(text: String) -> Response {
    Response::text(StatusCode::BAD_REQUEST, text + "\n")
}

fn parameter(request: &Request, name: &str) -> Result<String, Response> {
    let value = request.query.get(name).filter(|value| !value.is_empty());
    let missing = || {
        bad(format!("Failed to deserialize query string: missing field `{name}` (missing parameter `{name}`)"))
    };
    value.map(String::from).ok_or_else(missing)
}

/// Yes unless it says no.
fn flag(request: &Request, name: &str) -> Result<bool, Response> {
    match request.query.get(name) {
        None | Some("false") => Ok(false),
        Some("true" | "") => Ok(true),
        Some(other) => Err(bad(format!("{name}: `{other}` is neither `true` nor `false`"))),
    }
}

/// The shards that have not answered.
fn silent(answers: &[(usize, Option<Value>)]) -> Vec<usize> {
    answers.iter().filter(|(_, answer)| answer.is_none()).map(|(shard, _)| *shard).collect()
}

/// One message.
pub async fn message(shard: &Rc<Shard>, request: &Request) -> Response {
    let asked = parameter(request, "id").and_then(|id| Ok((id, flag(request, "want_body")?)));
    let (id, want_body) = match asked {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    let question = Inspect::Message(id.clone(), want_body);
    let answers = ask::each(&shard.process, question).await;
    let silent = silent(&answers);
    let mut known = answers.into_iter().filter_map(|(_, answer)| answer);
    match known.find(|answer| !answer.is_null()) {
        Some(found) => Response::json(&json!({"id": id, "message": found})),
        // It may be there.
        None if !silent.is_empty() => unanswered(&silent),
        None => Response::text(
            StatusCode::NOT_FOUND,
            format!("no message {id} waits here: it was never here, or it has left\n"),
        ),
    }
}

/// A scheduled queue and some of its messages.
pub async fn scheduled(shard: &Rc<Shard>, request: &Request) -> Response {
    let asked = parameter(request, "queue_name").and_then(|name| {
        let most = request.query.number("limit").map_err(bad)?.unwrap_or(SHOWN);
        let skip = request.query.number("skip").map_err(bad)?.unwrap_or(0) as usize;
        let page = (skip, most.min(LIST_MAX as u64) as usize);
        Ok((name, page, flag(request, "want_body")?))
    });
    let (name, page, want_body) = match asked {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    let mut answers = pages(&shard.process, &name, page, want_body).await.into_iter();
    let Some(mut sum) = answers.next() else { return no_queue(shard, &name).await };
    for other in answers {
        let more = other["messages"].as_array().cloned().unwrap_or_default();
        if let Some(messages) = sum["messages"].as_array_mut() {
            messages.extend(more);
        }
        for field in ["num_scheduled", "count"] {
            if let (Some(a), Some(b)) = (sum[field].as_u64(), other[field].as_u64()) {
                sum[field] = json!(a + b);
            }
        }
        if other["num_scheduled_is_whole"] == false {
            sum["num_scheduled_is_whole"] = json!(false);
        }
    }
    if let Some(messages) = sum["messages"].as_array_mut() {
        messages.truncate(page.1);
    }
    Response::json(&sum)
}

/// A queue as each shard has it, with one page of its messages: those of the first shard stand before those of the next.
async fn pages(
    process: &Process,
    name: &str,
    (mut skip, mut most): (usize, usize),
    want_body: bool,
) -> Vec<Value> {
    if skip == 0 {
        let question = Inspect::Scheduled(name.to_string(), 0, most, want_body);
        return ask::inspect(process, question).await;
    }
    let mut answers = Vec::new();
    for shard in 0..process.inboxes.len() {
        let question = Inspect::Scheduled(name.to_string(), skip, most, want_body);
        let answer = ask::first(process, shard..shard + 1, question).await;
        let Some(answer) = answer else { continue };
        let here = answer["num_scheduled"].as_u64().unwrap_or(0) as usize;
        skip = skip.saturating_sub(here);
        most = most.saturating_sub(answer["messages"].as_array().map_or(0, Vec::len));
        answers.push(answer);
    }
    answers
}

async fn no_queue(shard: &Rc<Shard>, name: &str) -> Response {
    let hint = did_you_mean(shard, name).await;
    let text = format!("Error: no such queue {name} (no queue called {name}{hint})\n");
    Response::text(StatusCode::NOT_FOUND, text)
}

/// A ready queue.
pub async fn ready(shard: &Rc<Shard>, request: &Request) -> Response {
    let asked = parameter(request, "queue_name")
        .and_then(|name| Ok((name, flag(request, "include_scheduled_queues")?)));
    let (name, with_scheduled) = match asked {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    let question = Inspect::Ready(name.clone(), with_scheduled);
    let mut answers = ask::inspect(&shard.process, question).await.into_iter();
    let Some(mut sum) = answers.next() else {
        let hint = did_you_mean(shard, &name).await;
        let text = format!("Error: no such ready queue {name}{hint}\n");
        return Response::text(StatusCode::NOT_FOUND, text);
    };
    answers.for_each(|other| ready_view::merge(&mut sum, &other));
    Response::json(&sum)
}

/// Which limits hold ready queues up.
pub async fn ready_states(shard: &Rc<Shard>, request: &Request) -> Response {
    let is_queue = |name: &str| {
        let index = name.strip_prefix("queues[").and_then(|rest| rest.strip_suffix(']'));
        index.is_some_and(|index| index.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if let Some((name, _)) = request.query.iter().find(|(name, _)| !is_queue(name)) {
        return bad(format!("{name}: queues are named by `queues[]` or `queues[0]`"));
    }
    let names: Vec<String> = request.query.iter().map(|(_, value)| value.to_string()).collect();
    let mut sum: Map<String, Value> = Map::new();
    for answer in ask::inspect(&shard.process, Inspect::ReadyStates(names)).await {
        let Value::Object(of_shard) = answer else { continue };
        for (name, states) in of_shard {
            sum.entry(name).or_insert(states);
        }
    }
    Response::json(&json!({"states_by_ready_queue": sum}))
}

/// How mail to a domain would leave from a source.
pub async fn path(shard: &Rc<Shard>, request: &Request) -> Response {
    let domain = match parameter(request, "domain") {
        Ok(domain) => domain,
        Err(refusal) => return refusal,
    };
    let source = request.query.get("source").filter(|source| !source.is_empty());
    let question = Inspect::Path(domain, source.map(str::to_string));
    // Every shard has the same policy.
    let own = shard.index..shard.index + 1;
    match ask::first(&shard.process, own, question).await {
        Some(found) if found["error"].is_string() => {
            let text = format!("Error: {}\n", found["error"].as_str().unwrap_or_default());
            Response::text(StatusCode::UNPROCESSABLE_ENTITY, text)
        }
        Some(found) => Response::json(&found),
        None => {
            Response::text(StatusCode::SERVICE_UNAVAILABLE, "no answer within the time for it\n")
        }
    }
}

//! Hooks as operators see them: what waits for each, and its dead letters, which can be sent on their way anew.

use crate::control::ask;
use crate::limits::REPLAY_ANSWER_SECS;
use ringmta_events::dead_letters;
use ringmta_events::limits::{HOOK_COUNTED_BYTES, HOOK_SHOWN_MAX};
use ringmta_http::{Request, Response, StatusCode};
use ringmta_io as io;
use ringmta_policy::options::suggest;
use ringmta_shard::mesh::{Inspect, Letter};
use ringmta_shard::state::Shard;
use serde::Deserialize;
use serde_json::{json, Value};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// The folder of the dead letters of hook `name`.
pub fn dead_letters_of(meta: &Path, name: &str) -> PathBuf {
    meta.join("hooks").join(name).join("dead-letters")
}

/// What one shard has of each hook.
pub fn of_shard(shard: &Shard) -> Value {
    let hooks = shard.events.hooks().iter().map(|hook| {
        json!({
            "name": hook.name,
            "kind": if hook.is_queued() { "queues" } else { "http" },
            "backlog": hook.log.backlog.get(),
            "queued": hook.queued_count(),
            "given_up": hook.log.dropped.get() + hook.too_old.get(),
            "backlog_bytes": hook.log.waiting_bytes(),
            "backlog_limit_bytes": hook.log.limit(),
        })
    });
    Value::Array(hooks.collect())
}

/// GET: all hooks, what the shards have added up, and how many dead letters each has.
pub async fn list(shard: &Rc<Shard>) -> Response {
    let mut sum: Vec<Value> = Vec::new();
    for answer in ask::inspect(&shard.process, Inspect::Hooks).await {
        let Value::Array(hooks) = answer else { continue };
        for hook in hooks {
            match sum.iter_mut().find(|known| known["name"] == hook["name"]) {
                Some(known) => add(known, &hook),
                None => sum.push(hook),
            }
        }
    }
    for hook in &mut sum {
        let name = hook["name"].as_str().unwrap_or_default();
        let dir = dead_letters_of(&shard.process.spool.meta, name);
        match io::blocking(move || dead_letters::look(&dir, 0, HOOK_COUNTED_BYTES)).await {
            Ok(found) => {
                hook["dead_letters"] = found.count.into();
                hook["more_dead_letters"] = found.more.into();
            }
            Err(error) => hook["error"] = error.to_string().into(),
        }
    }
    Response::json(&sum)
}

fn add(sum: &mut Value, other: &Value) {
    for field in ["backlog", "queued", "given_up", "backlog_bytes", "backlog_limit_bytes"] {
        let both = sum[field].as_u64().unwrap_or(0) + other[field].as_u64().unwrap_or(0);
        sum[field] = both.into();
    }
}

/// GET: the dead letters of one hook, `limit` of them at the most.
pub async fn show(shard: &Rc<Shard>, request: &Request) -> Response {
    let Some(name) = request.query.get("hook") else {
        return Response::text(StatusCode::BAD_REQUEST, "missing parameter `hook`\n");
    };
    if let Err(why) = known(shard, name) {
        return Response::text(StatusCode::NOT_FOUND, why + "\n");
    }
    let most = match request.query.number("limit") {
        Ok(most) => most.unwrap_or(20) as usize,
        Err(why) => return Response::text(StatusCode::BAD_REQUEST, why + "\n"),
    };
    let dir = dead_letters_of(&shard.process.spool.meta, name);
    let most = most.min(HOOK_SHOWN_MAX);
    match io::blocking(move || dead_letters::look(&dir, most, HOOK_COUNTED_BYTES)).await {
        Ok(found) => Response::json(
            &json!({"count": found.count, "more": found.more, "letters": found.shown}),
        ),
        Err(error) => Response::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

/// Whether there is a hook of this name.
fn known(shard: &Shard, name: &str) -> Result<(), String> {
    let names: Vec<&str> = shard.events.hooks().iter().map(|hook| hook.name.as_str()).collect();
    match names.contains(&name) {
        true => Ok(()),
        false if names.is_empty() => {
            Err(format!("no hook is called `{name}`: the policy has none"))
        }
        false => Err(suggest::unknown("hook", name, names.into_iter())),
    }
}

/// What is to be sent again.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Posted {
    hook: String,
    /// All, when none is named.
    #[serde(default)]
    ids: Vec<String>,
}

/// POST: sends dead letters on their way anew, on every shard.
pub async fn replay(shard: &Rc<Shard>, request: &Request) -> Response {
    let posted: Posted = match serde_json::from_slice(&request.body) {
        Ok(posted) => posted,
        Err(error) => return Response::json_error(&error, &request.body),
    };
    if let Err(why) = known(shard, &posted.hook) {
        return Response::text(StatusCode::NOT_FOUND, why + "\n");
    }
    let process = &shard.process;
    let letter = |answer| Letter::Replay(posted.hook.clone(), posted.ids.clone(), answer);
    let limit = Duration::from_secs(REPLAY_ANSWER_SECS);
    let answers = ask::some(process, 0..process.inboxes.len(), limit, letter).await;
    let (mut replayed, mut wrong) = (0, Vec::new());
    for (number, answer) in answers {
        match answer {
            Some(Ok(count)) => replayed += count,
            Some(Err(why)) => wrong.push(format!("shard {number}: {why}")),
            None => {
                wrong.push(format!("shard {number} has not ended within {limit:?}; it goes on"))
            }
        }
    }
    if wrong.is_empty() {
        return Response::json(&json!({"hook": posted.hook, "replayed": replayed}));
    }
    let text = format!("{replayed} sent again; {}\n", wrong.join("; "));
    Response::text(StatusCode::SERVICE_UNAVAILABLE, text)
}

/// The same on one shard.
///
/// # Errors
/// What the disk says.
pub async fn replay_here(shard: &Rc<Shard>, name: &str, ids: &[String]) -> Result<u64, String> {
    let mut replayed = 0;
    for hook in shard.events.hooks().iter().filter(|hook| hook.name == name) {
        let again = hook.replay(&shard.context, ids).await;
        replayed +=
            again.map_err(|error| format!("{}: {error}", hook.dead_letters.path().display()))?;
    }
    if replayed > 0 {
        tracing::info!("hook {name}: {replayed} dead letters are sent again");
    }
    Ok(replayed)
}

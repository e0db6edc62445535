//! Requests about single messages, queues and connections: try now, hold, release, delete, end a connection.

use crate::control::admin::{self, What};
use crate::control::ask;
use crate::control::moves;
use crate::control::why::ask::did_you_mean;
use crate::limits::ACT_ANSWER_SECS;
use ringmta_http::{Request, Response, StatusCode};
use ringmta_io::steady_millis;
use ringmta_policy::MessageId;
use ringmta_queue::orders::{About, Order, Selector};
use ringmta_shard::mesh::{Act, Acted, Letter, Target};
use ringmta_shard::state::Shard;
use serde::Deserialize;
use serde_json::json;
use std::rc::Rc;
use std::time::Duration;

/// Which messages are meant: exactly one of the three.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Meant {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    queue_name: Option<String>,
    #[serde(default)]
    message_id: Option<String>,
    #[serde(default)]
    domain: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    suppress_logging: bool,
}

impl Meant {
    fn target(&self) -> Result<Target, String> {
        match (&self.id, &self.queue_name, &self.message_id) {
            (Some(id), None, None) => {
                let id =
                    id.parse::<MessageId>().map_err(|_| format!("id: {id:?} is no message id"))?;
                Ok(Target::Message(id))
            }
            (None, Some(name), None) => Ok(Target::Queue(name.clone())),
            (None, None, Some(header)) => {
                let (message_id, domain) = (header.clone(), self.domain.clone());
                Ok(Target::Header { message_id, domain })
            }
            _ => Err("name the messages by one of `id`, `queue_name`, `message_id`".into()),
        }
    }
}

fn wrong(text: String) -> Response {
    Response::text(StatusCode::UNPROCESSABLE_ENTITY, text + "\n")
}

/// POST `/api/admin/try-now/v1`: what waits for its time is due now.
pub async fn try_now(shard: &Rc<Shard>, request: &Request) -> Response {
    let meant: Meant = match serde_json::from_slice(&request.body) {
        Ok(meant) => meant,
        Err(error) => return Response::json_error(&error, &request.body),
    };
    match meant.target() {
        Ok(Target::Header { .. }) => {
            wrong("message_id: only what is deleted is found by it".into())
        }
        Ok(target) => {
            answer(
                shard,
                meant.queue_name,
                act(shard, Act::TryNow(target)).await,
                "waits for its time here",
            )
            .await
        }
        Err(why) => wrong(why),
    }
}

/// POST `/api/admin/delete/v1`: fails what waits, each message with its record.
pub async fn delete(shard: &Rc<Shard>, request: &Request, by: String) -> Response {
    let meant: Meant = match serde_json::from_slice(&request.body) {
        Ok(meant) => meant,
        Err(error) => return Response::json_error(&error, &request.body),
    };
    let Some(reason) = meant.reason.clone() else { return wrong("missing field `reason`".into()) };
    let target = match meant.target() {
        Ok(target) => target,
        Err(why) => return wrong(why),
    };
    let id = ringmta_smtp::ids::random_uuid();
    tracing::info!("delete {id}: {target:?} by {by}: {reason}");
    let order = Order {
        id,
        reason,
        until_millis: 0,
        placed_millis: steady_millis(),
        by,
        marks: true,
        about: About::Bounce {
            selector: Selector::default(),
            suppress_logging: meant.suppress_logging,
        },
    };
    answer(shard, meant.queue_name, act(shard, Act::Delete(target, order)).await, "waits here")
        .await
}

/// POST `/api/admin/abort-ready-q-conn/v1`: ends a connection.
pub async fn abort(shard: &Rc<Shard>, request: &Request) -> Response {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Posted {
        queue_name: String,
        session_id: String,
    }
    let Posted { queue_name, session_id } = match serde_json::from_slice(&request.body) {
        Ok(posted) => posted,
        Err(error) => return Response::json_error(&error, &request.body),
    };
    let (acted, silent) = act(shard, Act::Abort(queue_name.clone(), session_id.clone())).await;
    if acted.done > 0 {
        return Response::text(StatusCode::OK, format!("aborted {session_id}"));
    }
    if !silent.is_empty() {
        return unanswered(&silent);
    }
    let text = format!("no matching dispatcher for queue={queue_name} session={session_id}");
    Response::text(StatusCode::NOT_FOUND, text)
}

/// POST `/api/admin/release/v1`: ends the hold of a message, or the suspensions that name just this queue.
pub async fn release(shard: &Rc<Shard>, request: &Request) -> Response {
    let meant: Meant = match serde_json::from_slice(&request.body) {
        Ok(meant) => meant,
        Err(error) => return Response::json_error(&error, &request.body),
    };
    let target = match meant.target() {
        Ok(target) => target,
        Err(why) => return wrong(why),
    };
    let (what, field, value) = match target {
        Target::Message(id) => (What::Hold, "message", json!(id.to_string())),
        Target::Queue(name) => (What::Suspend, "queue_names", json!([name])),
        Target::Header { .. } => {
            return wrong("message_id: only what is deleted is found by it".into());
        }
    };
    let orders = admin::list_value(shard, what).await;
    let ids: Vec<String> = orders
        .as_array()
        .into_iter()
        .flatten()
        .filter(|order| order[field] == value)
        .filter_map(|order| order["id"].as_str().map(String::from))
        .collect();
    if ids.is_empty() {
        let hint = match &meant.queue_name {
            Some(queue) => did_you_mean(shard, queue).await,
            None => String::new(),
        };
        return Response::text(
            StatusCode::NOT_FOUND,
            format!("nothing of that name is held{hint}\n"),
        );
    }
    for id in &ids {
        if let Err(refused) = admin::end_order(shard, what, id).await {
            return refused.response();
        }
    }
    Response::json(&json!({"removed": ids}))
}

/// POST `/api/admin/rebind/v1`: what is meant is moved. As KumoMTA does, it is answered before that is done.
pub async fn rebind(shard: &Rc<Shard>, request: &Request, by: &str) -> Response {
    let order = match moves::posted(&request.body) {
        Ok(order) => order,
        Err(refusal) => return refusal,
    };
    tracing::info!("{order:?} by {by}");
    let (acted, silent) = act(shard, order).await;
    if !silent.is_empty() {
        return unanswered(&silent);
    }
    Response::json(&json!({"messages": acted.done}))
}

/// POST `/api/admin/spool-compact/v1`: writes what is only in memory yet. Segments are compacted by themselves.
pub async fn compact(shard: &Rc<Shard>, request: &Request) -> Response {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Posted {
        name: String,
    }
    let Posted { name } = match serde_json::from_slice(&request.body) {
        Ok(posted) => posted,
        Err(error) => return Response::json_error(&error, &request.body),
    };
    let names = shard.process.init.spools.iter().map(|spool| spool.name.as_str());
    if !names.clone().any(|known| known == name) {
        let near = ringmta_policy::options::suggest::nearest(&name, names);
        let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        let text = format!("Error: no spool named '{name}' has been defined{hint}\n");
        return Response::text(StatusCode::NOT_FOUND, text);
    }
    let (acted, silent) = act(shard, Act::FlushJournal).await;
    if acted.unseen > 0 || !silent.is_empty() {
        let text = "Error: not every shard could write its journal; the log says why\n";
        return Response::text(StatusCode::INTERNAL_SERVER_ERROR, text);
    }
    Response::text(StatusCode::OK, "")
}

async fn act(shard: &Rc<Shard>, act: Act) -> (Acted, Vec<usize>) {
    let limit = Duration::from_secs(ACT_ANSWER_SECS);
    let shards = 0..shard.process.inboxes.len();
    let letter = |answer| Letter::Act(Box::new(act.clone()), answer);
    let mut sum = Acted::default();
    let mut silent = Vec::new();
    for (shard, answer) in ask::some(&shard.process, shards, limit, letter).await {
        match answer {
            Some(acted) => {
                sum.done += acted.done;
                sum.in_work += acted.in_work;
                sum.unseen += acted.unseen;
                sum.held += acted.held;
            }
            None => silent.push(shard),
        }
    }
    (sum, silent)
}

/// Some shards have not answered in time.
pub(super) fn unanswered(silent: &[usize]) -> Response {
    let text = format!("no word from shards {silent:?}: look again, or repeat it\n");
    Response::text(StatusCode::SERVICE_UNAVAILABLE, text)
}

/// `queue` is the queue that was named, if one was: of one that is not known the nearest is told.
async fn answer(
    shard: &Rc<Shard>,
    queue: Option<String>,
    (acted, silent): (Acted, Vec<usize>),
    none: &str,
) -> Response {
    if !silent.is_empty() {
        return unanswered(&silent);
    }
    let Acted { done, in_work, unseen, held } = acted;
    if done + in_work + unseen == 0 && held > 0 {
        let text = "all that is meant is held by an order: `ringmta ctl why` tells by which, `ringmta ctl cancel` ends it\n";
        return Response::text(StatusCode::NOT_FOUND, text);
    }
    if done + in_work + unseen == 0 {
        let text = match queue {
            Some(queue) => {
                let hint = did_you_mean(shard, &queue).await;
                format!("no message of queue `{queue}` {none}{hint}\n")
            }
            None => format!("no such message {none}\n"),
        };
        return Response::text(StatusCode::NOT_FOUND, text);
    }
    Response::json(
        &json!({"messages": done, "in_work": in_work, "not_looked_at": unseen, "held": held}),
    )
}

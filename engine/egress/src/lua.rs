//! Mail that a policy's own connection object takes (`protocol = { custom_lua = ... }`).

use crate::limits;
use crate::next;
use crate::outcome;
use ringmta_io::deadline;
use ringmta_policy::PolicyError;
use ringmta_queue::model::ReadyQueue;
use ringmta_shard::delivery::Delivery;
use ringmta_shard::ending;
use ringmta_shard::leases::Leases;
use ringmta_shard::retry;
use ringmta_shard::state::Shard;
use ringmta_smtp::response::{enhanced_code, Response};
use ringmta_smtp::via::Via;
use std::rc::Rc;
use std::time::Duration;

/// Runs one connection of the policy from its making to its close.
pub async fn run(shard: &Rc<Shard>, ready: &Rc<ReadyQueue>, leases: &Leases) {
    let policy = shard.policy();
    let constructor = ready.constructor.clone().unwrap_or_default();
    let parts = ringmta_policy::QueueName::parse(&ready.routing_domain);
    let limit = Duration::from_secs(limits::LUA_DELIVERY_SECS);
    let opened = policy.open_connection(&constructor, &parts.domain, None, None);
    let connection = match deadline(limit, opened).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            let response = failure(&error);
            return outcome::connection_failed(shard, ready, response).await;
        }
        Err(_) => {
            let response = Response::internal(451, format!("{constructor} took over {limit:?}"));
            return outcome::connection_failed(shard, ready, response).await;
        }
    };
    let _open = ready.opened();
    let mut via = ready.via(ringmta_smtp::ids::random_uuid());
    via.protocol = "Lua";
    let most = ready.path().max_deliveries_per_connection;
    let mut sent = 0;
    while sent < most && !shard.context.stopping.get() {
        if sent > 0 && leases.gives_way_busy(shard, ready, sent) {
            break;
        }
        let Some(delivery) = next::next(shard, ready).await else {
            let stays = !leases.gives_way_idle(shard, ready, sent);
            if stays && ready.wait_idle(ready.path().idle_timeout).await {
                continue;
            }
            break;
        };
        sent += 1;
        let message = delivery.message.clone();
        let result = deadline(limit, connection.send(&message)).await;
        let Ok(result) = result else {
            // Nobody knows what its object is doing now.
            let response = Response::internal(451, format!("send took longer than {limit:?}"));
            defer(shard, &via, delivery, &response).await;
            break;
        };
        settle(shard, &via, delivery, result).await;
    }
    if deadline(limit, connection.close()).await.is_err() {
        tracing::error!("{constructor}: close took longer than {limit:?}");
    }
}

async fn defer(shard: &Rc<Shard>, via: &Via, delivery: Delivery, response: &Response) {
    let recipients = delivery.message.recipients();
    outcome::transient(shard, via, &delivery, &recipients, response);
    retry::retry(shard, delivery, recipients, response).await;
}

async fn settle(
    shard: &Rc<Shard>,
    via: &Via,
    delivery: Delivery,
    result: Result<String, PolicyError>,
) {
    let recipients = delivery.message.recipients();
    match result {
        Ok(content) => {
            let response = Response { code: 200, content, ..Response::default() };
            outcome::delivered(shard, via, &delivery, &recipients, &response);
            ending::finish(shard, delivery.item);
        }
        Err(error) => {
            let response = failure(&error);
            if response.is_permanent() {
                outcome::bounce(shard, via, &delivery, &recipients, &response);
                ending::finish(shard, delivery.item);
            } else {
                defer(shard, via, delivery, &response).await;
            }
        }
    }
}

fn failure(error: &PolicyError) -> Response {
    match error.rejection() {
        Some(rejection) => {
            let (enhanced, text) = match enhanced_code(&rejection.text) {
                Some((code, len)) => (Some(code), rejection.text[len..].trim_start()),
                None => (None, rejection.text.as_str()),
            };
            Response { code: rejection.code, enhanced, content: text.into(), command: None }
        }
        None => Response::internal(451, error),
    }
}

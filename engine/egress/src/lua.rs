//! Mail that a policy's own connection object takes (`protocol = { custom_lua = ... }`).

use crate::limits;
use crate::next;
use crate::outcome;
use crate::words::{self, Cause};
use ringmta_io::deadline;
use ringmta_policy::PolicyError;
use ringmta_queue::model::ReadyQueue;
use ringmta_shard::delivery::Delivery;
use ringmta_shard::ending;
use ringmta_shard::leases::Leases;
use ringmta_shard::retry;
use ringmta_shard::state::Shard;
use ringmta_smtp::response::Response;
use ringmta_smtp::via::Via;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// Runs one connection of the policy from its making to its close.
pub async fn run(shard: &Rc<Shard>, ready: &Rc<ReadyQueue>, leases: &Leases, constructor: &str) {
    let policy = shard.policy();
    // Each scheduled queue has connections of its own: they are made for its domain, tenant and campaign.
    let parts = ringmta_policy::QueueName::parse(&ready.plan.borrow().site);
    let (tenant, campaign) = (parts.tenant.as_deref(), parts.campaign.as_deref());
    let limit = Duration::from_secs(limits::LUA_DELIVERY_SECS);
    let opened = policy.open_connection(constructor, &parts.domain, tenant, campaign);
    let connection = match deadline(limit, opened).await {
        Ok(Ok(connection)) => connection,
        // Whatever it says: without a connection nobody has seen the message.
        Ok(Err(error)) => {
            return outcome::connection_failed(shard, ready, no_connection(&one_line(&error)))
        }
        Err(_) => {
            let why = format!("{constructor} took over {limit:?}");
            return outcome::connection_failed(shard, ready, no_connection(&why));
        }
    };
    let _open = ready.opened();
    let mut via = ready.via(ringmta_smtp::ids::random_uuid());
    via.protocol = "Lua";
    via.host = format!("Lua via {constructor}");
    via.peer = Some(SocketAddr::from(([0, 0, 0, 0], 0)));
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
            let response = broken(&format!("send took longer than {limit:?}"));
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
    let peer = via.peer.filter(|_| !response.is_internal());
    let via = Via { peer, ..via.clone() };
    outcome::transient(shard, &via, &delivery, &recipients, response);
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

/// What a failed `send` comes to. A rejection is the answer of the far side, its text as it is.
fn failure(error: &PolicyError) -> Response {
    match error.rejection() {
        Some(rejection) => Response {
            code: rejection.code,
            content: rejection.text.clone(),
            ..Response::default()
        },
        None => broken(&one_line(error)),
    }
}

/// Nobody has answered for the message.
fn broken(why: &str) -> Response {
    Response::internal(400, format!("error in deliver_message: sender:send method failed: {why}"))
}

fn no_connection(why: &str) -> Response {
    Response::internal(400, words::no_host(&[(Cause::Other, why.to_string())]))
}

fn one_line(error: &PolicyError) -> String {
    error.to_string().replace('\n', " ")
}

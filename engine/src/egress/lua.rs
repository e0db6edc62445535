//! Mail that a policy's own connection object takes (`protocol = { custom_lua = ... }`).

use super::dispatch::{self, Delivery};
use super::outcome::{self, Via};
use super::reply::{enhanced_code, Response};
use crate::queue::ReadyQueue;
use crate::shard::Shard;
use ringmta_policy::PolicyError;
use std::rc::Rc;

/// Runs one connection of the policy from its making to its close.
pub async fn run(shard: &Rc<Shard>, ready: &Rc<ReadyQueue>) {
    let policy = shard.policy();
    let constructor = ready.constructor.clone().unwrap_or_default();
    let parts = ringmta_policy::QueueName::parse(&ready.routing_domain);
    let opened = policy.open_connection(&constructor, &parts.domain, None, None).await;
    let connection = match opened {
        Ok(connection) => connection,
        Err(error) => {
            let response = failure(&error);
            return outcome::connection_failed(shard, ready, response).await;
        }
    };
    ready.failures.set(0);
    let mut via = Via::nowhere(ready, shard.new_uuid());
    via.protocol = "Lua";
    let most = ready.path().max_deliveries_per_connection;
    let mut sent = 0;
    while sent < most {
        let Some(delivery) = dispatch::next(shard, ready).await else {
            if ready.wait_idle(ready.path().idle_timeout).await && !shard.stopping.get() {
                continue;
            }
            break;
        };
        sent += 1;
        let result = connection.send(&delivery.message).await;
        settle(shard, &via, delivery, result).await;
    }
    connection.close().await;
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
            outcome::finish(shard, delivery.item);
        }
        Err(error) => {
            let response = failure(&error);
            if response.is_permanent() {
                outcome::bounce(shard, via, &delivery, &recipients, &response);
                outcome::finish(shard, delivery.item);
            } else {
                outcome::transient(shard, via, &delivery, &recipients, &response);
                outcome::retry(shard, delivery, recipients, &response).await;
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

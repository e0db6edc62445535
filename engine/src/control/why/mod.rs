//! "Why is this here?": one answer about a message, a queue, a domain, a site, a source or a pool, in words and as fields.
//!
//! [`states`] is the table of all states a message can be in · [`message`] decides which one it is · [`ready`] what holds a
//! ready queue · [`reasons`] orders, limits, hosts' words · [`queues`] queues, domains, sites · [`sources`] sources and pools · [`ask`] puts the
//! shards' answers together.

mod answer;
pub mod ask;
pub mod message;
mod queues;
mod ready;
pub mod reasons;
mod sources;
pub mod states;
#[cfg(test)]
mod tests;

use ringmta_queue::model::{ReadyQueue, ScheduledQueue};
use ringmta_shard::mesh::WhyAbout;
use ringmta_shard::state::Shard;
use serde_json::Value;
use std::rc::Rc;

/// Answers for one shard; `null` when it knows nothing of that name.
pub async fn of_shard(shard: &Rc<Shard>, about: WhyAbout, name: &str) -> Value {
    match about {
        WhyAbout::Message => message::answer(shard, name).await,
        WhyAbout::Queue => queues::of_name(shard, name).await,
        WhyAbout::Domain => {
            let is_meant = |queue: &ScheduledQueue| queue.parts.domain.eq_ignore_ascii_case(name);
            queues::of_scheduled(shard, is_meant).await
        }
        WhyAbout::Site => {
            let is_meant =
                |ready: &ReadyQueue| ready.name == name || ready.plan.borrow().site == name;
            queues::of_ready(shard, is_meant).await
        }
        WhyAbout::Source => sources::source(shard, name).await,
        WhyAbout::Pool => sources::pool(shard, name).await,
        WhyAbout::Names => queues::names(shard),
    }
}

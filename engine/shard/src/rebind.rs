//! Messages that an operator moves to another queue: their metadata is changed, by the order itself or by the policy, and
//! so is the queue they belong to.

use crate::admit;
use crate::ending;
use crate::flow;
use crate::limits::DELIVERY_HANDLER_SECS;
use crate::places;
use crate::state::Shard;
use ringmta_events::record::{Kind, Record};
use ringmta_events::spans::trail::{along, Trail};
use ringmta_io as io;
use ringmta_policy::Message;
use ringmta_queue::model::Item;
use ringmta_queue::tasks::Rebind;
use ringmta_smtp::response::Response;
use std::rc::Rc;
use std::time::Duration;

/// Moves one message. One that the policy fails on stays where it is, as it was.
pub async fn rebind(shard: &Rc<Shard>, item: Item, how: &Rebind, due: u64) {
    let Some((mut item, message)) = ending::message_of(shard, item).await else { return };
    let from = item.queue.name.clone();
    if let Err(why) = change(shard, &message, how).await {
        tracing::error!("message {} is not moved: rebind_message: {why}", item.id);
        // What the handler has changed until it failed is in memory only.
        item.loaded = None;
        return places::defer(shard, item, due);
    }
    if message.changes().any() {
        ending::rewrite(shard, &mut item, &message).await;
    }
    let moved = *item.queue.name != *from;
    if moved && !how.suppress_logging {
        record(shard, &item, &message, &from, how);
    }
    match moved || how.always_flush {
        true => flow::submit(shard, item),
        // What an order holds stays held.
        false => {
            if let Some(item) = admit::lying(shard, item) {
                places::defer(shard, item, due);
            }
        }
    }
}

async fn change(shard: &Rc<Shard>, message: &Message, how: &Rebind) -> Result<(), String> {
    if !how.by_event {
        how.data.iter().for_each(|(name, value)| message.set_meta(name.as_str(), value.as_str()));
        return Ok(());
    }
    let limit = Duration::from_secs(DELIVERY_HANDLER_SECS);
    let policy = shard.policy();
    let trail = Trail::of(shard.process.spans.as_ref(), message);
    let asked = along(trail, policy.rebind_message(message, &how.data));
    match io::deadline(limit, asked).await {
        Ok(told) => told.map_err(|error| error.to_string()),
        Err(_) => Err(format!("it took longer than {limit:?}")),
    }
}

fn record(shard: &Rc<Shard>, item: &Item, message: &Message, from: &str, how: &Rebind) {
    if !shard.events.wants(Kind::AdminRebind) {
        return;
    }
    let to = &item.queue.name;
    let content = format!("Rebound from {from} to {to}: {}", how.reason);
    let response = Response { code: 250, content, ..Response::default() };
    let recipients = message.recipients();
    let mut record = Record::of_message(Kind::AdminRebind, message, to, &response);
    record.recipients = &recipients;
    record.num_attempts = item.attempts;
    shard.events.record(&record, Some(message));
}

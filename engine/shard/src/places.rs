//! Where a message lies, as it changes: in its queue, in the timer, gone.

use crate::state::Shard;
use ringmta_events::observe::{tell, Note};
use ringmta_policy::{Message, MessageId};
use ringmta_queue::model::{Item, Kept, ScheduledQueue};
use ringmta_spool::log::load;
use ringmta_spool::log::reclaim::AttemptState;
use std::rc::Rc;

/// The scheduled queue called `name`, made when absent.
pub fn queue(shard: &Shard, name: &str) -> Rc<ScheduledQueue> {
    shard.queues.queue(&shard.process.limits, name)
}

/// Message `id` as it is kept.
///
/// # Errors
/// What stood in the way: the disk, or damage.
pub async fn load(shard: &Shard, at: Kept, id: MessageId) -> Result<Message, String> {
    match at {
        Kept::Record(at) => load::load(&shard.spool, at).await,
        Kept::Event(hook) => {
            shard.events.queued(hook, id).ok_or_else(|| "its event is not there".into())
        }
    }
}

/// Lets a message wait until `due_millis`. Its body leaves memory: it is durable.
pub fn defer(shard: &Shard, mut item: Item, due_millis: u64) {
    if let Kept::Record(at) = item.at {
        let attempts = item.attempts;
        item.at = Kept::Record(shard.spool.attempted(at, AttemptState { attempts, due_millis }));
        tell(&Note::Deferred { shard: shard.index, id: item.id, attempts, due_millis });
    }
    item.loaded = None;
    shard.queues.insert_timer(item, due_millis);
}

/// When a message held until `until_millis` is looked at again: then, or at the end of its life.
pub fn held_until(shard: &Shard, item: &Item, until_millis: u64) -> u64 {
    until_millis.min(shard.queues.windows.end_of_life(item).saturating_add(1))
}

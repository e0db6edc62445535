//! Where a message lies, as it changes: in its queue, in the timer, gone.

use crate::state::Shard;
use ringmta_events::observe::{tell, Note};
use ringmta_queue::model::{Item, ScheduledQueue};
use ringmta_spool::log::reclaim::AttemptState;
use std::rc::Rc;

/// The scheduled queue called `name`, made when absent.
pub fn queue(shard: &Shard, name: &str) -> Rc<ScheduledQueue> {
    shard.queues.queue(&shard.process.limits, name)
}

/// Lets a message wait until `due_millis`. Its body leaves memory: it is durable.
pub fn defer(shard: &Shard, mut item: Item, due_millis: u64) {
    let state = AttemptState { attempts: item.attempts, due_millis };
    item.at = shard.spool.attempted(item.at, state);
    tell(&Note::Deferred { shard: shard.index, id: item.id, attempts: item.attempts, due_millis });
    item.loaded = None;
    shard.queues.insert_timer(item, due_millis);
}

/// When a message held until `until_millis` is looked at again: then, or at the end of its life.
pub fn held_until(shard: &Shard, item: &Item, until_millis: u64) -> u64 {
    until_millis.min(shard.queues.windows.end_of_life(item).saturating_add(1))
}

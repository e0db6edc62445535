//! Where a message lies, as it changes: in its queue, in the timer, gone.

use crate::state::Shard;
use ringmta_events::observe::{tell, Note};
use ringmta_policy::{Message, MessageId};
use ringmta_queue::model::{Item, Kept, ScheduledQueue};
use ringmta_queue::stay::Stay;
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

/// Lets a message wait until `due_millis`, when it is due by itself. Its body leaves memory: it is durable.
pub fn defer(shard: &Shard, item: Item, due_millis: u64) {
    let state = AttemptState::due(item.attempts, due_millis);
    wait(shard, item, state);
}

/// Lets a message wait because an order holds it until `until_millis`, or until the end of its life. The end of the
/// order finds it again by that.
pub fn hold(shard: &Shard, item: Item, until_millis: u64) {
    let until = held_until(shard, &item, until_millis);
    let state = AttemptState::held(item.attempts, until);
    wait(shard, item, state);
}

fn wait(shard: &Shard, mut item: Item, state: AttemptState) {
    let AttemptState { attempts, due_millis } = state;
    if let Kept::Record(at) = item.at {
        item.at = Kept::Record(shard.spool.attempted(at, state));
        tell(&Note::Deferred { shard: shard.index, id: item.id, attempts, due_millis });
    }
    item.stay = Stay::now().held(state.is_held());
    item.loaded = None;
    shard.queues.insert_timer(item, due_millis);
}

/// When a message that may not go before `until_millis` is looked at again: then, or at the end of its life.
pub fn held_until(shard: &Shard, item: &Item, until_millis: u64) -> u64 {
    until_millis.min(shard.queues.windows.end_of_life(item).saturating_add(1))
}

//! How a message comes into the queues: just made durable, or found in the spool.

use crate::flow;
use crate::places::{self, queue};
use crate::state::Shard;
use ringmta_io::steady_millis;
use ringmta_policy::{Message, MessageId};
use ringmta_queue::model::{Item, Kept, Loaded, ScheduledQueue};
use ringmta_queue::stay::Stay;
use ringmta_queue::tasks::Task;
use ringmta_spool::location::Location;
use ringmta_spool::start::recover::Recovered;
use std::rc::Rc;

/// Takes a message that was just made durable, into the queue called `name`.
pub fn accept(shard: &Rc<Shard>, message: Message, name: &str, at: Location) {
    let queue = queue(shard, name);
    queue.count.set(queue.count.get() + 1);
    let id = message.id();
    let item = fresh(id, Kept::Record(at), queue);
    if item.queue.deferred_inject {
        return flow::submit(shard, item);
    }
    resume(shard, item, message);
}

/// Takes an event of hook number `hook` that has become a message, into the queue called `name`. The hook has it until
/// it ends.
pub fn event(shard: &Rc<Shard>, hook: u16, message: Message, name: &str) {
    let queue = queue(shard, name);
    queue.count.set(queue.count.get() + 1);
    let item = fresh(message.id(), Kept::Event(hook), queue);
    resume(shard, item, message);
}

/// One that was never tried.
fn fresh(id: MessageId, at: Kept, queue: Rc<ScheduledQueue>) -> Item {
    Item { at, id, attempts: 0, generation: 0, stay: Stay::now(), queue, loaded: None }
}

/// Sends a message on its way that is in its queue and durable, and was never tried.
pub fn resume(shard: &Rc<Shard>, mut item: Item, message: Message) {
    let due = message.due();
    let scheduling = message.scheduling();
    // One whose body was let go from memory is read again when it is its turn.
    if message.body().is_some() {
        item.loaded = Some(Box::new(Loaded::new(message, &shard.queues.resident)));
    }
    if let Some(scheduling) = scheduling {
        shard.queues.windows.note(item.id, Some(scheduling));
        return begin(shard, item, due.unwrap_or(0));
    }
    match due.filter(|due| *due > steady_millis()) {
        Some(due) => places::defer(shard, item, due),
        None => flow::submit(shard, item),
    }
}

/// A message with a schedule begins its way: at the first instant from `from_millis` on at which it may.
fn begin(shard: &Rc<Shard>, item: Item, from_millis: u64) {
    let now = steady_millis();
    let from = from_millis.max(now);
    let due = shard.queues.windows.get(item.id).map_or(from, |scheduling| scheduling.next(from));
    if due > shard.queues.windows.end_of_life(&item) {
        shard.queues.end(item, Task::ExpireUnsent(due));
    } else if due > now {
        places::defer(shard, item, due);
    } else {
        flow::submit(shard, item);
    }
}

/// Takes a message found in the spool at start.
pub fn recovered(shard: &Rc<Shard>, found: Recovered) {
    let queue = queue(shard, &found.queue);
    queue.count.set(queue.count.get() + 1);
    let state = found.state;
    let attempts = state.map_or(0, |state| state.attempts);
    let Recovered { at, id, generation, scheduling, .. } = found;
    let at = Kept::Record(at);
    let stay = Stay::default().held(state.is_some_and(|state| state.is_held()));
    let item = Item { at, id, attempts, generation, stay, queue, loaded: None };
    // Never everything at once: what is due now is woken in batches by the timer task.
    let mut due = state.map_or(0, |state| state.due_millis);
    if let Some(scheduling) = scheduling.filter(|_| !item.queue.deferred_inject) {
        due = due.max(scheduling.first_attempt.unwrap_or(0));
        shard.queues.windows.note(id, Some(scheduling));
    }
    shard.queues.insert_timer(item, due);
}

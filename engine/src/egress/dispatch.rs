//! The one place a delivery starts. Suspensions, bounces, expiry and rates are looked at here too, so
//! none can be got round.

use super::leases::{self, Leases};
use super::{lua, session};
use crate::io::sim::planted::{is_planted, Bug};
use crate::io::{self, mono_nanos, steady_millis};
use crate::limits;
use crate::queue::hand::Hand;
use crate::queue::scheduled::Loaded;
use crate::queue::work::{self, Task};
use crate::queue::{admit, Item, ReadyQueue};
use crate::shard::Shard;
use crate::spool::load;
use ringmta_policy::Message;
use std::rc::Rc;
use std::time::Duration;

/// Gets the mail of `ready` moving: wakes an idle connection or opens another where that helps
/// and every limit allows it.
pub fn kick(shard: &Rc<Shard>, ready: &Rc<ReadyQueue>) {
    let waiting = ready.len();
    let is_shut = shard.stopping.get() || ready.is_blocked_now() || ready.is_held();
    if waiting == 0 || is_shut {
        return;
    }
    if ready.wake_idle() {
        return;
    }
    let aggressive = ready.path.borrow().aggressive_connection_opening;
    let connections = ready.connections.get();
    let wanted = if aggressive { waiting } else { waiting.div_ceil(limits::READY_PER_CONNECTION) };
    if connections >= wanted || (connections > 0 && ready.connect_after.get() > mono_nanos()) {
        return;
    }
    // The rate is charged only for a connection that can be made.
    if let Err(wait) = ready.may_connect() {
        if connections == 0 {
            block(shard, ready, wait);
        }
        return;
    }
    let leases = match ready.try_lease(shard.index) {
        Ok(leases) => leases,
        Err(limit) => return limit.iter().for_each(|limit| leases::ask_for(shard, limit)),
    };
    if let Err(wait) = ready.try_connection_rate() {
        // Another shard has made one in this instant.
        leases.give_back(shard);
        if connections == 0 {
            block(shard, ready, wait);
        }
        return;
    }
    ready.connections.set(connections + 1);
    let (shard, ready) = (shard.clone(), ready.clone());
    io::spawn(async move {
        // A task runs at once when it is spawned: a connection that fails without any wait would end,
        // and kick the next one, inside the one before it, as deep as the stack goes.
        io::yield_now().await;
        if ready.constructor.is_some() {
            lua::run(&shard, &ready, &leases).await;
        } else {
            session::run(&shard, &ready, &leases).await;
        }
        closed(&shard, &ready, leases);
    });
}

/// A connection has ended: its leases go back, and what still waits moves on.
fn closed(shard: &Rc<Shard>, ready: &Rc<ReadyQueue>, leases: Leases) {
    ready.connections.set(ready.connections.get().saturating_sub(1));
    leases.give_back(shard);
    // A connection that had done its share asked for no further message: what waits for room has it now.
    if ready.is_empty() {
        shard.queues.refill(shard, ready);
    }
    if !ready.is_empty() {
        kick(shard, ready);
    }
}

/// Nothing leaves `ready` for `wait`; then it is kicked.
pub fn block(shard: &Rc<Shard>, ready: &Rc<ReadyQueue>, wait: Duration) {
    let until = mono_nanos() + wait.as_nanos() as u64;
    if ready.blocked_until.get() >= until {
        return;
    }
    ready.blocked_until.set(until);
    let (shard, ready) = (shard.clone(), ready.clone());
    io::spawn(async move {
        io::sleep(wait).await;
        kick(&shard, &ready);
    });
}

/// A message that may be delivered now.
pub struct Delivery {
    /// Its place in the queues.
    pub item: Item,
    /// The message, body in memory.
    pub message: Message,
    /// Says that it is in this delivery's hand.
    pub hand: Hand,
}

/// Takes the next message that may be delivered now, or `None` when there is none (nothing
/// waits, a rate is used up, the queue is held).
pub async fn next(shard: &Rc<Shard>, ready: &Rc<ReadyQueue>) -> Option<Delivery> {
    loop {
        if shard.stopping.get() || ready.is_blocked_now() || ready.is_held() {
            return None;
        }
        if ready.is_empty() {
            shard.queues.refill(shard, ready);
        }
        let Some(item) = ready.items.borrow_mut().pop_front() else {
            leases::no_longer_wanted(shard, ready);
            return None;
        };
        let Some(item) = admit(shard, item) else { continue };
        if let Err(wait) = ready.try_message_rate() {
            ready.push_front(item);
            block(shard, ready, wait);
            return None;
        }
        if let Some(delivery) = with_body(shard, ready, item).await {
            if is_planted(Bug::DoneBeforeDelivery) {
                shard.spool.done(delivery.item.at);
            }
            return Some(delivery);
        }
    }
}

/// Orders, expiry and delivery windows: gives the item back when it may be delivered.
fn admit(shard: &Rc<Shard>, item: Item) -> Option<Item> {
    let now = steady_millis();
    let windows = &shard.queues.windows;
    if windows.is_expired(&item, now) {
        work::add(shard, item, Task::Expire);
        return None;
    }
    let opens = windows.get(item.id).map(|scheduling| scheduling.next(now));
    if let Some(due) = opens.filter(|due| *due > now) {
        if due > windows.end_of_life(&item) {
            work::add(shard, item, Task::ExpireUnsent(due));
        } else {
            shard.queues.defer(shard, item, due);
        }
        return None;
    }
    admit::lying(shard, item)
}

/// When a message held until `until_millis` is looked at again: then, or at the end of its life.
pub fn held_until(shard: &Shard, item: &Item, until_millis: u64) -> u64 {
    until_millis.min(shard.queues.windows.end_of_life(item).saturating_add(1))
}

/// The item with its message, read back from the spool when it is not in memory.
async fn with_body(shard: &Rc<Shard>, ready: &ReadyQueue, mut item: Item) -> Option<Delivery> {
    let hand = shard.queues.in_hand.take(item.id);
    if let Some(loaded) = &item.loaded {
        let message = loaded.message.clone();
        if message.body().is_some() {
            return Some(Delivery { item, message, hand });
        }
    }
    match load::load(&shard.spool, item.at).await {
        Ok(message) => {
            message.set_num_attempts(item.attempts);
            item.loaded = Some(Box::new(Loaded::new(message.clone(), &shard.queues.resident)));
            Some(Delivery { item, message, hand })
        }
        Err(why) => {
            // The disk may answer again later; the message is not given up for its trouble.
            tracing::error!("message {} in {} cannot be read: {why}", item.id, ready.name);
            let due = steady_millis() + limits::UNREADABLE_RETRY_MS;
            shard.queues.defer(shard, item, due);
            None
        }
    }
}

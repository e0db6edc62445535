//! The one place a delivery starts. Suspensions, bounces, expiry and rates are looked at here and
//! only here, so none can be got round.

use super::{lua, outcome, session};
use crate::io::sim::planted::{is_planted, Bug};
use crate::io::{self, mono_nanos, unix_millis};
use crate::limits;
use crate::queue::ready::Leases;
use crate::queue::scheduled::Loaded;
use crate::queue::{Item, ReadyQueue};
use crate::shard::Shard;
use crate::spool::load;
use ringmta_policy::Message;
use std::rc::Rc;
use std::time::Duration;

/// Gets the mail of `ready` moving: wakes an idle connection or opens another where that helps
/// and every limit allows it.
pub fn kick(shard: &Rc<Shard>, ready: &Rc<ReadyQueue>) {
    let waiting = ready.len();
    if waiting == 0 || shard.stopping.get() || ready.is_blocked(mono_nanos()) {
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
    if let Err(wait) = ready.try_connection_rate() {
        if connections == 0 {
            block(shard, ready, wait);
        }
        return;
    }
    let Some(leases) = ready.try_lease(shard.index) else { return };
    ready.connections.set(connections + 1);
    let (shard, ready) = (shard.clone(), ready.clone());
    io::spawn(async move {
        // A task runs at once when it is spawned: a connection that fails without any wait would end,
        // and kick the next one, inside the one before it, as deep as the stack goes.
        io::yield_now().await;
        if ready.constructor.is_some() {
            lua::run(&shard, &ready).await;
        } else {
            session::run(&shard, &ready).await;
        }
        closed(&shard, &ready, leases);
    });
}

/// A connection has ended: its leases go back, and what still waits moves on.
fn closed(shard: &Rc<Shard>, ready: &Rc<ReadyQueue>, leases: Leases) {
    ready.connections.set(ready.connections.get().saturating_sub(1));
    for (to, limit) in leases.give_back(shard.index) {
        shard.hand_over_lease(to, limit);
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
}

/// Takes the next message that may be delivered now, or `None` when there is none (nothing
/// waits, a rate is used up, the queue is held).
pub async fn next(shard: &Rc<Shard>, ready: &Rc<ReadyQueue>) -> Option<Delivery> {
    loop {
        if shard.stopping.get() || ready.is_blocked(mono_nanos()) {
            return None;
        }
        if ready.is_empty() {
            shard.queues.refill(ready);
        }
        let item = ready.items.borrow_mut().pop_front()?;
        let Some(item) = admit(shard, ready, item) else { continue };
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
fn admit(shard: &Rc<Shard>, ready: &ReadyQueue, item: Item) -> Option<Item> {
    let now = unix_millis();
    let windows = &shard.queues.windows;
    if windows.is_expired(&item, now) {
        outcome::expire_later(shard, item);
        return None;
    }
    let opens = windows.get(item.id).map(|scheduling| scheduling.next(now));
    if let Some(due) = opens.filter(|due| *due > now) {
        if due > windows.end_of_life(&item) {
            outcome::expire_unsent(shard, item, due);
        } else {
            shard.queues.defer(shard, item, due);
        }
        return None;
    }
    let orders = &shard.queues.orders;
    if orders.is_empty() {
        return Some(item);
    }
    if let Some(order) = orders.bounced(&item.queue.name, &item.queue.parts, now) {
        outcome::admin_bounce_later(shard, item, order);
        return None;
    }
    let held = orders.suspended(&item.queue.name, &item.queue.parts, now);
    match held.or_else(|| orders.ready_suspended(&ready.name, now)) {
        Some(until) => {
            let due = held_until(shard, &item, until);
            shard.queues.defer(shard, item, due);
            None
        }
        None => Some(item),
    }
}

/// When a message held until `until_millis` is looked at again: then, or at the end of its life.
pub fn held_until(shard: &Shard, item: &Item, until_millis: u64) -> u64 {
    until_millis.min(shard.queues.windows.end_of_life(item).saturating_add(1))
}

/// The item with its message, read back from the spool when it is not in memory.
async fn with_body(shard: &Rc<Shard>, ready: &ReadyQueue, mut item: Item) -> Option<Delivery> {
    if let Some(loaded) = &item.loaded {
        let message = loaded.message.clone();
        if message.body().is_some() {
            return Some(Delivery { item, message });
        }
    }
    match load::load(&shard.spool, item.at).await {
        Ok(message) => {
            message.set_num_attempts(item.attempts);
            item.loaded = Some(Box::new(Loaded::new(message.clone(), &shard.queues.resident)));
            Some(Delivery { item, message })
        }
        Err(why) => {
            // The disk may answer again later; the message is not given up for its trouble.
            tracing::error!("message {} in {} cannot be read: {why}", item.id, ready.name);
            let due = unix_millis() + 60_000;
            shard.queues.defer(shard, item, due);
            None
        }
    }
}

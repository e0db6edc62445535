//! The next message of a connection. Suspensions, bounces, expiry, delivery windows and rates are looked at here, just
//! before a message is sent.

use ringmta_io::sim::planted::{is_planted, Bug};
use ringmta_io::{self as io, mono_nanos, steady_millis, unix_nanos};
use ringmta_queue::model::{Block, ReadyQueue};
use ringmta_queue::model::{Item, Kept, Loaded};
use ringmta_queue::tasks::Task;
use ringmta_shard::delivery::Delivery;
use ringmta_shard::state::Shard;
use ringmta_shard::{admit, flow, leases, places};
use std::rc::Rc;
use std::time::Duration;

/// Nothing leaves `ready` for `wait`; then it is kicked.
pub fn block(shard: &Rc<Shard>, ready: &Rc<ReadyQueue>, wait: Duration, why: Block) {
    let until = mono_nanos() + wait.as_nanos() as u64;
    if ready.blocked_until.get() >= until {
        return;
    }
    if !ready.is_blocked_now() {
        ready.blocked_since.set(mono_nanos());
    }
    ready.blocked_until.set(until);
    ready.blocked_by.set(why);
    let (shard, ready) = (shard.clone(), ready.clone());
    io::spawn(async move {
        io::sleep(wait).await;
        shard.queues.kick(&ready);
    });
}

/// Takes the next message that may be delivered now, or `None` when there is none (nothing
/// waits, a rate is used up, the queue is held).
pub async fn next(shard: &Rc<Shard>, ready: &Rc<ReadyQueue>) -> Option<Delivery> {
    loop {
        if shard.context.stopping.get() || ready.is_blocked_now() || ready.is_held() {
            return None;
        }
        if ready.is_empty() {
            flow::refill(shard, ready);
        }
        let Some(item) = ready.items.borrow_mut().pop_front() else {
            leases::no_longer_wanted(shard, ready);
            return None;
        };
        let Some(item) = admit(shard, item) else { continue };
        let charged = mono_nanos();
        if let Err(wait) = ready.try_message_rate() {
            ready.push_front(item);
            block(shard, ready, wait, Block::MessageRate);
            return None;
        }
        if let Some(delivery) = with_body(shard, ready, item, charged).await {
            if let (true, Kept::Record(at)) =
                (is_planted(Bug::DoneBeforeDelivery), delivery.item.at)
            {
                shard.spool.done(at);
            }
            return Some(delivery);
        }
        ready.untake_message_rate(charged);
    }
}

/// A delivery that has waited for others in a connection's hand, when it may still be sent.
pub fn still(shard: &Rc<Shard>, delivery: Delivery) -> Option<Delivery> {
    let Delivery { item, message, hand, since, charged } = delivery;
    admit(shard, item).map(|item| Delivery { item, message, hand, since, charged })
}

/// Orders, expiry and delivery windows: gives the item back when it may be delivered.
fn admit(shard: &Rc<Shard>, item: Item) -> Option<Item> {
    let now = steady_millis();
    let windows = &shard.queues.windows;
    if windows.is_expired(&item, now) {
        shard.queues.expire(item);
        return None;
    }
    let opens = windows.get(item.id).map(|scheduling| scheduling.next(now));
    if let Some(due) = opens.filter(|due| *due > now) {
        if due > windows.end_of_life(&item) {
            shard.queues.end(item, Task::ExpireUnsent(due));
        } else {
            places::defer(shard, item, due);
        }
        return None;
    }
    admit::lying(shard, item)
}

/// The item with its message, read back from the spool when it is not in memory.
async fn with_body(
    shard: &Rc<Shard>,
    ready: &ReadyQueue,
    mut item: Item,
    charged: u64,
) -> Option<Delivery> {
    let hand = shard.queues.in_hand.take(&item);
    let since = unix_nanos();
    if let Some(loaded) = &item.loaded {
        let message = loaded.message.clone();
        if message.body().is_some() {
            return Some(Delivery { item, message, hand, since, charged });
        }
    }
    match places::load(shard, item.at, item.id).await {
        Ok(message) => {
            message.set_num_attempts(item.attempts);
            item.loaded = Some(Box::new(Loaded::new(message.clone(), &shard.queues.resident)));
            Some(Delivery { item, message, hand, since, charged })
        }
        Err(why) => {
            // The disk may answer again later; the message is not given up for its trouble.
            tracing::error!("message {} in {} cannot be read: {why}", item.id, ready.name);
            let due = steady_millis() + ringmta_shard::limits::UNREADABLE_RETRY_MS;
            places::defer(shard, item, due);
            None
        }
    }
}

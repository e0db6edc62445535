//! Operators' orders put in force on one shard.

use crate::egress::{dispatch, outcome};
use crate::io::unix_millis;
use crate::queue::suspend::{About, Order};
use crate::queue::Item;
use crate::shard::Shard;
use std::rc::Rc;

/// Puts `order` in force. A bounce also takes what waits now, wherever it lies; a suspension is
/// seen at the next dispatch.
pub fn apply(shard: &Rc<Shard>, order: Order) {
    shard.queues.orders.add(order.clone());
    let About::Bounce { selector, .. } = &order.about else { return };
    if order.until_millis <= unix_millis() {
        return;
    }
    let meant = |item: &Item| selector.matches(&item.queue.name, &item.queue.parts);
    let mut taken = shard.queues.timers.borrow_mut().take_where(meant);
    for queue in shard.queues.scheduled.borrow().values() {
        if selector.matches(&queue.name, &queue.parts) {
            taken.extend(queue.waiting.borrow_mut().drain(..));
        }
    }
    for item in taken {
        outcome::admin_bounce_later(shard, item, order.clone());
    }
    // What is in ready queues meets the order at its dispatch.
    let ready: Vec<_> = shard.queues.ready.borrow().values().cloned().collect();
    for queue in ready {
        dispatch::kick(shard, &queue);
    }
}

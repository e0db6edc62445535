//! Operators' orders put in force on one shard.

use crate::egress::{dispatch, outcome};
use crate::io::unix_millis;
use crate::queue::suspend::{About, Order};
use crate::queue::Item;
use crate::shard::Shard;
use std::rc::Rc;

/// Ends an order; what it held goes on. `false` when there is none of that id.
pub fn cancel(shard: &Rc<Shard>, id: &str) -> bool {
    let Some(order) = shard.queues.orders.cancel(id) else { return false };
    if matches!(order.about, About::Bounce { .. }) {
        return true;
    }
    // A message that happens to be due in the same instant goes early; one that another order
    // holds as well is held again at its dispatch.
    let due_of = |item: &Item| dispatch::held_until(shard, item, order.until_millis);
    let held = shard.queues.timers.borrow_mut().take_due_at(due_of);
    let now = unix_millis();
    for item in held {
        shard.queues.defer(shard, item, now);
    }
    true
}

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

//! Operators' orders as they meet a message: when it arrives or becomes due, when it lies somewhere as an order is
//! placed, and when an attempt has failed. A message that is held opens no connection and is charged no attempt.

use crate::places;
use crate::state::Shard;
use ringmta_io::sim::planted::{is_planted, Bug};
use ringmta_io::steady_millis;
use ringmta_queue::model::Item;
use ringmta_queue::orders::{About, Order};
use ringmta_queue::tasks::{Held, Task};
use ringmta_smtp::response::Response;
use ringmta_smtp::via::Via;
use std::rc::Rc;

/// Looks at a message that arrives or becomes due. Gives it back when it may go on; one that is held gets its record.
pub fn arriving(shard: &Rc<Shard>, item: Item) -> Option<Item> {
    match look(shard, item) {
        Look::Free(item) => Some(item),
        Look::Taken => None,
        Look::Held(item, order) => {
            let what = match order.about {
                About::Hold(_) => "message is held",
                _ => "scheduled queue is suspended",
            };
            let text = format!("{what}: {}", order.reason);
            let via = Some(Via::of_queue(&item.queue.name));
            let held = Held { response: not_now(text), via, ready: None };
            shard.queues.end(item, Task::Hold(Rc::new(held)));
            None
        }
    }
}

/// The same for a message that had come further: it was told then.
pub fn lying(shard: &Rc<Shard>, item: Item) -> Option<Item> {
    match look(shard, item) {
        Look::Free(item) => Some(item),
        Look::Taken => None,
        Look::Held(item, order) => {
            places::hold(shard, item, order.until_millis);
            None
        }
    }
}

/// All ready queues of a message are held; `ready` is the first of them to be free.
pub fn without_source(shard: &Rc<Shard>, item: Item, ready: String) {
    let response = no_sources(&item.queue.name, &item.queue.config.borrow().egress_pool);
    let held = Held { response, via: None, ready: Some(ready) };
    shard.queues.end(item, Task::Hold(Rc::new(held)));
}

/// None of the sources of a pool can be used.
pub fn no_sources(queue: &str, pool: &str) -> Response {
    not_now(format!("no sources for {queue} pool=`{pool}` are eligible for selection at this time"))
}

fn not_now(text: String) -> Response {
    Response { enhanced: Some((4, 4, 4)), ..Response::internal(451, text) }
}

enum Look {
    Free(Item),
    Taken,
    Held(Item, Rc<Order>),
}

fn look(shard: &Rc<Shard>, item: Item) -> Look {
    let orders = &shard.queues.orders;
    if orders.is_empty() {
        return Look::Free(item);
    }
    let now = steady_millis();
    let (name, parts) = (&item.queue.name, &item.queue.parts);
    if let Some(order) = orders.bounced(name, parts, now) {
        orders.count_bounced(&order.id, name);
        shard.queues.end(item, Task::Bounce(order));
        return Look::Taken;
    }
    if shard.queues.windows.is_expired(&item, now) {
        // It is held no longer than it lives.
        shard.queues.expire(item);
        return Look::Taken;
    }
    let held = orders.suspended(name, parts, now).or_else(|| orders.holding(item.id, now));
    match held.filter(|_| !is_planted(Bug::SuspendedTried)) {
        Some(order) => Look::Held(item, order),
        None => Look::Free(item),
    }
}

//! Operators' orders put in force on one shard.

use crate::limits::MESH_RETRY_MS;
use ringmta_egress::limits::ROUTE_SECS;
use ringmta_io::{self as io, steady_millis};
use ringmta_policy::MessageId;
use ringmta_queue::limits::WORK_TASKS;
use ringmta_queue::model::{Item, ScheduledQueue};
use ringmta_queue::order_counts::Bounced;
use ringmta_queue::orders::{About, Order};
use ringmta_shard::admit;
use ringmta_shard::state::Shard;
use ringmta_shard::{flow, places};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// Ends an order; what it held goes on. `false` when there is none of that id.
pub fn cancel(shard: &Rc<Shard>, id: &str) -> bool {
    let Some(order) = shard.queues.orders.cancel(id) else { return false };
    if let About::SuspendReady(name) = &order.about {
        look_at_ready(shard, name);
    }
    release(shard, &order);
    let unknown = unconfigured(shard, &order);
    if !unknown.is_empty() {
        let shard = shard.clone();
        io::spawn(async move {
            configure(&shard, &unknown).await;
            release(&shard, &order);
        });
    }
    true
}

/// What the order held is due now. One that another order holds as well is held again then.
fn release(shard: &Rc<Shard>, order: &Order) {
    let now = steady_millis();
    for item in held_by(shard, order) {
        places::defer(shard, item, now);
    }
}

/// Queues with mail that the order may hold, and whose configuration nobody has asked for since the start: how long
/// their mail lives, and so until when it is held, is not known yet.
fn unconfigured(shard: &Shard, order: &Order) -> Vec<Rc<ScheduledQueue>> {
    let may_hold = |queue: &ScheduledQueue| match &order.about {
        About::Suspend(selector) => selector.matches(&queue.name, &queue.parts),
        About::SuspendReady(_) => true,
        About::Bounce { .. } | About::Hold(_) => false,
    };
    let all = shard.queues.scheduled.borrow();
    let unknown = all.values().filter(|queue| {
        !queue.is_configured() && !queue.deferred_inject && queue.count.get() > 0 && may_hold(queue)
    });
    unknown.cloned().collect()
}

/// Has their configuration found, a few at a time, as long as that may take.
async fn configure(shard: &Rc<Shard>, queues: &[Rc<ScheduledQueue>]) {
    for some in queues.chunks(WORK_TASKS) {
        some.iter().for_each(|queue| shard.queues.find_route(queue));
        let end = io::mono_nanos() + ROUTE_SECS * 1_000_000_000;
        while some.iter().any(|queue| !queue.is_configured()) && io::mono_nanos() < end {
            io::sleep(Duration::from_millis(MESH_RETRY_MS)).await;
        }
    }
}

/// Puts `order` in force. A bounce takes what waits, wherever it lies, and the answer says how much
/// of which scheduled queue; a suspension holds what has come further than the timer. What is in the
/// hand of a task meets the order when its attempt has failed.
pub fn apply(shard: &Rc<Shard>, order: Order) -> Bounced {
    let (id, about) = (order.id.clone(), order.about.clone());
    let is_over = order.until_millis <= steady_millis();
    let replaced = shard.queues.orders.add(order);
    let mut taken = replaced.map(|order| held_by(shard, &order)).unwrap_or_default();
    match &about {
        About::SuspendReady(name) => look_at_ready(shard, name),
        About::Suspend(meant) if !is_over => {
            let is_meant = |item: &Item| meant.matches(&item.queue.name, &item.queue.parts);
            taken.append(&mut take_moving(shard, is_meant));
        }
        About::Hold(id) if !is_over => {
            let id = id.parse::<MessageId>().ok();
            taken.append(&mut take_moving(shard, |item| Some(item.id) == id));
        }
        About::Bounce { selector, .. } if !is_over => {
            let meant = |item: &Item| selector.matches(&item.queue.name, &item.queue.parts);
            taken.append(&mut shard.queues.timers.borrow_mut().take_where(meant));
            taken.append(&mut take_moving(shard, meant));
        }
        _ => {}
    }
    for item in taken {
        // Held or failed by the orders as they are now, else it goes on.
        if let Some(item) = admit::lying(shard, item) {
            flow::submit(shard, item);
        }
    }
    shard.queues.orders.bounced_by(&id)
}

/// Takes what waits in scheduled queues for a route, a turn or room, and in ready queues.
pub fn take_moving(shard: &Shard, is_meant: impl Fn(&Item) -> bool + Copy) -> Vec<Item> {
    let mut taken = Vec::new();
    for queue in shard.queues.scheduled.borrow().values() {
        if !queue.deferred_inject {
            take_from(&mut queue.waiting.borrow_mut(), is_meant, &mut taken);
        }
    }
    for ready in shard.queues.ready.borrow().values() {
        take_from(&mut ready.items.borrow_mut(), is_meant, &mut taken);
    }
    taken
}

fn take_from(
    items: &mut VecDeque<Item>,
    is_meant: impl Fn(&Item) -> bool + Copy,
    taken: &mut Vec<Item>,
) {
    if items.iter().any(is_meant) {
        let all = std::mem::take(items);
        let (gone, stay): (Vec<_>, Vec<_>) = all.into_iter().partition(is_meant);
        items.extend(stay);
        taken.extend(gone);
    }
}

/// Takes the messages that wait for the end of a suspension: those that were held until then. One held by a second order
/// as well is held again when it is looked at.
fn held_by(shard: &Shard, order: &Order) -> Vec<Item> {
    let message = match &order.about {
        About::Hold(id) => id.parse::<MessageId>().ok(),
        _ => None,
    };
    let may_hold = |item: &Item| match &order.about {
        About::Suspend(selector) => selector.matches(&item.queue.name, &item.queue.parts),
        About::SuspendReady(_) => true,
        About::Hold(_) => Some(item.id) == message,
        About::Bounce { .. } => false,
    };
    let due_of = |item: &Item| {
        let until = may_hold(item).then(|| places::held_until(shard, item, order.until_millis))?;
        match item.held {
            true => Some(until | 1),
            // What an engine before has held for it is known by its due time alone.
            false => (!order.marks).then_some(until),
        }
    };
    shard.queues.timers.borrow_mut().take_due_at(due_of)
}

/// An order about the ready queue `name` has come or gone.
fn look_at_ready(shard: &Rc<Shard>, name: &str) {
    let ready = shard.queues.ready.borrow().get(name).cloned();
    let Some(ready) = ready else { return };
    ready.held_until.set(shard.queues.orders.ready_held_until(name));
    if ready.is_held() {
        // Connections with nothing to do are closed by themselves; one in the middle goes on to its dot.
        return;
    }
    shard.queues.kick(&ready);
}

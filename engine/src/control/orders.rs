//! Operators' orders put in force on one shard.

use crate::limits::{MESH_RETRY_MS, SWEEP_ITEMS};
use ringmta_egress::limits::ROUTE_SECS;
use ringmta_io::{self as io, steady_millis};
use ringmta_policy::MessageId;
use ringmta_queue::limits::WORK_TASKS;
use ringmta_queue::model::{Item, ScheduledQueue};
use ringmta_queue::order_counts::Bounced;
use ringmta_queue::orders::{About, Order};
use ringmta_queue::timer_wheel::tick_of;
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
    each_held_by(shard, order, |item| places::defer(shard, item, now));
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
    // Held or failed by the orders as they are now, else it goes on.
    let look = |item: Item| {
        if let Some(item) = admit::lying(shard, item) {
            flow::submit(shard, item);
        }
    };
    if let Some(order) = replaced {
        let due_of = |item: &Item| held_until(shard, &order, item);
        each_in_timer(
            shard,
            |tick, item| due_of(item).is_some_and(|due| tick == tick_of(due)),
            look,
        );
    }
    match &about {
        About::SuspendReady(name) => look_at_ready(shard, name),
        About::Suspend(meant) if !is_over => {
            let is_meant = |item: &Item| meant.matches(&item.queue.name, &item.queue.parts);
            take_moving(shard, is_meant).into_iter().for_each(look);
        }
        About::Hold(id) if !is_over => {
            let id = id.parse::<MessageId>().ok();
            take_moving(shard, |item| Some(item.id) == id).into_iter().for_each(look);
        }
        About::Bounce { selector, .. } if !is_over => {
            let meant = |item: &Item| selector.matches(&item.queue.name, &item.queue.parts);
            let moving = take_moving(shard, meant);
            each_in_timer(shard, |_, item| meant(item), look);
            moving.into_iter().for_each(look);
        }
        _ => {}
    }
    shard.queues.orders.bounced_by(&id)
}

/// Takes what is `wanted` out of the timer, a few at a time: the rest lies where it is, however many there are.
pub fn each_in_timer(
    shard: &Shard,
    wanted: impl Fn(u64, &Item) -> bool,
    mut each: impl FnMut(Item),
) {
    let mut sweep = shard.queues.timers.borrow().sweep();
    loop {
        let mut timers = shard.queues.timers.borrow_mut();
        let some = timers.take_some(&mut sweep, SWEEP_ITEMS, &wanted);
        drop(timers);
        let is_over = some.len() < SWEEP_ITEMS;
        some.into_iter().for_each(&mut each);
        if is_over {
            return;
        }
    }
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
    for _ in 0..items.len() {
        match items.pop_front() {
            Some(item) if is_meant(&item) => taken.push(item),
            Some(item) => items.push_back(item),
            None => return,
        }
    }
}

/// Takes the messages that wait for the end of a suspension out of the timer: those that were held until then.
fn each_held_by(shard: &Shard, order: &Order, each: impl FnMut(Item)) {
    let lies_at = |item: &Item| held_until(shard, order, item).map(tick_of);
    each_in_timer(shard, |tick, item| lies_at(item) == Some(tick), each);
}

/// Until when a message that waits for the end of an order is in the timer; none when it does not wait for that. One held by
/// a second order as well is held again when it is looked at.
fn held_until(shard: &Shard, order: &Order, item: &Item) -> Option<u64> {
    let may_hold = match &order.about {
        About::Suspend(selector) => selector.matches(&item.queue.name, &item.queue.parts),
        About::SuspendReady(_) => true,
        About::Hold(id) => id.parse::<MessageId>().ok() == Some(item.id),
        About::Bounce { .. } => false,
    };
    let until = may_hold.then(|| places::held_until(shard, item, order.until_millis))?;
    match item.stay.is_held() {
        true => Some(until | 1),
        // What an engine before has held for it is known by its due time alone.
        false => (!order.marks).then_some(until),
    }
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

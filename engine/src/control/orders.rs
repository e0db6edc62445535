//! Operators' orders put in force on one shard.

use crate::limits::{MESH_RETRY_MS, SWEEP_ITEMS};
use ringmta_egress::limits::ROUTE_SECS;
use ringmta_io::{self as io, steady_millis};
use ringmta_policy::MessageId;
use ringmta_queue::blocks::{Blocks, Line};
use ringmta_queue::limits::WORK_TASKS;
use ringmta_queue::model::{Item, ScheduledQueue};
use ringmta_queue::order_counts::Bounced;
use ringmta_queue::orders::{About, Order};
use ringmta_queue::timer_wheel::tick_of;
use ringmta_shard::admit;
use ringmta_shard::state::Shard;
use ringmta_shard::{flow, places};
use std::rc::Rc;
use std::time::Duration;

/// Ends an order; what it held goes on. `false` when there is none of that id.
pub async fn cancel(shard: &Rc<Shard>, id: &str) -> bool {
    let Some(order) = shard.queues.orders.cancel(id) else { return false };
    if let About::SuspendReady(name) = &order.about {
        look_at_ready(shard, name);
    }
    release(shard, &order).await;
    let unknown = unconfigured(shard, &order);
    if !unknown.is_empty() {
        let shard = shard.clone();
        io::spawn(async move {
            configure(&shard, &unknown).await;
            release(&shard, &order).await;
        });
    }
    true
}

/// What the order held is due now. One that another order holds as well is held again then.
async fn release(shard: &Rc<Shard>, order: &Order) {
    let now = steady_millis();
    let lies_at = |item: &Item| held_until(shard, order, item).map(tick_of);
    let is_held = |tick, item: &Item| lies_at(item) == Some(tick);
    each_in_timer(shard, is_held, |item| places::defer(shard, item, now)).await;
}

/// At a start: what an order has held that is not in force any more goes on. The end of an order is durable before what it
/// held is, so that a crash between the two would leave that waiting for as long as the order was meant to hold it.
pub async fn release_orphans(shard: &Rc<Shard>) {
    let (orders, now) = (&shard.queues.orders, steady_millis());
    let may_be_held = |item: &Item| {
        let (name, parts) = (&item.queue.name, &item.queue.parts);
        !orders.is_empty()
            && (orders.suspended(name, parts, now).is_some()
                || orders.holding(item.id, now).is_some()
                || orders.holds_some_ready(now))
    };
    let is_orphan = |_, item: &Item| item.stay.is_held() && !may_be_held(item);
    let go_on = |mut item: Item| {
        item.stay = item.stay.held(false);
        shard.queues.insert_timer(item, now);
    };
    each_in_timer(shard, is_orphan, go_on).await;
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
pub async fn apply(shard: &Rc<Shard>, order: Order) -> Bounced {
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
        let was_held = |tick, item: &Item| due_of(item).is_some_and(|due| tick == tick_of(due));
        each_in_timer(shard, was_held, look).await;
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
            take_moving(shard, meant).into_iter().for_each(look);
            each_in_timer(shard, |_, item| meant(item), look).await;
        }
        _ => {}
    }
    shard.queues.orders.bounced_by(&id)
}

/// Takes what is `wanted` out of the timer, a slice at a time: the rest lies where it is, other tasks have their turn in between,
/// and what is noted of those that are taken is written meanwhile, however many there are. Nothing becomes due before all was
/// looked at.
pub async fn each_in_timer(
    shard: &Shard,
    mut wanted: impl FnMut(u64, &Item) -> bool,
    mut each: impl FnMut(Item),
) {
    let _turn = shard.queues.turn_at_timer().await;
    let mut sweep = shard.queues.timers.borrow().sweep();
    let writes = || shard.spool.journal.writes.get();
    let mut given_up_at = None;
    loop {
        let some = shard.queues.timers.borrow_mut().take_some(&mut sweep, SWEEP_ITEMS, &mut wanted);
        let Some(some) = some else { return };
        some.into_iter().for_each(&mut each);
        // A disk that takes nothing holds up no order: it is waited for again when it has taken something.
        if given_up_at != Some(writes()) {
            let is_written = shard.spool.let_journal_follow().await;
            given_up_at = (!is_written).then(writes);
        }
        io::yield_now().await;
    }
}

/// Takes what waits in scheduled queues for a route, a turn or room, and in ready queues.
pub fn take_moving(shard: &Shard, is_meant: impl Fn(&Item) -> bool + Copy) -> Blocks<Item> {
    let mut taken = Blocks::default();
    for queue in shard.queues.scheduled.borrow().values() {
        if !queue.deferred_inject {
            take_from(&mut *queue.waiting.borrow_mut(), is_meant, &mut taken);
        }
    }
    for ready in shard.queues.ready.borrow().values() {
        take_from(&mut *ready.items.borrow_mut(), is_meant, &mut taken);
    }
    taken
}

fn take_from(
    items: &mut impl Line<Item>,
    is_meant: impl Fn(&Item) -> bool + Copy,
    taken: &mut Blocks<Item>,
) {
    for _ in 0..items.length() {
        match items.take_first() {
            Some(item) if is_meant(&item) => taken.push_back(item),
            Some(item) => items.add(item),
            None => return,
        }
    }
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

//! A message's way from its scheduled queue to a ready queue: orders, the queue's rate, the choice of a source, room.
//! What must wait for any of them waits in order in the scheduled queue, and has been charged for nothing.

use crate::admit;
use crate::ending;
use crate::limits;
use crate::places;
use crate::state::Shard;
use ringmta_events::spans::trail::{along, Trail};
use ringmta_io::sim::planted::{is_planted, Bug};
use ringmta_io::{self as io, mono_nanos, steady_millis};
use ringmta_policy::Throttle;
use ringmta_queue::model::ReadyQueue;
use ringmta_queue::model::{Item, Loaded, Route, ScheduledQueue};
use ringmta_queue::route::NoSource;
use std::rc::Rc;
use std::time::Duration;

/// Sends a due message on its way: to a ready queue when the route is known and nothing holds it up, else it waits
/// in its scheduled queue.
pub fn submit(shard: &Rc<Shard>, mut item: Item) {
    shard.queues.follow_epoch(shard.process.policy_shared.epoch());
    let queue = item.queue.clone();
    let now = mono_nanos();
    queue.last_used.set(now);
    if queue.deferred_inject {
        item.stay = item.stay.moved();
        queue.waiting.borrow_mut().push_back(item);
        return shard.queues.ask_policy(&queue);
    }
    if queue.fresh_until.get() <= now {
        shard.queues.find_route(&queue);
    }
    // Nobody is overtaken; what moves the first of them moves the others. Without its configuration
    // it is not even known how long a message lives.
    let is_first = queue.is_configured() && queue.waiting.borrow().is_empty();
    let held_up = if is_first { advance(shard, item).err() } else { Some(item) };
    if let Some(mut item) = held_up {
        item.stay = item.stay.moved();
        queue.waiting.borrow_mut().push_back(shard.queues.within_budget(item));
    }
}

/// Moves what waits in `queue` on, as far as it may go.
pub fn pump(shard: &Rc<Shard>, queue: &Rc<ScheduledQueue>) {
    if queue.deferred_inject {
        return;
    }
    for _ in 0..limits::WAKE_BATCH {
        let next = queue.waiting.borrow_mut().pop_front();
        let Some(item) = next else { return };
        if let Err(item) = advance(shard, item) {
            return queue.waiting.borrow_mut().push_front(item);
        }
    }
    if !queue.waiting.borrow().is_empty() && !queue.moving.replace(true) {
        let (shard, queue) = (shard.clone(), queue.clone());
        io::spawn(async move {
            io::yield_now().await;
            queue.moving.set(false);
            pump(&shard, &queue);
        });
    }
}

/// Fills a ready queue that has room again: one message of each queue in line at a time, and not too many at once.
pub fn refill(shard: &Rc<Shard>, ready: &Rc<ReadyQueue>) {
    for _ in 0..limits::WAKE_BATCH {
        if !ready.has_room() || ready.is_held() {
            return;
        }
        let Some(queue) = ready.overflow.borrow_mut().pop() else { return };
        let next = queue.waiting.borrow_mut().pop_front();
        let Some(item) = next else { continue };
        match advance(shard, item) {
            Ok(()) if queue.waiting.borrow().is_empty() => {}
            Ok(()) => ready.overflow.borrow_mut().push(&queue),
            // Whatever holds it up wakes it, or the sweep does.
            Err(item) => queue.waiting.borrow_mut().push_front(item),
        }
    }
}

/// Moves one message on; gives it back when it must wait in its queue. Everything is asked before anything is
/// charged.
fn advance(shard: &Rc<Shard>, item: Item) -> Result<(), Item> {
    let Some(item) = admit::arriving(shard, item) else { return Ok(()) };
    let queue = item.queue.clone();
    let Some(route) = queue.route.borrow().clone() else {
        if queue.fresh_until.get() <= mono_nanos() {
            shard.queues.find_route(&queue);
        }
        return Err(item);
    };
    if !route.has_room() {
        route.ready().for_each(|ready| ready.overflow.borrow_mut().push(&queue));
        return Err(item);
    }
    let rate = queue.config.borrow().max_message_rate;
    if let Some(wait) = rate.and_then(|rate| queue.rate.would_pass(&rate, mono_nanos()).err()) {
        if is_planted(Bug::BacklogDeferred) {
            let due = steady_millis() + wait.as_millis() as u64 + 1;
            places::defer(shard, item, due);
            return Ok(());
        }
        pace(shard, &queue, wait);
        return Err(item);
    }
    let asks = shard.policy().handles("throttle_insert_ready_queue");
    if asks && queue.passing.get() >= limits::THROTTLE_TASKS {
        return Err(item);
    }
    if asks {
        // A source is chosen only when policy has had its say.
        let charge = match Charge::take(&queue, rate) {
            Ok(charge) => charge,
            Err(wait) => {
                pace(shard, &queue, wait);
                return Err(item);
            }
        };
        ask_policy(shard, item, charge);
        return Ok(());
    }
    let ready = match route.pick() {
        Ok(ready) if ready.has_room() => ready,
        Ok(_) => {
            // Those with room are held.
            route.ready().for_each(|ready| ready.overflow.borrow_mut().push(&queue));
            return Err(item);
        }
        Err(none) => {
            without_source(shard, item, &route, none);
            return Ok(());
        }
    };
    // Another shard may have taken it since: then a choice of source is lost, which is rare.
    match Charge::take(&queue, rate) {
        Ok(charge) => charge.spent(),
        Err(wait) => {
            pace(shard, &queue, wait);
            return Err(item);
        }
    }
    ready.push(shard.queues.within_budget(item));
    shard.queues.kick(&ready);
    Ok(())
}

/// One of a queue's rate, taken for a message that is about to go. When it does not go after all (its route is gone, policy
/// has it wait, it has ended) this goes back: each message is charged once, when it goes.
struct Charge(Option<Taken>);

/// What was taken of whose rate, and when: monotonic nanoseconds.
struct Taken {
    queue: Rc<ScheduledQueue>,
    rate: Throttle,
    at: u64,
}

impl Charge {
    /// Takes one; the wait when there is none to be had.
    fn take(queue: &Rc<ScheduledQueue>, rate: Option<Throttle>) -> Result<Charge, Duration> {
        let Some(rate) = rate else { return Ok(Charge(None)) };
        let at = mono_nanos();
        queue.rate.try_rate(&rate, at)?;
        Ok(Charge(Some(Taken { queue: queue.clone(), rate, at })))
    }

    /// The message has gone.
    fn spent(mut self) {
        self.0 = None;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(Taken { queue, rate, at }) = &self.0 {
            queue.rate.untake_rate(rate, *at, mono_nanos());
        }
    }
}

/// A message for which no source is free now waits for one.
fn without_source(shard: &Rc<Shard>, item: Item, route: &Route, none: NoSource) {
    match none {
        NoSource::Held(ready) => admit::without_source(shard, item, ready),
        NoSource::Later(wait) => {
            *item.queue.last_trouble.borrow_mut() = "no source may be chosen now".into();
            let turn = route.turn(steady_millis(), wait);
            let due = places::held_until(shard, &item, turn);
            places::defer(shard, item, due);
        }
    }
}

/// A message that policy has seen goes to a ready queue, over its limit if need be: few are on this way at once.
fn insert(shard: &Rc<Shard>, item: Item, charge: Charge) {
    let Some(item) = admit::lying(shard, item) else { return };
    let route = item.queue.route.borrow().clone();
    let Some(route) = route else {
        drop(charge);
        return submit(shard, item);
    };
    match route.pick() {
        Ok(ready) => {
            charge.spent();
            ready.push(shard.queues.within_budget(item));
            shard.queues.kick(&ready);
        }
        Err(none) => without_source(shard, item, &route, none),
    }
}

/// The first message that waits in `queue` gets its turn when the rate lets it go. One timer does for all of them, and
/// another one only when the rate was raised.
fn pace(shard: &Rc<Shard>, queue: &Rc<ScheduledQueue>, wait: Duration) {
    let wait = wait.min(limits::PACE_WAIT_MAX);
    let due = mono_nanos() + wait.as_nanos() as u64;
    let set = queue.paced_until.get();
    if set > 0 && set <= due {
        return;
    }
    queue.paced_until.set(due);
    let (shard, queue) = (shard.clone(), queue.clone());
    io::spawn(async move {
        io::sleep(wait).await;
        if queue.paced_until.get() == due {
            queue.paced_until.set(0);
        }
        pump(&shard, &queue);
    });
}

fn ask_policy(shard: &Rc<Shard>, item: Item, charge: Charge) {
    let (shard, queue) = (shard.clone(), item.queue.clone());
    queue.passing.set(queue.passing.get() + 1);
    let hand = shard.queues.in_hand.take(&item);
    io::spawn(async move {
        // A task runs at once when it is spawned; whoever sent it here may be walking a queue.
        io::yield_now().await;
        throttled(&shard, item, charge).await;
        drop(hand);
        queue.passing.set(queue.passing.get() - 1);
        pump(&shard, &queue);
    });
}

/// Asks policy whether a due message may move on; one whose due time it pushed out waits.
async fn throttled(shard: &Rc<Shard>, mut item: Item, charge: Charge) {
    if item.loaded.is_none() {
        match places::load(shard, item.at, item.id).await {
            Ok(message) => {
                message.set_num_attempts(item.attempts);
                item.loaded = Some(Box::new(Loaded::new(message, &shard.queues.resident)));
            }
            Err(why) => {
                tracing::error!("message {} cannot be read: {why}", item.id);
                return places::defer(shard, item, steady_millis() + limits::UNREADABLE_RETRY_MS);
            }
        }
    }
    let Some(message) = item.loaded.as_ref().map(|loaded| loaded.message.clone()) else { return };
    message.set_due(None);
    let limit = Duration::from_secs(limits::DELIVERY_HANDLER_SECS);
    let policy = shard.policy();
    let trail = Trail::of(shard.process.spans.as_ref(), &message);
    let asked = along(trail, policy.throttle_insert_ready_queue(&message));
    // A failure was logged where it happened; it holds no mail back.
    if io::deadline(limit, asked).await.is_err() {
        tracing::error!("throttle_insert_ready_queue took longer than {limit:?}; the mail goes on");
    }
    let due = message.due().filter(|due| *due > steady_millis());
    let changes = message.changes();
    // What waits leaves memory: its changes must be on disk by then.
    if changes.scheduling || due.is_some() && changes.of_record() {
        ending::rewrite(shard, &mut item, &message).await;
    }
    match due {
        Some(due) => places::defer(shard, item, due),
        None => insert(shard, item, charge),
    }
}

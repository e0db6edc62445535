//! What time does: wakes messages when they are due, and looks after what nothing else wakes.

use crate::flow;
use crate::limits::{self, WAKE_BATCH};
use crate::order_counts;
use crate::state::Shard;
use ringmta_io::sim::planted::{is_planted, Bug};
use ringmta_io::{self as io, mono_nanos, steady_millis};
use ringmta_queue::blocks::Line;
use ringmta_queue::model::{Item, ReadyQueue};
use std::rc::Rc;
use std::time::Duration;

fn sweep(shard: &Rc<Shard>) {
    let now_millis = steady_millis();
    shard.queues.orders.expire(now_millis);
    order_counts::keep_later(shard);
    // The clock of queues may have been led forward.
    if shard.queues.timers.borrow().next_due().is_some_and(|due| due <= now_millis) {
        shard.queues.wake_timers();
    }
    let now = mono_nanos();
    let ready: Vec<_> = shard.queues.ready.borrow().values().cloned().collect();
    for queue in &ready {
        take_expired(shard, &mut *queue.items.borrow_mut(), now_millis);
        // Its connections were busy when others asked for a lease, and what they were for is gone.
        if queue.keeps_from_others(shard.index) && !is_planted(Bug::IdleKeepsLease) {
            queue.wake_all();
        }
        flow::refill(shard, queue);
        end_hung(shard, queue, now);
        let first = queue.items.borrow().front().map(|item| item.queue.clone());
        let Some(first) = first else { continue };
        // What waits here goes by the configuration of its queue, also when nothing new comes.
        if first.fresh_until.get() <= now {
            shard.queues.find_route(&first);
        }
        shard.queues.kick(queue);
    }
    let scheduled: Vec<_> = shard.queues.scheduled.borrow().values().cloned().collect();
    for queue in &scheduled {
        take_expired(shard, &mut *queue.waiting.borrow_mut(), now_millis);
        if queue.deferred_inject || queue.waiting.borrow().is_empty() {
            continue;
        }
        if queue.fresh_until.get() <= now {
            shard.queues.find_route(queue);
        }
        flow::pump(shard, queue);
    }
    reap(shard, now);
    if shard.index == 0 {
        io::follow_wall_clock();
    }
    if shard.index == 0
        && now >= shard.queues.swept.get() + limits::REGISTRY_SWEEP_SECS * 1_000_000_000
    {
        shard.queues.swept.set(now);
        shard.process.limits.sweep(now);
        shard.process.policy_shared.sweep(now);
    }
}

/// Ends the connections that have been at one step for longer than their path allows.
fn end_hung(shard: &Shard, queue: &ReadyQueue, now: u64) {
    let Some(limit) = queue.path().dispatcher_progress_watchdog_timeout else { return };
    let open: Vec<_> = queue.open.borrow().clone();
    for connection in open {
        if connection.ends_when_hung(limit, now) {
            shard.metrics.watchdog_aborted.inc();
            tracing::warn!("{}: {}", queue.name, connection.hung().unwrap_or_default());
        }
    }
}

/// Forgets queues that have been empty for long.
fn reap(shard: &Shard, now: u64) {
    shard.queues.scheduled.borrow_mut().retain(|_, queue| {
        let idle = Duration::from_nanos(now.saturating_sub(queue.last_used.get()));
        queue.count.get() > 0 || queue.resolving.get() || idle < queue.config.borrow().reap_interval
    });
    shard.queues.ready.borrow_mut().retain(|name, queue| {
        let idle = Duration::from_nanos(now.saturating_sub(queue.last_used.get()));
        let stays = !queue.is_empty()
            || queue.connections.get() > 0
            || Rc::strong_count(queue) > 1
            || idle < Duration::from_secs(limits::READY_REAP_SECS);
        if !stays {
            shard.metrics.forget_site(name);
        }
        stays
    });
}

/// Expiry holds wherever a message lies. Of a line in which very many are too old those in front go, and the others at a
/// later sweep.
fn take_expired(shard: &Rc<Shard>, items: &mut impl Line<Item>, now_millis: u64) {
    let expired = |item: &Item| shard.queues.windows.is_expired(item, now_millis);
    for _ in 0..limits::EXPIRED_AT_ONCE {
        if !items.behind(0).next().is_some_and(expired) {
            break;
        }
        items.take_first().into_iter().for_each(|item| shard.queues.expire(item));
    }
    if items.behind(0).next().is_some_and(expired) || !items.behind(0).any(expired) {
        return;
    }
    for _ in 0..items.length() {
        match items.take_first() {
            Some(item) if expired(&item) => shard.queues.expire(item),
            Some(item) => items.add(item),
            None => return,
        }
    }
}

/// Wakes messages when they are due; one task per shard.
pub async fn run_timers(shard: Rc<Shard>) {
    let queues = &shard.queues;
    let mut due = Vec::with_capacity(WAKE_BATCH);
    loop {
        queues.wait_until_due().await;
        // What an order is meant for does not move on while it is looked for.
        let turn = queues.turn_at_timer().await;
        queues.timers.borrow_mut().pop_due(steady_millis(), WAKE_BATCH, &mut due);
        drop(turn);
        for item in due.drain(..) {
            flow::submit(&shard, item);
        }
        io::yield_now().await;
    }
}

/// Tells the database of volumes what was counted, where there is one.
pub async fn run_volumes(shard: Rc<Shard>) {
    let Some(volumes) = &shard.volumes else { return };
    let mut pause = limits::VOLUMES_WRITE_SECS;
    loop {
        io::sleep(Duration::from_secs(pause)).await;
        pause = match volumes.write(&shard.metrics).await {
            true => limits::VOLUMES_WRITE_SECS,
            false => limits::VOLUMES_RETRY_SECS,
        };
    }
}

/// Looks after what nothing else wakes; one task per shard.
pub async fn run_sweeper(shard: Rc<Shard>) {
    loop {
        io::sleep(Duration::from_secs(1)).await;
        shard.queues.follow_epoch(shard.process.policy_shared.epoch());
        sweep(&shard);
        if shard.trace.incoming() || shard.trace.outgoing() {
            shard.trace.sweep();
            shard.events.sweep_readers();
        }
    }
}

//! Whether everything is where it belongs: each message in exactly one place, each ready queue known by its name, no lease
//! held for nothing, no route older than its policy. A plain function over a shard, for operators, tests and the
//! simulation.

use crate::limits::SELF_CHECK_TOLD_MAX;
use crate::state::Shard;
use ringmta_io::Map;
use ringmta_policy::MessageId;
use serde::{Deserialize, Serialize};
use std::rc::Rc;

/// What was found on one shard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Number of the shard.
    pub shard: usize,
    /// Messages, as the queues count them.
    pub messages: usize,
    /// Messages that wait for their due time.
    pub timer: usize,
    /// Messages that wait in their scheduled queue.
    pub scheduled: usize,
    /// Messages in ready queues.
    pub ready: usize,
    /// Messages in the list of work.
    pub work: usize,
    /// Messages in the hand of a task: over a connection, or asked about.
    pub in_hand: usize,
    /// Ready queues.
    pub ready_queues: usize,
    /// Scheduled queues.
    pub scheduled_queues: usize,
    /// What is wrong.
    pub problems: Vec<String>,
    /// What is wrong unless it passes by itself in a moment.
    pub passing: Vec<String>,
}

/// Looks through `shard`.
pub fn check(shard: &Shard) -> Found {
    let mut found = Found { shard: shard.index, ..Found::default() };
    places(shard, &mut found);
    ready_queues(shard, &mut found);
    routes(shard, &mut found);
    found.problems.truncate(SELF_CHECK_TOLD_MAX);
    found.passing.truncate(SELF_CHECK_TOLD_MAX);
    found
}

/// Each message is in one place, and each queue has as many as it counts.
fn places(shard: &Shard, found: &mut Found) {
    let queues = &shard.queues;
    let mut seen: Map<MessageId, &'static str> = Map::default();
    let mut by_queue: Map<*const (), usize> = Map::default();
    let mut problems = Vec::new();
    let mut see = |id: MessageId, queue: *const (), place: &'static str| {
        *by_queue.entry(queue).or_default() += 1;
        if let Some(before) = seen.insert(id, place) {
            problems.push(format!("message {id} lies in two places: {before} and {place}"));
        }
    };
    for (_, item) in queues.timers.borrow().iter() {
        found.timer += 1;
        see(item.id, Rc::as_ptr(&item.queue).cast(), "timer");
    }
    for queue in queues.scheduled.borrow().values() {
        for item in queue.waiting.borrow().iter() {
            found.scheduled += 1;
            see(item.id, Rc::as_ptr(&item.queue).cast(), "scheduled queue");
        }
    }
    for ready in queues.ready.borrow().values() {
        for item in ready.items.borrow().iter() {
            found.ready += 1;
            see(item.id, Rc::as_ptr(&item.queue).cast(), "ready queue");
        }
    }
    queues.to_end.each(|(item, _)| {
        found.work += 1;
        see(item.id, Rc::as_ptr(&item.queue).cast(), "list of work");
    });
    for (id, times) in queues.in_hand.list() {
        found.in_hand += 1;
        if times > 1 {
            problems.push(format!("message {id} is in the hands of {times} tasks"));
        }
        if let Some(before) = seen.insert(id, "a task's hand") {
            problems.push(format!("message {id} lies in two places: {before} and a task's hand"));
        }
    }
    let mut beyond = 0;
    for queue in queues.scheduled.borrow().values() {
        let lying = by_queue.get(&Rc::as_ptr(queue).cast()).copied().unwrap_or(0);
        found.messages += queue.count.get();
        match queue.count.get().checked_sub(lying) {
            Some(more) => beyond += more,
            None => {
                let (name, count) = (&queue.name, queue.count.get());
                problems.push(format!("queue {name} counts {count} messages and has {lying}"));
            }
        }
    }
    if beyond != found.in_hand {
        let in_hand = found.in_hand;
        problems.push(format!("{beyond} messages lie in no queue, tasks have {in_hand} in hand"));
    }
    let (_, live, _) = shard.spool.segments.totals();
    let messages = found.messages.saturating_sub(shard.events.queued_count());
    if live < messages as u64 {
        problems.push(format!("{messages} messages in the queues, {live} records in the spool"));
    }
    found.problems.append(&mut problems);
}

/// No ready queue that its name does not lead to, and no idle connection that keeps a lease from others.
fn ready_queues(shard: &Shard, found: &mut Found) {
    let ready = shard.queues.ready.borrow();
    found.ready_queues = ready.len();
    for queue in shard.queues.scheduled.borrow().values() {
        let route = queue.route.borrow();
        for used in route.iter().flat_map(|route| route.ready()) {
            if !ready.get(&used.name).is_some_and(|known| Rc::ptr_eq(known, used)) {
                let (name, used) = (&queue.name, &used.name);
                found.problems.push(format!("queue {name} sends to a stray ready queue {used}"));
            }
        }
    }
    for queue in ready.values().filter(|queue| queue.keeps_from_others(shard.index)) {
        let name = &queue.name;
        found.passing.push(format!("{name}: an idle connection keeps a lease others wait for"));
    }
}

/// No queue sends by what another policy has said.
fn routes(shard: &Shard, found: &mut Found) {
    let queues = shard.queues.scheduled.borrow();
    found.scheduled_queues = queues.len();
    let epoch = shard.process.policy_shared.epoch();
    // A shard follows a new epoch with its next message, or with the next sweep.
    let behind = shard.queues.epoch() != epoch;
    for queue in queues.values().filter(|queue| queue.route.borrow().is_some()) {
        let old = queue.epoch.get() != shard.queues.epoch() || queue.serial.get() != shard.serial();
        if behind || old {
            let name = &queue.name;
            found.passing.push(format!("queue {name} has a route older than its policy"));
        }
    }
}

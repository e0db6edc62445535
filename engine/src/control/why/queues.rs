//! Queues, domains and sites of one shard: what is there, and in which states it is.

use super::answer::Answer;
use super::message::{self, Place};
use super::ready;
use super::reasons;
use super::states::State;
use crate::control::walk::Walk;
use crate::limits::{WHY_LISTED_MAX, WHY_LOOKS_MAX};
use ringmta_io::steady_millis;
use ringmta_queue::model::{Item, ReadyQueue, ScheduledQueue};
use ringmta_shard::state::Shard;
use serde_json::{json, Map, Value};
use std::collections::BTreeMap;
use std::rc::Rc;

/// How many messages are in which state, and one of each told whole.
#[derive(Default)]
struct Tally {
    states: BTreeMap<State, (u64, Map<String, Value>)>,
    looks: usize,
}

impl Tally {
    fn add(&mut self, answer: impl FnOnce() -> Answer, state_of: Option<State>) {
        self.looks += 1;
        if let Some(known) = state_of.and_then(|state| self.states.get_mut(&state)) {
            known.0 += 1;
            return;
        }
        let answer = answer();
        let entry = self.states.entry(answer.state).or_insert_with(|| (0, answer.to_json()));
        entry.0 += 1;
    }

    fn told(self) -> Value {
        let each = self.states.into_values().map(|(count, mut words)| {
            words.insert("messages".into(), json!(count));
            Value::Object(words)
        });
        each.collect()
    }
}

/// One scheduled queue, for which so many messages of the timer are looked at.
async fn scheduled(
    shard: &Shard,
    queue: &Rc<ScheduledQueue>,
    looks: usize,
    walk: &mut Walk,
) -> Value {
    let mut tally = Tally::default();
    for item in queue.waiting.borrow().iter().take(WHY_LISTED_MAX) {
        look(shard, item, || Place::Waiting(0), &mut tally);
    }
    // A look per message that waits anywhere on the shard: bounded, however many there are.
    let (mut left, mut found) = (looks, 0);
    let in_timer = walk.timer(&shard.queues.timers, |due, item| {
        left = left.saturating_sub(1);
        if Rc::ptr_eq(&item.queue, queue) {
            found += 1;
            look(shard, item, || Place::Timer(due), &mut tally);
        }
        (left == 0 || found >= WHY_LISTED_MAX).then_some(())
    });
    in_timer.await;
    let route = queue.route.borrow().clone();
    for ready in route.iter().flat_map(|route| route.ready()) {
        let (mut left, mut found) = (looks, 0);
        let in_line = walk.line(&ready.items, |_, item| {
            left = left.saturating_sub(1);
            if Rc::ptr_eq(&item.queue, queue) {
                found += 1;
                look(shard, item, || Place::Ready(ready.clone(), 0), &mut tally);
            }
            (left == 0 || found >= WHY_LISTED_MAX).then_some(())
        });
        in_line.await;
    }
    told(shard, queue, tally)
}

fn told(shard: &Shard, queue: &ScheduledQueue, tally: Tally) -> Value {
    let looked = tally.looks;
    let route = queue.route.borrow().clone();
    let (all, now) = (queue.count.get(), steady_millis());
    let order = shard.queues.orders.suspended(&queue.name, &queue.parts, now);
    let order = order.or_else(|| shard.queues.orders.bounced(&queue.name, &queue.parts, now));
    json!({
        "queue": *queue.name, "shard": shard.index, "messages": all, "looked_at": looked.min(all),
        "order": order.map(|order| reasons::order(&order)),
        "last_trouble": *queue.last_trouble.borrow(),
        "set_by": queue.made.borrow().of("protocol"),
        "ready_queues": route.iter().flat_map(|route| route.ready()).map(|r| r.name.clone()).collect::<Vec<_>>(),
        "states": tally.told(),
    })
}

fn look(shard: &Shard, item: &Item, place: impl FnOnce() -> Place, tally: &mut Tally) {
    let facts = message::facts(shard, item);
    tally.add(|| message::state(shard, &facts, &place()), None);
}

/// One ready queue.
fn ready_queue(shard: &Shard, queue: &ReadyQueue) -> Value {
    let mut answer = ready::state(shard, queue);
    if answer.since.is_none() {
        let first = queue.items.borrow().front().and_then(|item| item.stay.since_millis());
        answer.since = first;
    }
    let mut told = answer.to_json();
    if queue.is_empty() && !queue.is_held() && !queue.is_blocked_now() {
        told = json_of("idle", "Nothing waits here.");
    }
    let connections: Vec<Value> =
        queue.open.borrow().iter().take(WHY_LISTED_MAX).map(|c| reasons::connection(c)).collect();
    told.extend(Map::from_iter([
        ("ready_queue".into(), json!(queue.name)),
        ("shard".into(), json!(shard.index)),
        ("messages".into(), json!(queue.len())),
        ("connections".into(), json!(connections)),
        ("set_by".into(), json!(queue.path_made.borrow().of("connection_limit"))),
    ]));
    Value::Object(told)
}

fn json_of(state: &str, says: &str) -> Map<String, Value> {
    Map::from_iter([("state".into(), json!(state)), ("says".into(), json!(says))])
}

/// The scheduled queue of this name; `null` when there is none.
pub async fn of_name(shard: &Shard, name: &str) -> Value {
    let found = shard.queues.scheduled.borrow().get(name).cloned();
    of_some(shard, found.into_iter().collect()).await
}

/// The scheduled queues for which `meant` says so; `null` when there is none.
pub async fn of_scheduled(shard: &Shard, meant: impl Fn(&ScheduledQueue) -> bool) -> Value {
    let all = shard.queues.scheduled.borrow().values().cloned().collect();
    of_some(shard, some_of(all, meant).await).await
}

async fn of_some(shard: &Shard, queues: Vec<Rc<ScheduledQueue>>) -> Value {
    if queues.is_empty() {
        return Value::Null;
    }
    // All of them together look at as much as one does.
    let looks = (WHY_LOOKS_MAX / queues.len()).max(WHY_LISTED_MAX);
    let (mut told, mut walk) = (Vec::with_capacity(queues.len()), Walk::to_the_end());
    for queue in &queues {
        told.push(scheduled(shard, queue, looks, &mut walk).await);
    }
    json!(told)
}

/// The first of `all` that are meant.
async fn some_of<T>(all: Vec<Rc<T>>, meant: impl Fn(&T) -> bool) -> Vec<Rc<T>> {
    let (mut some, mut walk) = (Vec::new(), Walk::to_the_end());
    for one in all {
        walk.looked_at(1).await;
        if meant(&one) {
            some.push(one);
        }
        if some.len() >= WHY_LISTED_MAX {
            break;
        }
    }
    some
}

/// The ready queues for which `meant` says so; `null` when there is none.
pub async fn of_ready(shard: &Shard, meant: impl Fn(&ReadyQueue) -> bool) -> Value {
    let all = shard.queues.ready.borrow().values().cloned().collect();
    let found: Vec<Value> =
        some_of(all, meant).await.iter().map(|queue| ready_queue(shard, queue)).collect();
    if found.is_empty() {
        Value::Null
    } else {
        json!(found)
    }
}

/// Names of all there is, for the nearest to one that is not known.
pub fn names(shard: &Shard) -> Value {
    let mut names = Vec::new();
    for queue in shard.queues.scheduled.borrow().values().take(WHY_LISTED_MAX) {
        names.push(queue.name.to_string());
        names.push(queue.parts.domain.clone());
        names.push(queue.config.borrow().egress_pool.clone());
    }
    for ready in shard.queues.ready.borrow().values().take(WHY_LISTED_MAX) {
        names.push(ready.name.clone());
        names.push(ready.plan.borrow().site.clone());
        names.push(ready.source_name());
    }
    names.sort();
    names.dedup();
    json!(names)
}

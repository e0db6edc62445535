//! One message: where it lies, and the state it is in.

use super::answer::Answer;
use super::ready;
use super::reasons::{self, moment, wall};
use super::states::State;
use crate::control::at_millis;
use crate::control::walk::Walk;
use crate::limits::FIND_LOOKS;
use ringmta_io::{mono_nanos, steady_millis};
use ringmta_policy::MessageId;
use ringmta_queue::connections::Connection;
use ringmta_queue::hand::InTask;
use ringmta_queue::limits::SELECTION_WAIT_MAX_MS;
use ringmta_queue::model::{Item, Kept, ReadyQueue, Route, ScheduledQueue};
use ringmta_queue::tasks::Task;
use ringmta_shard::limits::THROTTLE_TASKS;
use ringmta_shard::places;
use ringmta_shard::state::Shard;
use ringmta_smtp::dates::rfc3339;
use serde_json::{json, Map, Value};
use std::rc::Rc;

/// What is known of a message without reading it.
#[derive(Clone)]
pub struct Facts {
    /// Its id.
    pub id: MessageId,
    /// What is kept of it.
    pub at: Kept,
    /// Finished attempts.
    pub attempts: u16,
    /// Its scheduled queue.
    pub queue: Rc<ScheduledQueue>,
    /// Since when it lies where it lies, unix milliseconds; none when it lay there before the engine was started.
    pub since: Option<u64>,
    /// The last instant of its life, unix milliseconds.
    pub end_of_life: u64,
}

impl Facts {
    /// When it was accepted, unix milliseconds.
    fn accepted(&self) -> u64 {
        self.id.created_unix_nanos() / 1_000_000
    }
}

/// Where a message lies.
pub enum Place {
    /// In the timer until then, unix milliseconds.
    Timer(u64),
    /// In its scheduled queue, behind so many.
    Waiting(usize),
    /// In a ready queue, behind so many.
    Ready(Rc<ReadyQueue>, usize),
    /// In the list of work, for this.
    Work(State, Option<Rc<ringmta_queue::orders::Order>>),
    /// In the hand of a task.
    InHand,
}

/// What is known of a message that lies in a queue.
pub(super) fn facts(shard: &Shard, item: &Item) -> Facts {
    let end_of_life = shard.queues.windows.end_of_life(item);
    let Item { id, at, attempts, stay, ref queue, .. } = *item;
    Facts { id, at, attempts, queue: queue.clone(), since: stay.since_millis(), end_of_life }
}

/// Finds message `id` in the queues of `shard`, or in the hand of one of its tasks. Its facts are of the moment in which this
/// is answered.
pub async fn find(shard: &Shard, id: MessageId) -> Option<(Facts, Place)> {
    for _ in 0..FIND_LOOKS {
        // It goes from the hand of a task into the timer, which is looked at first, and then from one to the next.
        if let Some(found) = in_hand(shard, id) {
            return Some(found);
        }
        if let Some(found) = in_a_queue(shard, id).await {
            return Some(found);
        }
    }
    in_hand(shard, id)
}

async fn in_a_queue(shard: &Shard, id: MessageId) -> Option<(Facts, Place)> {
    let (queues, mut walk) = (&shard.queues, Walk::to_the_end());
    let known = |item: &Item| (item.id == id).then(|| facts(shard, item));
    let now = steady_millis();
    // Of very many that are too old at once most come back by the timer.
    let place = |due, item: &Item| {
        let is_known = item.queue.is_configured();
        match is_known && queues.windows.is_expired(item, now) {
            true => Place::Work(State::Expiring, None),
            false => Place::Timer(due),
        }
    };
    let see = |due, item: &Item| known(item).map(|facts| (facts, place(due, item)));
    if let Some(found) = walk.timer(&queues.timers, see).await {
        return Some(found);
    }
    // Over copies of the handles: queues come and go meanwhile.
    let scheduled: Vec<_> = queues.scheduled.borrow().values().cloned().collect();
    for queue in scheduled {
        let see = |at, item: &Item| known(item).map(|facts| (facts, Place::Waiting(at)));
        if let Some(found) = walk.line(&queue.waiting, see).await {
            return Some(found);
        }
    }
    let ready: Vec<_> = queues.ready.borrow().values().cloned().collect();
    for ready in ready {
        let see =
            |at, item: &Item| known(item).map(|facts| (facts, Place::Ready(ready.clone(), at)));
        if let Some(found) = walk.line(&ready.items, see).await {
            return Some(found);
        }
    }
    let see = |(item, task): &(Item, Task)| known(item).map(|facts| (facts, work(task)));
    walk.work(&queues.to_end, see).await
}

fn in_hand(shard: &Shard, id: MessageId) -> Option<(Facts, Place)> {
    let InTask { at, attempts, queue, since_millis } = shard.queues.in_hand.get(id)?;
    let end_of_life = shard.queues.windows.end_of(id, &queue);
    let since = Some(since_millis);
    Some((Facts { id, at, attempts, queue, since, end_of_life }, Place::InHand))
}

/// What the list of work has a message for.
pub fn work(task: &Task) -> Place {
    match task {
        Task::Expire | Task::ExpireUnsent(_) => Place::Work(State::Expiring, None),
        Task::Bounce(order) => Place::Work(State::Bouncing, Some(order.clone())),
        Task::Hold(_) => Place::Work(State::BeingHeld, None),
        Task::Fail(_) => Place::Work(State::Failing, None),
        Task::Rebind(..) => Place::Work(State::BeingMoved, None),
    }
}

/// The connection that has message `id` in work.
fn over(shard: &Shard, id: MessageId) -> Option<(Rc<ReadyQueue>, Rc<Connection>)> {
    shard.queues.ready.borrow().values().find_map(|ready| {
        let open = ready.open.borrow();
        let found = open.iter().find(|connection| connection.message.get() == Some(id));
        found.map(|connection| (ready.clone(), connection.clone()))
    })
}

/// The state of a message that lies at `place`.
pub fn state(shard: &Shard, facts: &Facts, place: &Place) -> Answer {
    let queue = &facts.queue;
    let answer = match place {
        Place::Timer(due) => timer(shard, facts, *due),
        Place::Waiting(before) => waiting(shard, facts, *before),
        Place::Ready(ready, before) => {
            let line = (*before > 0).then(|| {
                let text = format!("{before} messages are before it in {}", ready.name);
                json!({"kind": "line", "text": text, "before": before})
            });
            ready::state(shard, ready).because(line)
        }
        Place::Work(state, order) => {
            let answer =
                Answer::of(*state).because(order.iter().map(|order| reasons::order(order)));
            order.iter().fold(answer, |answer, order| answer.name("order", &order.id))
        }
        Place::InHand => in_work(shard, facts.id),
    };
    let answer = answer.name("id", facts.id.to_string()).name("queue", &*queue.name);
    since(answer, facts)
}

/// A state is that of a message since it came where it lies, unless what holds it there is younger; one that an order makes
/// is so since the order. No message was in any state before it was accepted.
fn since(answer: Answer, facts: &Facts) -> Answer {
    let came = match facts.attempts {
        0 => Some(facts.since.unwrap_or_default().max(facts.accepted())),
        _ => facts.since.map(|since| since.max(facts.accepted())),
    };
    let known = match answer.since {
        Some(since) if answer.state.is_ordered() => Some(since.max(facts.accepted())),
        Some(since) => Some(since.max(came.unwrap_or_default())),
        None => came,
    };
    match known {
        Some(since) => answer.since(since),
        None => answer,
    }
}

fn ordered(shard: &Shard, facts: &Facts) -> Option<Answer> {
    let (orders, queue, now) = (&shard.queues.orders, &facts.queue, steady_millis());
    let (state, order) = match orders.bounced(&queue.name, &queue.parts, now) {
        Some(order) => (State::Bouncing, order),
        None => match orders.suspended(&queue.name, &queue.parts, now) {
            Some(order) => (State::Suspended, order),
            None => (State::Held, orders.holding(facts.id, now)?),
        },
    };
    let ends = order.until_millis.min(facts.end_of_life.saturating_add(1));
    let answer = Answer::of(state)
        .because([reasons::order(&order)])
        .since(order.placed_millis)
        .name("order", &order.id);
    Some(match state {
        State::Bouncing => answer,
        _ if ends < order.until_millis => {
            answer.next(ends).next_says("It is too old before the order ends, and expires then.")
        }
        _ => answer.next(ends),
    })
}

fn timer(shard: &Shard, facts: &Facts, due: u64) -> Answer {
    let (queue, now) = (&facts.queue, steady_millis());
    if let Some(answer) = ordered(shard, facts) {
        return answer;
    }
    if let Some(scheduling) = shard.queues.windows.get(facts.id) {
        let opens = scheduling.next(now);
        let schedule = || {
            let text = format!("its schedule: {}", scheduling.to_json());
            [json!({"kind": "schedule", "text": text, "schedule": scheduling.to_json()})]
        };
        if scheduling.first_attempt.is_some_and(|first| first > now) {
            return Answer::of(State::FirstAttemptLater).because(schedule()).next(due.max(opens));
        }
        if opens > now {
            return Answer::of(State::WindowClosed).because(schedule()).next(due.max(opens));
        }
    }
    let route = queue.route.borrow().clone();
    if let Some(answer) = route.as_ref().and_then(|route| sourceless(shard, route, due)) {
        return answer.next(due);
    }
    let answer = if facts.attempts > 0 {
        let config = queue.config();
        let retry = reasons::queue_option(queue, "retry_interval", "doubled with each attempt");
        let most = config
            .max_retry_interval
            .map(|_| reasons::queue_option(queue, "max_retry_interval", "the longest wait"));
        Answer::of(State::Deferred)
            .because(reasons::trouble(
                &format!("queue {}", queue.name),
                &queue.last_trouble.borrow(),
            ))
            .because([retry])
            .because(most)
    } else {
        Answer::of(State::PutOff)
    };
    answer.next(due)
}

/// Every ready queue of the route is held, or its source may not be chosen.
fn sourceless(shard: &Shard, route: &Route, due: u64) -> Option<Answer> {
    let first = route.ready().next()?;
    if route.ready().all(|ready| ready.is_held()) {
        return Some(ready::state(shard, first));
    }
    let soon = due <= steady_millis() + SELECTION_WAIT_MAX_MS;
    let barred = |ready: &ReadyQueue| {
        ready.is_held() || ready.suspended_for().is_some() || ready.selection_wait().is_some()
    };
    if !soon || !route.ready().all(|ready| barred(ready)) {
        return None;
    }
    Some(
        Answer::of(State::NoSource)
            .because(route.ready().map(|r| barred_by(r)))
            .name("ready", &first.name),
    )
}

/// Why the source of `ready` may not be chosen.
pub fn barred_by(ready: &ReadyQueue) -> Value {
    let name = ready.source_name();
    let text = if let Some(left) = ready.suspended_for() {
        let set_by = ready.source_made.borrow().of("suspend_when_unplumbed");
        let left = reasons::rough(left.as_millis() as u64);
        format!("source {name} is left alone for another {left}, as its connections fail; the rule is set by {set_by}")
    } else if let Some(wait) = ready.selection_wait() {
        let path = ready.path();
        let rate =
            path.source_selection_rate.map_or("its selection rates".into(), |r| r.to_string());
        let set_by = ready.path_made.borrow().of("source_selection_rate");
        let wait = reasons::rough(wait.as_millis() as u64);
        format!("source {name} may be chosen again in {wait}: source_selection_rate = {rate}, set by {set_by}")
    } else {
        format!("source {name}: its ready queue {} is suspended", ready.name)
    };
    json!({"kind": "source", "text": text, "source": name})
}

fn waiting(shard: &Shard, facts: &Facts, before: usize) -> Answer {
    let queue = &facts.queue;
    let line = (before > 0).then(|| {
        let text = format!("{before} messages are before it in {}", queue.name);
        json!({"kind": "line", "text": text, "before": before})
    });
    let answer = if queue.deferred_inject {
        Answer::of(State::AwaitingPolicy)
    } else if let Some(answer) = ordered(shard, facts) {
        answer
    } else {
        unrouted(queue).unwrap_or_else(|| routed(queue))
    };
    answer.because(line)
}

/// The state of what waits in a queue without a route.
pub(super) fn unrouted(queue: &ScheduledQueue) -> Option<Answer> {
    if queue.route.borrow().is_some() {
        return None;
    }
    let trouble = reasons::trouble(&format!("queue {}", queue.name), &queue.last_trouble.borrow());
    let answer = match queue.resolving.get() {
        true => Answer::of(State::FindingRoute).since(wall(queue.resolving_since.get())),
        false => Answer::of(State::NoRoute),
    };
    Some(answer.because(trouble))
}

pub(super) fn routed(queue: &ScheduledQueue) -> Answer {
    let route = queue.route.borrow().clone();
    if let Some(route) = route.filter(|route| !route.has_room()) {
        let first = route.ready().next().map_or(String::new(), |ready| ready.name.clone());
        let full = route.ready().map(|ready| {
            let most = ready.path().max_ready.to_string();
            let state = format!("{} wait in {}", ready.len(), ready.name);
            reasons::limit("max_ready", &most, &ready.path_made.borrow(), &state)
        });
        return Answer::of(State::ReadyFull).because(full).name("ready", first);
    }
    let rate = queue.config().max_message_rate;
    let wait = rate.and_then(|rate| queue.rate.would_pass(&rate, mono_nanos()).err());
    if let Some(wait) = wait {
        let millis = wait.as_millis() as u64;
        let state = format!("the next may leave in {}", reasons::rough(millis));
        let limit = reasons::queue_option(queue, "max_message_rate", &state);
        return Answer::of(State::QueueRate).because([limit]).next(steady_millis() + millis);
    }
    match queue.passing.get() >= THROTTLE_TASKS {
        true => Answer::of(State::AwaitingPolicy),
        false => Answer::of(State::MovingOn),
    }
}

/// All about message `id`, when this shard has it.
pub async fn answer(shard: &Rc<Shard>, id: &str) -> Value {
    let Ok(id) = id.parse::<MessageId>() else { return Value::Null };
    let Some((facts, place)) = find(shard, id).await else { return Value::Null };
    let mut answer = state(shard, &facts, &place);
    let read = places::load(shard, facts.at, id).await;
    // What a task has in its hand may be gone from the spool by now, and is none the worse for it.
    let is_settled = !facts.queue.deferred_inject && !matches!(place, Place::InHand);
    if let (Err(why), true) = (&read, is_settled) {
        let text = format!("reading it says: {why}");
        answer.because.insert(0, json!({"kind": "disk", "text": text, "words": why}));
        answer.state = State::Unreadable;
    }
    let mut told = Map::from_iter([
        ("about".into(), json!("message")),
        ("name".into(), json!(id.to_string())),
    ]);
    told.extend(answer.to_json());
    if answer.since.is_none() {
        told.insert("since_text".into(), json!("before the engine was started"));
    }
    let age = reasons::queue_option(&facts.queue, "max_age", "");
    let facts_told = json!({
        "queue": *facts.queue.name,
        "shard": shard.index,
        "attempts": facts.attempts,
        "created": rfc3339(facts.id.created_unix_nanos()),
        "expires": at_millis(facts.end_of_life),
        "life": format!("it was accepted {} and expires {}; {}", moment(facts.accepted()),
            moment(facts.end_of_life), age["text"].as_str().unwrap_or_default()),
        "sender": read.as_ref().ok().map(|message| message.sender().email().to_string()),
        "recipient": read.as_ref().ok().map(|message| {
            message.recipients().iter().map(|to| to.email().to_string()).collect::<Vec<_>>()
        }),
    });
    told.insert("facts".into(), facts_told);
    Value::Object(told)
}

/// The state of a message that a task has in its hand.
fn in_work(shard: &Shard, id: MessageId) -> Answer {
    match over(shard, id) {
        Some((ready, connection)) => Answer::of(State::Delivering)
            .because([reasons::connection(&connection)])
            .since(wall(connection.doing().2))
            .name("ready", &ready.name)
            .name("session", &connection.session_id),
        None => Answer::of(State::InHand),
    }
}

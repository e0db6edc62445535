//! Moves messages between the places they can lie in.

use super::budget::BodyBudget;
use super::ready::ReadyQueue;
use super::scheduled::{Item, Loaded, ScheduledQueue};
use super::suspend::Orders;
use super::timer_wheel::TimerWheel;
use super::windows::Windows;
use crate::egress;
use crate::io::{self, mono_nanos, unix_millis, Map};
use crate::limits::WAKE_BATCH;
use crate::shard::Shard;
use crate::spool::recover::Recovered;
use crate::spool::Location;
use ringmta_policy::Message;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

/// Every queue of a shard.
#[derive(Default)]
pub struct Queues {
    /// Scheduled queues by name.
    pub scheduled: RefCell<Map<Rc<str>, Rc<ScheduledQueue>>>,
    /// Ready queues by name.
    pub ready: RefCell<Map<String, Rc<ReadyQueue>>>,
    /// Messages that are not due yet.
    pub timers: RefCell<TimerWheel<Item>>,
    /// Bytes of message bodies in memory.
    pub resident: Rc<Cell<usize>>,
    /// How many there may be.
    pub budget: BodyBudget,
    /// Configuration epoch last seen.
    epoch: Cell<u64>,
    /// Orders of operators.
    pub orders: Orders,
    /// Schedules of the messages that have one.
    pub windows: Windows,
    waker: RefCell<Option<Waker>>,
    earliest: Cell<u64>,
}

impl Queues {
    /// No queues yet, and so many bytes of bodies in memory at most.
    pub fn within(budget: BodyBudget) -> Queues {
        Queues { budget, ..Queues::default() }
    }

    /// In a new configuration epoch every queue asks for its configuration again.
    fn follow_epoch(&self, epoch: u64) {
        if self.epoch.replace(epoch) != epoch {
            self.refresh_all();
        }
    }

    /// Every queue asks for configuration and route again when it is next used.
    pub fn refresh_all(&self) {
        self.scheduled.borrow().values().for_each(|queue| queue.fresh_until.set(0));
    }

    /// The scheduled queue called `name`, made when absent.
    pub fn queue(&self, shard: &Shard, name: &str) -> Rc<ScheduledQueue> {
        if let Some(queue) = self.scheduled.borrow().get(name) {
            return queue.clone();
        }
        let rate = shard.process.limits.get(&format!("queue:{name}"));
        let queue = Rc::new(ScheduledQueue::new(name, rate));
        queue.last_used.set(mono_nanos());
        self.scheduled.borrow_mut().insert(queue.name.clone(), queue.clone());
        queue
    }

    /// Takes a message that was just made durable.
    pub fn accept(&self, shard: &Rc<Shard>, message: Message, at: Location) {
        let name = message.queue_name().to_string();
        let queue = self.queue(shard, &name);
        queue.count.set(queue.count.get() + 1);
        let id = message.id();
        if queue.deferred_inject {
            let item = Item { at, id, attempts: 0, generation: 0, queue, loaded: None };
            return self.submit(shard, item);
        }
        let item = Item { at, id, attempts: 0, generation: 0, queue, loaded: None };
        self.resume(shard, item, message);
    }

    /// Sends a message on its way that is in its queue and durable, and was never tried.
    pub fn resume(&self, shard: &Rc<Shard>, mut item: Item, message: Message) {
        let due = message.due();
        let scheduling = message.scheduling();
        item.loaded = Some(Box::new(Loaded::new(message, &self.resident)));
        if let Some(scheduling) = scheduling {
            self.windows.note(item.id, Some(scheduling));
            return self.begin(shard, item, due.unwrap_or(0));
        }
        match due.filter(|due| *due > unix_millis()) {
            Some(due) => self.defer(shard, item, due),
            None => self.submit(shard, item),
        }
    }

    /// A message with a schedule begins its way: at the first instant from `from_millis` on at which it may.
    fn begin(&self, shard: &Rc<Shard>, item: Item, from_millis: u64) {
        let now = unix_millis();
        let from = from_millis.max(now);
        let due = self.windows.get(item.id).map_or(from, |scheduling| scheduling.next(from));
        if due > self.windows.end_of_life(&item) {
            egress::outcome::expire_unsent(shard, item, due);
        } else if due > now {
            self.defer(shard, item, due);
        } else {
            self.submit(shard, item);
        }
    }

    /// Takes a message found in the spool at start.
    pub fn recovered(&self, shard: &Rc<Shard>, found: Recovered) {
        let queue = self.queue(shard, &found.queue);
        queue.count.set(queue.count.get() + 1);
        let state = found.state;
        let attempts = state.map_or(0, |state| state.attempts);
        let Recovered { at, id, generation, scheduling, .. } = found;
        let item = Item { at, id, attempts, generation, queue, loaded: None };
        // Never everything at once: what is due now is woken in batches by the timer task.
        let mut due = state.map_or(0, |state| state.due_millis);
        if let Some(scheduling) = scheduling.filter(|_| !item.queue.deferred_inject) {
            due = due.max(scheduling.first_attempt.unwrap_or(0));
            self.windows.note(id, Some(scheduling));
        }
        self.insert_timer(item, due);
    }

    /// Lets a message wait until `due_millis`. Its body leaves memory: it is durable.
    pub fn defer(&self, shard: &Shard, mut item: Item, due_millis: u64) {
        let state = crate::spool::reclaim::AttemptState { attempts: item.attempts, due_millis };
        item.at = shard.spool.attempted(item.at, state);
        io::sim::tell(&io::sim::Note::Deferred { shard: shard.index, id: item.id, state });
        item.loaded = None;
        self.insert_timer(item, due_millis);
    }

    fn insert_timer(&self, item: Item, due_millis: u64) {
        self.timers.borrow_mut().insert(due_millis, item);
        if due_millis < self.earliest.get() {
            if let Some(waker) = self.waker.borrow_mut().take() {
                waker.wake();
            }
        }
    }

    /// Sends a due message on its way: to a ready queue when the route is known and there is
    /// room, else it waits in its scheduled queue.
    pub fn submit(&self, shard: &Rc<Shard>, item: Item) {
        let queue = item.queue.clone();
        let now = mono_nanos();
        queue.last_used.set(now);
        if queue.deferred_inject {
            queue.waiting.borrow_mut().push_back(item);
            return crate::accept::deferred::kick(shard, &queue);
        }
        if queue.fresh_until.get() <= now {
            super::route::refresh(shard, &queue);
        }
        if let Some(rate) = queue.config.borrow().max_message_rate.as_ref() {
            if let Err(wait) = queue.rate.try_rate(rate, io::unix_nanos()) {
                return self.defer(shard, item, unix_millis() + wait.as_millis() as u64 + 1);
            }
        }
        if shard.policy().handles("throttle_insert_ready_queue") {
            let shard = shard.clone();
            return io::spawn(async move { throttled(&shard, item).await });
        }
        self.insert_ready(shard, item);
    }

    fn insert_ready(&self, shard: &Rc<Shard>, item: Item) {
        let queue = item.queue.clone();
        let Some(route) = queue.route.borrow().clone() else {
            queue.waiting.borrow_mut().push_back(item);
            return;
        };
        let ready = match route.pick() {
            Ok(ready) => ready,
            Err(wait) => {
                *queue.last_trouble.borrow_mut() = "no source may be chosen now".into();
                let turn = route.turn(unix_millis(), wait);
                let due = egress::dispatch::held_until(shard, &item, turn);
                return self.defer(shard, item, due);
            }
        };
        if ready.has_room() {
            ready.push(self.within_budget(item));
            egress::dispatch::kick(shard, &ready);
        } else {
            let mut waiting = queue.waiting.borrow_mut();
            if waiting.is_empty() {
                ready.overflow.borrow_mut().push_back(queue.clone());
            }
            waiting.push_back(self.within_budget(item));
        }
    }

    /// Beyond the budget a body leaves memory; the spool has it.
    fn within_budget(&self, mut item: Item) -> Item {
        if self.resident.get() > self.budget.leave {
            item.loaded = None;
        }
        item
    }

    /// What waits in `queue` for a route or for room goes on.
    pub fn release_waiting(&self, shard: &Rc<Shard>, queue: &Rc<ScheduledQueue>) {
        let waiting = std::mem::take(&mut *queue.waiting.borrow_mut());
        for item in waiting {
            self.submit(shard, item);
        }
    }

    /// Fills a ready queue that has room again.
    pub fn refill(&self, ready: &Rc<ReadyQueue>) {
        while ready.has_room() {
            let Some(queue) = ready.overflow.borrow_mut().pop_front() else { return };
            if queue.waiting.borrow().is_empty() {
                continue;
            }
            if ready.try_select().is_err() {
                // The sweep looks again.
                return ready.overflow.borrow_mut().push_front(queue);
            }
            let next = queue.waiting.borrow_mut().pop_front();
            if let Some(item) = next {
                ready.push(item);
            }
            if !queue.waiting.borrow().is_empty() {
                ready.overflow.borrow_mut().push_back(queue);
            }
        }
    }

    /// A message has left for good.
    pub fn finished(&self, item: &Item) {
        self.windows.forget(item.id);
        self.left(item);
    }

    /// A message has left its scheduled queue.
    pub fn left(&self, item: &Item) {
        let queue = &item.queue;
        queue.count.set(queue.count.get().saturating_sub(1));
        queue.last_used.set(mono_nanos());
    }

    /// Messages of this shard that are not finished.
    pub fn total(&self) -> usize {
        self.scheduled.borrow().values().map(|queue| queue.count.get()).sum()
    }

    async fn wait_until_due(&self) {
        let now = unix_millis();
        let next = self.timers.borrow().next_due().unwrap_or(u64::MAX);
        self.earliest.set(next);
        if next <= now {
            return;
        }
        // An hour at most, so that a clock that jumps is noticed.
        let wait = Duration::from_millis((next - now).min(3_600_000));
        let earlier = std::future::poll_fn(|cx| {
            let mut waker = self.waker.borrow_mut();
            if waker.is_none() && self.timers.borrow().next_due().unwrap_or(u64::MAX) < next {
                return std::task::Poll::Ready(());
            }
            *waker = Some(cx.waker().clone());
            std::task::Poll::Pending
        });
        let _ = io::deadline(wait, earlier).await;
        *self.waker.borrow_mut() = None;
    }

    fn sweep(&self, shard: &Rc<Shard>) {
        let now_millis = unix_millis();
        self.orders.expire(now_millis);
        let ready: Vec<_> = self.ready.borrow().values().cloned().collect();
        for queue in &ready {
            take_expired(shard, &mut queue.items.borrow_mut(), now_millis);
            self.refill(queue);
            if !queue.is_empty() {
                egress::dispatch::kick(shard, queue);
            }
        }
        let now = mono_nanos();
        let scheduled: Vec<_> = self.scheduled.borrow().values().cloned().collect();
        for queue in &scheduled {
            take_expired(shard, &mut queue.waiting.borrow_mut(), now_millis);
            if queue.deferred_inject {
                continue;
            }
            if !queue.waiting.borrow().is_empty() && queue.fresh_until.get() <= now {
                super::route::refresh(shard, queue);
            }
        }
        self.reap(now);
    }

    /// Forgets queues that have been empty for long.
    fn reap(&self, now: u64) {
        self.scheduled.borrow_mut().retain(|_, queue| {
            let idle = Duration::from_nanos(now.saturating_sub(queue.last_used.get()));
            queue.count.get() > 0
                || queue.resolving.get()
                || idle < queue.config.borrow().reap_interval
        });
        self.ready.borrow_mut().retain(|_, queue| {
            let idle = Duration::from_nanos(now.saturating_sub(queue.last_used.get()));
            !queue.is_empty()
                || queue.connections.get() > 0
                || Rc::strong_count(queue) > 1
                || idle < Duration::from_secs(600)
        });
    }
}

/// Asks policy whether a due message may move on; one whose due time it pushed out waits.
async fn throttled(shard: &Rc<Shard>, mut item: Item) {
    if item.loaded.is_none() {
        match crate::spool::load::load(&shard.spool, item.at).await {
            Ok(message) => {
                message.set_num_attempts(item.attempts);
                item.loaded = Some(Box::new(Loaded::new(message, &shard.queues.resident)));
            }
            Err(why) => {
                tracing::error!("message {} cannot be read: {why}", item.id);
                return shard.queues.defer(shard, item, unix_millis() + 60_000);
            }
        }
    }
    let message = item.loaded.as_ref().map(|loaded| loaded.message.clone());
    if let Some(message) = message {
        message.set_due(None);
        // A failure was logged where it happened; it holds no mail back.
        let _ = shard.policy().throttle_insert_ready_queue(&message).await;
        if message.changes().scheduling {
            egress::outcome::rewrite(shard, &mut item, &message).await;
        }
        if let Some(due) = message.due().filter(|due| *due > unix_millis()) {
            return shard.queues.defer(shard, item, due);
        }
    }
    shard.queues.insert_ready(shard, item);
}

/// Expiry holds wherever a message lies.
fn take_expired(shard: &Rc<Shard>, items: &mut std::collections::VecDeque<Item>, now_millis: u64) {
    let expired = |item: &Item| shard.queues.windows.is_expired(item, now_millis);
    if !items.iter().any(expired) {
        return;
    }
    for item in std::mem::take(items) {
        if expired(&item) {
            egress::outcome::expire_later(shard, item);
        } else {
            items.push_back(item);
        }
    }
}

/// Wakes messages when they are due; one task per shard.
pub async fn run_timers(shard: Rc<Shard>) {
    let queues = &shard.queues;
    let mut due = Vec::with_capacity(WAKE_BATCH);
    loop {
        queues.wait_until_due().await;
        queues.timers.borrow_mut().pop_due(unix_millis(), WAKE_BATCH, &mut due);
        for item in due.drain(..) {
            queues.submit(&shard, item);
        }
        io::yield_now().await;
    }
}

/// Looks after what nothing else wakes; one task per shard.
pub async fn run_sweeper(shard: Rc<Shard>) {
    loop {
        io::sleep(Duration::from_secs(1)).await;
        shard.queues.follow_epoch(shard.process.policy_shared.epoch());
        shard.queues.sweep(&shard);
    }
}

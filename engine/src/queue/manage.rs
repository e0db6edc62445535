//! Moves messages between the places they can lie in.

use super::budget::BodyBudget;
use super::hand::InHand;
use super::order_counts;
use super::ready::ReadyQueue;
use super::scheduled::{Item, Loaded, ScheduledQueue};
use super::suspend::Orders;
use super::timer_wheel::TimerWheel;
use super::windows::Windows;
use super::work::{self, Task, WorkList};
use crate::egress;
use crate::io::sim::planted::{is_planted, Bug};
use crate::io::{self, mono_nanos, steady_millis, Map};
use crate::limits::{self, WAKE_BATCH};
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
    /// Messages with which something is to be done, a few at a time.
    pub work: WorkList,
    /// Messages in the hand of a task.
    pub in_hand: InHand,
    waker: RefCell<Option<Waker>>,
    earliest: Cell<u64>,
    /// When the limits were last looked through, monotonic nanoseconds.
    swept: Cell<u64>,
}

impl Queues {
    /// No queues yet, and so many bytes of bodies in memory at most.
    pub fn within(budget: BodyBudget) -> Queues {
        Queues { budget, ..Queues::default() }
    }

    /// In a new configuration epoch every queue asks for its configuration again.
    pub(super) fn follow_epoch(&self, epoch: u64) {
        if self.epoch.replace(epoch) != epoch {
            self.forget_routes();
        }
    }

    /// The configuration epoch this shard goes by.
    pub fn epoch(&self) -> u64 {
        self.epoch.get()
    }

    /// What was found by a policy or an epoch that is over is used no more, not for a single
    /// message: the next one waits until its queue's route is found anew.
    pub fn forget_routes(&self) {
        for queue in self.scheduled.borrow().values() {
            queue.fresh_until.set(0);
            *queue.route.borrow_mut() = None;
        }
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

    /// Takes a message that was just made durable, into the queue called `name`.
    pub fn accept(&self, shard: &Rc<Shard>, message: Message, name: &str, at: Location) {
        let queue = self.queue(shard, name);
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
        // One whose body was let go from memory is read again when it is its turn.
        if message.body().is_some() {
            item.loaded = Some(Box::new(Loaded::new(message, &self.resident)));
        }
        if let Some(scheduling) = scheduling {
            self.windows.note(item.id, Some(scheduling));
            return self.begin(shard, item, due.unwrap_or(0));
        }
        match due.filter(|due| *due > steady_millis()) {
            Some(due) => self.defer(shard, item, due),
            None => self.submit(shard, item),
        }
    }

    /// A message with a schedule begins its way: at the first instant from `from_millis` on at which it may.
    fn begin(&self, shard: &Rc<Shard>, item: Item, from_millis: u64) {
        let now = steady_millis();
        let from = from_millis.max(now);
        let due = self.windows.get(item.id).map_or(from, |scheduling| scheduling.next(from));
        if due > self.windows.end_of_life(&item) {
            work::add(shard, item, Task::ExpireUnsent(due));
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
            self.wake_timers();
        }
    }

    /// Beyond the budget a body leaves memory; the spool has it.
    pub(super) fn within_budget(&self, mut item: Item) -> Item {
        if self.resident.get() > self.budget.leave {
            self.let_body_go(&mut item);
        }
        item
    }

    /// Has a body leave memory, unless the spool lacks what policy has changed of it.
    pub(super) fn let_body_go(&self, item: &mut Item) {
        let changed = |loaded: &Loaded| loaded.message.changes().of_record();
        if !item.loaded.as_deref().is_some_and(changed) {
            item.loaded = None;
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
        let now = steady_millis();
        let next = self.timers.borrow().next_due().unwrap_or(u64::MAX);
        self.earliest.set(next);
        if next <= now {
            return;
        }
        // An hour at most; the sweep notices a clock that was led forward.
        let wait = Duration::from_millis((next - now).min(3_600_000));
        let earlier = std::future::poll_fn(|cx| {
            let mut waker = self.waker.borrow_mut();
            let due = self.timers.borrow().next_due().unwrap_or(u64::MAX);
            if waker.is_none() && (due < next || due <= steady_millis()) {
                return std::task::Poll::Ready(());
            }
            *waker = Some(cx.waker().clone());
            std::task::Poll::Pending
        });
        let _ = io::deadline(wait, earlier).await;
        *self.waker.borrow_mut() = None;
    }

    fn sweep(&self, shard: &Rc<Shard>) {
        let now_millis = steady_millis();
        self.orders.expire(now_millis);
        order_counts::keep_later(shard);
        // The clock of queues may have been led forward.
        if self.timers.borrow().next_due().is_some_and(|due| due <= now_millis) {
            self.wake_timers();
        }
        let now = mono_nanos();
        let ready: Vec<_> = self.ready.borrow().values().cloned().collect();
        for queue in &ready {
            take_expired(shard, &mut queue.items.borrow_mut(), now_millis);
            // Its connections were busy when others asked for a lease, and what they were for is gone.
            if queue.keeps_from_others(shard.index) && !is_planted(Bug::IdleKeepsLease) {
                queue.wake_all();
            }
            self.refill(shard, queue);
            let first = queue.items.borrow().front().map(|item| item.queue.clone());
            let Some(first) = first else { continue };
            // What waits here goes by the configuration of its queue, also when nothing new comes.
            if first.fresh_until.get() <= now {
                super::route::refresh(shard, &first);
            }
            egress::dispatch::kick(shard, queue);
        }
        let scheduled: Vec<_> = self.scheduled.borrow().values().cloned().collect();
        for queue in &scheduled {
            take_expired(shard, &mut queue.waiting.borrow_mut(), now_millis);
            if queue.deferred_inject || queue.waiting.borrow().is_empty() {
                continue;
            }
            if queue.fresh_until.get() <= now {
                super::route::refresh(shard, queue);
            }
            self.pump(shard, queue);
        }
        self.reap(shard, now);
        if shard.index == 0 {
            io::follow_wall_clock();
        }
        if shard.index == 0 && now >= self.swept.get() + limits::REGISTRY_SWEEP_SECS * 1_000_000_000
        {
            self.swept.set(now);
            shard.process.limits.sweep(now);
            shard.process.policy_shared.sweep(now);
        }
    }

    fn wake_timers(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Forgets queues that have been empty for long.
    fn reap(&self, shard: &Shard, now: u64) {
        self.scheduled.borrow_mut().retain(|_, queue| {
            let idle = Duration::from_nanos(now.saturating_sub(queue.last_used.get()));
            queue.count.get() > 0
                || queue.resolving.get()
                || idle < queue.config.borrow().reap_interval
        });
        self.ready.borrow_mut().retain(|name, queue| {
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
}

/// Expiry holds wherever a message lies.
fn take_expired(shard: &Rc<Shard>, items: &mut std::collections::VecDeque<Item>, now_millis: u64) {
    let expired = |item: &Item| shard.queues.windows.is_expired(item, now_millis);
    if !items.iter().any(expired) {
        return;
    }
    for item in std::mem::take(items) {
        if expired(&item) {
            work::add(shard, item, Task::Expire);
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
        queues.timers.borrow_mut().pop_due(steady_millis(), WAKE_BATCH, &mut due);
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

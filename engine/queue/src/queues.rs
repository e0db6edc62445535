//! Every queue of a shard, and the lists of work that stages leave for each other.

use crate::budget::BodyBudget;
use crate::hand::InHand;
use crate::limits::WORK_TASKS;
use crate::model::ReadyQueue;
use crate::model::{Item, Loaded, ScheduledQueue};
use crate::orders::Orders;
use crate::quota::lease::Registry;
use crate::tasks::Task;
use crate::timer_wheel::TimerWheel;
use crate::windows::Windows;
use crate::work::WorkList;
use ringmta_io::{self as io, mono_nanos, steady_millis, Map};
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
    pub to_end: WorkList<(Item, Task)>,
    /// Of those, how many are in work.
    pub ending: Cell<usize>,
    /// Ready queues for which a connection may help.
    pub to_dispatch: WorkList<Rc<ReadyQueue>>,
    /// Scheduled queues whose route is to be found anew.
    pub to_route: WorkList<Rc<ScheduledQueue>>,
    /// Scheduled queues with mail that policy is to be asked about after it was acknowledged.
    pub to_ask: WorkList<Rc<ScheduledQueue>>,
    /// Messages in the hand of a task.
    pub in_hand: InHand,
    waker: RefCell<Option<Waker>>,
    earliest: Cell<u64>,
    /// When the limits were last looked through, monotonic nanoseconds.
    pub swept: Cell<u64>,
}

impl Queues {
    /// No queues yet, and so many bytes of bodies in memory at most.
    pub fn within(budget: BodyBudget) -> Queues {
        Queues { budget, ..Queues::default() }
    }

    /// In a new configuration epoch every queue asks for its configuration again.
    pub fn follow_epoch(&self, epoch: u64) {
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
    pub fn queue(&self, limits: &Registry, name: &str) -> Rc<ScheduledQueue> {
        if let Some(queue) = self.scheduled.borrow().get(name) {
            return queue.clone();
        }
        let rate = limits.get(&format!("queue:{name}"));
        let queue = Rc::new(ScheduledQueue::new(name, rate));
        queue.last_used.set(mono_nanos());
        self.scheduled.borrow_mut().insert(queue.name.clone(), queue.clone());
        queue
    }

    /// Has `task` done with `item` when its turn comes.
    pub fn end(&self, mut item: Item, task: Task) {
        if self.ending.get() >= WORK_TASKS {
            // It waits; the spool has its body.
            self.let_body_go(&mut item);
        }
        item.stay = item.stay.moved();
        self.to_end.push((item, task));
    }

    /// Gets the mail of `ready` moving: wakes an idle connection, or has another opened where that helps.
    pub fn kick(&self, ready: &Rc<ReadyQueue>) {
        if ready.is_empty() || ready.is_blocked_now() || ready.is_held() {
            return;
        }
        if ready.wake_idle() {
            return;
        }
        // Each kick opens one connection at most, as many as were meant then.
        if ready.kicks.replace(ready.kicks.get().saturating_add(1)) == 0 {
            self.to_dispatch.push(ready.clone());
        }
    }

    /// Has the route of `queue` found anew, unless that is under way.
    pub fn find_route(&self, queue: &Rc<ScheduledQueue>) {
        if !queue.resolving.replace(true) {
            queue.resolving_since.set(mono_nanos());
            self.to_route.push(queue.clone());
        }
    }

    /// Has policy asked about what waits in `queue`: mail that was acknowledged before policy saw it.
    pub fn ask_policy(&self, queue: &Rc<ScheduledQueue>) {
        if !queue.asked.replace(true) {
            self.to_ask.push(queue.clone());
        }
    }

    /// Lets `item` wait until `due_millis` in memory; the journal is not told.
    pub fn insert_timer(&self, item: Item, due_millis: u64) {
        self.timers.borrow_mut().insert(due_millis, item);
        if due_millis < self.earliest.get() {
            self.wake_timers();
        }
    }

    /// Beyond the budget a body leaves memory; the spool has it.
    pub fn within_budget(&self, mut item: Item) -> Item {
        if self.resident.get() > self.budget.leave {
            self.let_body_go(&mut item);
        }
        item
    }

    /// Has a body leave memory, unless the spool lacks what policy has changed of it.
    pub fn let_body_go(&self, item: &mut Item) {
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

    /// Waits until a message is due; an hour at most.
    pub async fn wait_until_due(&self) {
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

    /// Has the task that waits for due messages look again.
    pub fn wake_timers(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

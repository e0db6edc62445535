//! Every queue of a shard, and the lists of work that stages leave for each other.

use crate::budget::BodyBudget;
use crate::hand::InHand;
use crate::limits::{EXPIRING_LISTED, EXPIRING_PER_SEC, TIMER_TURN_MS, WORK_TASKS};
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
    /// When the last message comes back that was too old when the list was full, unix microseconds.
    last_expiring: Cell<u64>,
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
    /// Somebody takes something out of the timer, perhaps in slices.
    is_swept: Cell<bool>,
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

    /// Has a message that is too old expire when its turn comes: from the list of work, or where that is full by coming
    /// back later.
    pub fn expire(&self, mut item: Item) {
        if self.to_end.len() < EXPIRING_LISTED {
            return self.end(item, Task::Expire);
        }
        self.let_body_go(&mut item);
        item.stay = item.stay.moved();
        let soonest = (steady_millis() + 1000) * 1000;
        let comes = (self.last_expiring.get() + 1_000_000 / EXPIRING_PER_SEC).max(soonest);
        self.last_expiring.set(comes);
        self.insert_timer(item, comes / 1000);
    }

    /// A turn at taking something out of the timer, until it is dropped. Somebody who looks through it in slices has it to the
    /// end: what he does not take comes behind what he has not seen, where another would miss it.
    pub async fn turn_at_timer(&self) -> impl Drop + '_ {
        while self.is_swept.replace(true) {
            io::sleep(Duration::from_millis(TIMER_TURN_MS)).await;
        }
        Turn(&self.is_swept)
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

/// See [`Queues::turn_at_timer`].
struct Turn<'q>(&'q Cell<bool>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kept;
    use crate::stay::Stay;
    use ringmta_mail::MessageId;

    #[test]
    fn very_many_that_are_too_old_at_once_lie_in_the_list_a_few_at_a_time() {
        const MANY: usize = 3 * EXPIRING_LISTED;
        let (queues, limits) = (Queues::default(), Registry::default());
        let queue = queues.queue(&limits, "old.example");
        let began = steady_millis();
        for n in 0..MANY {
            let id = MessageId((n as u128).to_be_bytes());
            let (at, stay, queue) = (Kept::Event(0), Stay::default(), queue.clone());
            queues.expire(Item { at, id, attempts: 0, generation: 0, stay, queue, loaded: None });
        }
        assert_eq!(queues.to_end.len(), EXPIRING_LISTED);
        let dues: Vec<u64> = queues.timers.borrow().iter().map(|(due, _)| due).collect();
        assert_eq!(dues.len(), MANY - EXPIRING_LISTED, "each is in one place");
        // They come back as fast as they are served, and not before the first of them are.
        let last = dues.iter().max().unwrap() - began;
        let expected = 1000 + dues.len() as u64 * 1000 / EXPIRING_PER_SEC;
        assert!(dues.iter().all(|due| *due >= began + 1000) && last >= expected, "{last}");
        // Where there is room again the next one is served at once.
        assert!(matches!(queues.to_end.pop(), Some((_, Task::Expire))));
        let mut back = Vec::new();
        queues.timers.borrow_mut().pop_due(u64::MAX, 1, &mut back);
        back.into_iter().for_each(|item| queues.expire(item));
        assert_eq!(queues.to_end.len(), EXPIRING_LISTED);
    }
}

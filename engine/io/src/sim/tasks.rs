//! Tasks of a world, and its time, as they go on. Which runnable task goes next is chosen by the seed; when none can
//! run, both clocks jump to the next thing that is due.

use crate::sim::exec::{Event, EventKey, Node, Stuck, Task, TaskWaker, TURN_NANOS_MAX};
use crate::sim::world::{current, here, World};
use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

impl World {
    /// Starts a task on `node`.
    pub fn spawn_on(&self, node: Node, future: impl Future<Output = ()> + 'static) {
        if self.exec.dead.borrow().contains(&node) {
            return;
        }
        let id = self.exec.number();
        let ready = self.exec.ready.clone();
        let waker = Arc::new(TaskWaker { id, queued: AtomicBool::new(false), ready });
        let task = Task { node, future: Box::pin(future), waker: waker.clone() };
        self.exec.tasks.borrow_mut().insert(id, Some(task));
        waker.wake();
    }

    /// Starts a task on the machine whose task runs now.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.spawn_on(self.exec.node.get(), future);
    }

    /// Lets `act` happen `after` nanoseconds from now, whoever lives then.
    pub fn act_after(&self, after: u64, act: impl FnOnce(&World) + 'static) {
        let at = self.exec.now.get() + after;
        self.exec.add_event(&self.rng, at, Event::Act(Box::new(move || act(&here()))));
    }

    /// Ends every task of `node`, as if its machine had been switched off, and cuts its
    /// connections. The disk is another matter: see [`World::crash_disk`].
    pub fn kill(&self, node: Node) {
        self.exec.dead.borrow_mut().insert(node);
        let doomed: Vec<Task> = {
            let mut tasks = self.exec.tasks.borrow_mut();
            let of_node = |task: &Option<Task>| task.as_ref().is_some_and(|t| t.node == node);
            let ids: Vec<u64> =
                tasks.iter().filter(|(_, t)| of_node(t)).map(|(id, _)| *id).collect();
            ids.into_iter().filter_map(|id| tasks.remove(&id).flatten()).collect()
        };
        // Before the tasks are dropped: a machine that is off says no goodbyes.
        self.net_kill(node);
        drop(doomed);
    }

    /// Ends every task there is.
    pub(crate) fn kill_all(&self) {
        let doomed = std::mem::take(&mut *self.exec.tasks.borrow_mut());
        drop(doomed);
        let events = std::mem::take(&mut *self.exec.events.borrow_mut());
        drop(events);
    }

    /// Lets one thing happen. `false` when nothing is left to happen.
    pub fn step(&self) -> bool {
        let due = self.exec.events.borrow().keys().next().is_some_and(|k| k.0 <= self.exec.now());
        if due && self.rng.flip() {
            return self.fire_next();
        }
        match self.take_ready() {
            Some(id) => {
                self.turn(id);
                true
            }
            None => self.fire_next(),
        }
    }

    fn fire_next(&self) -> bool {
        let Some((key, event)) = self.exec.events.borrow_mut().pop_first() else { return false };
        self.exec.now.set(self.exec.now.get().max(key.0));
        match event {
            Event::Wake(waker) => waker.wake(),
            Event::Act(act) => act(),
        }
        true
    }

    fn take_ready(&self) -> Option<u64> {
        let mut ready = self.exec.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.is_empty() {
            return None;
        }
        if self.rng.chance(self.exec.in_order) {
            return Some(ready.remove(0));
        }
        let at = self.rng.below(ready.len() as u64) as usize;
        Some(ready.swap_remove(at))
    }

    fn turn(&self, id: u64) {
        let taken = self.exec.tasks.borrow_mut().get_mut(&id).and_then(Option::take);
        let Some(mut task) = taken else { return };
        task.waker.queued.store(false, Ordering::Release);
        let waker = Waker::from(task.waker.clone());
        self.exec.turns.set(self.exec.turns.get() + 1);
        self.exec.now.set(self.exec.now.get() + self.rng.below(TURN_NANOS_MAX));
        self.mix(&id.to_le_bytes());
        let before = self.exec.node.replace(task.node);
        let polled = task.future.as_mut().poll(&mut Context::from_waker(&waker));
        self.exec.node.set(before);
        let over = polled.is_ready() || self.exec.dead.borrow().contains(&task.node);
        if over {
            self.exec.tasks.borrow_mut().remove(&id);
            drop(task);
        } else {
            self.exec.tasks.borrow_mut().insert(id, Some(task));
        }
    }

    /// Lets things happen until `done` says so.
    ///
    /// # Errors
    /// When that did not come within `limit` of virtual time, or within `turns` turns.
    pub fn run_until(
        &self,
        limit: Duration,
        turns: u64,
        mut done: impl FnMut() -> bool,
    ) -> Result<(), Stuck> {
        let end = self.exec.now() + limit.as_nanos() as u64;
        let last_turn = self.exec.turns() + turns;
        while !done() {
            if self.exec.now() > end {
                return Err(Stuck::TimeOver);
            }
            if self.exec.turns() > last_turn {
                return Err(Stuck::Circles);
            }
            if !self.step() {
                return Err(Stuck::Idle);
            }
        }
        Ok(())
    }

    /// Runs `work` to its end on a machine of its own.
    ///
    /// # Errors
    /// As [`World::run_until`].
    pub fn complete(
        &self,
        limit: Duration,
        turns: u64,
        work: impl Future<Output = ()> + 'static,
    ) -> Result<(), Stuck> {
        let ended = Rc::new(Cell::new(false));
        let end = ended.clone();
        self.spawn_on(self.exec.new_node(), async move {
            work.await;
            end.set(true);
        });
        self.run_until(limit, turns, || ended.get())
    }

    /// Lets things happen for `time`.
    pub fn run_for(&self, time: Duration) {
        let end = self.exec.now() + time.as_nanos() as u64;
        while self.exec.now() < end && self.step() {}
        self.exec.now.set(self.exec.now.get().max(end));
    }
}

/// Waits in virtual time.
pub struct Sleep {
    nanos: u64,
    key: Option<EventKey>,
    ends: u64,
}

/// Waits for `duration` in virtual time, counted from the first poll.
pub fn sleep(duration: Duration) -> Sleep {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4);
    Sleep { nanos, key: None, ends: u64::MAX }
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let world = here();
        let now = world.exec.now();
        if self.ends == u64::MAX {
            self.ends = now + self.nanos;
        }
        if let Some(key) = self.key.take() {
            world.exec.events.borrow_mut().remove(&key);
        }
        if now >= self.ends {
            return Poll::Ready(());
        }
        let event = Event::Wake(cx.waker().clone());
        self.key = Some(world.exec.add_event(&world.rng, self.ends, event));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let (Some(key), Some(world)) = (self.key, current()) {
            if let Ok(mut events) = world.exec.events.try_borrow_mut() {
                events.remove(&key);
            }
        }
    }
}

/// Lets other tasks go first.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

//! Tasks and time. Which runnable task goes next is chosen by the seed; when none can run, both
//! clocks jump to the next thing that is due.

use crate::sim::rng::{Rng, MILLION};
use futures::future::LocalBoxFuture;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// A machine of the world: what it runs dies together. 0 is the world itself.
pub type Node = u32;

/// Wall clock at the start of a world: 2027-01-15, unix nanoseconds.
const WALL_START_NANOS: u64 = 1_800_000_000 * 1_000_000_000;
/// One turn of a task takes up to this long, so that a loop that only yields does not stop time.
pub(crate) const TURN_NANOS_MAX: u64 = 3_000;

/// A world did not come to where it should within its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stuck {
    /// Nothing is left to happen.
    Idle,
    /// The virtual time allowed is over.
    TimeOver,
    /// The turns allowed are over: something runs in circles.
    Circles,
}

pub(crate) struct TaskWaker {
    pub(super) id: u64,
    pub(super) queued: AtomicBool,
    pub(super) ready: Arc<Mutex<Vec<u64>>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.ready.lock().unwrap_or_else(PoisonError::into_inner).push(self.id);
        }
    }
}

pub(crate) struct Task {
    pub(super) node: Node,
    pub(super) future: LocalBoxFuture<'static, ()>,
    pub(super) waker: Arc<TaskWaker>,
}

/// When something is due; what is due together comes in an order of the seed.
pub(crate) type EventKey = (u64, u64, u64);

pub(crate) enum Event {
    Wake(Waker),
    Act(Box<dyn FnOnce()>),
}

/// The executor and the clocks of a world.
pub struct Exec {
    pub(super) now: Cell<u64>,
    pub(super) skew_nanos: Cell<i64>,
    pub(super) tasks: RefCell<BTreeMap<u64, Option<Task>>>,
    pub(super) ready: Arc<Mutex<Vec<u64>>>,
    pub(super) events: RefCell<BTreeMap<EventKey, Event>>,
    pub(super) next: Cell<u64>,
    pub(super) node: Cell<Node>,
    pub(super) next_node: Cell<Node>,
    pub(super) dead: RefCell<BTreeSet<Node>>,
    pub(super) turns: Cell<u64>,
    /// Until when the thread is busy that does what blocks, of each machine.
    helpers: RefCell<BTreeMap<Node, u64>>,
    /// How often the task that became ready first goes first, in parts of a million.
    pub(super) in_order: u64,
}

impl Exec {
    pub(crate) fn new(rng: &Rng) -> Exec {
        Exec {
            now: Cell::new(1),
            skew_nanos: Cell::new(0),
            tasks: RefCell::default(),
            ready: Arc::default(),
            events: RefCell::default(),
            next: Cell::new(1),
            node: Cell::new(0),
            next_node: Cell::new(1),
            dead: RefCell::default(),
            turns: Cell::new(0),
            helpers: RefCell::default(),
            in_order: rng.below(3) * MILLION / 3,
        }
    }

    /// Monotonic clock, nanoseconds.
    pub fn now(&self) -> u64 {
        self.now.get()
    }

    /// Wall clock, nanoseconds since 1970.
    pub fn unix_nanos(&self) -> u64 {
        (WALL_START_NANOS + self.now.get()).saturating_add_signed(self.skew_nanos.get())
    }

    /// Lets the wall clock jump.
    pub fn jump_wall(&self, nanos: i64) {
        self.skew_nanos.set(self.skew_nanos.get() + nanos);
    }

    /// A new machine.
    pub fn new_node(&self) -> Node {
        let node = self.next_node.get();
        self.next_node.set(node + 1);
        node
    }

    /// The machine whose task runs now.
    pub fn node(&self) -> Node {
        self.node.get()
    }

    /// Turns of tasks so far.
    pub fn turns(&self) -> u64 {
        self.turns.get()
    }

    /// How long what takes so long lasts on the helper thread of the machine whose task runs now: it does one thing after the
    /// other, as that of a shard's executor does.
    pub(super) fn helped_in(&self, nanos: u64) -> u64 {
        let mut helpers = self.helpers.borrow_mut();
        let free_at = helpers.entry(self.node()).or_default();
        *free_at = (*free_at).max(self.now()) + nanos;
        *free_at - self.now()
    }

    /// Tasks of `node` that have not ended.
    pub fn tasks_of(&self, node: Node) -> usize {
        self.tasks.borrow().values().flatten().filter(|task| task.node == node).count()
    }

    pub(super) fn number(&self) -> u64 {
        let next = self.next.get();
        self.next.set(next + 1);
        next
    }

    pub(super) fn add_event(&self, rng: &Rng, at: u64, event: Event) -> EventKey {
        let key = (at, rng.next(), self.number());
        self.events.borrow_mut().insert(key, event);
        key
    }
}

/// Something that is ready once, for one that waits: the end of an operation under way.
pub struct Promise<T>(Rc<RefCell<(Option<T>, Option<Waker>)>>);

impl<T> Clone for Promise<T> {
    fn clone(&self) -> Self {
        Promise(self.0.clone())
    }
}

impl<T> Default for Promise<T> {
    fn default() -> Self {
        Promise(Rc::new(RefCell::new((None, None))))
    }
}

impl<T> Promise<T> {
    /// It is ready.
    pub fn keep(&self, value: T) {
        let waker = {
            let mut slot = self.0.borrow_mut();
            slot.0 = Some(value);
            slot.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for Promise<T> {
    type Output = T;
    fn poll(self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut slot = self.0.borrow_mut();
        match slot.0.take() {
            Some(value) => Poll::Ready(value),
            None => {
                slot.1 = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

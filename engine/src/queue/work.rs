//! What is to be done with very many messages at once: those that an order fails, that are too old, or that have no
//! route. Each has to be read from disk for its record, so only so many are worked on at a time; the others wait here,
//! as small as in any queue.

use super::scheduled::Item;
use super::suspend::Order;
use crate::egress::outcome::Via;
use crate::egress::reply::Response;
use crate::egress::undelivered;
use crate::io;
use crate::limits::WORK_TASKS;
use crate::shard::Shard;
use ringmta_policy::MessageId;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

/// What is to be done with one message.
#[derive(Clone)]
pub enum Task {
    /// It is too old.
    Expire,
    /// It may not be tried before this time, unix milliseconds, when its life is over.
    ExpireUnsent(u64),
    /// An operator fails it.
    Bounce(Rc<Order>),
    /// An operator holds it: told once, and charged no attempt.
    Hold(Rc<Held>),
    /// An attempt failed before any peer saw it.
    Fail(Rc<Failed>),
}

/// Why a message is held.
pub struct Held {
    /// What its record says.
    pub response: Response,
    /// Where it says that it was.
    pub via: Option<Via>,
    /// The ready queue that is held; none when it is the scheduled queue itself.
    pub ready: Option<String>,
}

/// How an attempt failed.
pub struct Failed {
    /// What its record says.
    pub response: Response,
    /// Over which ready queue, when it had come that far.
    pub via: Option<Via>,
    /// What `requeue_message` is told about it.
    pub context: &'static [&'static str],
}

/// The list of one shard.
#[derive(Default)]
pub struct WorkList {
    jobs: RefCell<VecDeque<(Item, Task)>>,
    workers: Cell<usize>,
}

impl WorkList {
    /// Messages that wait here.
    pub fn len(&self) -> usize {
        self.jobs.borrow().len()
    }

    /// None waits.
    pub fn is_empty(&self) -> bool {
        self.jobs.borrow().is_empty()
    }

    /// Messages that are being worked on.
    pub fn workers(&self) -> usize {
        self.workers.get()
    }

    /// Tells of the message `id`, when it waits here.
    pub fn find<R>(&self, id: MessageId, tell: impl FnOnce(&Item) -> R) -> Option<R> {
        self.jobs.borrow().iter().find(|(item, _)| item.id == id).map(|(item, _)| tell(item))
    }

    /// Shows each message that waits.
    pub fn each(&self, mut see: impl FnMut(&Item)) {
        self.jobs.borrow().iter().for_each(|(item, _)| see(item));
    }
}

/// Has `task` done with `item` when its turn comes.
pub fn add(shard: &Rc<Shard>, mut item: Item, task: Task) {
    let work = &shard.queues.work;
    if work.workers.get() >= WORK_TASKS {
        // It waits; the spool has its body.
        shard.queues.let_body_go(&mut item);
    }
    work.jobs.borrow_mut().push_back((item, task));
    if work.workers.get() < WORK_TASKS {
        work.workers.set(work.workers.get() + 1);
        let shard = shard.clone();
        io::spawn(async move {
            // A task runs at once when it is spawned; whoever adds work may be walking a queue.
            io::yield_now().await;
            run(&shard).await;
            shard.queues.work.workers.set(shard.queues.work.workers.get() - 1);
        });
    }
}

async fn run(shard: &Rc<Shard>) {
    while !shard.stopping.get() {
        let next = shard.queues.work.jobs.borrow_mut().pop_front();
        let Some((item, task)) = next else { return };
        let hand = shard.queues.in_hand.take(item.id);
        match task {
            Task::Expire => undelivered::expire(shard, item).await,
            Task::ExpireUnsent(due) => undelivered::expire_unsent(shard, item, due).await,
            Task::Bounce(order) => undelivered::bounce(shard, item, &order).await,
            Task::Hold(held) => undelivered::hold(shard, item, &held).await,
            Task::Fail(failed) => {
                undelivered::attempt_failed(shard, item, hand, &failed).await;
                continue;
            }
        }
        drop(hand);
    }
}

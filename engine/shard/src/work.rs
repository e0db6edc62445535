//! Serves the list of messages that are failed, expired or held, a few at a time: each has to be read from disk for its
//! record. The others wait in the list, as small as in any queue.

use crate::rebind;
use crate::state::Shard;
use crate::unsent;
use ringmta_io as io;
use ringmta_queue::limits::WORK_TASKS;
use ringmta_queue::tasks::Task;
use std::rc::Rc;

/// Serves the list for as long as the shard lives.
pub async fn run(shard: Rc<Shard>) {
    loop {
        shard.queues.to_end.pushed().await;
        // Those that work already take what comes as well.
        let free = WORK_TASKS.saturating_sub(shard.queues.ending.get());
        for _ in 0..free.min(shard.queues.to_end.len()) {
            shard.queues.ending.set(shard.queues.ending.get() + 1);
            let shard = shard.clone();
            io::spawn(async move {
                work(&shard).await;
                shard.queues.ending.set(shard.queues.ending.get() - 1);
            });
        }
    }
}

async fn work(shard: &Rc<Shard>) {
    while !shard.context.stopping.get() {
        shard.events.logs().let_follow().await;
        let Some((item, task)) = shard.queues.to_end.pop() else { return };
        let hand = shard.queues.in_hand.take(&item);
        match task {
            Task::Expire => unsent::expire(shard, item).await,
            Task::ExpireUnsent(due) => unsent::expire_unsent(shard, item, due).await,
            Task::Bounce(order) => unsent::bounce(shard, item, &order).await,
            Task::Hold(held) => unsent::hold(shard, item, &held).await,
            Task::Rebind(how, due) => rebind::rebind(shard, item, &how, due).await,
            Task::Fail(failed) => {
                unsent::attempt_failed(shard, item, hand, &failed).await;
                continue;
            }
        }
        drop(hand);
    }
}

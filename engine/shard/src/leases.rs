//! What one connection holds of the limits over all shards, and when it gives that up for another shard's sake.

use crate::limits;
use crate::mesh::Letter;
use crate::state::Shard;
use ringmta_io::mono_nanos;
use ringmta_io::sim::planted::{is_planted, Bug};
use ringmta_policy::Limit;
use ringmta_queue::model::ReadyQueue;
use ringmta_queue::quota::lease::SharedLimit;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

/// The leases of one connection: exactly what was taken, whatever the configuration is by the time they go back.
pub struct Leases {
    shard: usize,
    taken: Vec<(Arc<SharedLimit>, Limit)>,
    /// Which of them is promised to which shard. A connection that has promised one ends.
    promised: Cell<Option<(usize, usize)>>,
    /// When the turn of this connection began: deliveries until then, monotonic nanoseconds.
    turn: Cell<(usize, u64)>,
}

impl Leases {
    /// What `shard` has taken.
    pub fn new(shard: usize, taken: Vec<(Arc<SharedLimit>, Limit)>) -> Leases {
        Leases { shard, taken, promised: Cell::new(None), turn: Cell::new((0, mono_nanos())) }
    }

    /// Whether a connection that has nothing to do now must end after `deliveries`: it gives way to any other shard that
    /// waits, or to another queue of this one. One that only waits for a rate is busy: were it to end each time, every
    /// message would need a connection of its own.
    pub fn gives_way_idle(&self, shard: &Shard, ready: &ReadyQueue, deliveries: usize) -> bool {
        if !ready.is_empty() {
            return self.gives_way_busy(shard, ready, deliveries);
        }
        self.claim(|shared, _| {
            let other = shared.claim_other(self.shard);
            other.or_else(|| self.claim_here(shard, ready, shared))
        })
    }

    /// Whether a busy connection must end after `deliveries`: when its turn is over, for a shard that has less than its
    /// share, or for another queue of this one under a limit they share. Else another turn begins.
    pub fn gives_way_busy(&self, shard: &Shard, ready: &ReadyQueue, deliveries: usize) -> bool {
        if self.promised.get().is_some() {
            return true;
        }
        let (before, began) = self.turn.get();
        let now = mono_nanos();
        let age_ms = now.saturating_sub(began) / 1_000_000;
        let messages = deliveries.saturating_sub(before);
        if messages < limits::LEASE_TURN_MESSAGES && age_ms < limits::LEASE_TURN_MS {
            return false;
        }
        self.turn.set((deliveries, now));
        self.claim(|shared, limit| {
            let other = shared.claim_turn(self.shard, limit);
            other.or_else(|| self.claim_here(shard, ready, shared))
        })
    }

    fn claim_here(
        &self,
        shard: &Shard,
        ready: &ReadyQueue,
        shared: &Arc<SharedLimit>,
    ) -> Option<usize> {
        let here = shared.waits(self.shard) && another_wants(shard, ready, shared);
        (here && shared.unwait(self.shard)).then_some(self.shard)
    }

    fn claim(&self, claimed: impl Fn(&Arc<SharedLimit>, Limit) -> Option<usize>) -> bool {
        if self.promised.get().is_none() {
            let mut taken = self.taken.iter().enumerate();
            let found =
                taken.find_map(|(at, (shared, limit))| Some((at, claimed(shared, *limit)?)));
            self.promised.set(found);
        }
        self.promised.get().is_some()
    }

    /// Gives all of them back, and tells the shards that get one.
    pub fn give_back(self, shard: &Shard) {
        for (at, (shared, _)) in self.taken.into_iter().enumerate() {
            let promised = self.promised.get().filter(|(which, _)| *which == at);
            if let Some(to) = shared.give_back(self.shard, promised.map(|(_, to)| to)) {
                shard.hand_over_lease(to, shared);
            }
        }
    }
}

/// Whether another ready queue of this shard waits for a lease of `limit`.
fn another_wants(shard: &Shard, ready: &ReadyQueue, limit: &Arc<SharedLimit>) -> bool {
    let others = shard.queues.ready.borrow();
    let mut others = others.values().filter(|other| other.wants_lease.get());
    others.any(|other| !std::ptr::eq(&**other, ready) && other.is_under(limit))
}

/// Tells every shard that holds a lease of `limit` that this one waits for it.
pub fn ask_for(shard: &Rc<Shard>, limit: &Arc<SharedLimit>) {
    for holder in limit.holders() {
        if holder == shard.index {
            wanted(shard, limit);
            continue;
        }
        let inbox = shard.process.inboxes.get(holder);
        if inbox.is_some_and(|inbox| inbox.send(Letter::Wanted(limit.clone())).is_err()) {
            // It is told when this shard asks the next time.
            limit.unwait(shard.index);
        }
    }
}

/// `ready` has nothing to send any more: if this shard waits for a lease for its sake alone, it waits no longer.
pub fn no_longer_wanted(shard: &Shard, ready: &ReadyQueue) {
    if !ready.wants_lease.replace(false) {
        return;
    }
    for limit in ready.connection_limits() {
        if limit.waits(shard.index) && !another_wants(shard, ready, &limit) {
            limit.unwait(shard.index);
        }
    }
}

/// A lease of `limit` is wanted: idle connections look whether they give way.
pub fn wanted(shard: &Shard, limit: &Arc<SharedLimit>) {
    if is_planted(Bug::IdleKeepsLease) {
        return;
    }
    for ready in shard.queues.ready.borrow().values() {
        if ready.idle_connections() > 0 && ready.is_under(limit) {
            ready.wake_all();
        }
    }
}

/// A lease was handed to this shard: a ready queue that waits for it takes it, else it goes on.
pub fn handed_over(shard: &Rc<Shard>, limit: Arc<SharedLimit>) {
    let waiting: Vec<_> = shard
        .queues
        .ready
        .borrow()
        .values()
        .filter(|ready| ready.wants_lease.get() && !ready.is_empty() && ready.is_under(&limit))
        .cloned()
        .collect();
    if waiting.is_empty() {
        if let Some(next) = limit.pass_on(shard.index, None) {
            shard.hand_over_lease(next, limit);
        }
        return;
    }
    limit.free();
    for ready in waiting {
        shard.queues.kick(&ready);
    }
}

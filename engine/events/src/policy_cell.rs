//! The policy that is in force on a shard, and one that is kept aside until every shard has loaded it.

use crate::metrics::Snapshot;
use ringmta_policy::Policy;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// The policy of one shard.
pub struct PolicyCell {
    current: RefCell<Rc<Policy>>,
    /// One that is loaded and not yet in force.
    prepared: RefCell<Option<Rc<Policy>>>,
    /// What loading has cost.
    pub loads: Loads,
}

impl PolicyCell {
    /// Begins with `policy`.
    pub fn new(policy: Policy) -> PolicyCell {
        PolicyCell {
            current: RefCell::new(Rc::new(policy)),
            prepared: RefCell::default(),
            loads: Loads::default(),
        }
    }

    /// The policy for new sessions and events; those in flight keep the one they began with.
    pub fn current(&self) -> Rc<Policy> {
        self.current.borrow().clone()
    }

    /// Keeps `policy` aside, or nothing.
    pub fn prepare(&self, policy: Option<Policy>) {
        *self.prepared.borrow_mut() = policy.map(Rc::new);
    }

    /// Puts the policy that was kept aside in force; `false` when there is none.
    pub fn take_prepared(&self) -> bool {
        let Some(policy) = self.prepared.borrow_mut().take() else { return false };
        *self.current.borrow_mut() = policy;
        self.loads.taken.set(self.loads.taken.get() + 1);
        true
    }
}

/// What loading the policy costs a shard, which does nothing else meanwhile.
#[derive(Default)]
pub struct Loads {
    /// Policies put in force.
    pub taken: Cell<u64>,
    done: Cell<u64>,
    failed: Cell<u64>,
    micros: Cell<u64>,
    /// A reload is under way; on the first shard.
    pub under_way: Cell<bool>,
}

impl Loads {
    /// Counts a load of `shard` and says what it took.
    pub fn note(&self, shard: usize, took: Duration, is_good: bool) {
        self.done.set(self.done.get() + 1);
        self.failed.set(self.failed.get() + u64::from(!is_good));
        self.micros.set(self.micros.get() + took.as_micros() as u64);
        let how = if is_good { "loaded" } else { "refused" };
        tracing::info!("shard {shard}: policy {how} after {} ms", took.as_millis());
    }

    /// Adds it to the metrics.
    pub fn add_to(&self, sum: &mut Snapshot) {
        sum.count("policy_load_total", "", self.done.get());
        sum.count("policy_load_failed_total", "", self.failed.get());
        sum.count("policy_load_microseconds_total", "", self.micros.get());
    }
}

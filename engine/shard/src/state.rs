//! State of one core: what all stages may use. Everything here is owned by one thread; nothing is locked, and nothing is
//! started.

use crate::accounting::Accounting;
use crate::listener_tls::Renewals;
use crate::logins::Logins;
use crate::mesh::Letter;
use crate::process::Process;
use crate::trace::Tracing;
use crate::volumes::Volumes;
use ringmta_events::metrics::Metrics;
use ringmta_events::{Context, Events};
use ringmta_policy::{EsmtpListener, Policy};
use ringmta_queue::quota::lease;
use ringmta_queue::Queues;
use ringmta_spool::Partition;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::Arc;

/// One shard.
pub struct Shard {
    /// Its number.
    pub index: usize,
    /// What it shares with the others.
    pub process: Arc<Process>,
    /// Its policy, its ids, and whether it stops.
    pub context: Rc<Context>,
    /// Its renewals of listeners' certificates.
    pub renewals: Renewals,
    /// ESMTP listeners' options, by index.
    pub listeners: Vec<Rc<EsmtpListener>>,
    /// Its part of the spool.
    pub spool: Rc<Partition>,
    /// What waits for delivery.
    pub queues: Queues,
    /// Where its events go.
    pub events: Rc<Events>,
    /// Where it is kept who was let in.
    pub accounting: Option<Rc<Accounting>>,
    /// Where it is kept how much mail there was.
    pub volumes: Option<Volumes>,
    /// Its counters.
    pub metrics: Metrics,
    /// Who watches its sessions.
    pub trace: Tracing,
    /// Whose credentials are looked at, and who has given wrong ones.
    pub logins: Logins,
}

impl Shard {
    /// The policy for new sessions and events; those in flight keep the one they began with.
    pub fn policy(&self) -> Rc<Policy> {
        self.context.policy.current()
    }

    /// Puts the policy that was kept aside in force. Routes found by the one before are used no more.
    pub fn take_policy(&self) {
        if self.context.policy.take_prepared() {
            self.queues.forget_routes();
        }
    }

    /// Number of the policy in force: how many there have been on this shard.
    pub fn serial(&self) -> u64 {
        self.context.policy.loads.taken.get()
    }

    /// Tells shard `to` that a lease was handed to it; when it cannot be told the lease is freed.
    pub fn hand_over_lease(&self, to: usize, limit: Arc<lease::SharedLimit>) {
        let Some(inbox) = self.process.inboxes.get(to) else { return limit.free() };
        if let Err(Letter::Lease(limit)) = inbox.send(Letter::Lease(limit)) {
            limit.free();
        }
    }

    /// Counts a session of a listener in or out: for the balance between shards, and for its limit over all of them.
    pub fn session_count(&self, listener: usize, delta: i64) {
        let counters = [
            Some(&self.process.sessions[self.index]),
            self.process.listener_sessions.get(listener),
        ];
        for counter in counters.into_iter().flatten() {
            if delta > 0 {
                counter.fetch_add(1, Ordering::Relaxed);
            } else {
                counter.fetch_sub(1, Ordering::Relaxed);
            }
        }
        if delta > 0 {
            self.metrics.sessions.inc();
            self.metrics.sessions_total.inc();
        } else {
            self.metrics.sessions.dec();
        }
    }
}

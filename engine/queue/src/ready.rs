//! A ready queue: messages that may leave now, from one source to one site.

use crate::carrier::Carrier;
use crate::connections::Connection;
use crate::dead_hosts::DeadHosts;
use crate::model::Item;
use crate::model::Notify;
use crate::model::PathLimits;
use crate::model::ReadyQueue;
use crate::model::Stats;
use crate::plan::Plan;
use crate::quota::health::Fault;
use crate::quota::lease;
use crate::sends::Sends;
use crate::tls_cache::TlsCache;
use ringmta_io::{self as io, mono_nanos};
use ringmta_options::{EgressPath, EgressSource, Limit, RefreshStrategy, Throttle};
use ringmta_smtp::via::Via;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Counts a connection as open while it lives.
pub struct Established(Rc<ReadyQueue>);

impl Drop for Established {
    fn drop(&mut self) {
        self.0.established.set(self.0.established.get().saturating_sub(1));
    }
}

/// A lease that was taken of a limit, and how high the limit was.
pub type Taken = (Arc<lease::SharedLimit>, Limit);

impl ReadyQueue {
    /// An empty queue. Those of one `site` (`source->site@protocol`) share its limits.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        name: String,
        site: &str,
        pool: &str,
        routing_domain: &str,
        carrier: Carrier,
        source: Rc<EgressSource>,
        plan: Rc<Plan>,
        path: Rc<EgressPath>,
        registry: &lease::Registry,
    ) -> ReadyQueue {
        let limits = PathLimits {
            own: registry.get(&format!("path:{site}")),
            connects: registry.get(&format!("connects:{site}")),
            named: RefCell::default(),
            selects: RefCell::default(),
            site: site.to_string(),
        };
        let source_name = source.name.clone();
        let queue = ReadyQueue {
            name,
            pool: pool.to_string(),
            source: RefCell::new(source),
            routing_domain: routing_domain.to_string(),
            plan: RefCell::new(plan),
            path: RefCell::new(path.clone()),
            path_made: RefCell::default(),
            source_made: RefCell::default(),
            path_asked: Cell::default(),
            carrier: RefCell::new(carrier),
            items: RefCell::default(),
            overflow: RefCell::default(),
            kicks: Cell::new(0),
            connections: Cell::new(0),
            open: RefCell::default(),
            established: Cell::new(0),
            held_until: Cell::new(0),
            idle: RefCell::default(),
            blocked_until: Cell::new(0),
            blocked_by: Cell::default(),
            blocked_since: Cell::new(0),
            wants_since: Cell::new(0),
            connect_after: Cell::new(0),
            failures: Cell::new(0),
            out_of_step: Cell::new(0),
            dead_hosts: DeadHosts::default(),
            wants_lease: Cell::new(false),
            last_used: Cell::new(mono_nanos()),
            last_trouble: RefCell::default(),
            tls_broken_until: Cell::new(0),
            health: registry.source(&source_name),
            tls: TlsCache::default(),
            limits,
            sends: Sends::default(),
            stats: Stats::default(),
        };
        queue.set_path(path, registry);
        queue
    }

    /// Puts another path configuration in force.
    pub fn set_path(&self, path: Rc<EgressPath>, registry: &lease::Registry) {
        let mut named = self.limits.named.borrow_mut();
        named.clear();
        let limits = path.additional_connection_limits.keys();
        for name in limits.chain(path.additional_message_rate_throttles.keys()) {
            named.insert(name.clone(), registry.get(&format!("named:{name}")));
        }
        *self.limits.selects.borrow_mut() = self.selection_rates(&path, registry);
        *self.path.borrow_mut() = path;
    }

    fn selection_rates(
        &self,
        path: &EgressPath,
        registry: &lease::Registry,
    ) -> Vec<(Throttle, Arc<lease::SharedLimit>)> {
        let mut rates = Vec::new();
        if let Some(rate) = path.source_selection_rate {
            rates.push((rate, registry.get(&format!("selects:{}", self.limits.site))));
        }
        for (name, rate) in &path.additional_source_selection_rates {
            rates.push((*rate, registry.get(&format!("selects-named:{name}"))));
        }
        rates.sort_by_key(|(rate, _)| std::cmp::Reverse(interval(rate)));
        rates
    }

    /// Whether there are times when this source may not be chosen.
    pub fn is_rationed(&self) -> bool {
        let source = self.source.borrow();
        let watched = source.suspend_when_unplumbed.is_some()
            || source.suspend_when_proxy_unhealthy.is_some();
        watched || !self.limits.selects.borrow().is_empty()
    }

    /// How long this source is left alone, when it is.
    pub fn suspended_for(&self) -> Option<Duration> {
        self.health.suspended_for(mono_nanos() / 1_000_000)
    }

    /// A connection is about to be opened.
    pub fn begin(&self, session_id: String) -> Rc<Connection> {
        let connection = Rc::new(Connection::new(session_id));
        self.open.borrow_mut().push(connection.clone());
        connection
    }

    /// It has ended.
    pub fn over(&self, connection: &Rc<Connection>) {
        self.open.borrow_mut().retain(|other| !Rc::ptr_eq(connection, other));
    }

    /// A connection is open, until the value goes: the failures before it do not count any more.
    pub fn opened(self: &Rc<Self>) -> Established {
        self.failures.set(0);
        self.established.set(self.established.get() + 1);
        Established(self.clone())
    }

    /// Whether an operator holds it.
    pub fn is_held(&self) -> bool {
        // Nearly none ever is: no clock is asked then.
        self.held_until.get() > 0 && self.held_until.get() > io::steady_millis()
    }

    /// A connection has failed in a way that says something about its source.
    pub fn note_fault(&self, fault: Fault) {
        self.health.count(fault);
        let source = self.source.borrow();
        let rule = match fault {
            Fault::Unplumbed => &source.suspend_when_unplumbed,
            Fault::Proxy => &source.suspend_when_proxy_unhealthy,
        };
        let Some(rule) = rule else { return };
        if self.health.failed(fault, rule, mono_nanos() / 1_000_000) {
            tracing::warn!(
                "source {} is left alone for {:?}: {fault:?}",
                source.name,
                rule.duration
            );
        }
    }

    /// Time between two selections of this source in the long run.
    pub fn selection_interval(&self) -> Duration {
        self.limits.selects.borrow().first().map_or(Duration::ZERO, |(rate, _)| interval(rate))
    }

    /// Chooses this source for one message: takes one of each of its selection rates, or of none.
    ///
    /// # Errors
    /// The wait.
    pub fn try_select(&self) -> Result<(), Duration> {
        let rates = self.limits.selects.borrow();
        if rates.is_empty() {
            return Ok(());
        }
        lease::take_all(rates.iter().map(|(rate, shared)| (rate, &**shared)), mono_nanos())
    }

    /// Whether policy need not be asked for the path configuration again.
    pub fn is_path_fresh(&self, now: u64, epoch: u64) -> bool {
        let path = self.path.borrow();
        let (asked, asked_epoch) = self.path_asked.get();
        let age = Duration::from_nanos(now.saturating_sub(asked));
        let keeps = path.refresh_strategy == RefreshStrategy::Epoch || age < path.refresh_interval;
        epoch == asked_epoch && keeps
    }

    /// The path configuration in force.
    pub fn path(&self) -> Rc<EgressPath> {
        self.path.borrow().clone()
    }

    /// A delivery from here that has no connection yet, as records tell it.
    pub fn via(&self, session_id: String) -> Via {
        let path = self.path();
        Via {
            pool: self.pool.clone(),
            source: self.source_name(),
            session_id,
            provider: path.provider_name.clone(),
            protocol: if path.use_lmtp { "LMTP" } else { "ESMTP" },
            ..Via::of_queue(&self.name)
        }
    }

    /// The source's name.
    pub fn source_name(&self) -> String {
        self.source.borrow().name.clone()
    }

    /// Whether a further message fits.
    pub fn has_room(&self) -> bool {
        self.items.borrow().len() < self.path.borrow().max_ready
    }

    /// Adds a message behind the others.
    pub fn push(&self, mut item: Item) {
        item.stay = item.stay.moved();
        self.last_used.set(mono_nanos());
        self.items.borrow_mut().push_back(item);
    }

    /// Puts a message back in front: it was taken but not tried.
    pub fn push_front(&self, item: Item) {
        self.items.borrow_mut().push_front(item);
    }

    /// Messages that wait here.
    pub fn len(&self) -> usize {
        self.items.borrow().len()
    }

    /// Nothing waits here.
    pub fn is_empty(&self) -> bool {
        self.items.borrow().is_empty()
    }

    /// Whether nothing may leave now.
    pub fn is_blocked(&self, now: u64) -> bool {
        self.blocked_until.get() > now
    }

    /// The same, asking the clock only where something was ever blocked.
    pub fn is_blocked_now(&self) -> bool {
        self.blocked_until.get() > 0 && self.is_blocked(mono_nanos())
    }

    /// Connections that wait for work.
    pub fn idle_connections(&self) -> usize {
        self.idle.borrow().len()
    }

    /// Wakes the connection that went idle last, if there is one: few warm connections are better
    /// than many lukewarm ones.
    pub fn wake_idle(&self) -> bool {
        match self.idle.borrow_mut().pop() {
            Some(notify) => {
                notify.fire();
                true
            }
            None => false,
        }
    }

    /// Wakes every idle connection (a stop, or a lease that others want).
    pub fn wake_all(&self) {
        while self.wake_idle() {}
    }

    /// Waits, as an idle connection, for work. `false` when `limit` passed without any.
    pub async fn wait_idle(&self, limit: Duration) -> bool {
        let notify = Rc::new(Notify::default());
        self.idle.borrow_mut().push(notify.clone());
        let woken = io::deadline(limit, notify.fired()).await.is_ok();
        if !woken {
            self.idle.borrow_mut().retain(|other| !Rc::ptr_eq(other, &notify));
        }
        woken || notify.set.get()
    }

    /// Takes a connection lease of every limit of this path, or of none.
    ///
    /// # Errors
    /// With the limit whose holders are to be told that this shard waits, unless they know.
    pub fn try_lease(&self, shard: usize) -> Result<Vec<Taken>, Option<Arc<lease::SharedLimit>>> {
        let path = self.path();
        let named = self.limits.named.borrow();
        let own = std::iter::once((&self.limits.own, path.connection_limit));
        let others = path
            .additional_connection_limits
            .iter()
            .filter_map(|(name, limit)| named.get(name).map(|shared| (shared, *limit)));
        let mut taken = Vec::with_capacity(1 + path.additional_connection_limits.len());
        for (shared, limit) in own.chain(others) {
            if shared.try_lease(shard, limit) {
                taken.push((shared.clone(), limit));
                continue;
            }
            // Whoever was refused in this instant tries again at the next sweep.
            taken.iter().for_each(|(shared, _)| shared.untake(shard));
            if !self.wants_lease.replace(true) {
                self.wants_since.set(mono_nanos());
            }
            return Err(shared.wait(shard).then(|| shared.clone()));
        }
        for (shared, _) in &taken {
            shared.unwait(shard);
        }
        self.wants_lease.set(false);
        Ok(taken)
    }

    /// Whether its connections are counted by `limit`.
    pub fn is_under(&self, limit: &Arc<lease::SharedLimit>) -> bool {
        self.connection_limits().any(|other| Arc::ptr_eq(&other, limit))
    }

    /// Whether a connection of it waits for work while a shard other than `me` waits for its lease.
    pub fn keeps_from_others(&self, me: usize) -> bool {
        let is_idle = self.is_empty() && self.idle_connections() > 0;
        is_idle && self.connection_limits().any(|limit| limit.is_wanted_by_others(me))
    }

    /// The limits its connections are counted by.
    pub fn connection_limits(&self) -> impl Iterator<Item = Arc<lease::SharedLimit>> {
        let named = self.limits.named.borrow();
        let path = self.path.borrow();
        let names = path.additional_connection_limits.keys();
        let others: Vec<_> = names.filter_map(|name| named.get(name).cloned()).collect();
        std::iter::once(self.limits.own.clone()).chain(others)
    }

    /// Connections out over all shards.
    pub fn leases(&self) -> u64 {
        self.limits.own.leases()
    }

    /// Takes one message of every rate of this path, or says how long to wait.
    ///
    /// # Errors
    /// The wait.
    pub fn try_message_rate(&self) -> Result<(), Duration> {
        let path = self.path.borrow();
        if path.max_message_rate.is_none() && path.additional_message_rate_throttles.is_empty() {
            return Ok(());
        }
        let named = self.limits.named.borrow();
        lease::take_all(self.message_rates(&path, &named), mono_nanos())
    }

    /// Gives back what [`ReadyQueue::try_message_rate`] took at `taken`, monotonic nanoseconds, for a message that was not
    /// offered to the peer after all.
    pub fn untake_message_rate(&self, taken: u64) {
        let path = self.path.borrow();
        let named = self.limits.named.borrow();
        lease::untake_all(self.message_rates(&path, &named), taken, mono_nanos());
    }

    fn message_rates<'a>(
        &'a self,
        path: &'a EgressPath,
        named: &'a BTreeMap<String, Arc<lease::SharedLimit>>,
    ) -> impl Iterator<Item = (&'a Throttle, &'a lease::SharedLimit)> + Clone {
        let own = path.max_message_rate.iter().map(move |rate| (rate, &*self.limits.own));
        let others = path.additional_message_rate_throttles.iter();
        own.chain(
            others.filter_map(move |(name, rate)| named.get(name).map(|shared| (rate, &**shared))),
        )
    }

    /// Whether the connection rate lets one more through now; takes nothing.
    ///
    /// # Errors
    /// The wait.
    pub fn may_connect(&self) -> Result<(), Duration> {
        match &self.path.borrow().max_connection_rate {
            Some(limit) => self.limits.connects.would_pass(limit, mono_nanos()),
            None => Ok(()),
        }
    }

    /// Takes one connection of the connection rate, or says how long to wait.
    ///
    /// # Errors
    /// The wait.
    pub fn try_connection_rate(&self) -> Result<(), Duration> {
        match &self.path.borrow().max_connection_rate {
            Some(limit) => self.limits.connects.try_rate(limit, mono_nanos()),
            None => Ok(()),
        }
    }

    /// The rate configured for messages, for people who ask.
    pub fn message_rate(&self) -> Option<Throttle> {
        self.path.borrow().max_message_rate
    }

    /// The limits of connections that are used up now: option or name, limit, leases out over all shards.
    pub fn used_up(&self) -> Vec<(String, u64, u64)> {
        let path = self.path.borrow();
        let named = self.limits.named.borrow();
        let own = ("connection_limit".to_string(), path.connection_limit.limit, self.leases());
        let others = path.additional_connection_limits.iter().filter_map(|(name, limit)| {
            named.get(name).map(|shared| (name.clone(), limit.limit, shared.leases()))
        });
        std::iter::once(own).chain(others).filter(|(_, limit, out)| out >= limit).collect()
    }

    /// The rates of messages that let nothing through now: option or name, the rate, the wait.
    pub fn rates_used_up(&self) -> Vec<(String, Throttle, Duration)> {
        let path = self.path.borrow();
        let (named, now) = (self.limits.named.borrow(), mono_nanos());
        let own = path
            .max_message_rate
            .iter()
            .map(move |rate| ("max_message_rate", rate, &self.limits.own));
        let others = path.additional_message_rate_throttles.iter();
        let others = others
            .filter_map(|(name, rate)| named.get(name).map(|shared| (name.as_str(), rate, shared)));
        let wait = |(name, rate, shared): (&str, &Throttle, &Arc<lease::SharedLimit>)| {
            let wait = shared.would_pass(rate, now).err()?;
            Some((name.to_string(), *rate, wait))
        };
        own.chain(others).filter_map(wait).collect()
    }

    /// How long the rates at which this source may be chosen keep it from being, when they do; takes nothing.
    pub fn selection_wait(&self) -> Option<Duration> {
        let (rates, now) = (self.limits.selects.borrow(), mono_nanos());
        rates.iter().filter_map(|(rate, shared)| shared.would_pass(rate, now).err()).max()
    }
}

/// Time between two events of a rate.
fn interval(rate: &Throttle) -> Duration {
    rate.period / u32::try_from(rate.limit).unwrap_or(u32::MAX).max(1)
}

impl Notify {
    fn fire(&self) {
        self.set.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
    async fn fired(&self) {
        std::future::poll_fn(|cx| {
            if self.set.get() {
                return Poll::Ready(());
            }
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmta_options::Limit;
    use std::collections::BTreeMap;

    fn rate(text: &str) -> Throttle {
        Throttle::parse(text).unwrap()
    }

    fn queue(path: EgressPath, registry: &lease::Registry) -> ReadyQueue {
        let plan = Plan { site: "d.test".into(), hosts: Vec::new(), fixed: true, sts: None };
        let source = Rc::new(EgressSource { name: "s".into(), ..EgressSource::default() });
        let (plan, path) = (Rc::new(plan), Rc::new(path));
        ReadyQueue::new(
            "q".into(),
            "site",
            "pool",
            "d.test",
            Carrier::Smtp,
            source,
            plan,
            path,
            registry,
        )
    }

    #[test]
    fn a_message_that_one_rate_holds_up_costs_the_others_nothing() {
        let registry = lease::Registry::default();
        let own = EgressPath { max_message_rate: Some(rate("10/h")), ..EgressPath::default() };
        let named = BTreeMap::from([("few".to_string(), rate("1/h"))]);
        let both = EgressPath { additional_message_rate_throttles: named, ..own.clone() };
        let queue = queue(both, &registry);
        assert_eq!(queue.try_message_rate(), Ok(()));
        (0..50).for_each(|_| assert!(queue.try_message_rate().is_err()));
        queue.set_path(Rc::new(own), &registry);
        let passed = (0..50).filter(|_| queue.try_message_rate().is_ok()).count();
        assert_eq!(passed, 9, "one of ten went with the first message");
    }

    #[test]
    fn asking_whether_a_connection_may_be_made_takes_none() {
        let registry = lease::Registry::default();
        let path = EgressPath { max_connection_rate: Some(rate("1/h")), ..EgressPath::default() };
        let queue = queue(path, &registry);
        (0..10).for_each(|_| assert_eq!(queue.may_connect(), Ok(())));
        assert_eq!(queue.try_connection_rate(), Ok(()));
        assert!(queue.may_connect().is_err() && queue.try_connection_rate().is_err());
    }

    #[test]
    fn limits_go_by_the_clock_nobody_sets() {
        let registry = lease::Registry::default();
        let hourly = rate("1/h");
        let path = EgressPath {
            max_message_rate: Some(hourly),
            max_connection_rate: Some(hourly),
            source_selection_rate: Some(hourly),
            ..EgressPath::default()
        };
        let queue = queue(path, &registry);
        assert!(queue.try_message_rate().is_ok() && queue.try_connection_rate().is_ok());
        assert!(queue.try_select().is_ok());
        for name in ["path:site", "connects:site", "selects:site"] {
            let wait = registry.get(name).would_pass(&hourly, mono_nanos()).unwrap_err();
            assert!(wait <= Duration::from_secs(3600), "{name}: {wait:?}");
        }
    }

    #[test]
    fn a_shard_that_is_refused_says_so_once() {
        let registry = lease::Registry::default();
        let path = EgressPath { connection_limit: Limit::new(1), ..EgressPath::default() };
        let queue = queue(path, &registry);
        let first = queue.try_lease(0);
        assert!(first.is_ok());
        assert!(matches!(queue.try_lease(1), Err(Some(limit)) if queue.is_under(&limit)));
        assert!(matches!(queue.try_lease(1), Err(None)));
        assert!(queue.wants_lease.get());
        assert_eq!(queue.leases(), 1);
    }
}

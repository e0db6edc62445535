//! Connections of a hook that are kept between its requests: objects of the policy, and the engine's own HTTP client.

use crate::limits::{HOOK_CONNECTION_IDLE_SECS, HOOK_REQUESTS_MAX};
use ringmta_io::{self as io, Map};
use ringmta_policy::{LuaConnection, Policy};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// A client whose connections are kept, as many as there may be requests.
pub fn agent(timeout: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .tls_config(ringmta_policy::trust::http_tls())
        .http_status_as_error(false)
        .max_idle_connections(HOOK_REQUESTS_MAX)
        .max_idle_connections_per_host(HOOK_REQUESTS_MAX)
        .max_idle_age(Duration::from_secs(HOOK_CONNECTION_IDLE_SECS))
        .build()
        .new_agent()
}

/// Connection objects that wait for their next event.
#[derive(Default)]
pub struct Connections {
    pub(super) idle: RefCell<Vec<Idle>>,
    pub(super) has_reaper: Cell<bool>,
    /// The constructors that the policy names for queues, by queue.
    pub(super) known: RefCell<Known>,
}

#[derive(Default)]
pub(super) struct Known {
    /// The policy that named them.
    policy: Option<Rc<Policy>>,
    pub(super) constructors: Map<String, Rc<str>>,
}

pub(super) struct Idle {
    connection: LuaConnection,
    /// The event that made it.
    constructor: Rc<str>,
    /// The policy it is of: one that was loaded anew makes its own.
    policy: Rc<Policy>,
    since_nanos: u64,
}

impl Connections {
    /// The one used last, of this policy and constructor.
    pub(super) fn take(&self, policy: &Rc<Policy>, constructor: &str) -> Option<LuaConnection> {
        let fits = |one: &Idle| Rc::ptr_eq(&one.policy, policy) && *one.constructor == *constructor;
        let mut idle = self.idle.borrow_mut();
        let at = idle.iter().rposition(fits)?;
        Some(idle.remove(at).connection)
    }

    pub(super) fn put(&self, connection: LuaConnection, policy: Rc<Policy>, constructor: Rc<str>) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < HOOK_REQUESTS_MAX {
            let since_nanos = io::mono_nanos();
            idle.push(Idle { connection, constructor, policy, since_nanos });
        }
    }

    /// What is known of a queue, as long as it is of this policy.
    pub(super) fn known(&self, policy: &Rc<Policy>, queue: &str) -> Option<Rc<str>> {
        let mut known = self.known.borrow_mut();
        if !known.policy.as_ref().is_some_and(|of| Rc::ptr_eq(of, policy)) {
            *known = Known { policy: Some(policy.clone()), ..Known::default() };
        }
        known.constructors.get(queue).cloned()
    }

    /// Those that nobody has used for a while.
    pub(super) fn take_old(&self) -> Vec<LuaConnection> {
        let now = io::mono_nanos();
        let is_old = |one: &Idle| {
            now.saturating_sub(one.since_nanos) >= HOOK_CONNECTION_IDLE_SECS * 1_000_000_000
        };
        let mut idle = self.idle.borrow_mut();
        let (old, young) = std::mem::take(&mut *idle).into_iter().partition::<Vec<_>, _>(is_old);
        *idle = young;
        old.into_iter().map(|one| one.connection).collect()
    }
}

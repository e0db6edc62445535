//! A machine with an engine on it: switched on, looked at, stopped or cut off.

use crate::engine::found;
use crate::engine::found::due_tick;
use crate::engine::found::Found;
use crate::engine::stage::Stage;
use futures::channel::oneshot;
use ringmta::core;
use ringmta_io::sim::address::address_of;
use ringmta_io::sim::crash::Crash;
use ringmta_io::sim::exec::Node;
use ringmta_io::sockets::Sockets;
use ringmta_io::steady_millis;
use ringmta_io::tls;
use ringmta_policy::Shared;
use ringmta_queue::model::{Item, Kept};
use ringmta_queue::quota::lease::Registry;
use ringmta_shard::answers::Answers;
use ringmta_shard::mesh::{Inbox, Letter};
use ringmta_shard::process::{self, Process};
use ringmta_shard::state::Shard;
use ringmta_spool::location::Location;
use rustls::ClientConfig;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::AtomicU64;
use std::sync::Arc;
use std::time::Duration;

/// Turns after which something is taken for a circle.
pub const TURNS_MAX: u64 = 3_000_000;
/// Longest a letter may take to be answered, virtual seconds.
const ANSWER_SECS: u64 = 10;
/// Longest a stop may take, virtual seconds: the grace, and what is made durable after it.
const STOP_SECS: u64 = 10;

/// What became of a shard's start.
type Started = Result<Rc<Shard>, String>;

/// A running engine.
pub struct Machine {
    /// Its number in the world.
    pub node: Node,
    /// What its shards share.
    pub process: Arc<Process>,
    /// Shards that started, in the order they did.
    pub started: Rc<RefCell<Vec<Started>>>,
    stopped: Rc<Cell<usize>>,
}

thread_local! {
    /// Costly to make, and the same for every engine.
    static CLIENTS: Result<(Arc<ClientConfig>, ureq::Agent), String> =
        tls::client_config(None).map(|config| (config, ureq::Agent::new_with_defaults()));
}

impl Machine {
    /// Switches a fresh machine on; its shards begin to start.
    ///
    /// # Errors
    /// When there is no TLS configuration to be had.
    pub fn power_on(stage: &Stage, shards: usize) -> Result<Machine, String> {
        let (any, agent) = CLIENTS.with(Clone::clone)?;
        let node = stage.world.exec.new_node();
        stage.node.set(Some(node));
        stage.ledger.borrow_mut().new_life();
        for hop in &stage.hops {
            hop.new_life();
        }
        let process = Arc::new(process(stage, shards, any, agent));
        let machine = Machine {
            node,
            process: process.clone(),
            started: Rc::default(),
            stopped: Rc::default(),
        };
        for index in 0..shards {
            let process = process.clone();
            let (started, stopped) = (machine.started.clone(), machine.stopped.clone());
            let ledger = stage.ledger.clone();
            stage.world.spawn_on(node, async move {
                let core = match core::start(process, index).await {
                    Ok((core, _)) => core,
                    Err(why) => return started.borrow_mut().push(Err(why)),
                };
                found::found(&mut ledger.borrow_mut(), &look(&core.shard));
                started.borrow_mut().push(Ok(core.shard.clone()));
                core::serve(&core).await;
                stopped.set(stopped.get() + 1);
            });
        }
        Ok(machine)
    }

    /// Whether every shard's start has come to its end.
    pub fn has_started(&self) -> bool {
        self.started.borrow().len() == self.process.shards
    }

    /// The shards that are up.
    pub fn shards(&self) -> Vec<Rc<Shard>> {
        self.started.borrow().iter().flatten().cloned().collect()
    }

    /// Why a shard did not start.
    pub fn trouble(&self) -> Option<String> {
        self.started.borrow().iter().find_map(|started| started.as_ref().err().cloned())
    }

    /// Opens the listeners, as a start does when every shard is up.
    ///
    /// # Errors
    /// When a shard does not.
    pub fn open(&self, stage: &Stage) -> Result<(), String> {
        let mut answers = Vec::new();
        for inbox in &self.process.inboxes {
            let (sender, answer) = oneshot::channel();
            inbox
                .send(Letter::Open(Sockets::default(), sender))
                .map_err(|_| "a letter box is full")?;
            answers.push((answer, None));
        }
        let limit = Duration::from_secs(ANSWER_SECS);
        let opened = stage.world.run_until(limit, TURNS_MAX, || {
            for (answer, said) in answers.iter_mut().filter(|(_, said)| said.is_none()) {
                *said = answer.try_recv().ok().flatten();
            }
            answers.iter().all(|(_, said)| said.is_some())
        });
        opened.map_err(|stuck| format!("a shard does not open its listeners: {stuck:?}"))?;
        for (_, said) in answers {
            said.unwrap_or(Err("no answer".into()))?;
        }
        Ok(())
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::new(address_of(self.node), crate::engine::plan::PORT)
    }

    /// Messages in its queues.
    pub fn waiting(&self) -> usize {
        self.shards().iter().map(|shard| shard.queues.total()).sum()
    }

    /// Whether its hooks have taken every event.
    pub fn has_told_all(&self) -> bool {
        let drained = |shard: &Rc<Shard>| shard.events.hooks().iter().all(|h| h.log.is_drained());
        self.shards().iter().all(drained)
    }

    /// The state of each hook's log that is not empty.
    pub fn untold(&self) -> Vec<String> {
        let mut all = Vec::new();
        for shard in self.shards() {
            for hook in shard.events.hooks().iter().filter(|hook| !hook.log.is_drained()) {
                all.push(format!("shard {}, {}: {}", shard.index, hook.name, hook.log.state()));
            }
        }
        all
    }

    /// Stops it as an operator does.
    ///
    /// # Errors
    /// When it does not stop.
    pub fn stop(&self, stage: &Stage) -> Result<(), String> {
        for inbox in &self.process.inboxes {
            inbox.send(Letter::Stop).map_err(|_| "a letter box is full")?;
        }
        let limit = Duration::from_secs(STOP_SECS);
        let all = || self.stopped.get() == self.process.shards;
        stage
            .world
            .run_until(limit, TURNS_MAX, all)
            .map_err(|stuck| format!("a stop did not end: {stuck:?}"))
    }

    /// Switches it off, and leaves of the disk what such an end may leave.
    pub fn power_off(self, stage: &Stage, how: Crash) {
        stage.world.kill(self.node);
        stage.world.crash_disk(how);
        for shard in self.shards() {
            forget(&shard);
        }
    }
}

fn process(
    stage: &Stage,
    shards: usize,
    any: Arc<ClientConfig>,
    http_agent: ureq::Agent,
) -> Process {
    let init = stage.init.clone();
    Process {
        shards,
        hostname: "engine.test".into(),
        node_id: "simulated".into(),
        policy_file: Some(stage.policy.0.clone()),
        policy_shared: Shared::new(1),
        limits: Registry::default(),
        inboxes: (0..shards).map(|_| Inbox::default()).collect(),
        sessions: (0..shards).map(|_| AtomicU64::new(0)).collect(),
        listener_sessions: init.esmtp_listeners.iter().map(|_| AtomicU64::new(0)).collect(),
        peers: process::PeersAt::of(&init),
        smtp_tls: init.esmtp_listeners.iter().map(|_| None).collect(),
        http_tls: init.http_listeners.iter().map(|_| None).collect(),
        tls_verify: any.clone(),
        tls_any: any,
        http_agent,
        answers: Answers::new(&stage.paths.meta),
        console: Default::default(),
        spans: None,
        ready: true.into(),
        auth_in_clear: false,
        spool: stage.paths.clone(),
        init,
    }
}

/// What a shard's start has put into its queues.
fn look(shard: &Shard) -> Vec<Found> {
    let state_of = |at: Location| {
        let mut state = None;
        shard.spool.segments.for_each(|sequence, segment| {
            if sequence == at.segment {
                state = segment.attempts.get(&at.offset).copied();
            }
        });
        state
    };
    let mut found = Vec::new();
    let mut see = |item: &Item, due: Option<u64>| {
        let Kept::Record(at) = item.at else { return };
        let (id, attempts, state) = (item.id, item.attempts, state_of(at));
        let was_held = due.is_some() && state.is_some_and(|state| state.is_held());
        let due_tick = due.unwrap_or_else(|| due_tick(state));
        let let_go = (was_held && !may_hold(shard, item)).then(steady_millis);
        found.push(Found { shard: shard.index, id, attempts, due_tick, state, let_go });
    };
    shard.queues.timers.borrow().iter().for_each(|(due, item)| see(item, Some(due)));
    // Orders that were in force before have moved some already.
    shard.queues.to_end.each(|(item, _)| see(item, None));
    for queue in shard.queues.scheduled.borrow().values() {
        queue.waiting.borrow().iter().for_each(|item| see(item, None));
    }
    found
}

/// Whether an order in force may hold this message.
fn may_hold(shard: &Shard, item: &Item) -> bool {
    let (orders, now) = (&shard.queues.orders, steady_millis());
    orders.suspended(&item.queue.name, &item.queue.parts, now).is_some()
        || orders.holding(item.id, now).is_some()
        || orders.holds_some_ready(now)
}

/// Queues and what waits in them hold each other. In a process that ends that is nothing; here
/// many follow each other.
fn forget(shard: &Shard) {
    for queue in shard.queues.scheduled.borrow().values() {
        queue.waiting.take();
        *queue.route.borrow_mut() = None;
    }
    for queue in shard.queues.ready.borrow().values() {
        queue.items.borrow_mut().clear();
        queue.overflow.borrow_mut().clear();
    }
    *shard.queues.timers.borrow_mut() = Default::default();
    shard.queues.scheduled.borrow_mut().clear();
    shard.queues.ready.borrow_mut().clear();
}

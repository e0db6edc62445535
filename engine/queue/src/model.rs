//! What queues are made of. A message knows its queue, a queue its route, a route its ready queues, and these their
//! messages: the types refer to each other, so they stand together here. What they do is in `scheduled`, `route`, `ready`
//! and `overflow`.

use crate::blocks::Blocks;
use crate::carrier::Carrier;
use crate::connections::Connection;
use crate::dead_hosts::DeadHosts;
use crate::plan::Plan;
use crate::quota::health::Health;
use crate::quota::lease;
use crate::sends::Sends;
use crate::stay::Stay;
use crate::tls_cache::TlsCache;
use ringmta_io::Set;
use ringmta_mail::{Message, MessageId, QueueName};
use ringmta_options::{EgressPath, EgressSource, MadeAt, QueueConfig, Throttle};
use ringmta_spool::location::Location;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

/// What is kept of a message over a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// A record of the spool.
    Record(Location),
    /// An event in the log of a hook, given by its number among the hooks. Such a message takes no room in the spool.
    Event(u16),
}

/// A message that waits for delivery. Without its [`Loaded`] part it is all a deferred message
/// costs in memory.
pub struct Item {
    /// What is kept of it over a restart.
    pub at: Kept,
    /// Its id.
    pub id: MessageId,
    /// Finished attempts.
    pub attempts: u16,
    /// How often its record was written anew.
    pub generation: u16,
    /// Since when it lies where it lies, and whether an order holds it there.
    pub stay: Stay,
    /// The queue it belongs to.
    pub queue: Rc<ScheduledQueue>,
    /// The message itself while it is in memory.
    pub loaded: Option<Box<Loaded>>,
}

/// A message in memory; its bytes are counted against the shard's budget until it is dropped.
pub struct Loaded {
    /// The message.
    pub message: Message,
    pub(crate) bytes: usize,
    pub(crate) budget: Rc<Cell<usize>>,
}

/// One scheduled queue.
pub struct ScheduledQueue {
    /// Its name.
    pub name: Rc<str>,
    /// Its name, taken apart.
    pub parts: QueueName,
    /// Its messages wait for policy's first word on them.
    pub deferred_inject: bool,
    /// It stands in the list of queues that policy is to be asked about.
    pub asked: Cell<bool>,
    /// Tasks that ask it.
    pub injecting: Cell<usize>,
    /// Configuration in force.
    pub config: RefCell<Rc<QueueConfig>>,
    /// Which call of the policy has made it.
    pub made: RefCell<Arc<MadeAt>>,
    /// Where its mail goes; `None` until found.
    pub route: RefCell<Option<Rc<Route>>>,
    /// Until when configuration and route are taken as they are (monotonic nanoseconds).
    pub fresh_until: Cell<u64>,
    /// Epoch its configuration was asked for in.
    pub epoch: Cell<u64>,
    /// Number of the policy its route was found by.
    pub serial: Cell<u64>,
    /// Someone is finding the route.
    pub resolving: Cell<bool>,
    /// Since when, monotonic nanoseconds.
    pub resolving_since: Cell<u64>,
    /// Messages that wait, in order, for the route, for their turn of the queue's rate, or for room
    /// in a ready queue. None of them has been charged for anything.
    pub waiting: RefCell<Blocks<Item>>,
    /// A task wakes the first of them then, when the rate lets it go (monotonic nanoseconds; 0 for none).
    pub paced_until: Cell<u64>,
    /// A task goes on with them after others had their turn.
    pub moving: Cell<bool>,
    /// Messages that policy is being asked about on their way to a ready queue.
    pub passing: Cell<usize>,
    /// Messages of this queue anywhere.
    pub count: Cell<usize>,
    /// Last time it was used (monotonic nanoseconds).
    pub last_used: Cell<u64>,
    /// Its rate limit, shared by all shards.
    pub rate: Arc<lease::SharedLimit>,
    /// Last thing that held its mail up, for people who ask.
    pub last_trouble: RefCell<String>,
}

/// The ready queues a scheduled queue may use, by weight.
pub struct Route {
    pub(crate) entries: Vec<RouteEntry>,
    /// Some source may be chosen only so often.
    pub(crate) rationed: bool,
    /// The last turn given to a message that no source was free for, unix milliseconds.
    pub(crate) last_turn: Cell<u64>,
}

pub(crate) struct RouteEntry {
    pub(crate) weight: i64,
    pub(crate) current: Cell<i64>,
    pub(crate) ready: Rc<ReadyQueue>,
}

/// One ready queue of one shard.
pub struct ReadyQueue {
    /// `source->site@smtp_client`; with `+mta-sts:` and a digest where a policy is enforced.
    pub name: String,
    /// Pool the source was taken from.
    pub pool: String,
    /// Where the mail leaves from.
    pub source: RefCell<Rc<EgressSource>>,
    /// Domain its path is configured for.
    pub routing_domain: String,
    /// Hosts to try.
    pub plan: RefCell<Rc<Plan>>,
    /// Path configuration in force.
    pub path: RefCell<Rc<EgressPath>>,
    /// Which call of the policy has made it.
    pub path_made: RefCell<Arc<MadeAt>>,
    /// The same for its source.
    pub source_made: RefCell<Arc<MadeAt>>,
    /// When policy was asked for it: monotonic nanoseconds, configuration epoch.
    pub path_asked: Cell<(u64, u64)>,
    /// Who takes its mail.
    pub carrier: RefCell<Carrier>,
    /// Messages, oldest first.
    pub items: RefCell<VecDeque<Item>>,
    /// Scheduled queues that have more for it than it had room for.
    pub overflow: RefCell<Overflow>,
    /// How often a connection was asked for since the list of work that opens them was served.
    pub kicks: Cell<u32>,
    /// Connections of this shard, opening ones included.
    pub connections: Cell<usize>,
    /// Each of them.
    pub open: RefCell<Vec<Rc<Connection>>>,
    /// Those of them that a host has taken.
    pub established: Cell<usize>,
    /// An operator holds it until then, unix milliseconds.
    pub held_until: Cell<u64>,
    pub(crate) idle: RefCell<Vec<Rc<Notify>>>,
    /// Nothing leaves before this time (monotonic nanoseconds): a rate, or a host that is down.
    pub blocked_until: Cell<u64>,
    /// Why.
    pub blocked_by: Cell<Block>,
    /// Since when, monotonic nanoseconds.
    pub blocked_since: Cell<u64>,
    /// No further connection is opened before this while another is open, monotonic nanoseconds.
    pub connect_after: Cell<u64>,
    /// Failed connections in a row.
    pub failures: Cell<u32>,
    /// Connections in a row whose peer answered out of step.
    pub out_of_step: Cell<u32>,
    /// Hosts that could not be reached lately, to be tried last.
    pub dead_hosts: DeadHosts,
    /// This shard waits for a lease of another.
    pub wants_lease: Cell<bool>,
    /// Since when, monotonic nanoseconds.
    pub wants_since: Cell<u64>,
    /// Last time it had work (monotonic nanoseconds).
    pub last_used: Cell<u64>,
    /// Last failure, for people who ask.
    pub last_trouble: RefCell<String>,
    /// Hosts whose TLS failed are spoken to in clear until then (monotonic nanoseconds).
    pub tls_broken_until: Cell<u64>,
    /// How its source does, over all shards.
    pub health: Arc<Health>,
    /// Its TLS configuration, where it has one of its own.
    pub tls: TlsCache,
    pub(crate) limits: PathLimits,
    /// What is known of the receiver behind a policy's own connections.
    pub sends: Sends,
    /// Counters for the metrics.
    pub stats: Stats,
}

/// Why nothing leaves a ready queue for a while.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Block {
    /// Its rate of new connections is used up.
    #[default]
    ConnectionRate,
    /// A rate of messages is used up.
    MessageRate,
    /// No host takes a connection.
    HostsDown,
    /// A peer's answers no longer fit what was said.
    OutOfStep,
    /// The receiver of a policy's own connections fails, or has asked for it.
    Receiver,
}

/// The limits of a path that hold over all shards, looked up once.
pub struct PathLimits {
    /// Connections and message rate of this path.
    pub own: Arc<lease::SharedLimit>,
    /// Its rate of new connections.
    pub connects: Arc<lease::SharedLimit>,
    /// Further ones by name.
    pub named: RefCell<BTreeMap<String, Arc<lease::SharedLimit>>>,
    /// Rates at which this source may be chosen, the lowest first.
    pub(crate) selects: RefCell<Vec<(Throttle, Arc<lease::SharedLimit>)>>,
    /// `source->site@protocol`, under which they are shared.
    pub(crate) site: String,
}

/// What a ready queue has done.
#[derive(Default)]
pub struct Stats {
    /// Messages delivered.
    pub delivered: Cell<u64>,
    /// Attempts that failed for now.
    pub transfail: Cell<u64>,
    /// Messages that failed for good.
    pub failed: Cell<u64>,
    /// Connections opened.
    pub connections: Cell<u64>,
    /// Connections cut by the watchdog.
    pub watchdog: Cell<u64>,
}

/// A one-shot wake-up.
#[derive(Default)]
pub(crate) struct Notify {
    pub(crate) set: Cell<bool>,
    pub(crate) waker: RefCell<Option<Waker>>,
}

/// The line in front of one ready queue.
#[derive(Default)]
pub struct Overflow {
    pub(crate) line: VecDeque<Rc<ScheduledQueue>>,
    pub(crate) names: Set<Rc<str>>,
}

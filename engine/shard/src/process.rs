//! What the shards of one process share: configuration fixed at start, limits, letter boxes.
//! Nothing here is touched per message.

use crate::answers::Answers;
use crate::console::Console;
use crate::listener_tls::ListenerTls;
use crate::mesh::Inbox;
use ringmta_events::spans::Spans;
use ringmta_policy::{InitConfig, Shared};
use ringmta_queue::quota::lease::Registry;
use ringmta_smtp::server::peers::Peers;
use ringmta_spool::log::partition::SpoolPaths;
use rustls::ClientConfig;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, LazyLock};

/// One running engine.
pub struct Process {
    /// Shards.
    pub shards: usize,
    /// Our name towards the world.
    pub hostname: String,
    /// Id of this installation, a UUID.
    pub node_id: String,
    /// The policy file, when there is one.
    pub policy_file: Option<PathBuf>,
    /// What the policy asked for at start.
    pub init: InitConfig,
    /// What the shards' policies share.
    pub policy_shared: Arc<Shared>,
    /// Spools.
    pub spool: SpoolPaths,
    /// Limits over all shards.
    pub limits: Registry,
    /// One letter box per shard.
    pub inboxes: Vec<Inbox>,
    /// Open SMTP sessions per shard, for the balance of new ones.
    pub sessions: Vec<AtomicU64>,
    /// Open SMTP sessions of each ESMTP listener, by its index, on all shards.
    pub listener_sessions: Vec<AtomicU64>,
    /// What peers have open and have done at each, by its index; made when a limit first asks for it.
    pub peers: PeersAt,
    /// TLS of each ESMTP listener, by its index.
    pub smtp_tls: Vec<Option<Arc<ListenerTls>>>,
    /// TLS of each HTTP listener, by its index.
    pub http_tls: Vec<Option<Arc<ListenerTls>>>,
    /// TLS out, certificates verified.
    pub tls_verify: Arc<ClientConfig>,
    /// TLS out, any certificate.
    pub tls_any: Arc<ClientConfig>,
    /// For the engine's own HTTP requests, on the helper pool.
    pub http_agent: ureq::Agent,
    /// What injections that carry a key were answered.
    pub answers: Arc<Answers>,
    /// Where spans are left, when the environment names a collector of traces.
    pub spans: Option<Arc<Spans>>,
    /// What the console keeps.
    pub console: Console,
    /// Every shard is up and the listeners are open.
    pub ready: AtomicBool,
    /// AUTH may be used without TLS (`dev`, or asked for by the environment).
    pub auth_in_clear: bool,
}

/// A listener, by its index among those of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// An ESMTP listener.
    Smtp(usize),
    /// An HTTP listener.
    Http(usize),
}

/// What peers do at each listener.
pub struct PeersAt {
    smtp: Vec<LazyLock<Peers>>,
    http: Vec<LazyLock<Peers>>,
}

impl PeersAt {
    /// Nothing yet, at the listeners of `init`.
    pub fn of(init: &InitConfig) -> PeersAt {
        let some = |listeners: usize| {
            (0..listeners).map(|_| LazyLock::new(Peers::default as fn() -> Peers)).collect()
        };
        PeersAt { smtp: some(init.esmtp_listeners.len()), http: some(init.http_listeners.len()) }
    }

    /// At this one.
    pub fn at(&self, door: Door) -> &Peers {
        match door {
            Door::Smtp(index) => &self.smtp[index],
            Door::Http(index) => &self.http[index],
        }
    }
}

impl Process {
    /// Total of open SMTP sessions, and the shard with the fewest.
    pub fn emptiest_shard(&self) -> (usize, u64) {
        let load = |counter: &AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
        self.sessions
            .iter()
            .enumerate()
            .map(|(shard, counter)| (shard, load(counter)))
            .min_by_key(|(_, sessions)| *sessions)
            .unwrap_or((0, 0))
    }
}

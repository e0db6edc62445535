//! Counters of a shard, and their sum over shards.
//!
//! Each shard counts in plain cells of its own. A scrape asks every shard for a [`Snapshot`] and
//! adds them up; labels are few, so a scrape stays cheap with a million queues.

mod help;
mod snapshot;
mod steps;

pub use snapshot::{Labels, Snapshot};
pub use steps::{ByResult, Step};

use crate::recent::{Recent, OTHER};
use hdrhistogram::Histogram;
use ringmta_io::timing::Timing;
use ringmta_mail::MessageId;
use ringmta_smtp::via::MetricPath;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use steps::Steps;

/// A number one shard counts up (and down, for gauges).
#[derive(Default)]
pub struct Counter(Cell<u64>);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.add(1);
    }
    /// `n` more.
    pub fn add(&self, n: u64) {
        self.0.set(self.0.get().wrapping_add(n));
    }
    /// One less.
    pub fn dec(&self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
    /// The number.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// Events that are told apart by name.
const HANDLERS_MAX: usize = 200;
/// Ready queues that are told apart by name, and providers: of a sender to very many sites the rest is one sum.
const SITES_MAX: usize = 5_000;

/// Deliveries of one ready queue.
#[derive(Default, Clone, Copy)]
struct Site {
    delivered: u64,
    transfail: u64,
    failed: u64,
}

/// What a shard counts.
pub struct Metrics {
    /// Messages taken over SMTP.
    pub received_smtp: Counter,
    /// Messages taken over HTTP.
    pub received_http: Counter,
    /// Open SMTP sessions.
    pub sessions: Counter,
    /// SMTP sessions ever.
    pub sessions_total: Counter,
    /// Sessions turned away at the limit.
    pub sessions_denied: Counter,
    /// Connections, messages and sessions refused by a limit per peer or network.
    pub peers_limited_smtp: Counter,
    /// The same of HTTP listeners.
    pub peers_limited_http: Counter,
    /// Commands refused.
    pub rejections: Counter,
    /// Wrong passwords given over SMTP.
    pub auth_failures_smtp: Counter,
    /// Wrong passwords given over HTTP.
    pub auth_failures_http: Counter,
    /// Logins that were not looked at: the peer had guessed too often.
    pub auth_held: Counter,
    /// Open connections out.
    pub egress_connections: Counter,
    /// Connections out ever.
    pub egress_connections_total: Counter,
    /// Connections out ended because nothing came of them.
    pub watchdog_aborted: Counter,
    /// Times no connection to a site could be opened.
    pub egress_connect_failures: Counter,
    /// Replies that ended an attempt for recipients: code, and whether it is the engine's own in place of a peer's.
    replies: RefCell<BTreeMap<(u16, bool), u64>>,
    /// Sessions under TLS, by side and version of the protocol.
    tls: RefCell<BTreeMap<(&'static str, String), u64>>,
    /// How long the handlers of each event took.
    handlers: RefCell<HashMap<String, Timing>>,
    /// Time until messages were durable, microseconds.
    pub save_micros: RefCell<Timing>,
    /// How long the steps of a message's way took.
    steps: Steps,
    /// By ready queue; those that are no more, and those beyond the bound, have no name.
    sites: RefCell<HashMap<String, Site>>,
    /// By provider; within it by source and pool, of which there are few.
    providers: RefCell<HashMap<String, Vec<ByPath>>>,
    /// Time from the final dot to its reply, microseconds.
    pub accept_micros: RefCell<Histogram<u32>>,
    /// Recipients delivered to.
    pub recipients_delivered: Counter,
    /// Age of messages at delivery, microseconds.
    pub delivery_micros: RefCell<Histogram<u32>>,
    /// What mail has done since the history of the console was last told.
    pub recent: Recent,
}

/// What went by one source and pool.
struct ByPath {
    source: String,
    pool: String,
    counts: Site,
    /// The ready queue whose end is the end of these numbers; none where a policy names the provider.
    ready: Option<String>,
}

impl ByPath {
    fn new(path: &MetricPath<'_>, ready: Option<&str>) -> ByPath {
        ByPath {
            source: path.source.to_string(),
            pool: path.pool.to_string(),
            counts: Site::default(),
            ready: ready.filter(|_| !path.is_named).map(str::to_string),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics {
            received_smtp: Counter::default(),
            received_http: Counter::default(),
            sessions: Counter::default(),
            sessions_total: Counter::default(),
            sessions_denied: Counter::default(),
            peers_limited_smtp: Counter::default(),
            peers_limited_http: Counter::default(),
            rejections: Counter::default(),
            auth_failures_smtp: Counter::default(),
            auth_failures_http: Counter::default(),
            auth_held: Counter::default(),
            egress_connections: Counter::default(),
            egress_connections_total: Counter::default(),
            watchdog_aborted: Counter::default(),
            egress_connect_failures: Counter::default(),
            replies: RefCell::default(),
            tls: RefCell::default(),
            handlers: RefCell::default(),
            save_micros: RefCell::default(),
            steps: Steps::default(),
            sites: RefCell::default(),
            providers: RefCell::default(),
            accept_micros: RefCell::new(latency()),
            recipients_delivered: Counter::default(),
            delivery_micros: RefCell::new(latency()),
            recent: Recent::default(),
        }
    }
}

/// Latencies from 1 us to 7 days with two digits: anything longer counts as that.
fn latency() -> Histogram<u32> {
    const WEEK_MICROS: u64 = 7 * 86_400 * 1_000_000;
    // The bounds are constants that hdrhistogram takes; a default histogram grows by itself.
    Histogram::new_with_bounds(1, WEEK_MICROS, 2).unwrap_or_else(|_| {
        let mut fallback = Histogram::<u32>::new_with_max(WEEK_MICROS, 1);
        if let Ok(histogram) = &mut fallback {
            histogram.auto(true);
        }
        fallback.unwrap_or_else(|_| unreachable_histogram())
    })
}

fn unreachable_histogram() -> Histogram<u32> {
    // Reached only if constants that are valid today were changed to ones that are not.
    std::process::abort()
}

impl Metrics {
    fn site(&self, site: &str, path: Option<MetricPath<'_>>, change: impl Fn(&mut Site)) {
        change_of(&mut self.sites.borrow_mut(), (site, ""), |entry, _| change(entry));
        let Some(path) = path else { return };
        let mut providers = self.providers.borrow_mut();
        change_of(&mut providers, (path.provider, OTHER), |paths, name| {
            let is_it = |known: &ByPath| known.source == path.source && known.pool == path.pool;
            let at = paths.iter().position(is_it).unwrap_or_else(|| {
                paths.push(ByPath::new(&path, (name != OTHER).then_some(site)));
                paths.len() - 1
            });
            change(&mut paths[at].counts);
        });
    }
    /// `n` recipients delivered over `site`.
    pub fn delivered(&self, site: &str, n: usize, id: MessageId, path: Option<MetricPath<'_>>) {
        self.recipients_delivered.add(n as u64);
        self.site(site, path, |entry| entry.delivered += n as u64);
        let age = ringmta_io::unix_nanos().saturating_sub(id.created_unix_nanos()) / 1000;
        self.delivery_micros.borrow_mut().saturating_record(age.max(1));
    }
    /// An event of a hook was told over `site`.
    pub fn told(&self, site: &str, path: Option<MetricPath<'_>>) {
        self.site(site, path, |entry| entry.delivered += 1);
    }
    /// `n` recipients deferred over `site`.
    pub fn transfail(&self, site: &str, n: usize, path: Option<MetricPath<'_>>) {
        self.site(site, path, |entry| entry.transfail += n as u64);
    }
    /// `n` recipients failed over `site`.
    pub fn failed(&self, site: &str, n: usize, path: Option<MetricPath<'_>>) {
        self.site(site, path, |entry| entry.failed += n as u64);
    }

    /// A reply has ended an attempt for `n` recipients.
    pub fn replied(&self, code: u16, is_internal: bool, n: usize) {
        *self.replies.borrow_mut().entry((code, is_internal)).or_default() += n as u64;
    }

    /// A session is under TLS now: `side` is `in` or `out`.
    pub fn under_tls(&self, side: &'static str, version: &str) {
        let mut tls = self.tls.borrow_mut();
        match tls.get_mut(&(side, version.to_string())) {
            Some(count) => *count += 1,
            None => drop(tls.insert((side, version.to_string()), 1)),
        }
    }

    /// A handler of `event` has run for `nanos`, waiting included.
    pub fn handled(&self, event: &str, nanos: u64) {
        let mut handlers = self.handlers.borrow_mut();
        if let Some(timing) = handlers.get_mut(event) {
            return timing.note(nanos / 1000);
        }
        // A policy may make names as it goes.
        let name = if handlers.len() < HANDLERS_MAX { event } else { OTHER };
        handlers.entry(name.to_string()).or_default().note(nanos / 1000);
    }

    /// A step took `micros`, and came to a good end or not.
    pub fn took(&self, step: Step, is_well: bool, micros: u64) {
        self.steps.note(step, is_well, micros);
    }

    /// Forgets the series of a ready queue that is no more; the sums over all keep its numbers.
    pub fn forget_site(&self, site: &str) {
        let mut sites = self.sites.borrow_mut();
        let Some(gone) = sites.remove(site) else { return };
        let rest = sites.entry(String::new()).or_default();
        rest.delivered += gone.delivered;
        rest.transfail += gone.transfail;
        rest.failed += gone.failed;
        drop(sites);
        self.providers.borrow_mut().retain(|_, paths| {
            paths.retain(|path| path.ready.as_deref() != Some(site));
            !paths.is_empty()
        });
    }

    /// Adds this shard's numbers to `sum`.
    pub fn add_to(&self, sum: &mut Snapshot) {
        sum.count("total_messages_received", "esmtp_listener", self.received_smtp.get());
        sum.count("total_messages_received", "http_listener", self.received_http.get());
        sum.count("total_connection_count", "esmtp_listener", self.sessions_total.get());
        sum.count("total_connections_denied", "esmtp_listener", self.sessions_denied.get());
        sum.count("peer_limit_refusals", "esmtp_listener", self.peers_limited_smtp.get());
        sum.count("peer_limit_refusals", "http_listener", self.peers_limited_http.get());
        sum.count("smtp_server_rejections", "esmtp_listener", self.rejections.get());
        sum.count("auth_failures", "esmtp_listener", self.auth_failures_smtp.get());
        sum.count("auth_failures", "http_listener", self.auth_failures_http.get());
        sum.count("auth_held_off", "", self.auth_held.get());
        sum.gauge("connection_count", "esmtp_listener", self.sessions.get());
        sum.gauge("connection_count", "smtp_client", self.egress_connections.get());
        for (site, entry) in self.sites.borrow().iter() {
            for (name, value) in [
                ("total_messages_delivered", entry.delivered),
                ("total_messages_transfail", entry.transfail),
                ("total_messages_fail", entry.failed),
            ] {
                let service = service_of(site);
                sum.count(name, service, value);
                if !site.is_empty() {
                    sum.count(name, &format!("{service}:{site}"), value);
                }
            }
        }
        for (provider, paths) in self.providers.borrow().iter() {
            paths.iter().for_each(|path| add_path(sum, provider, path));
        }
        sum.count("total_connection_count", "smtp_client", self.egress_connections_total.get());
        sum.count("dispatcher_watchdog_aborted_total", "", self.watchdog_aborted.get());
        sum.count("egress_connect_failures_total", "", self.egress_connect_failures.get());
        for ((code, is_internal), count) in self.replies.borrow().iter() {
            let from = if *is_internal { "engine" } else { "peer" };
            let labels = vec![("code", code.to_string()), ("from", from.to_string())];
            sum.count_by("delivery_replies_total", labels, *count);
        }
        for ((side, version), count) in self.tls.borrow().iter() {
            let labels = vec![("side", side.to_string()), ("version", version.clone())];
            sum.count_by("tls_sessions_total", labels, *count);
        }
        for (event, timing) in self.handlers.borrow().iter() {
            sum.timing("lua_event_latency", vec![("event", event.clone())], timing);
        }
        sum.timing("message_save_latency", Labels::new(), &self.save_micros.borrow());
        sum.histogram("smtpsrv_transaction_duration", &self.accept_micros.borrow());
        sum.histogram("message_delivery_latency", &self.delivery_micros.borrow());
        self.steps.add_to(sum);
    }
}

/// What a ready queue delivers with, as metrics tell it: its name ends in `@lua:CONSTRUCTOR` or `@smtp_client`.
pub fn service_of(ready: &str) -> &'static str {
    match ready.contains("@lua:") {
        true => "lua",
        false => "smtp_client",
    }
}

/// Changes the entry of `name`, made when absent; that of `rest` when there are too many names.
fn change_of<T: Default>(
    all: &mut HashMap<String, T>,
    (name, rest): (&str, &str),
    change: impl FnOnce(&mut T, &str),
) {
    if let Some(entry) = all.get_mut(name) {
        return change(entry, name);
    }
    let name = if all.len() < SITES_MAX { name } else { rest };
    change(all.entry(name.to_string()).or_default(), name);
}

/// Adds the numbers of one path of a provider.
fn add_path(sum: &mut Snapshot, provider: &str, path: &ByPath) {
    let ByPath { source, pool, counts: entry, .. } = path;
    let provider = ("provider", provider.to_string());
    let whole = vec![provider.clone(), ("source", source.clone()), ("pool", pool.clone())];
    for (by_provider, by_path, value) in [
        (
            "total_messages_delivered_by_provider",
            "total_messages_delivered_by_provider_and_source",
            entry.delivered,
        ),
        (
            "total_messages_transfail_by_provider",
            "total_messages_transfail_by_provider_and_source",
            entry.transfail,
        ),
        (
            "total_messages_fail_by_provider",
            "total_messages_fail_by_provider_and_source",
            entry.failed,
        ),
    ] {
        sum.count_by(by_provider, vec![provider.clone()], value);
        sum.count_by(by_path, whole.clone(), value);
    }
}

#[cfg(test)]
mod tests;

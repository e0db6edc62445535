//! Counters of a shard, and their sum over shards.
//!
//! Each shard counts in plain cells of its own. A scrape asks every shard for a [`Snapshot`] and
//! adds them up; labels are few, so a scrape stays cheap with a million queues.

use crate::recent::Recent;
use hdrhistogram::Histogram;
use ringmta_mail::MessageId;
use ringmta_policy::{Latency, LATENCY_BOUNDS};
use ringmta_smtp::via::MetricPath;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

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

/// Deliveries of one ready queue.
#[derive(Default, Clone, Copy)]
struct Site {
    delivered: u64,
    transfail: u64,
    failed: u64,
}

/// Names and values that tell the series of one metric apart.
type Labels = Vec<(&'static str, String)>;

fn service(of: &str) -> Labels {
    match of {
        "" => Labels::new(),
        of => vec![("service", of.to_string())],
    }
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
    pub peers_limited: Counter,
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
    sites: RefCell<HashMap<String, Site>>,
    /// By provider; within it by source and pool, of which there are few.
    providers: RefCell<HashMap<String, Vec<BySourceAndPool>>>,
    /// Time from the final dot to its reply, microseconds.
    pub accept_micros: RefCell<Histogram<u32>>,
    /// Age of messages at delivery, microseconds.
    pub delivery_micros: RefCell<Histogram<u32>>,
    /// What mail has done since the history of the console was last told.
    pub recent: Recent,
}

/// Source, pool, and their counts.
type BySourceAndPool = (String, String, Site);

impl Default for Metrics {
    fn default() -> Self {
        Metrics {
            received_smtp: Counter::default(),
            received_http: Counter::default(),
            sessions: Counter::default(),
            sessions_total: Counter::default(),
            sessions_denied: Counter::default(),
            peers_limited: Counter::default(),
            rejections: Counter::default(),
            auth_failures_smtp: Counter::default(),
            auth_failures_http: Counter::default(),
            auth_held: Counter::default(),
            egress_connections: Counter::default(),
            sites: RefCell::default(),
            providers: RefCell::default(),
            accept_micros: RefCell::new(latency()),
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
        let mut sites = self.sites.borrow_mut();
        match sites.get_mut(site) {
            Some(entry) => change(entry),
            None => change(sites.entry(site.to_string()).or_default()),
        }
        let Some(MetricPath { provider, source, pool }) = path else { return };
        let mut providers = self.providers.borrow_mut();
        if !providers.contains_key(provider) {
            providers.insert(provider.to_string(), Vec::new());
        }
        let Some(paths) = providers.get_mut(provider) else { return };
        let known = paths.iter().position(|(s, p, _)| s == source && p == pool);
        let at = known.unwrap_or_else(|| {
            paths.push((source.to_string(), pool.to_string(), Site::default()));
            paths.len() - 1
        });
        change(&mut paths[at].2);
    }
    /// `n` recipients delivered over `site`.
    pub fn delivered(&self, site: &str, n: usize, id: MessageId, path: Option<MetricPath<'_>>) {
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

    /// Forgets the series of a ready queue that is no more; the sums over all keep its numbers.
    pub fn forget_site(&self, site: &str) {
        let mut sites = self.sites.borrow_mut();
        let Some(gone) = sites.remove(site) else { return };
        let rest = sites.entry(String::new()).or_default();
        rest.delivered += gone.delivered;
        rest.transfail += gone.transfail;
        rest.failed += gone.failed;
    }

    /// Adds this shard's numbers to `sum`.
    pub fn add_to(&self, sum: &mut Snapshot) {
        sum.count("total_messages_received", "esmtp_listener", self.received_smtp.get());
        sum.count("total_messages_received", "http_listener", self.received_http.get());
        sum.count("total_connection_count", "esmtp_listener", self.sessions_total.get());
        sum.count("total_connections_denied", "esmtp_listener", self.sessions_denied.get());
        sum.count("peer_limit_refusals", "esmtp_listener", self.peers_limited.get());
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
        sum.histogram("smtpsrv_transaction_duration", &self.accept_micros.borrow());
        sum.histogram("deliver_message_latency_rollup", &self.delivery_micros.borrow());
    }
}

/// What a ready queue delivers with, as metrics tell it: its name ends in `@lua:CONSTRUCTOR` or `@smtp_client`.
pub fn service_of(ready: &str) -> &'static str {
    match ready.contains("@lua:") {
        true => "lua",
        false => "smtp_client",
    }
}

/// Adds the numbers of one path of a provider.
fn add_path(sum: &mut Snapshot, provider: &str, (source, pool, entry): &(String, String, Site)) {
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

/// Numbers of one or several shards.
#[derive(Default, Clone)]
pub struct Snapshot {
    counters: BTreeMap<(&'static str, Labels), u64>,
    gauges: BTreeMap<(&'static str, Labels), u64>,
    histograms: BTreeMap<&'static str, Option<Histogram<u32>>>,
    /// What the policy timed itself, by its labels; not of one shard.
    pub user_latencies: BTreeMap<String, Latency>,
}

/// Upper bounds of the exported histogram buckets, microseconds.
const BUCKETS: [u64; 14] = [
    100,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    1_000_000,
    10_000_000,
    60_000_000,
    3_600_000_000,
];

impl Snapshot {
    /// Adds to a counter with the label `service` (no label when it is empty).
    pub fn count(&mut self, name: &'static str, of: &str, value: u64) {
        self.count_by(name, service(of), value);
    }
    /// Adds to a counter with other labels.
    pub fn count_by(&mut self, name: &'static str, labels: Labels, value: u64) {
        *self.counters.entry((name, labels)).or_default() += value;
    }
    /// Adds to a gauge, likewise.
    pub fn gauge(&mut self, name: &'static str, of: &str, value: u64) {
        self.gauge_by(name, service(of), value);
    }
    /// Adds to a gauge with other labels.
    pub fn gauge_by(&mut self, name: &'static str, labels: Labels, value: u64) {
        *self.gauges.entry((name, labels)).or_default() += value;
    }
    fn histogram(&mut self, name: &'static str, values: &Histogram<u32>) {
        match self.histograms.entry(name).or_default() {
            // Both were made with the same bounds, so they add up.
            Some(sum) => drop(sum.add(values)),
            empty => *empty = Some(values.clone()),
        }
    }
    /// Adds all of `other`.
    pub fn add(&mut self, other: &Snapshot) {
        for ((name, labels), value) in &other.counters {
            self.count_by(name, labels.clone(), *value);
        }
        for ((name, labels), value) in &other.gauges {
            self.gauge_by(name, labels.clone(), *value);
        }
        for (name, values) in &other.histograms {
            if let Some(values) = values {
                self.histogram(name, values);
            }
        }
    }
    /// The value of a counter or gauge; 0 when it was never touched.
    pub fn value(&self, name: &'static str, of: &str) -> u64 {
        let key = (name, service(of));
        self.counters.get(&key).or_else(|| self.gauges.get(&key)).copied().unwrap_or(0)
    }

    /// The Prometheus text form, of the metrics whose name starts with `prefix`.
    pub fn prometheus(&self, prefix: &str) -> String {
        let mut out = String::new();
        for (kind, values) in [("counter", &self.counters), ("gauge", &self.gauges)] {
            let mut last = "";
            for ((name, labels), value) in values.iter().filter(|((n, _), _)| n.starts_with(prefix))
            {
                if std::mem::replace(&mut last, name) != *name {
                    let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind}", help(name));
                }
                let shown: Vec<String> = labels
                    .iter()
                    .map(|(label, of)| format!("{label}=\"{}\"", escape(of)))
                    .collect();
                let _ = match shown.is_empty() {
                    true => writeln!(out, "{name} {value}"),
                    false => writeln!(out, "{name}{{{}}} {value}", shown.join(",")),
                };
            }
        }
        for (name, values) in self.histograms.iter().filter(|(n, _)| n.starts_with(prefix)) {
            let Some(values) = values else { continue };
            let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} histogram", help(name));
            for bound in BUCKETS {
                let count = values.count_between(0, bound);
                let _ = writeln!(out, "{name}_bucket{{le=\"{}\"}} {count}", bound as f64 / 1e6);
            }
            let _ = writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {}", values.len());
            let _ = writeln!(out, "{name}_sum {}", values.mean() * values.len() as f64 / 1e6);
            let _ = writeln!(out, "{name}_count {}", values.len());
        }
        if USER_LATENCY.starts_with(prefix) {
            user_text(&self.user_latencies, &mut out);
        }
        out
    }

    /// The JSON form: name to help, type and value.
    pub fn json(&self, prefix: &str) -> serde_json::Value {
        let mut out = serde_json::Map::new();
        for (kind, values) in [("counter", &self.counters), ("gauge", &self.gauges)] {
            for ((name, labels), value) in values.iter().filter(|((n, _), _)| n.starts_with(prefix))
            {
                let entry = out.entry(*name).or_insert_with(
                    || serde_json::json!({"help": help(name), "type": kind, "value": {}}),
                );
                let place = labels
                    .iter()
                    .fold(&mut entry["value"], |place, (label, of)| &mut place[label][of.as_str()]);
                *place = (*value).into();
            }
        }
        for (name, values) in self.histograms.iter().filter(|(n, _)| n.starts_with(prefix)) {
            let Some(values) = values else { continue };
            let buckets: Vec<(f64, u64)> =
                BUCKETS.iter().map(|b| (*b as f64 / 1e6, values.count_between(0, *b))).collect();
            let mean = values.mean() / 1e6;
            out.insert(
                (*name).into(),
                serde_json::json!({"help": help(name), "type": "histogram", "value": {
                    "avg": mean, "bucket": buckets, "count": values.len(),
                    "sum": mean * values.len() as f64,
                }}),
            );
        }
        if USER_LATENCY.starts_with(prefix) && !self.user_latencies.is_empty() {
            let by_label = self.user_latencies.iter().map(|(label, l)| {
                let buckets: Vec<(f64, u64)> = LATENCY_BOUNDS.into_iter().zip(l.buckets).collect();
                let avg = l.sum / l.count.max(1) as f64;
                let value = serde_json::json!({"avg": avg, "bucket": buckets, "count": l.count, "sum": l.sum});
                (label.clone(), value)
            });
            let by_label: serde_json::Map<String, serde_json::Value> = by_label.collect();
            let whole = serde_json::json!({"help": USER_HELP, "type": "histogram", "value": {"label": by_label}});
            out.insert(USER_LATENCY.into(), whole);
        }
        out.into()
    }
}

const USER_LATENCY: &str = "user_lua_latency";
const USER_HELP: &str = "how long something took that the policy timed, seconds";

/// The histograms of `kumo.time.start_timer` in Prometheus' text form.
fn user_text(all: &BTreeMap<String, Latency>, out: &mut String) {
    if !all.is_empty() {
        let _ = writeln!(out, "# HELP {USER_LATENCY} {USER_HELP}\n# TYPE {USER_LATENCY} histogram");
    }
    for (label, l) in all {
        let label = escape(label);
        for (bound, n) in LATENCY_BOUNDS.iter().zip(l.buckets) {
            let _ = writeln!(out, "{USER_LATENCY}_bucket{{label=\"{label}\",le=\"{bound}\"}} {n}");
        }
        let _ = writeln!(out, "{USER_LATENCY}_bucket{{label=\"{label}\",le=\"+Inf\"}} {}", l.count);
        let _ = writeln!(out, "{USER_LATENCY}_sum{{label=\"{label}\"}} {}", l.sum);
        let _ = writeln!(out, "{USER_LATENCY}_count{{label=\"{label}\"}} {}", l.count);
    }
}

fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn help(name: &str) -> &'static str {
    match name {
        "total_messages_received" => "messages accepted, by service",
        "total_messages_delivered" => "recipients delivered, by service",
        "total_messages_transfail" => "attempts that failed for now, by service",
        "total_messages_fail" => "recipients that failed for good, by service",
        "total_connection_count" => "connections ever made, by service",
        "total_connections_denied" => "connections turned away at a limit, by service",
        "peer_limit_refusals" => "connections, messages and sessions refused by a limit per peer",
        "smtp_server_rejections" => "commands refused, by service",
        "auth_failures" => "wrong passwords, by service",
        "auth_held_off" => {
            "logins not looked at, since their peer had given too many wrong passwords"
        }
        "connection_count" => "connections open now, by service",
        "ready_count" => "messages in ready queues, by service",
        "scheduled_count_total" => "messages waiting for their next attempt",
        "scheduled_queue_count" => "scheduled queues in memory",
        "message_count" => "messages in the queues",
        "message_data_resident_bytes" => "bytes of message bodies in memory",
        "spool_flush_total" => "writes of message data to stable storage",
        "spool_committed_total" => "records made durable",
        "spool_live_bytes" => "bytes of records still needed",
        "spool_segments" => "spool segments in use",
        "shard_stall_total" => {
            "times a shard slept although it had tasks to run: anything but 0 is a fault"
        }
        "journal_flush_total" => "journal writes to stable storage",
        "smtpsrv_transaction_duration" => "seconds from the final dot to its reply",
        "deliver_message_latency_rollup" => "seconds from acceptance to delivery",
        "dns_mx_resolve_cache_hit" => "DNS questions answered from the cache",
        "dns_mx_resolve_cache_miss" => "DNS questions asked",
        "dns_mx_resolve_status_fail" => "DNS questions that failed",
        "total_messages_delivered_by_provider" => "recipients delivered, by provider",
        "total_messages_delivered_by_provider_and_source" => {
            "recipients delivered, by provider, source and pool"
        }
        "total_messages_transfail_by_provider" => "attempts that failed for now, by provider",
        "total_messages_transfail_by_provider_and_source" => {
            "attempts that failed for now, by provider, source and pool"
        }
        "total_messages_fail_by_provider" => "recipients that failed for good, by provider",
        "total_messages_fail_by_provider_and_source" => {
            "recipients that failed for good, by provider, source and pool"
        }
        "egress_source_connection_failures_total" => {
            "connections that failed by the source's fault"
        }
        "egress_source_health_suspensions_total" => "times a source was left alone for a while",
        "egress_source_health_suspended" => "1 while a source is left alone",
        "policy_load_total" => "times a shard has loaded the policy",
        "tls_certificate_renewed_total" => "certificates of listeners read anew and put in force",
        "tls_certificate_failed_total" => {
            "certificates of listeners that could not be used; those before stay in force"
        }
        "policy_load_failed_total" => "loads of the policy that failed",
        "policy_load_microseconds_total" => "time shards did nothing but load the policy",
        "work_list_count" => "messages that are about to be failed, expired or held",
        hook if hook.starts_with("log_hook_") => help_of_hook(hook),
        _ => "see the reference",
    }
}

fn help_of_hook(name: &str) -> &'static str {
    match name {
        "log_hook_backlog_count" => "events a log hook has not taken yet",
        "log_hook_queued_count" => "events of a log hook that are messages in queues",
        "log_hook_backlog_bytes" => "bytes of the event log of a log hook",
        "log_hook_backlog_limit_bytes" => {
            "bytes beyond which the oldest events of a log hook are given up, per shard added up"
        }
        "log_hook_backlog_nearly_full" => {
            "shards on which more than half the bytes allowed wait for a log hook"
        }
        "log_hook_dropped_total" => "events of a log hook that were given up: too old, or too many",
        "log_hook_dead_letters_total" => "events a log hook was refused for good, kept in a file",
        _ => "see the reference",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_add_up_and_render() {
        let (a, b) = (Metrics::default(), Metrics::default());
        a.received_smtp.add(3);
        b.received_smtp.add(4);
        let path = MetricPath { provider: "big", source: "s1", pool: "p" };
        let id = MessageId::new_v1(1, 0, [0; 6]);
        a.delivered("s->d@smtp_client", 2, id, Some(path));
        b.delivered("s->e@smtp_client", 1, id, Some(MetricPath { source: "s2", ..path }));
        b.failed("s->e@smtp_client", 1, Some(path));
        b.transfail("s->e@smtp_client", 5, None);
        let mut sum = Snapshot::default();
        let mut other = Snapshot::default();
        a.add_to(&mut sum);
        b.add_to(&mut other);
        sum.add(&other);
        assert_eq!(sum.value("total_messages_received", "esmtp_listener"), 7);
        let text = sum.prometheus("total_messages_d");
        assert!(
            text.contains("total_messages_delivered{service=\"smtp_client:s->d@smtp_client\"} 2")
        );
        assert!(!text.contains("received"));
        let by_path = "total_messages_delivered_by_provider_and_source{provider=\"big\",source=\"s2\",pool=\"p\"} 1";
        assert!(text.contains(by_path), "{text}");
        assert!(
            text.contains("total_messages_delivered_by_provider{provider=\"big\"} 3"),
            "{text}"
        );
        let json = sum.json("total_messages_fail_by_provider");
        assert_eq!(json["total_messages_fail_by_provider"]["value"]["provider"]["big"], 1);
        let by_path = &json["total_messages_fail_by_provider_and_source"]["value"];
        assert_eq!(by_path["provider"]["big"]["source"]["s1"]["pool"]["p"], 1);
        a.forget_site("s->d@smtp_client");
        let mut later = Snapshot::default();
        a.add_to(&mut later);
        assert_eq!(later.value("total_messages_delivered", "smtp_client"), 2);
        assert_eq!(later.value("total_messages_delivered", "smtp_client:s->d@smtp_client"), 0);
        assert_eq!(
            sum.json("")["total_messages_received"]["value"]["service"]["esmtp_listener"],
            7
        );
    }
}

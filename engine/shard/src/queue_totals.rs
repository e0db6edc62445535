//! How much waits where, for the metrics: by queue, domain, tenant, campaign and provider. A shard with very many queues
//! tells of some of them by name, and of the rest in one sum, so that a scrape takes a moment.

use crate::state::Shard;
use ringmta_events::metrics::{service_of, Snapshot};
use ringmta_events::recent::OTHER;
use ringmta_io::Map;
use ringmta_queue::model::{ReadyQueue, ScheduledQueue};
use ringmta_smtp::via::site_of;
use std::cmp::Reverse;
use std::rc::Rc;

/// Queues that are told of by what they are at each scrape.
const QUEUES_TOLD: usize = 5_000;
/// Names of each kind that are told of: those with the most mail.
const NAMES_TOLD: usize = 1_000;

/// The service of ready queues that the policy's own code delivers.
const LUA: &str = "lua";

/// Adds this shard's queues to `sum`.
pub fn add_to(shard: &Shard, sum: &mut Snapshot) {
    scheduled(shard, sum);
    ready(shard, sum);
}

fn scheduled(shard: &Shard, sum: &mut Snapshot) {
    let (mut queues, mut domains) = (Map::default(), Map::default());
    let (mut tenants, mut campaigns) = (Map::default(), Map::default());
    let all = shard.queues.scheduled.borrow();
    let with_mail = all.values().filter(|queue| queue.count.get() > 0 && !queue.deferred_inject);
    for (at, queue) in with_mail.enumerate() {
        let count = queue.count.get() as u64;
        if at >= QUEUES_TOLD {
            *queues.entry(OTHER.to_string()).or_insert(0) += count;
            continue;
        }
        let parts = &queue.parts;
        *queues.entry(queue.name.to_string()).or_insert(0) += count;
        *domains.entry(parts.domain.clone()).or_insert(0) += count;
        let Some(tenant) = &parts.tenant else { continue };
        *tenants.entry(tenant.clone()).or_insert(0) += count;
        if let Some(campaign) = &parts.campaign {
            *campaigns.entry((tenant.clone(), campaign.clone())).or_insert(0) += count;
        }
    }
    for (name, label, counts) in [
        ("scheduled_count", "queue", queues),
        ("scheduled_by_domain", "domain", domains),
        ("scheduled_by_tenant", "tenant", tenants),
    ] {
        for (of, count) in largest(counts) {
            sum.gauge_by(name, vec![(label, of)], count);
        }
    }
    for ((tenant, campaign), count) in largest(campaigns) {
        let labels = vec![("tenant", tenant), ("campaign", campaign)];
        sum.gauge_by("scheduled_by_tenant_campaign", labels, count);
    }
}

fn largest<K>(counts: Map<K, u64>) -> Vec<(K, u64)> {
    let mut list: Vec<_> = counts.into_iter().collect();
    list.sort_unstable_by_key(|(_, count)| std::cmp::Reverse(*count));
    list.truncate(NAMES_TOLD);
    list
}

/// Ready queues by name, as far as they are told apart; the sums are over all of them.
fn ready(shard: &Shard, sum: &mut Snapshot) {
    let all = shard.queues.ready.borrow();
    let (mut waiting, mut lua) = (0, 0);
    for ready in all.values() {
        let count = ready.len() as u64;
        if service_of(&ready.name) == LUA {
            lua += count;
            sum.gauge("connection_count", LUA, ready.connections.get() as u64);
        } else {
            waiting += count;
        }
    }
    sum.gauge("ready_count", "smtp_client", waiting);
    if lua > 0 {
        sum.gauge("ready_count", LUA, lua);
    }
    for ready in busiest(all.values().collect()) {
        let service = format!("{}:{}", service_of(&ready.name), ready.name);
        sum.gauge("ready_count", &service, ready.len() as u64);
        sum.gauge("connection_count", &service, ready.connections.get() as u64);
    }
    providers(shard, sum);
}

/// Those with the most messages and connections, as many as are told of by name.
fn busiest(mut all: Vec<&Rc<ReadyQueue>>) -> Vec<&Rc<ReadyQueue>> {
    if all.len() > QUEUES_TOLD {
        let work = |ready: &&Rc<ReadyQueue>| Reverse(ready.len() + ready.connections.get());
        all.select_nth_unstable_by_key(QUEUES_TOLD, work);
        all.truncate(QUEUES_TOLD);
    }
    all
}

/// By provider and pool: messages of its queues, wherever they lie, and connections.
#[derive(Default)]
struct ByProvider(Map<(String, String), (u64, u64)>);

impl ByProvider {
    fn add(&mut self, provider: &str, pool: &str, messages: u64, connections: u64) {
        let key = (provider.to_string(), pool.to_string());
        let is_told = self.0.contains_key(&key) || self.0.len() < QUEUES_TOLD;
        let key = if is_told { key } else { (OTHER.to_string(), OTHER.to_string()) };
        let entry = self.0.entry(key).or_default();
        entry.0 += messages;
        entry.1 += connections;
    }
}

/// A provider without a name is a site, and mail whose site was not looked for yet is told by its domain.
fn providers(shard: &Shard, sum: &mut Snapshot) {
    let mut all = ByProvider::default();
    // By ready queue first: there may be very many scheduled queues, and a name costs more than a pointer.
    let ready = shard.queues.ready.borrow();
    let mut by_ready: Map<*const ReadyQueue, (Rc<ReadyQueue>, u64)> =
        ready.values().map(|ready| (Rc::as_ptr(ready), (ready.clone(), 0))).collect();
    let scheduled = shard.queues.scheduled.borrow();
    let with_mail = |queue: &&Rc<ScheduledQueue>| queue.count.get() > 0 && !queue.deferred_inject;
    for queue in scheduled.values().filter(with_mail) {
        let messages = queue.count.get() as u64;
        let route = queue.route.borrow();
        if let Some(ready) = route.as_ref().and_then(|route| route.ready().next()) {
            by_ready.entry(Rc::as_ptr(ready)).or_insert_with(|| (ready.clone(), 0)).1 += messages;
            continue;
        }
        let domain = queue.parts.routing_domain.as_ref().unwrap_or(&queue.parts.domain);
        all.add(domain, &queue.config.borrow().egress_pool, messages, 0);
    }
    for (ready, messages) in by_ready.into_values() {
        let (path, source) = (ready.path(), ready.source_name());
        let provider = path.provider_name.as_deref();
        let provider = provider.unwrap_or_else(|| site_of(&ready.name, &source));
        all.add(provider, &ready.pool, messages, ready.connections.get() as u64);
    }
    for ((provider, pool), (messages, connections)) in all.0 {
        let by = vec![("provider", provider)];
        let by_pool = vec![by[0].clone(), ("pool", pool)];
        sum.gauge_by("queued_count_by_provider", by.clone(), messages);
        sum.gauge_by("queued_count_by_provider_and_pool", by_pool.clone(), messages);
        sum.gauge_by("connection_count_by_provider", by, connections);
        sum.gauge_by("connection_count_by_provider_and_pool", by_pool, connections);
    }
}

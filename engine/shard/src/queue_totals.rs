//! How much waits where, for the metrics: by queue, domain, tenant, campaign and provider. A shard with very many queues
//! tells of some of them by name, and of the rest in one sum, so that a scrape takes a moment.

use crate::state::Shard;
use ringmta_events::metrics::Snapshot;
use ringmta_events::recent::OTHER;
use ringmta_io::Map;

/// Queues that are told of by what they are at each scrape.
const QUEUES_TOLD: usize = 5_000;
/// Names of each kind that are told of: those with the most mail.
const NAMES_TOLD: usize = 1_000;

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

fn ready(shard: &Shard, sum: &mut Snapshot) {
    for ready in shard.queues.ready.borrow().values().take(QUEUES_TOLD) {
        let path = ready.path();
        let Some(provider) = &path.provider_name else { continue };
        let by = vec![("provider", provider.clone())];
        let by_pool = vec![("provider", provider.clone()), ("pool", ready.pool.clone())];
        let (waiting, open) = (ready.len() as u64, ready.connections.get() as u64);
        sum.gauge_by("queued_count_by_provider", by.clone(), waiting);
        sum.gauge_by("queued_count_by_provider_and_pool", by_pool.clone(), waiting);
        sum.gauge_by("connection_count_by_provider", by, open);
        sum.gauge_by("connection_count_by_provider_and_pool", by_pool, open);
    }
}

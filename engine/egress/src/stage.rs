//! What only this stage uses, and gets lent of its shard.

use crate::mta_sts::cache::StsCache;
use crate::questions::NamedResolvers;
use crate::resolve::Resolver;
use ringmta_events::metrics::Snapshot;
use ringmta_shard::Shard;
use std::rc::Rc;

/// Egress of one shard.
pub struct Egress {
    /// The shard.
    pub shard: Rc<Shard>,
    /// Its resolver.
    pub resolver: Resolver,
    /// Those the policy gave a name.
    pub named_resolvers: NamedResolvers,
    /// MTA-STS policies it knows.
    pub sts: StsCache,
}

impl Egress {
    /// That of `shard`, which has recovered its spool.
    pub fn new(shard: Rc<Shard>) -> Egress {
        let process = &shard.process;
        let resolver = Resolver::new(process.init.name_servers.clone())
            .with_zones(process.policy_shared.zones());
        let sts = StsCache::kept(&process.spool.meta);
        Egress { resolver, named_resolvers: NamedResolvers::default(), sts, shard }
    }

    /// Adds its numbers to the metrics.
    pub fn add_to(&self, sum: &mut Snapshot) {
        sum.count("dns_mx_resolve_cache_hit", "", self.resolver.hits.get());
        sum.count("dns_mx_resolve_cache_miss", "", self.resolver.misses.get());
        let (asked, failed) = (self.resolver.misses.get(), self.resolver.failures.get());
        sum.count("dns_mx_resolve_status_fail", "", failed);
        sum.count("dns_mx_resolve_status_ok", "", asked.saturating_sub(failed));
        sum.timing("dns_lookup_latency", Vec::new(), &self.resolver.micros.borrow());
    }
}

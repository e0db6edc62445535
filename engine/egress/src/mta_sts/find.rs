//! Finds the MTA-STS policy of a domain.

use super::cache::{nanos, Known};
use super::fetch;
use super::kept::{self, Entry};
use crate::limits;
use crate::stage::Egress;
use hickory_proto::rr::RecordType;
use ringmta_io::{self as io, mono_nanos, unix_nanos};
use ringmta_policy::mta_sts::{record_id, StsPolicy};
use std::rc::Rc;
use std::time::Duration;

/// The policy of `domain`, when it has one.
pub async fn find(egress: &Rc<Egress>, domain: &str) -> Option<Rc<StsPolicy>> {
    if egress.shard.process.init.mta_sts_enabled == Some(false) {
        return None;
    }
    let domain = domain.trim_end_matches('.').to_ascii_lowercase();
    if let Some(given) = egress.shard.process.policy_shared.sts_policies() {
        return given.get(&domain).cloned().map(Rc::new);
    }
    if !egress.sts.is_watched.replace(true) {
        io::spawn(watch(egress.clone()));
    }
    look(egress, &domain).await
}

async fn look(egress: &Rc<Egress>, domain: &str) -> Option<Rc<StsPolicy>> {
    let record = egress.resolver.lookup(&format!("_mta-sts.{domain}"), RecordType::TXT).await;
    let known = egress.sts.get(domain, mono_nanos());
    let id = record.as_ref().ok().and_then(|answer| record_id(&answer.txt));
    let Some(id) = id else { return known.and_then(|known| known.policy) };
    if let Some(known) = known.as_ref().filter(|known| !known.is_due(id, mono_nanos())) {
        return known.policy.clone();
    }
    egress.sts.begin_fetch(domain, mono_nanos());
    let fetched = fetch::policy(egress, domain).await;
    let now = mono_nanos();
    let found = match fetched {
        Ok(policy) => {
            keep(egress, domain, id, &policy);
            Known::fetched(id.to_string(), policy, 0, now)
        }
        Err(why) => {
            tracing::warn!("MTA-STS policy of {domain}: {why}");
            let later = now.saturating_add(nanos(limits::STS_FAILURE_SECS));
            let none = || Known {
                id: id.to_string(),
                policy: None,
                until_nanos: later,
                refresh_nanos: later,
                try_after_nanos: later,
            };
            // An older one stays in force.
            Known { try_after_nanos: later, ..known.unwrap_or_else(none) }
        }
    };
    let policy = found.policy.clone();
    egress.sts.put(domain, found, now);
    policy
}

/// Writes down what was fetched, beside the shard.
fn keep(egress: &Rc<Egress>, domain: &str, id: &str, policy: &StsPolicy) {
    let now_secs = unix_nanos() / 1_000_000_000;
    let entry = Entry {
        domain: domain.to_string(),
        id: id.to_string(),
        text: policy.to_text(),
        fetched_secs: now_secs,
    };
    let (meta, index) = (egress.shard.process.spool.meta.clone(), egress.shard.index);
    io::spawn(async move {
        let written = io::blocking(move || kept::append(&meta, index, &entry, now_secs)).await;
        if let Err(error) = written {
            tracing::warn!("the MTA-STS policy that was fetched is not kept: {error}");
        }
    });
}

/// Fetches again what gets old though no mail asks for it.
async fn watch(egress: Rc<Egress>) {
    while !egress.shard.context.stopping.get() {
        io::sleep(Duration::from_secs(limits::STS_WATCH_SECS)).await;
        for domain in egress.sts.old(mono_nanos()) {
            if egress.shard.context.stopping.get() {
                return;
            }
            look(&egress, &domain).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mta_sts::cache::StsCache;

    fn policy(max_age_secs: u64) -> StsPolicy {
        let text = format!("version: STSv1\nmode: none\nmax_age: {max_age_secs}\n");
        StsPolicy::parse(&text).unwrap()
    }

    #[test]
    fn a_policy_is_fetched_again_long_before_it_is_too_old() {
        const DAY: u64 = 86_400;
        // max_age, age of what is known, whether it is due, whether it is still in force.
        for (max_age, age, due, holds) in [
            (10 * DAY, DAY - 1, false, true),
            (10 * DAY, DAY, true, true),
            (DAY, DAY / 2, true, true),
            (DAY, DAY, true, false),
        ] {
            let now = nanos(1000);
            let known = Known::fetched("1".into(), policy(max_age), age, now);
            assert_eq!(known.is_due("1", now), due, "{max_age} {age}");
            assert_eq!(known.until_nanos > now, holds, "{max_age} {age}");
            assert!(known.is_due("2", now), "another id is always fetched");
        }
    }

    #[test]
    fn while_it_is_fetched_and_after_a_failure_what_is_known_holds() {
        let cache = StsCache::default();
        let now = nanos(1000);
        cache.put("a.test", Known::fetched("1".into(), policy(86_400 * 9), 86_400, now), now);
        assert_eq!(cache.old(now), ["a.test"]);
        cache.begin_fetch("a.test", now);
        assert!(cache.old(now).is_empty());
        assert!(!cache.get("a.test", now).unwrap().is_due("2", now));
        let later = now + nanos(limits::STS_FAILURE_SECS);
        assert!(cache.get("a.test", later).unwrap().is_due("1", later));
    }
}

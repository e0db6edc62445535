//! MTA-STS (RFC 8461): finds the policy of a domain, and keeps it as long as the domain allows.
//!
//! The record in the DNS is asked for as often as the MX is; the policy itself is fetched ([`fetch`]) when the record's
//! id has changed, and once a day, so that whoever keeps us from fetching it has to do so until it is too old. What
//! cannot be had leaves the policy that is known in force until then (sections 3.3, 5.1), also over a restart ([`kept`]).

pub mod fetch;
pub mod kept;

use crate::io::{self, mono_nanos, unix_nanos};
use crate::limits;
use crate::shard::Shard;
use hickory_proto::rr::RecordType;
use kept::Entry;
use ringmta_policy::mta_sts::{record_id, StsPolicy};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// Policies known to a shard, by domain.
#[derive(Default)]
pub struct StsCache {
    known: RefCell<HashMap<String, Known>>,
    /// A task looks after those that get old.
    is_watched: Cell<bool>,
}

#[derive(Clone)]
struct Known {
    /// The record's id it was fetched for.
    id: String,
    /// `None`: it could not be had.
    policy: Option<Rc<StsPolicy>>,
    /// It may be kept until then, monotonic nanoseconds.
    until_nanos: u64,
    /// From then on it is fetched again though the id is the same, monotonic nanoseconds.
    refresh_nanos: u64,
    /// Another is not fetched before, monotonic nanoseconds.
    try_after_nanos: u64,
}

fn nanos(secs: u64) -> u64 {
    secs.saturating_mul(1_000_000_000)
}

impl Known {
    /// A policy fetched `age_secs` ago.
    fn fetched(id: String, policy: StsPolicy, age_secs: u64, now: u64) -> Known {
        let left = |secs: u64| now.saturating_add(nanos(secs.saturating_sub(age_secs)));
        Known {
            id,
            until_nanos: left(policy.max_age_secs),
            refresh_nanos: left(limits::STS_REFRESH_SECS.min(policy.max_age_secs / 2)),
            try_after_nanos: 0,
            policy: Some(Rc::new(policy)),
        }
    }

    /// Whether it is fetched again when the record has `id`.
    fn is_due(&self, id: &str, now: u64) -> bool {
        (self.id != id || self.refresh_nanos <= now) && self.try_after_nanos <= now
    }
}

impl StsCache {
    /// What was known before the last stop.
    pub fn kept(meta: &Path) -> StsCache {
        let cache = StsCache::default();
        let now_secs = unix_nanos() / 1_000_000_000;
        match kept::read(meta, now_secs) {
            Ok((entries, damaged)) => {
                if damaged > 0 {
                    tracing::warn!("kept MTA-STS policies: {damaged} lines are damaged, left out");
                }
                let now = mono_nanos();
                for entry in entries {
                    let Some((policy, _)) = entry.policy(now_secs) else { continue };
                    let known =
                        Known::fetched(entry.id.clone(), policy, entry.age_secs(now_secs), now);
                    cache.put(&entry.domain, known, now);
                }
            }
            Err(error) => tracing::warn!("kept MTA-STS policies: {error}"),
        }
        cache
    }

    fn get(&self, domain: &str, now: u64) -> Option<Known> {
        self.known.borrow().get(domain).filter(|known| known.until_nanos > now).cloned()
    }

    fn put(&self, domain: &str, known: Known, now: u64) {
        let mut all = self.known.borrow_mut();
        if all.len() >= limits::STS_CACHE_POLICIES && !all.contains_key(domain) {
            all.retain(|_, known| known.until_nanos > now);
            if all.len() >= limits::STS_CACHE_POLICIES {
                all.clear();
            }
        }
        all.insert(domain.to_string(), known);
    }

    /// Those who ask meanwhile go by what is known.
    fn begin_fetch(&self, domain: &str, now: u64) {
        if let Some(known) = self.known.borrow_mut().get_mut(domain) {
            known.try_after_nanos = now.saturating_add(nanos(limits::STS_FAILURE_SECS));
        }
    }

    /// The domains whose policy is old enough to be fetched again.
    fn old(&self, now: u64) -> Vec<String> {
        let all = self.known.borrow();
        let old = all.iter().filter(|(_, known)| {
            known.policy.is_some() && known.until_nanos > now && known.is_due(&known.id, now)
        });
        old.map(|(domain, _)| domain.clone()).collect()
    }
}

/// The policy of `domain`, when it has one.
pub async fn find(shard: &Rc<Shard>, domain: &str) -> Option<Rc<StsPolicy>> {
    if shard.process.init.mta_sts_enabled == Some(false) {
        return None;
    }
    let domain = domain.trim_end_matches('.').to_ascii_lowercase();
    if let Some(given) = shard.process.policy_shared.sts_policies() {
        return given.get(&domain).cloned().map(Rc::new);
    }
    if !shard.sts.is_watched.replace(true) {
        io::spawn(watch(shard.clone()));
    }
    look(shard, &domain).await
}

async fn look(shard: &Rc<Shard>, domain: &str) -> Option<Rc<StsPolicy>> {
    let record = shard.resolver.lookup(&format!("_mta-sts.{domain}"), RecordType::TXT).await;
    let known = shard.sts.get(domain, mono_nanos());
    let id = record.as_ref().ok().and_then(|answer| record_id(&answer.txt));
    let Some(id) = id else { return known.and_then(|known| known.policy) };
    if let Some(known) = known.as_ref().filter(|known| !known.is_due(id, mono_nanos())) {
        return known.policy.clone();
    }
    shard.sts.begin_fetch(domain, mono_nanos());
    let fetched = fetch::policy(shard, domain).await;
    let now = mono_nanos();
    let found = match fetched {
        Ok(policy) => {
            keep(shard, domain, id, &policy);
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
    shard.sts.put(domain, found, now);
    policy
}

/// Writes down what was fetched, beside the shard.
fn keep(shard: &Rc<Shard>, domain: &str, id: &str, policy: &StsPolicy) {
    let now_secs = unix_nanos() / 1_000_000_000;
    let entry = Entry {
        domain: domain.to_string(),
        id: id.to_string(),
        text: policy.to_text(),
        fetched_secs: now_secs,
    };
    let (meta, index) = (shard.process.spool.meta.clone(), shard.index);
    io::spawn(async move {
        let written = io::blocking(move || kept::append(&meta, index, &entry, now_secs)).await;
        if let Err(error) = written {
            tracing::warn!("the MTA-STS policy that was fetched is not kept: {error}");
        }
    });
}

/// Fetches again what gets old though no mail asks for it.
async fn watch(shard: Rc<Shard>) {
    while !shard.stopping.get() {
        io::sleep(Duration::from_secs(limits::STS_WATCH_SECS)).await;
        for domain in shard.sts.old(mono_nanos()) {
            if shard.stopping.get() {
                return;
            }
            look(&shard, &domain).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

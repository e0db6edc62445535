//! The MTA-STS policies a shard knows.

use super::kept;
use crate::limits;
use ringmta_io::{mono_nanos, unix_nanos};
use ringmta_policy::mta_sts::StsPolicy;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

/// Policies known to a shard, by domain.
#[derive(Default)]
pub struct StsCache {
    known: RefCell<HashMap<String, Known>>,
    /// A task looks after those that get old.
    pub(super) is_watched: Cell<bool>,
}

#[derive(Clone)]
pub(super) struct Known {
    /// The record's id it was fetched for.
    pub(super) id: String,
    /// `None`: it could not be had.
    pub(super) policy: Option<Rc<StsPolicy>>,
    /// It may be kept until then, monotonic nanoseconds.
    pub(super) until_nanos: u64,
    /// From then on it is fetched again though the id is the same, monotonic nanoseconds.
    pub(super) refresh_nanos: u64,
    /// Another is not fetched before, monotonic nanoseconds.
    pub(super) try_after_nanos: u64,
}

pub(super) fn nanos(secs: u64) -> u64 {
    secs.saturating_mul(1_000_000_000)
}

impl Known {
    /// A policy fetched `age_secs` ago.
    pub(super) fn fetched(id: String, policy: StsPolicy, age_secs: u64, now: u64) -> Known {
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
    pub(super) fn is_due(&self, id: &str, now: u64) -> bool {
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

    pub(super) fn get(&self, domain: &str, now: u64) -> Option<Known> {
        self.known.borrow().get(domain).filter(|known| known.until_nanos > now).cloned()
    }

    pub(super) fn put(&self, domain: &str, known: Known, now: u64) {
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
    pub(super) fn begin_fetch(&self, domain: &str, now: u64) {
        if let Some(known) = self.known.borrow_mut().get_mut(domain) {
            known.try_after_nanos = now.saturating_add(nanos(limits::STS_FAILURE_SECS));
        }
    }

    /// The domains whose policy is old enough to be fetched again.
    pub(super) fn old(&self, now: u64) -> Vec<String> {
        let all = self.known.borrow();
        let old = all.iter().filter(|(_, known)| {
            known.policy.is_some() && known.until_nanos > now && known.is_due(&known.id, now)
        });
        old.map(|(domain, _)| domain.clone()).collect()
    }
}

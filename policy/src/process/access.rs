//! How all shards' policies go about access lists.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How long what `get_acl_definition` has said is remembered unless a policy says otherwise.
const KEEP: Duration = Duration::from_secs(300);

/// What a policy has set in `pre_init`.
pub struct AccessSettings {
    falls_back: AtomicBool,
    keep_nanos: AtomicU64,
}

impl Default for AccessSettings {
    fn default() -> AccessSettings {
        let keep_nanos = AtomicU64::new(KEEP.as_nanos() as u64);
        AccessSettings { falls_back: AtomicBool::new(true), keep_nanos }
    }
}

impl AccessSettings {
    /// Whether the rules that are built in hold where the policy gives none.
    pub fn falls_back(&self) -> bool {
        self.falls_back.load(Ordering::Relaxed)
    }

    pub(crate) fn fall_back(&self, falls_back: bool) {
        self.falls_back.store(falls_back, Ordering::Relaxed);
    }

    /// How long the policy's rules are remembered, nanoseconds.
    pub(crate) fn keep_nanos(&self) -> u64 {
        self.keep_nanos.load(Ordering::Relaxed)
    }

    pub(crate) fn keep(&self, ttl: Duration) {
        let nanos = u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX);
        self.keep_nanos.store(nanos, Ordering::Relaxed);
    }
}

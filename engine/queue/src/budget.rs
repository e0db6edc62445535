//! How many bytes of message bodies a shard keeps in memory.

use crate::limits::{RESIDENT_BODY_BYTES, RESIDENT_BODY_HARD_BYTES};
use ringmta_options::InitConfig;

/// Bytes of message bodies in the memory of one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyBudget {
    /// Above it they leave memory; the spool has them.
    pub leave: usize,
    /// Above it new mail is turned away until some have left.
    pub refuse: usize,
}

impl Default for BodyBudget {
    fn default() -> BodyBudget {
        BodyBudget { leave: RESIDENT_BODY_BYTES, refuse: RESIDENT_BODY_HARD_BYTES }
    }
}

impl BodyBudget {
    /// Each shard's part of what the policy allows the process. Where it names one limit alone, the
    /// soft one is three quarters of the hard one.
    pub fn of(init: &InitConfig, shards: usize) -> BodyBudget {
        let part = |bytes: u64| (bytes / shards.max(1) as u64).try_into().unwrap_or(usize::MAX);
        match (init.memory_soft_limit, init.memory_hard_limit) {
            (None, None) => BodyBudget::default(),
            (Some(soft), None) => {
                BodyBudget { leave: part(soft), refuse: part(soft.saturating_add(soft / 3)) }
            }
            (None, Some(hard)) => BodyBudget { leave: part(hard / 4 * 3), refuse: part(hard) },
            (Some(soft), Some(hard)) => {
                BodyBudget { leave: part(soft.min(hard)), refuse: part(hard) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_what_is_allowed() {
        let of = |soft, hard| {
            let limits = (soft, hard);
            let init = InitConfig {
                memory_soft_limit: limits.0,
                memory_hard_limit: limits.1,
                ..InitConfig::default()
            };
            let budget = BodyBudget::of(&init, 2);
            (budget.leave, budget.refuse)
        };
        assert_eq!(of(None, None), (RESIDENT_BODY_BYTES, RESIDENT_BODY_HARD_BYTES));
        assert_eq!(of(Some(600), None), (300, 400));
        assert_eq!(of(None, Some(800)), (300, 400));
        assert_eq!(of(Some(900), Some(800)), (400, 400));
    }
}

//! What every part of a shard may need to know of it.

use crate::policy_cell::PolicyCell;
use crate::spans::Spans;
use ringmta_io::stopping::Stopping;
use ringmta_policy::Shared;
use ringmta_smtp::ids::IdSource;
use std::sync::Arc;

/// What every part of a shard may need to know of it.
pub struct Context {
    /// Number of the shard.
    pub index: usize,
    /// How many there are.
    pub shards: usize,
    /// Its policy.
    pub policy: PolicyCell,
    /// What the policies of all shards share.
    pub policy_shared: Arc<Shared>,
    /// Its ids.
    pub ids: IdSource,
    /// Where spans are left, when the environment names a collector of traces.
    pub spans: Option<Arc<Spans>>,
    /// No new work is begun.
    pub stopping: Stopping,
}

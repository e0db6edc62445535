//! Keys and passwords that a path or a source names: files, or what a vault or the policy itself gives.

use crate::limits::KEY_LOAD_SECS;
use ringmta_io::deadline;
use ringmta_policy::KeySource;
use ringmta_shard::state::Shard;
use std::time::Duration;

/// Reads one.
///
/// # Errors
/// Why it cannot be read.
pub async fn load(shard: &Shard, source: &KeySource) -> Result<Vec<u8>, String> {
    let (policy, limit) = (shard.policy(), Duration::from_secs(KEY_LOAD_SECS));
    match deadline(limit, policy.load_key(source)).await {
        Ok(read) => read.map_err(|error| error.to_string()),
        Err(_) => Err(format!("not read within {limit:?}")),
    }
}

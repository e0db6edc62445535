//! Every numeric limit of option values, with its unit in the name and its reason beside it.

/// Longest edit distance at which a misspelt name still gets a suggestion.
pub const SUGGESTION_DISTANCE: usize = 3;
/// Texts of failures each shard remembers the category of.
pub const CLASSIFIER_CACHE_ENTRIES: usize = 1024;
/// Memory the compiled rules of the bounce classifier may take.
pub const MAX_RULE_PROGRAM_BYTES: usize = 256 * 1024 * 1024;
/// Names of hosts in an MTA-STS policy.
pub const MAX_STS_HOSTS: usize = 1000;

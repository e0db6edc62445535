//! MTA-STS (RFC 8461): finds the policy of a domain, and keeps it as long as the domain allows.
//!
//! The record in the DNS is asked for as often as the MX is; the policy itself is fetched ([`fetch`]) when the record's
//! id has changed, and once a day, so that whoever keeps us from fetching it has to do so until it is too old. What
//! cannot be had leaves the policy that is known in force until then (sections 3.3, 5.1), also over a restart ([`kept`]).
//!
//! [`find`](mod@find) a policy · [`cache`] those a shard knows.

pub mod cache;
pub mod fetch;
pub mod find;
pub mod kept;

//! The faces to operators: HTTP API, metrics, admin.
//!
//! Layout: [`endpoints`] the paths there are · [`api`] serves them · [`openapi`] tells of them, and of what they answer ([`answers`]) · [`auth`] who may ·
//! [`admin`] orders over all shards · [`orders`] an order on one shard · [`by_hand`] and [`acts`] what is done with single
//! messages · [`moves`] rebind · [`questions`], [`inspect`] and [`ready_view`] what is in queues, `walk` looks through them in slices · [`why`] why it is there ·
//! [`find`] what became of it · [`facts`] the machine and the process, `machine` the same in metrics · [`process_wide`] and [`settings`] what operators set · [`trace`] sessions as they happen · [`hooks`] hooks and
//! their dead letters · [`ask`] questions to all shards · [`reload`] the policy anew on all of them.

pub mod acts;
pub mod admin;
pub mod answers;
pub mod api;
pub mod ask;
pub mod auth;
pub mod by_hand;
pub mod endpoints;
pub mod facts;
pub mod find;
pub mod hooks;
pub mod inspect;
mod machine;
pub mod moves;
pub mod openapi;
pub mod order_view;
pub mod orders;
pub mod policy_calls;
pub mod process_wide;
pub mod questions;
pub mod ready_view;
pub mod reload;
pub mod settings;
pub mod trace;
mod walk;
pub mod why;

/// Unix milliseconds as answers tell them. What lies beyond all that nanoseconds can say is told as the last of them: an
/// order or a lifetime may be for ever.
pub(crate) fn at_millis(millis: u64) -> String {
    ringmta_smtp::dates::rfc3339(millis.saturating_mul(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_ever_is_told() {
        assert_eq!(at_millis(1_795_359_769_000), "2026-11-22T15:02:49.000000000Z");
        assert!(at_millis(u64::MAX).starts_with("2554-"));
    }
}

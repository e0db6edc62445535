//! A whole engine of 1 to 4 shards between simulated clients and next hops: limits and retries of
//! the seed's choice, crashes and restarts with other numbers of shards.
//!
//! Layout: [`run`] one seed · [`stage`] its world · [`plan`] what a seed chooses, [`policy_file`] its policy · [`machine`] an engine switched on and off · [`client`]
//! who sends · [`http`] who injects · [`operator`] who gives orders · [`hop`], [`next_hop`] who takes · [`wire`] lines over a
//! connection · [`ledger`] the history · [`quotes`] what next hops said · [`found`], [`check`] what must be true.

pub mod check;
pub mod client;
pub mod found;
pub mod hop;
pub mod http;
pub mod ledger;
pub mod machine;
pub mod names;
pub mod next_hop;
pub mod operator;
pub mod plan;
pub mod policy_file;
pub mod quotes;
pub mod run;
pub mod stage;
pub mod wire;

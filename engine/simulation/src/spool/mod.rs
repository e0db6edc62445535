//! Partitions alone, without queues or network: the quickest way to every state a spool can be in.
//!
//! Layout: [`run`] one seed · [`stage`] what it has · [`model`] what the world outside knows of each message · [`work`] the tasks that use a
//! partition as a shard does · [`check`] what must be true after a restart · [`damage`] bytes
//! changed on disk.

pub mod check;
pub mod damage;
pub mod model;
pub mod run;
pub mod stage;
pub mod work;

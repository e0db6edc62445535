//! What waits for delivery, and why. Nothing here starts anything: stages move messages, and leave work for each other in
//! lists.
//!
//! A message lies in exactly one place: in the timer ([`timer_wheel`]) until it is due, in its scheduled queue
//! ([`scheduled`]) while its route is being found, its rate is used up or the ready queue is full, in a ready queue
//! ([`ready`]) until a connection takes it, in the list of messages that leave by no connection ([`tasks`]), or in the hand
//! of a task ([`hand`]).
//!
//! - [`queues`] all queues of a shard and the lists of work ([`work`]) between its stages · [`blocks`] what both are made of where they are long
//! - [`model`] what queues are made of · [`route`] the choice of a source · [`overflow`] the line in front of a ready queue that is full · [`plan`] the hosts of a site · [`carrier`] who takes
//!   its mail, [`sends`] the receiver behind a policy's own connections · [`dead_hosts`] those that did not answer · [`tls_cache`] TLS of a path
//! - [`stay`] since when a message lies where it does · [`retry`] when to try again · [`windows`] when messages may be tried at all · [`budget`] bodies in memory
//! - [`orders`] what operators have ordered, [`order_log`] makes it durable, [`order_counts`] how much of it was done
//! - [`quota`] limits that hold over all shards
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod blocks;
pub mod budget;
pub mod carrier;
pub mod connections;
pub mod dead_hosts;
pub mod hand;
pub mod limits;
pub mod model;
pub mod order_counts;
pub mod order_log;
pub mod orders;
pub mod overflow;
pub mod plan;
pub mod queues;
pub mod quota;
pub mod ready;
pub mod retry;
pub mod route;
pub mod scheduled;
pub mod sends;
pub mod stay;
pub mod tasks;
pub mod timer_wheel;
pub mod tls_cache;
pub mod windows;
pub mod work;

pub use model::{Item, ReadyQueue, ScheduledQueue};
pub use queues::Queues;

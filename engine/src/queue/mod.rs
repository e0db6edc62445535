//! What waits for delivery, and why.
//!
//! A message lies in exactly one place: in its scheduled queue's timer ([`timer_wheel`]) until it
//! is due, in the scheduled queue itself while its route is being found, its rate is used up or the
//! ready queue is full ([`scheduled`]), in a ready queue ([`ready`]) until a connection takes it, in
//! the list of work ([`work`]) when it is failed, or in the hand of a task ([`hand`]). [`check`] looks
//! whether that is so. [`manage`] keeps the queues, [`flow`] moves messages from one place to the
//! next; [`route`] finds the ready queues of a scheduled queue, [`overflow`] is the line in front of
//! one that is full; [`retry`] says when to try again; [`suspend`] keeps what operators have ordered,
//! [`order_log`] makes it durable, [`order_counts`] how much of it was done, [`admit`] is where messages meet it; [`windows`] keeps when messages
//! may be tried at all.

pub mod admit;
pub mod budget;
pub mod check;
pub mod flow;
pub mod hand;
pub mod manage;
pub mod order_counts;
pub mod order_log;
pub mod overflow;
pub mod ready;
pub mod retry;
pub mod route;
pub mod scheduled;
pub mod suspend;
pub mod timer_wheel;
pub mod windows;
pub mod work;

pub use manage::Queues;
pub use ready::ReadyQueue;
pub use scheduled::{Item, ScheduledQueue};

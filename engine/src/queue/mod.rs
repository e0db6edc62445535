//! What waits for delivery, and why.
//!
//! A message lies in exactly one place: in its scheduled queue's timer ([`timer_wheel`]) until it
//! is due, in the scheduled queue itself while its route is being found or the ready queue is
//! full ([`scheduled`]), in a ready queue ([`ready`]) until a connection takes it. [`route`] finds
//! the ready queues of a scheduled queue; [`retry`] says when to try again; [`suspend`] holds what
//! operators have stopped; [`windows`] keeps when messages may be tried at all; [`manage`] moves messages between these places.

pub mod budget;
pub mod manage;
pub mod name;
pub mod ready;
pub mod retry;
pub mod route;
pub mod scheduled;
pub mod suspend;
pub mod timer_wheel;
pub mod windows;

pub use manage::Queues;
pub use ready::ReadyQueue;
pub use scheduled::{Item, ScheduledQueue};

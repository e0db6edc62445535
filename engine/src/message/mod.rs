//! What a message is made of besides its bytes.
//!
//! Layout: [`id`] ids · [`date`] dates · [`trace`] the headers put in front at reception.

pub mod date;
pub mod id;
pub mod trace;

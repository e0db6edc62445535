//! What a message is made of besides its bytes.
//!
//! Layout: [`id`] ids · [`date`] dates · [`international`] what needs SMTPUTF8 · [`lines`] line ends · [`trace`] the headers put in
//! front at reception.

pub mod date;
pub mod id;
pub mod international;
pub mod lines;
pub mod trace;

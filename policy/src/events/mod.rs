//! The events a policy handles: [`table`] lists all, [`smtp`] and [`queue`] fire those of the engine with their types.

pub mod queue;
pub mod smtp;
pub mod table;

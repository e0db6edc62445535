//! Checks on the tree itself, and what must hold for any bytes at all.

pub mod fuzz;

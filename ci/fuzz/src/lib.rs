//! What must hold of the engine's readers for any bytes at all. One module per target.

pub mod command;
pub mod dot_reader;
pub mod journal;
pub mod record;
pub mod reply;
pub mod seeds;
pub mod segment;

//! The log of a partition, as it is written.
//!
//! [`record`] one message as bytes · [`segment`] one file of records · [`header`] whose file it is · [`group_commit`] one
//! write for every message that waits · [`journal`] what happened since · [`checkpoint`] what each of its files begins with · [`reclaim`] which segments are still needed ·
//! [`compact`] messages moved out of segments few still need · [`moved`] where they are now · [`load`] a message read back ·
//! [`partition`] the whole of it, as a shard uses it · [`write`] the tasks that write · [`planted`] a mistake for tests.

pub mod checkpoint;
pub mod compact;
pub mod group_commit;
pub mod header;
pub mod journal;
pub mod load;
pub mod moved;
pub mod partition;
pub mod planted;
pub mod reclaim;
pub mod record;
pub mod segment;
pub mod write;

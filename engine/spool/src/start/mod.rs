//! A partition as it is found at start.
//!
//! [`scan`] the records of a segment · [`replay`] the journal's entries · [`survey`] what all files of a partition say
//! together · [`damage`] what is told of it · [`version`] what is not opened · [`recover`] what all of it comes
//! to · [`open`](mod@open) a partition taken over by its shard, [`adopt`](mod@adopt) one of a shard that exists no more.

pub mod adopt;
pub mod damage;
pub mod open;
pub mod recover;
pub mod replay;
pub mod scan;
pub mod survey;
pub mod version;

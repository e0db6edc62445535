//! The ledgers: one line of text per message that came to its end.
//!
//! The source writes, after it has read the reply to the message:
//! - `ack <loadgen-id> <recipients> <ids>`: acknowledged for that many recipients; `ids` is what the server called
//!   it (`-` when it did not say)
//! - `nak <loadgen-id> <code>`: refused, with the reply code
//!
//! The sink writes, before it sends its 250:
//! - `got <loadgen-id> <recipients>`: one transaction taken (id `-` when the message bears none)
//!
//! With `--times` both add microseconds of the machine's monotonic clock to their lines: `ack` when the
//! message was due and when its reply was read, `got` when it was taken.

mod entry;
mod writer;

pub use entry::{parse, Entry};
pub use writer::Writer;

/// Header that carries the loadgen id.
pub const ID_HEADER: &str = "X-Loadgen-Id";

/// Stands in a ledger for an id that is not known.
pub const NO_ID: &str = "-";

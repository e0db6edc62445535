//! MIME messages as trees that can be changed (RFC 2045, 2046).
//!
//! A tree that was parsed and not changed is written as it was, but for white space behind boundaries. Parts are shared handles:
//! what is changed through one shows in the tree it came from.

mod build;
mod encoding;
mod fields;
mod part;
mod plain;
mod qsbmf;
mod report;

pub use build::{Attached, Attachment, Builder, Structure};
pub use encoding::{decode, Content};
pub use fields::{addresses, format_addresses, message_ids, Address, Mailbox, Params};
pub use part::{Part, RawField};
pub use qsbmf::{is_qmail_bounce, qmail_report};
pub use report::{delivery_report, feedback_report};

#[cfg(test)]
mod tests;

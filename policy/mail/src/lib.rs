//! What mail is made of, as values: nothing here waits, reads a file or knows of the policy's language.
//!
//! - Envelope: [`address`], [`id`], [`queue_name`], [`schedule`], [`message`] (all of it, shared between handlers and engine)
//! - Content: [`headers`], [`mime`]
//! - Sessions: [`conn_meta`], [`meta`] (what messages and sessions carry along)
//! - Texts: [`time`], [`strftime`], [`redact`] (what a log line must not show)
//! - [`limits`]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod address;
pub mod conn_meta;
pub mod headers;
pub mod id;
pub mod limits;
pub mod message;
pub mod meta;
pub mod mime;
pub mod queue_name;
pub mod redact;
pub mod schedule;
pub mod strftime;
pub mod time;

pub use address::{AddressError, EnvelopeAddress};
pub use conn_meta::{AuthInfo, ConnMeta};
pub use headers::HeaderBlock;
pub use id::MessageId;
pub use message::{Changes, Message};
pub use meta::Meta;
pub use queue_name::QueueName;
pub use schedule::Scheduling;

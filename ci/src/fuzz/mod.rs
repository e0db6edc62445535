//! What must hold of the engine's readers for any bytes at all. One module per target; those of
//! `ci/fuzz` are led by coverage, the test of this module by chance.
#![allow(clippy::expect_used, clippy::unwrap_used)] // A check ends what runs it.

pub mod address;
pub mod certificate;
pub mod command;
pub mod conversation;
pub mod dns_answer;
pub mod dot_reader;
pub mod header;
pub mod http_answer;
pub mod http_request;
pub mod injection;
pub mod journal;
mod lines;
pub mod mime;
pub mod mta_sts;
pub mod proxy_header;
pub mod record;
pub mod reply;
pub mod seeds;
pub mod segment;
pub mod sender_auth;
pub mod session;
pub mod template;
pub mod websocket;
pub mod xclient;

/// A target: takes any bytes, and panics when something does not hold of them.
pub type Check = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Check); 22] = [
    ("record", record::check),
    ("journal", journal::check),
    ("segment", segment::check),
    ("dot_reader", dot_reader::check),
    ("command", command::check),
    ("reply", reply::check),
    ("conversation", conversation::check),
    ("session", session::check),
    ("proxy_header", proxy_header::check),
    ("xclient", xclient::check),
    ("address", address::check),
    ("header", header::check),
    ("mime", mime::check),
    ("template", template::check),
    ("injection", injection::check),
    ("dns_answer", dns_answer::check),
    ("mta_sts", mta_sts::check),
    ("sender_auth", sender_auth::check),
    ("certificate", certificate::check),
    ("websocket", websocket::check),
    ("http_request", http_request::check),
    ("http_answer", http_answer::check),
];

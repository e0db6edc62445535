//! A message as the sandbox keeps it.

use crate::message::{Envelope, Parsed, SessionInfo};
use ringmta_http::Bytes;
use std::cell::{Cell, RefCell};

/// A captured message.
pub struct Stored {
    /// Its id in the API.
    pub id: String,
    /// When it came, milliseconds since 1970; the time of its Date header where that was asked for.
    pub created_ms: u64,
    /// Exactly the bytes that were sent, after dot-unstuffing.
    pub source: Bytes,
    /// The envelope.
    pub envelope: Envelope,
    /// The session.
    pub session: SessionInfo,
    /// What the parser made of it.
    pub parsed: Parsed,
    /// Has been read.
    pub read: Cell<bool>,
    /// Its tags.
    pub tags: RefCell<Vec<String>>,
}

impl Stored {
    /// What it takes of the sandbox's memory, bytes.
    pub fn weight(&self) -> usize {
        let parsed = &self.parsed;
        self.source.len() + parsed.text.len() + parsed.html.len() + parsed.search_text.len()
    }
}

//! A message as the sandbox keeps it.

use crate::message::{parse, Envelope, Parsed, SessionInfo};
use ringmta_http::Bytes;
use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::sync::Arc;

/// What of a captured message never changes, and so may be looked at on any thread.
pub struct Captured {
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
}

/// A captured message, with what its readers make of it.
pub struct Stored {
    /// The message, shared with the threads that look at it.
    pub mail: Arc<Captured>,
    /// Has been read.
    pub read: Cell<bool>,
    /// Its tags.
    pub tags: RefCell<Vec<String>>,
}

impl Deref for Stored {
    type Target = Captured;

    fn deref(&self) -> &Captured {
        &self.mail
    }
}

/// A message as it lies in a database: nobody has looked into it yet.
pub struct Unopened {
    /// Its id in the API.
    pub id: String,
    /// When it came.
    pub created_ms: u64,
    /// Its bytes.
    pub source: Bytes,
    /// The envelope.
    pub envelope: Envelope,
    /// The session.
    pub session: SessionInfo,
    /// Has been read.
    pub read: bool,
    /// Its tags.
    pub tags: Vec<String>,
}

impl Unopened {
    /// Takes it apart, which takes as long as the message is.
    pub fn taken_apart(self) -> (Captured, bool, Vec<String>) {
        let Unopened { id, created_ms, source, envelope, session, read, tags } = self;
        let parsed = parse(&source, &envelope);
        (Captured { id, created_ms, source, envelope, session, parsed }, read, tags)
    }
}

impl Captured {
    /// What it takes of the sandbox's memory, bytes.
    pub fn weight(&self) -> usize {
        /// A name, an address, a field or a part, beside its text.
        const EACH: usize = 96;
        let mail = &self.parsed;
        let texts = mail.text.len() + mail.html.len() + mail.search_text.len() + mail.snippet.len();
        let people = [&mail.to, &mail.cc, &mail.bcc, &mail.reply_to].into_iter().flatten();
        let people: usize = people.map(|one| one.name.len() + one.address.len() + EACH).sum();
        let recipients: usize = self.envelope.rcpt_to.iter().map(|to| to.len() + EACH).sum();
        let fields = mail.headers.iter().flat_map(|(name, values)| {
            values.iter().map(move |value| name.len() + value.len() + EACH)
        });
        let parts = (mail.inline.len() + mail.attachments.len()) * 2 * EACH;
        self.source.len() + texts + people + recipients + fields.sum::<usize>() + parts
    }
}

//! What the world outside knows of each message: what was stored, what was answered, what was
//! noted in the journal, and how much of that is known to be durable.

use ringmta_policy::{EnvelopeAddress, Message, MessageId, Meta};
use ringmta_spool::location::Location;
use ringmta_spool::log::reclaim::AttemptState;
use std::collections::BTreeMap;
use std::rc::Rc;

/// How far a message is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It waits.
    No,
    /// Declared done; the journal may not have it yet.
    Noted,
    /// Declared done, durably.
    Durable,
}

/// A message as it was stored, then stored anew with fewer recipients, and so on.
#[derive(Debug, Clone)]
pub struct Version {
    /// Its recipients.
    pub recipients: Vec<EnvelopeAddress>,
    /// Storing it was answered with success.
    pub committed: bool,
}

/// One message.
#[derive(Debug, Clone)]
pub struct Known {
    /// Envelope sender.
    pub sender: EnvelopeAddress,
    /// Metadata.
    pub meta: Meta,
    /// Body.
    pub body: Rc<Vec<u8>>,
    /// Its versions, oldest first.
    pub versions: Vec<Version>,
    /// How often it was written anew.
    pub generation: u16,
    /// Where its newest committed version lies: (shard, place).
    pub at: Option<(usize, Location)>,
    /// Whether it is done.
    pub done: Done,
    /// The attempts the journal is known to have.
    pub durable_state: Option<AttemptState>,
    /// Attempts noted since, oldest first.
    pub noted_states: Vec<AttemptState>,
    /// A task is at work on it.
    pub busy: bool,
    /// It was not found after a restart, rightly: it must never be found again.
    pub gone: bool,
}

impl Known {
    /// Whether a restart must find it.
    pub fn must_be_found(&self) -> bool {
        !self.gone && self.done == Done::No && self.versions.iter().any(|v| v.committed)
    }

    /// Whether a restart must not find it.
    pub fn must_not_be_found(&self) -> bool {
        self.gone || self.done == Done::Durable
    }

    /// The versions a restart may find: the newest committed one, and those after it whose answer
    /// never came.
    pub fn possible(&self) -> &[Version] {
        let newest = self.versions.iter().rposition(|v| v.committed).unwrap_or(0);
        &self.versions[newest..]
    }

    /// Whether `stored` is this message in its version `version`, byte for byte.
    pub fn is_same(&self, stored: &Message, version: &Version) -> bool {
        stored.sender().email() == self.sender.email()
            && stored.recipients() == version.recipients
            && stored.meta(|meta| *meta == self.meta)
            && stored.body().as_deref() == Some(&*self.body)
    }
}

/// All messages.
#[derive(Debug, Default)]
pub struct Model {
    /// By id.
    pub messages: BTreeMap<MessageId, Known>,
    /// A promise broken while the partitions were at work.
    pub broken: Option<String>,
}

impl Model {
    /// Messages whose storing was answered with success.
    pub fn acknowledged(&self) -> u64 {
        let committed = |known: &&Known| known.versions.iter().any(|v| v.committed);
        self.messages.values().filter(committed).count() as u64
    }

    /// A promise was broken; the first one counts.
    pub fn fail(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }
}

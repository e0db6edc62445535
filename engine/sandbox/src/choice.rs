//! What a store is asked for, and what it gives back.

use crate::search::Search;
use crate::tags;
use serde_json::Value;

/// Part of a list.
#[derive(Debug, Default)]
pub struct Page {
    /// Summaries, newest first.
    pub messages: Vec<Value>,
    /// How many match.
    pub matching: usize,
    /// How many of these are unread.
    pub unread: usize,
}

/// What became of a new message.
#[derive(Debug, Clone, Default)]
pub struct Added {
    /// One with its Message-ID is there, so it was not kept.
    pub duplicate: bool,
    /// How many older ones gave way.
    pub evicted: usize,
}

/// Which messages are meant.
#[derive(Debug, Clone)]
pub enum Which {
    /// These; ids that are not there are passed over.
    Ids(Vec<String>),
    /// Those that match; all, when the search is empty.
    Matching(Search),
}

/// A change of tags.
#[derive(Debug, Clone)]
pub enum Change {
    /// These messages get these tags instead of theirs.
    Set(Vec<String>, Vec<String>),
    /// A tag gets another name.
    Rename(String, String),
    /// A tag is taken from all messages.
    Delete(String),
}

impl Change {
    /// The tags of a message that is meant after it; `None` when they stay.
    pub fn apply(&self, tags: &[String]) -> Option<Vec<String>> {
        let same = |tag: &String, other: &str| tag.to_lowercase() == other.to_lowercase();
        let changed = match self {
            Change::Set(_, tags) => tags.clone(),
            Change::Rename(old, new) => {
                tags.iter().any(|tag| same(tag, old)).then_some(())?;
                tags::tidy(tags.iter().map(|tag| if same(tag, old) { new } else { tag }))
            }
            Change::Delete(gone) => tags.iter().filter(|tag| !same(tag, gone)).cloned().collect(),
        };
        (changed != tags).then_some(changed)
    }
}

/// Why the store could not do what was asked: the database's words.
#[derive(Debug, Clone)]
pub struct Failed(pub String);

/// What the store gives back.
pub type Outcome<T> = Result<T, Failed>;

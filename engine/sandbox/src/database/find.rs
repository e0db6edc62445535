//! Searches in the database: texts by the index of their words, everything else by what is known of each message in memory.

use super::rows::{Entry, Rows};
use crate::captured::Stored;
use crate::choice::Page;
use crate::search::{Search, Test};
use rusqlite::types::Value as Sql;
use rusqlite::{params_from_iter, Result};
use serde_json::{json, Value};

/// Shorter texts are in no index: the trigram tokenizer of FTS5 has nothing to look up.
const INDEXED_CHARS: usize = 3;

/// What a search asks of a message whose entry is at hand.
pub struct Found<'a> {
    search: &'a Search,
    /// For each term that needed the file: is it negated, and whose messages it holds for, sorted.
    sets: Vec<(bool, Vec<i64>)>,
}

impl Found<'_> {
    /// Does every term hold?
    pub fn holds(&self, entry: &Entry) -> bool {
        let known = self.search.terms.iter().all(|term| match light(&term.test, entry) {
            Some(holds) => holds != term.negated,
            None => true,
        });
        known
            && self
                .sets
                .iter()
                .all(|(negated, numbers)| numbers.binary_search(&entry.number).is_ok() != *negated)
    }
}

/// Whether a term holds that needs no look at the file.
fn light(test: &Test, entry: &Entry) -> Option<bool> {
    Some(match test {
        Test::Read => entry.is_read,
        Test::Tagged => entry.tagged,
        Test::Attachment => entry.attachments,
        Test::Inline => entry.inline,
        Test::AfterMs(moment) => entry.created_ms >= *moment,
        Test::BeforeMs(moment) => entry.created_ms < *moment,
        Test::Larger(bytes) => entry.size > *bytes as u64,
        Test::Smaller(bytes) => entry.size < *bytes as u64,
        _ => return None,
    })
}

/// The columns a term looks at, and for what.
fn columns(test: &Test) -> Option<(&'static [&'static str], &str)> {
    Some(match test {
        Test::From(text) => (&["sender"], text),
        Test::To(text) => (&["recipients"], text),
        Test::Cc(text) => (&["cc"], text),
        Test::Bcc(text) => (&["bcc"], text),
        Test::ReplyTo(text) => (&["reply_to"], text),
        Test::Addressed(text) => (&["sender", "recipients", "cc", "bcc", "reply_to"], text),
        Test::Subject(text) => (&["subject"], text),
        Test::MessageId(text) => (&["message_id"], text),
        Test::Text(text) => (&["body"], text),
        _ => return None,
    })
}

impl Rows {
    /// Looks up what a search needs of the file.
    pub(super) fn find<'a>(&mut self, search: &'a Search) -> Result<Found<'a>> {
        if search.terms.iter().any(|term| columns(&term.test).is_some()) {
            self.index()?;
        }
        let mut sets = Vec::new();
        let mut together: Vec<String> = Vec::new();
        for term in &search.terms {
            if let Test::Tag(tag) = &term.test {
                sets.push((term.negated, self.tagged(tag)?));
            }
            let Some((columns, text)) = columns(&term.test) else { continue };
            if text.chars().count() < INDEXED_CHARS {
                sets.push((term.negated, self.scan(columns, text)?));
                continue;
            }
            // A quote is doubled; a NUL would end the text for SQLite.
            let text = text.replace('"', "\"\"").replace('\0', " ");
            let asked = format!("({{{}}} : \"{text}\")", columns.join(" "));
            if term.negated {
                sets.push((true, self.look_up(&asked)?));
            } else {
                together.push(asked);
            }
        }
        if !together.is_empty() {
            sets.push((false, self.look_up(&together.join(" AND "))?));
        }
        Ok(Found { search, sets })
    }

    fn look_up(&self, asked: &str) -> Result<Vec<i64>> {
        let sql = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid";
        let mut select = self.connection.prepare_cached(sql)?;
        let numbers = select.query_map([asked], |row| row.get(0))?;
        numbers.collect()
    }

    /// A text too short for the index is looked for in all of them.
    fn scan(&self, columns: &[&str], text: &str) -> Result<Vec<i64>> {
        let any: Vec<String> = columns.iter().map(|column| format!("instr({column}, ?)")).collect();
        let sql = format!("SELECT number FROM texts WHERE {} ORDER BY number", any.join(" OR "));
        let mut select = self.connection.prepare_cached(&sql)?;
        let texts = params_from_iter(columns.iter().map(|_| Sql::from(text.to_string())));
        let numbers = select.query_map(texts, |row| row.get(0))?;
        numbers.collect()
    }

    /// The newest message that matches.
    pub fn newest(&mut self, search: &Search) -> Result<Option<Stored>> {
        let found = self.find(search)?;
        let newest = self.entries.iter().rev().find(|entry| found.holds(entry));
        newest.map(|entry| self.message(entry.number)).transpose()
    }

    /// Some of those that match, newest first, and how many there are.
    pub fn page(&mut self, search: &Search, start: usize, limit: usize) -> Result<Page> {
        let found = self.find(search)?;
        let mut page = Page::default();
        for entry in self.entries.iter().rev().filter(|entry| found.holds(entry)) {
            if page.matching >= start && page.messages.len() < limit {
                page.messages.push(self.summary(entry)?);
            }
            page.matching += 1;
            page.unread += usize::from(!entry.is_read);
        }
        Ok(page)
    }

    fn summary(&self, entry: &Entry) -> Result<Value> {
        let sql = "SELECT summary FROM messages WHERE number = ?";
        let mut select = self.connection.prepare_cached(sql)?;
        let text: String = select.query_row([entry.number], |row| row.get(0))?;
        let mut summary: Value = super::rows::from_json(&text)?;
        summary["Read"] = json!(entry.is_read);
        summary["Tags"] = json!(self.tags_of(entry.number)?);
        Ok(summary)
    }
}

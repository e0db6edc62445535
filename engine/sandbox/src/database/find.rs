//! Searches in the database: rare texts by the index of their words, texts that most messages have by a look at all of them,
//! everything else by what is known of each message in memory.

use super::rows::{Entry, Rows};
use crate::captured::Unopened;
use crate::choice::Page;
use crate::limits::{SANDBOX_SEARCH_GROUPS, SANDBOX_SEARCH_SAMPLE, SANDBOX_SEARCH_SAMPLE_BYTES};
use crate::search::{Search, Test};
use memchr::memmem::{find_iter, Finder};
use rusqlite::{Result, Row, Rows as Answers};
use serde_json::{json, Value};
use std::collections::BTreeSet;

/// Shorter texts are in no index: the trigram tokenizer of FTS5 has nothing to look up.
const INDEXED_CHARS: usize = 3;

/// What it costs, in nanoseconds of a message, to have the index step to it for one group of characters, and to compare one
/// place of one; to read its texts, and one of their bytes. Measured with `examples/figures.rs`; what counts is which is less.
const STEP_COST: f64 = 40.0;
const PLACE_COST: f64 = 7.0;
const READ_COST: f64 = 400.0;
const BYTE_COST: f64 = 0.2;

/// A share of the messages below which a text narrows a search down so far that its other texts cost little.
const RARE: f64 = 0.05;

/// A part of the messages up to which reading just these is cheaper than reading all in their order.
const FEW: usize = 8;

/// The texts of a message, as the index and its searches name them.
const COLUMNS: [&str; 8] =
    ["sender", "recipients", "cc", "bcc", "reply_to", "subject", "message_id", "body"];

/// A text that is to be in one of these columns, or in none.
struct Wanted<'a> {
    negated: bool,
    columns: &'static [&'static str],
    text: &'a str,
}

impl Wanted<'_> {
    /// The question to the index. A quote is doubled; a NUL would end the text for SQLite.
    fn asked(&self) -> String {
        let text = self.text.replace('"', "\"\"").replace('\0', " ");
        format!("({{{}}} : \"{text}\")", self.columns.join(" "))
    }

    /// Whether it is in one of its columns, and how many bytes are looked at for that; the row has all columns.
    fn first(&self, finder: &Finder<'_>, row: &Row<'_>) -> Result<(bool, usize)> {
        let mut bytes = 0;
        for (at, _) in COLUMNS.iter().enumerate().filter(|(_, name)| self.columns.contains(name)) {
            let text = start_of(row, at)?;
            match finder.find(text) {
                Some(place) => return Ok((true, bytes + place + 1)),
                None => bytes += text.len() + 1,
            }
        }
        Ok((false, bytes))
    }

    /// In how many places of its columns these are, none where some are in neither; the row has all columns.
    fn places(&self, groups: &[String], row: &Row<'_>) -> Result<usize> {
        let mut places = 0;
        for (at, _) in COLUMNS.iter().enumerate().filter(|(_, name)| self.columns.contains(name)) {
            let text = start_of(row, at)?;
            let of_group = |group: &String| {
                let found = find_iter(text, group.as_bytes()).count();
                (found > 0).then_some(found)
            };
            places += groups.iter().map(of_group).sum::<Option<usize>>().unwrap_or(0);
        }
        Ok(places)
    }
}

/// As much of a text as tells how common something is.
fn start_of<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a [u8]> {
    let text = row.get_ref(column)?.as_bytes()?;
    Ok(&text[..text.len().min(SANDBOX_SEARCH_SAMPLE_BYTES)])
}

/// The groups of characters that the index has of a text, at most so many of them, and how many there are to each of these.
fn groups(text: &str, most: usize) -> (Vec<String>, f64) {
    let chars: Vec<char> = text.chars().collect();
    let all: BTreeSet<&[char]> = chars.windows(INDEXED_CHARS).collect();
    let some: Vec<String> = all.iter().take(most).map(|group| group.iter().collect()).collect();
    let share = all.len() as f64 / some.len().max(1) as f64;
    (some, share)
}

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

/// Whether these texts are, or are not, in their columns of a row.
fn all_hold(texts: &[(Finder<'_>, Vec<usize>, bool)], row: &Row<'_>) -> Result<bool> {
    for (finder, places, negated) in texts {
        let mut found = false;
        for place in places {
            found = found || finder.find(row.get_ref(*place)?.as_bytes()?).is_some();
        }
        if found == *negated {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Rows {
    /// Looks up what a search needs of the file.
    pub(super) fn find<'a>(&mut self, search: &'a Search) -> Result<Found<'a>> {
        let mut sets = Vec::new();
        let mut texts = Vec::new();
        for term in &search.terms {
            if let Test::Tag(tag) = &term.test {
                sets.push((term.negated, self.tagged(tag)?));
            }
            if let Some((columns, text)) = columns(&term.test) {
                texts.push(Wanted { negated: term.negated, columns, text });
            }
        }
        if texts.is_empty() {
            return Ok(Found { search, sets });
        }
        self.index()?;
        let (looked_at, indexed) = self.divide(texts)?;
        let looked_at = self.in_order(looked_at)?;
        let mut together: Vec<String> = Vec::new();
        for wanted in indexed {
            match wanted.negated {
                true => sets.push((true, self.look_up(&wanted.asked())?)),
                false => together.push(wanted.asked()),
            }
        }
        let mut left = None;
        if !together.is_empty() {
            left = Some(self.look_up(&together.join(" AND "))?);
        }
        if !looked_at.is_empty() {
            let few = left.take_if(|left| left.len() <= self.entries.len() / FEW);
            sets.push((false, self.scan(&looked_at, few.as_deref())?));
        }
        sets.extend(left.map(|left| (false, left)));
        Ok(Found { search, sets })
    }

    /// Parts the texts that are to be looked for in all messages from those that the index is asked for. For a text that
    /// most messages have, the index compares the places of each group of its characters in each of them, which takes
    /// longer than to look at the text itself. A few messages tell which they are.
    fn divide<'a>(&self, texts: Vec<Wanted<'a>>) -> Result<(Vec<Wanted<'a>>, Vec<Wanted<'a>>)> {
        let (short, long): (Vec<_>, Vec<_>) =
            texts.into_iter().partition(|wanted| wanted.text.chars().count() < INDEXED_CHARS);
        let most = (SANDBOX_SEARCH_GROUPS / long.len().max(1)).max(1);
        let groups: Vec<_> = long.iter().map(|wanted| groups(wanted.text, most)).collect();
        // Of each text: in how many messages all of its groups are, and how many places they have there.
        let mut having = vec![(0.0_f64, 0.0_f64); long.len()];
        let step = self.entries.len().div_ceil(SANDBOX_SEARCH_SAMPLE).max(1);
        let sql = format!("SELECT {} FROM texts WHERE number = ?", COLUMNS.join(", "));
        let mut select = self.connection.prepare_cached(&sql)?;
        let (mut asked, mut bytes, mut passed) = (0.0_f64, 0.0_f64, 0.0_f64);
        let wanted = || short.iter().chain(&long).filter(|wanted| !wanted.negated);
        let finders: Vec<_> = wanted().map(|wanted| (wanted, Finder::new(wanted.text))).collect();
        for entry in self.entries.iter().step_by(step) {
            asked += 1.0;
            select.query_row([entry.number], |row| {
                for ((wanted, (groups, _)), having) in long.iter().zip(&groups).zip(&mut having) {
                    let places = wanted.places(groups, row)?;
                    having.0 += f64::from(u8::from(places > 0));
                    having.1 += places as f64;
                }
                for at in 0..COLUMNS.len() {
                    bytes += start_of(row, at)?.len() as f64;
                }
                let mut holds = true;
                for (wanted, finder) in &finders {
                    holds = holds && wanted.first(finder, row)?.0;
                }
                passed += f64::from(u8::from(holds));
                Ok(())
            })?;
        }
        let is_narrow = (0..long.len()).any(|at| !long[at].negated && having[at].0 < RARE * asked);
        let (reading, looking) = (asked * READ_COST, bytes * BYTE_COST);
        let passing = if finders.is_empty() { 1.0 } else { passed.max(1.0) / asked.max(1.0) };
        let passing = if passing * FEW as f64 <= 1.0 { passing } else { 1.0 };
        drop(finders);
        let is_dearer = |at: usize, wanted: &Wanted<'_>, than: f64| {
            let ((messages, places), (groups, share)) = (having[at], &groups[at]);
            let index = messages * groups.len() as f64 * STEP_COST + places * PLACE_COST;
            let index = index * share;
            // What must not be there is looked for only where all the rest is.
            let than = if wanted.negated { than * passing } else { than };
            (wanted.negated || !is_narrow) && index > than
        };
        // What is read for one of them is read for all.
        let mut all = long.iter().enumerate();
        let is_read =
            !short.is_empty() || all.any(|(at, one)| is_dearer(at, one, reading + looking));
        let limit = if is_read { looking } else { reading + looking };
        let (mut looked_at, mut indexed) = (short, Vec::new());
        for (at, wanted) in long.into_iter().enumerate() {
            match is_dearer(at, &wanted, limit) {
                true => looked_at.push(wanted),
                false => indexed.push(wanted),
            }
        }
        Ok((looked_at, indexed))
    }

    /// Texts in the order in which they spare each other most: first what is soonest seen to rule most messages out, by the
    /// same few messages.
    fn in_order<'a>(&self, texts: Vec<Wanted<'a>>) -> Result<Vec<Wanted<'a>>> {
        if texts.len() < 2 {
            return Ok(texts);
        }
        let mut worth: Vec<(Finder<'_>, f64, f64, Wanted<'a>)> =
            texts.into_iter().map(|one| (Finder::new(one.text), 0.0, 0.0, one)).collect();
        let step = self.entries.len().div_ceil(SANDBOX_SEARCH_SAMPLE).max(1);
        let sql = format!("SELECT {} FROM texts WHERE number = ?", COLUMNS.join(", "));
        let mut select = self.connection.prepare_cached(&sql)?;
        for entry in self.entries.iter().step_by(step) {
            select.query_row([entry.number], |row| {
                for (finder, ruled_out, bytes, wanted) in &mut worth {
                    let (found, looked_at) = wanted.first(finder, row)?;
                    *ruled_out += f64::from(u8::from(found == wanted.negated));
                    *bytes += looked_at as f64;
                }
                Ok(())
            })?;
        }
        worth.sort_by(|(_, a, a_bytes, _), (_, b, b_bytes, _)| {
            (a_bytes / a).total_cmp(&(b_bytes / b))
        });
        Ok(worth.into_iter().map(|(.., wanted)| wanted).collect())
    }

    fn look_up(&self, asked: &str) -> Result<Vec<i64>> {
        let sql = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid";
        let mut select = self.connection.prepare_cached(sql)?;
        let numbers = select.query_map([asked], |row| row.get(0))?;
        numbers.collect()
    }

    /// The messages for which all of these texts hold, by one pass over all messages, or over a few whose numbers are given:
    /// the first that does not hold spares the look for the others. Not by SQLite's `instr`, which compares character by
    /// character.
    fn scan(&self, texts: &[Wanted<'_>], few: Option<&[i64]>) -> Result<Vec<i64>> {
        let of_any = |column: &&str| texts.iter().any(|wanted| wanted.columns.contains(column));
        let needed: Vec<&str> = COLUMNS.into_iter().filter(of_any).collect();
        let which = if few.is_some() { "WHERE number = ?" } else { "ORDER BY number" };
        let sql = format!("SELECT number, {} FROM texts {which}", needed.join(", "));
        let texts: Vec<(Finder<'_>, Vec<usize>, bool)> = texts
            .iter()
            .map(|wanted| {
                let is_its = |at: &usize| wanted.columns.contains(&needed[*at]);
                let places = (0..needed.len()).filter(is_its).map(|at| at + 1).collect();
                (Finder::new(wanted.text), places, wanted.negated)
            })
            .collect();
        let mut select = self.connection.prepare_cached(&sql)?;
        let mut numbers = Vec::new();
        let mut take = |mut rows: Answers<'_>| -> Result<()> {
            while let Some(row) = rows.next()? {
                if all_hold(&texts, row)? {
                    numbers.push(row.get(0)?);
                }
            }
            Ok(())
        };
        match few {
            Some(few) => few.iter().try_for_each(|number| take(select.query([number])?))?,
            None => take(select.query([])?)?,
        }
        Ok(numbers)
    }

    /// The newest message that matches.
    pub fn newest(&mut self, search: &Search) -> Result<Option<Unopened>> {
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

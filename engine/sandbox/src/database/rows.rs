//! What is done to the database's tables, on the thread that owns them.

use super::schema;
use crate::captured::Unopened;
use crate::choice::{Added, Change, Which};
use crate::limits::{SANDBOX_INDEX_BATCH, SANDBOX_PACKED_BYTES_MAX};
use crate::search::Search;
use crate::settings::DatabaseFile;
use ringmta_http::Bytes;
use rusqlite::types::Type;
use rusqlite::{params, Connection, OptionalExtension, Result};
use std::collections::{BTreeMap, HashSet};

/// A message as it is written.
pub struct Record {
    pub id: String,
    pub created_ms: u64,
    pub size: usize,
    pub attachments: usize,
    pub inline: usize,
    pub message_id: String,
    /// Its summary as JSON; what changes later is in columns.
    pub summary: String,
    pub envelope: String,
    pub session: String,
    pub source: Bytes,
    pub tags: Vec<String>,
    /// The columns of `texts`, in order.
    pub words: Vec<String>,
}

impl Record {
    fn entry(&self, number: i64) -> Entry {
        Entry {
            number,
            created_ms: self.created_ms,
            size: self.size as u64,
            is_read: false,
            attachments: self.attachments > 0,
            inline: self.inline > 0,
            tagged: !self.tags.is_empty(),
        }
    }
}

/// What is known of each message without a look at the file: enough to order, count and filter.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub number: i64,
    pub created_ms: u64,
    pub size: u64,
    pub is_read: bool,
    pub attachments: bool,
    pub inline: bool,
    pub tagged: bool,
}

/// The database.
pub struct Rows {
    pub(super) connection: Connection,
    /// Oldest first.
    pub(super) entries: Vec<Entry>,
    /// Messages whose words are not in the index yet, which lie behind all that are. Many at once cost a fraction of
    /// one after the other.
    pending: Vec<i64>,
    unread: usize,
    max_messages: usize,
    compression: i32,
    vacuum: bool,
}

impl Rows {
    /// Opens the file, or makes it. Messages beyond the bound are dropped, the oldest first.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub fn open(file: &DatabaseFile, max_messages: usize) -> std::result::Result<Rows, String> {
        let connection = schema::open(file)?;
        let said = |error: rusqlite::Error| format!("database {}: {error}", file.path.display());
        let entries = entries(&connection).map_err(said)?;
        let pending = pending(&connection).map_err(said)?;
        let mut rows = Rows {
            connection,
            unread: entries.iter().filter(|entry| !entry.is_read).count(),
            entries,
            pending,
            max_messages,
            compression: file.compression,
            vacuum: file.vacuum,
        };
        rows.evict().and_then(|_| rows.index()).map_err(said)?;
        Ok(rows)
    }

    /// Puts the words of what has come since into the index.
    pub fn index(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO words (rowid, sender, recipients, cc, bcc, reply_to, subject, message_id, body)
                 SELECT number, sender, recipients, cc, bcc, reply_to, subject, message_id, body
                 FROM texts WHERE number = ?",
            )?;
            self.pending.iter().try_for_each(|number| insert.execute([number]).map(|_| ()))?;
        }
        transaction.commit()?;
        self.pending.clear();
        Ok(())
    }

    /// (messages, unread ones).
    pub fn totals(&self) -> (usize, usize) {
        (self.entries.len(), self.unread)
    }

    /// Bytes of the file.
    pub fn file_bytes(&self) -> u64 {
        let number =
            |name| self.connection.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
        let bytes = number("page_count").and_then(|pages| Ok(pages * number("page_size")?));
        bytes.unwrap_or(0)
    }

    /// Keeps messages, all of them or none; one that is to be there `once` not when one with its Message-ID is there.
    pub fn add(&mut self, records: &[(Record, bool)]) -> Result<Vec<Added>> {
        let transaction = self.connection.transaction()?;
        let mut numbers = Vec::new();
        for (record, once) in records {
            let known = *once && knows(&transaction, &record.message_id)?;
            numbers.push(if known {
                None
            } else {
                Some(write(&transaction, record, self.compression)?)
            });
        }
        transaction.commit()?;
        for ((record, _), number) in records.iter().zip(&numbers) {
            let Some(number) = *number else { continue };
            let entry = record.entry(number);
            let at = self.entries.partition_point(|other| other.created_ms <= entry.created_ms);
            self.entries.insert(at, entry);
            self.unread += 1;
            self.pending.push(number);
        }
        if self.pending.len() >= SANDBOX_INDEX_BATCH {
            self.index()?;
        }
        let mut evicted = self.evict()?;
        let added = numbers.iter().map(|number| Added {
            duplicate: number.is_none(),
            // They are told once, with the first that was kept.
            evicted: if number.is_some() { std::mem::take(&mut evicted) } else { 0 },
        });
        Ok(added.collect())
    }

    fn evict(&mut self) -> Result<usize> {
        let over = self.entries.len().saturating_sub(self.max_messages.max(1));
        let gone: Vec<i64> = self.entries[..over].iter().map(|entry| entry.number).collect();
        self.forget(&gone)?;
        Ok(over)
    }

    /// Drops what came before this moment; gives back how many.
    pub fn expire(&mut self, before_ms: u64) -> Result<usize> {
        let old = self.entries.partition_point(|entry| entry.created_ms < before_ms);
        let gone: Vec<i64> = self.entries[..old].iter().map(|entry| entry.number).collect();
        self.forget(&gone)?;
        Ok(old)
    }

    fn forget(&mut self, numbers: &[i64]) -> Result<()> {
        if numbers.is_empty() {
            return Ok(());
        }
        let transaction = self.connection.transaction()?;
        if numbers.len() == self.entries.len() {
            transaction.execute_batch(
                "DELETE FROM messages; DELETE FROM sources; DELETE FROM texts; DELETE FROM tags;
                 INSERT INTO words (words) VALUES ('delete-all');",
            )?;
        } else {
            for table in ["messages", "sources", "texts", "tags"] {
                let sql = format!("DELETE FROM {table} WHERE number = ?");
                let mut delete = transaction.prepare_cached(&sql)?;
                numbers.iter().try_for_each(|number| delete.execute([number]).map(|_| ()))?;
            }
            let mut delete = transaction.prepare_cached("DELETE FROM words WHERE rowid = ?")?;
            let first = self.pending.first().copied().unwrap_or(i64::MAX);
            let mut indexed = numbers.iter().filter(|number| **number < first);
            indexed.try_for_each(|number| delete.execute([number]).map(|_| ()))?;
        }
        transaction.commit()?;
        let gone: HashSet<i64> = numbers.iter().copied().collect();
        self.pending.retain(|number| !gone.contains(number));
        self.entries.retain(|entry| !gone.contains(&entry.number));
        self.unread = self.entries.iter().filter(|entry| !entry.is_read).count();
        if self.vacuum && numbers.len() > 1 {
            self.connection.execute_batch("PRAGMA incremental_vacuum;")?;
        }
        Ok(())
    }

    /// The message of that id.
    pub fn get(&self, id: &str) -> Result<Option<Unopened>> {
        let sql = "SELECT number FROM messages WHERE id = ?";
        let mut number = self.connection.prepare_cached(sql)?;
        let number = number.query_row([id], |row| row.get(0)).optional()?;
        number.map(|number| self.message(number)).transpose()
    }

    /// The message of that number.
    pub(super) fn message(&self, number: i64) -> Result<Unopened> {
        let mut select = self.connection.prepare_cached(
            "SELECT id, created, is_read, envelope, session, packed, size, source
             FROM messages JOIN sources USING (number) WHERE number = ?",
        )?;
        let mut message = select.query_row([number], |row| {
            let source = row.get_ref(7)?.as_blob()?;
            let size = row.get::<_, usize>(6)?;
            let source = if row.get(5)? { unpacked(source, size)? } else { source.to_vec() };
            Ok(Unopened {
                id: row.get(0)?,
                created_ms: row.get(1)?,
                source: source.into(),
                envelope: from_json(row.get_ref(3)?.as_str()?)?,
                session: from_json(row.get_ref(4)?.as_str()?)?,
                read: row.get(2)?,
                tags: Vec::new(),
            })
        })?;
        message.tags = self.tags_of(number)?;
        Ok(message)
    }

    /// The tags of a message.
    pub(super) fn tags_of(&self, number: i64) -> Result<Vec<String>> {
        let sql = "SELECT name FROM tags WHERE number = ? ORDER BY folded";
        let mut select = self.connection.prepare_cached(sql)?;
        let tags = select.query_map([number], |row| row.get(0))?;
        tags.collect()
    }

    fn id_of(&self, number: i64) -> Result<String> {
        let mut select =
            self.connection.prepare_cached("SELECT id FROM messages WHERE number = ?")?;
        select.query_row([number], |row| row.get(0))
    }

    /// The numbers of the messages that are meant, oldest first.
    fn numbers(&mut self, which: &Which) -> Result<Vec<i64>> {
        match which {
            Which::Ids(ids) => {
                let mut select =
                    self.connection.prepare_cached("SELECT number FROM messages WHERE id = ?")?;
                let mut numbers = Vec::new();
                for id in ids {
                    numbers.extend(select.query_row([id], |row| row.get::<_, i64>(0)).optional()?);
                }
                numbers.sort_unstable();
                numbers.dedup();
                Ok(numbers)
            }
            Which::Matching(search) => self.matching(search),
        }
    }

    fn matching(&mut self, search: &Search) -> Result<Vec<i64>> {
        let found = self.find(search)?;
        Ok(self
            .entries
            .iter()
            .filter(|entry| found.holds(entry))
            .map(|entry| entry.number)
            .collect())
    }

    /// Forgets messages; gives back their ids.
    pub fn delete(&mut self, which: &Which) -> Result<Vec<String>> {
        let numbers = self.numbers(which)?;
        let ids = numbers.iter().map(|number| self.id_of(*number)).collect::<Result<Vec<_>>>()?;
        self.forget(&numbers)?;
        Ok(ids)
    }

    /// Sets the read state; gives back whose has changed.
    pub fn set_read(&mut self, which: &Which, read: bool) -> Result<Vec<String>> {
        let chosen: HashSet<i64> = self.numbers(which)?.into_iter().collect();
        let changes = |entry: &&mut Entry| entry.is_read != read && chosen.contains(&entry.number);
        let mut changed = Vec::new();
        let transaction = self.connection.transaction()?;
        let numbers: Vec<i64> =
            self.entries.iter_mut().filter(changes).map(|entry| entry.number).collect();
        for number in &numbers {
            let sql = "UPDATE messages SET is_read = ? WHERE number = ? RETURNING id";
            let mut update = transaction.prepare_cached(sql)?;
            changed.push(update.query_row(params![read, number], |row| row.get(0))?);
        }
        transaction.commit()?;
        self.entries.iter_mut().filter(changes).for_each(|entry| entry.is_read = read);
        self.unread = self.entries.iter().filter(|entry| !entry.is_read).count();
        Ok(changed)
    }

    /// Changes tags; gives back whose, and to what.
    pub fn retag(&mut self, change: &Change) -> Result<Vec<(String, Vec<String>)>> {
        let numbers = match change {
            Change::Set(ids, _) => self.numbers(&Which::Ids(ids.clone()))?,
            Change::Rename(tag, _) | Change::Delete(tag) => self.tagged(tag)?,
        };
        let mut changed = Vec::new();
        for number in numbers {
            let id = self.id_of(number)?;
            if let Some(tags) = change.apply(&self.tags_of(number)?) {
                changed.push((number, id, tags));
            }
        }
        let transaction = self.connection.transaction()?;
        for (number, _, tags) in &changed {
            transaction.prepare_cached("DELETE FROM tags WHERE number = ?")?.execute([number])?;
            write_tags(&transaction, *number, tags)?;
        }
        transaction.commit()?;
        let tagged: BTreeMap<i64, bool> =
            changed.iter().map(|(number, _, tags)| (*number, !tags.is_empty())).collect();
        for entry in &mut self.entries {
            entry.tagged = tagged.get(&entry.number).copied().unwrap_or(entry.tagged);
        }
        Ok(changed.into_iter().map(|(_, id, tags)| (id, tags)).collect())
    }

    /// The numbers of messages with this tag.
    pub(super) fn tagged(&self, tag: &str) -> Result<Vec<i64>> {
        let sql = "SELECT number FROM tags WHERE folded = ? ORDER BY number";
        let mut select = self.connection.prepare_cached(sql)?;
        let numbers = select.query_map([tag.to_lowercase()], |row| row.get(0))?;
        numbers.collect()
    }

    /// Every tag in use and how many messages have it.
    pub fn tags(&self) -> Result<BTreeMap<String, usize>> {
        let sql = "SELECT min(name), count(*) FROM tags GROUP BY folded";
        let mut select = self.connection.prepare_cached(sql)?;
        let tags = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        tags.collect()
    }
}

fn entries(connection: &Connection) -> Result<Vec<Entry>> {
    let mut select = connection.prepare(
        "SELECT number, created, size, is_read, attachments > 0, inline > 0,
                EXISTS (SELECT 1 FROM tags WHERE tags.number = messages.number)
         FROM messages ORDER BY created, number",
    )?;
    let entries = select.query_map([], |row| {
        Ok(Entry {
            number: row.get(0)?,
            created_ms: row.get(1)?,
            size: row.get(2)?,
            is_read: row.get(3)?,
            attachments: row.get(4)?,
            inline: row.get(5)?,
            tagged: row.get(6)?,
        })
    })?;
    entries.collect()
}

fn knows(connection: &Connection, message_id: &str) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM messages WHERE message_id = ?)";
    connection.prepare_cached(sql)?.query_row([message_id], |row| row.get(0))
}

/// Writes a message; gives back its number.
fn write(connection: &Connection, record: &Record, compression: i32) -> Result<i64> {
    let packed = match compression {
        0 => None,
        level => zstd::encode_all(record.source.as_ref(), level).ok(),
    };
    let source = packed.as_deref().unwrap_or(record.source.as_ref());
    connection
        .prepare_cached(
            "INSERT INTO messages (id, created, size, attachments, inline, message_id, summary, envelope, session, packed)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            record.id,
            record.created_ms,
            record.size,
            record.attachments,
            record.inline,
            record.message_id,
            record.summary,
            record.envelope,
            record.session,
            packed.is_some(),
        ])?;
    let number = connection.last_insert_rowid();
    connection
        .prepare_cached("INSERT INTO sources (number, source) VALUES (?, ?)")?
        .execute(params![number, source])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO texts (number, sender, recipients, cc, bcc, reply_to, subject, message_id, body)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    insert.raw_bind_parameter(1, number)?;
    for (at, word) in record.words.iter().enumerate() {
        insert.raw_bind_parameter(at + 2, word)?;
    }
    insert.raw_execute()?;
    write_tags(connection, number, &record.tags)?;
    Ok(number)
}

/// Messages behind the last one in the index, of a process that ended before it had got to them.
fn pending(connection: &Connection) -> Result<Vec<i64>> {
    let last = "SELECT rowid FROM words ORDER BY rowid DESC LIMIT 1";
    let last: Option<i64> = connection.query_row(last, [], |row| row.get(0)).optional()?;
    let sql = "SELECT number FROM messages WHERE number > ? ORDER BY number";
    let mut select = connection.prepare(sql)?;
    let numbers = select.query_map([last.unwrap_or(i64::MIN)], |row| row.get(0))?;
    numbers.collect()
}

fn write_tags(connection: &Connection, number: i64, tags: &[String]) -> Result<()> {
    let sql = "INSERT OR IGNORE INTO tags (number, name, folded) VALUES (?, ?, ?)";
    let mut insert = connection.prepare_cached(sql)?;
    for tag in tags {
        insert.execute(params![number, tag, tag.to_lowercase()])?;
    }
    Ok(())
}

pub(super) fn from_json<T: for<'de> serde::Deserialize<'de>>(text: &str) -> Result<T> {
    let damaged = |error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error));
    serde_json::from_str(text).map_err(damaged)
}

/// A packed source. A file that somebody has tampered with gets no more memory than a message may have.
fn unpacked(packed: &[u8], size: usize) -> Result<Vec<u8>> {
    let damaged = |error| rusqlite::Error::FromSqlConversionFailure(7, Type::Blob, Box::new(error));
    zstd::bulk::decompress(packed, size.min(SANDBOX_PACKED_BYTES_MAX)).map_err(damaged)
}

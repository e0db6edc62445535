//! The tables of the database, and how its file is opened.

use crate::limits::{
    SANDBOX_DATABASE_CACHE_BYTES, SANDBOX_INDEX_BYTES, SANDBOX_LOG_PAGES, SANDBOX_PAGE_BYTES,
};
use crate::settings::DatabaseFile;
use rusqlite::{Connection, OpenFlags};

/// Says whose file it is, in SQLite's header.
const APPLICATION: i64 = 0x726d_7461;
/// Raised when the tables change.
const VERSION: i64 = 1;

/// `texts` is what searches look at, and `words` its index by groups of three characters: a search for part of a word
/// is a look-up, as one for a whole word is.
const TABLES: &str = "
    CREATE TABLE messages (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        created INTEGER NOT NULL,
        size INTEGER NOT NULL,
        is_read INTEGER NOT NULL DEFAULT 0,
        attachments INTEGER NOT NULL,
        inline INTEGER NOT NULL,
        message_id TEXT NOT NULL,
        summary TEXT NOT NULL,
        envelope TEXT NOT NULL,
        session TEXT NOT NULL,
        packed INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX messages_message_id ON messages (message_id);
    CREATE TABLE sources (number INTEGER PRIMARY KEY, source BLOB NOT NULL) STRICT;
    CREATE TABLE tags (
        number INTEGER NOT NULL,
        name TEXT NOT NULL,
        folded TEXT NOT NULL,
        PRIMARY KEY (number, folded)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX tags_folded ON tags (folded);
    CREATE TABLE texts (
        number INTEGER PRIMARY KEY,
        sender TEXT NOT NULL, recipients TEXT NOT NULL, cc TEXT NOT NULL, bcc TEXT NOT NULL,
        reply_to TEXT NOT NULL, subject TEXT NOT NULL, message_id TEXT NOT NULL, body TEXT NOT NULL
    ) STRICT;
    CREATE VIRTUAL TABLE words USING fts5(
        sender, recipients, cc, bcc, reply_to, subject, message_id, body,
        content = '', contentless_delete = 1, tokenize = 'trigram'
    );";

/// Opens the file, or makes it.
///
/// # Errors
/// What is wrong, and what to do.
pub fn open(file: &DatabaseFile) -> Result<Connection, String> {
    let path = file.path.display();
    let cannot = |error: rusqlite::Error| format!("database {path}: {error}");
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&file.path, flags).map_err(cannot)?;
    take(&connection, file).map_err(|error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseBusy) => {
            format!("database {path} is in use: end the other inbox, or name another file")
        }
        Some(rusqlite::ErrorCode::NotADatabase) => {
            format!("{path} is no database of SQLite's: name another file")
        }
        _ => cannot(error),
    })?;
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let whose = number("application_id").map_err(cannot)?;
    let version = number("user_version").map_err(cannot)?;
    let objects = "SELECT count(*) FROM sqlite_master";
    let is_empty =
        connection.query_row(objects, [], |row| row.get::<_, i64>(0)).map_err(cannot)? == 0;
    if is_empty {
        connection.execute_batch(&format!("BEGIN;{TABLES}COMMIT;")).map_err(cannot)?;
        connection.pragma_update(None, "application_id", APPLICATION).map_err(cannot)?;
        connection.pragma_update(None, "user_version", VERSION).map_err(cannot)?;
    } else if whose != APPLICATION {
        return Err(format!(
            "database {path} is another program's; name another file. `ringmta dump` and `ringmta ingest` bring messages \
             over from a running Mailpit"
        ));
    } else if version != VERSION {
        return Err(format!(
            "database {path} is of another version of ringmta ({version}); name another file"
        ));
    }
    let bytes = i64::try_from(SANDBOX_INDEX_BYTES).unwrap_or(i64::MAX);
    let gathered = "INSERT INTO words (words, rank) VALUES ('hashsize', ?)";
    connection.execute(gathered, [bytes]).map_err(cannot)?;
    Ok(connection)
}

/// Takes the file for this process alone, for what is known of its messages is in memory too.
fn take(connection: &Connection, file: &DatabaseFile) -> rusqlite::Result<()> {
    // A file that is there keeps the size it has.
    let page = i64::try_from(SANDBOX_PAGE_BYTES).unwrap_or(i64::MAX);
    connection.pragma_update(None, "page_size", page)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(
        None,
        "auto_vacuum",
        if file.vacuum { "INCREMENTAL" } else { "NONE" },
    )?;
    let journal = if file.wal { "WAL" } else { "DELETE" };
    connection.pragma_update_and_check(None, "journal_mode", journal, |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let kibibytes = i64::try_from(SANDBOX_DATABASE_CACHE_BYTES / 1024).unwrap_or(i64::MAX);
    connection.pragma_update(None, "cache_size", -kibibytes)?;
    let pages = i64::try_from(SANDBOX_LOG_PAGES).unwrap_or(i64::MAX);
    connection.pragma_update_and_check(None, "wal_autocheckpoint", pages, |_| Ok(()))?;
    // A write takes the lock, which reading does not yet do.
    connection.execute_batch("BEGIN IMMEDIATE; COMMIT;")
}

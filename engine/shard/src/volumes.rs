//! How much mail each month has received and delivered (`kumo.configure_accounting_db_path`): a table of an SQLite database,
//! to which each shard adds what it has counted since it did so last.

use crate::limits::VOLUMES_BUSY_MS;
use ringmta_events::metrics::Metrics;
use ringmta_io as io;
use rusqlite::Connection;
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One row a month (UTC).
const TABLE: &str = "CREATE TABLE IF NOT EXISTS accounting \
    (event_time DATETIME PRIMARY KEY, received int, delivered int)";
const ADD: &str = "INSERT INTO accounting VALUES (datetime('now', 'start of month'), ?1, ?2) \
    ON CONFLICT(event_time) DO UPDATE SET \
    received = received + excluded.received, delivered = delivered + excluded.delivered";

/// Messages received and recipients delivered to.
type Counts = (u64, u64);

/// What one shard has told of its volumes.
pub struct Volumes {
    path: PathBuf,
    /// What the database has of this run.
    told: Cell<Counts>,
    /// A write is under way.
    busy: Cell<bool>,
    /// Waits for the database where another shard has it, or its disk hangs.
    thread: io::Beside,
}

impl Volumes {
    /// Told to the database `path`, which is made when it is not there.
    pub fn in_file(path: PathBuf) -> Volumes {
        let thread = io::Beside::new("volumes");
        Volumes { path, told: Cell::new((0, 0)), busy: Cell::new(false), thread }
    }

    /// Adds what was counted since the last time; whether the database has it.
    pub async fn write(&self, metrics: &Metrics) -> bool {
        let received = metrics.received_smtp.get() + metrics.received_http.get();
        let counted = (received, metrics.recipients_delivered.get());
        let told = self.told.get();
        let more = (counted.0.wrapping_sub(told.0), counted.1.wrapping_sub(told.1));
        // Two writes at once would add the same twice.
        if more == (0, 0) || self.busy.replace(true) {
            return true;
        }
        let path = self.path.clone();
        let added = self.thread.run(move || add(&path, more)).await;
        self.busy.set(false);
        match added {
            Ok(()) => self.told.set(counted),
            Err(why) => {
                tracing::error!("volumes of mail: {}: {why}", self.path.display());
                return false;
            }
        }
        true
    }
}

fn add(path: &Path, more: Counts) -> rusqlite::Result<()> {
    let database = Connection::open(path)?;
    database.busy_timeout(Duration::from_millis(VOLUMES_BUSY_MS))?;
    database.execute(TABLE, [])?;
    database.execute(ADD, [more.0 as i64, more.1 as i64]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_one_row() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("accounting.db");
        add(&path, (2, 3)).unwrap();
        add(&path, (5, 0)).unwrap();
        let database = Connection::open(&path).unwrap();
        let row = database.query_row("SELECT * FROM accounting", [], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        });
        let (month, received, delivered) = row.unwrap();
        assert!(month.ends_with("-01 00:00:00"), "{month}");
        assert_eq!((received, delivered), (7, 3));
        assert!(add(Path::new("/no/such/folder/x.db"), (1, 1)).is_err());
    }
}

//! Operators' orders made durable: a file in the `meta` spool, one line of JSON for each order that was placed or ended.
//! Lines are appended and synced before an order takes effect; each begins with a line end, so that one a crash has cut
//! spoils no other.

use crate::limits::ORDER_LOG_BYTES;
use crate::orders::Order;
use ringmta_io::plain::Plain;
use ringmta_io::{self as io, fs, steady_millis};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const FILE: &str = "orders";
const FRESH: &str = "orders.new";

#[derive(Serialize, Deserialize)]
enum Entry {
    Placed(Order),
    Ended(String),
}

/// Writes down that `order` is in force.
///
/// # Errors
/// As the disk says; then it may come back after a restart, or not.
pub async fn placed(meta: &Path, order: &Order) -> std::io::Result<()> {
    append(meta, &Entry::Placed(order.clone())).await
}

/// Writes down that the order `id` has ended.
///
/// # Errors
/// As the disk says; then it may come back after a restart, or not.
pub async fn ended(meta: &Path, id: &str) -> std::io::Result<()> {
    append(meta, &Entry::Ended(id.to_string())).await
}

async fn append(meta: &Path, entry: &Entry) -> std::io::Result<()> {
    let mut line = vec![b'\n'];
    serde_json::to_writer(&mut line, entry)?;
    line.push(b'\n');
    let path = meta.join(FILE);
    io::blocking(move || {
        let file = Plain::open(&path)?;
        file.append(&line)?;
        file.sync()
    })
    .await
}

/// The orders that are in force at `now_millis`, as they were placed.
///
/// # Errors
/// When there is a file that cannot be read.
pub fn read(meta: &Path, now_millis: u64) -> std::io::Result<Vec<Order>> {
    let path = meta.join(FILE);
    let text = match Plain::open_read(&path) {
        Ok(file) => file.read_at(0, usize::try_from(file.size()?).unwrap_or(usize::MAX))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut orders: Vec<Order> = Vec::new();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(Entry::Placed(order)) => orders.push(order),
            Ok(Entry::Ended(id)) => orders.retain(|order| order.id != id),
            Err(error) => tracing::warn!("{}: a line is left out: {error}", path.display()),
        }
    }
    orders.retain(|order| order.until_millis > now_millis);
    Ok(orders)
}

/// Writes a file that has grown anew, with what is in force. Only while nothing is placed.
///
/// # Errors
/// As the disk says; the file is then as it was.
pub fn compact(meta: &Path) -> std::io::Result<()> {
    let path = meta.join(FILE);
    let size = match Plain::open_read(&path) {
        Ok(file) => file.size()?,
        Err(_) => return Ok(()),
    };
    if size <= ORDER_LOG_BYTES {
        return Ok(());
    }
    let mut text = Vec::new();
    for order in read(meta, steady_millis())? {
        serde_json::to_writer(&mut text, &Entry::Placed(order))?;
        text.push(b'\n');
    }
    let fresh: PathBuf = meta.join(FRESH);
    let file = Plain::open(&fresh)?;
    file.cut(0)?;
    file.append(&text)?;
    file.sync()?;
    fs::rename(&fresh, &path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orders::{About, Selector};

    fn order(id: &str, until_millis: u64) -> Order {
        Order {
            id: id.into(),
            reason: "because".into(),
            until_millis,
            placed_millis: 7,
            by: "10.0.0.1".into(),
            marks: true,
            about: About::Bounce { selector: Selector::default(), suppress_logging: true },
        }
    }

    fn write(meta: &Path, entry: &Entry) {
        futures::executor::block_on(async {
            // The same bytes as `append`, whose helper thread is a shard's.
            let line = format!("\n{}\n", serde_json::to_string(entry).unwrap());
            Plain::open(&meta.join(FILE)).unwrap().append(line.as_bytes()).unwrap();
        });
    }

    #[test]
    fn what_is_in_force_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let meta = dir.path();
        assert_eq!(read(meta, 0).unwrap(), []);
        write(meta, &Entry::Placed(order("1", 1000)));
        write(meta, &Entry::Placed(order("2", 1000)));
        write(meta, &Entry::Placed(order("3", 10)));
        write(meta, &Entry::Ended("1".into()));
        assert_eq!(read(meta, 10).unwrap(), [order("2", 1000)]);
        // A crash in the middle of a line.
        Plain::open(&meta.join(FILE)).unwrap().append(b"\n{\"Placed\":{\"id").unwrap();
        write(meta, &Entry::Placed(order("4", 1000)));
        assert_eq!(read(meta, 10).unwrap(), [order("2", 1000), order("4", 1000)]);
    }

    #[test]
    fn a_file_that_has_grown_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let meta = dir.path();
        write(meta, &Entry::Placed(order("keep", u64::MAX)));
        let size = || std::fs::metadata(meta.join(FILE)).unwrap().len();
        while size() <= ORDER_LOG_BYTES {
            write(meta, &Entry::Placed(order("over", 1)));
        }
        compact(meta).unwrap();
        assert!(size() < 1000, "{}", size());
        assert_eq!(read(meta, 10).unwrap(), [order("keep", u64::MAX)]);
    }
}

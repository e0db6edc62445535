//! Events that a receiver has refused for good: kept in a file, each with the reason, for a person to look at and to
//! send again.

use crate::limits::HOOK_DEAD_LETTER_BYTES;
use ringmta_io::plain;
use ringmta_io::plain::Plain;
use ringmta_io::{self as io, fs};
use ringmta_mail::redact;
use ringmta_smtp::dates::push_rfc3339;
use std::cell::Cell;
use std::path::{Path, PathBuf};

/// The file of one hook on one shard: a JSON object per line, `{"time","reason","event"}`.
pub struct DeadLetters {
    path: PathBuf,
    /// Events set aside since the start.
    pub count: Cell<u64>,
}

impl DeadLetters {
    /// In the file `path`, which is made when it is needed.
    pub fn new(path: PathBuf) -> DeadLetters {
        DeadLetters { path, count: Cell::new(0) }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds an event, given as JSON; it is on stable storage when this returns.
    ///
    /// # Errors
    /// As the disk says.
    pub async fn add(&self, event: &str, reason: &str) -> std::io::Result<()> {
        let mut line = b"{\"time\":\"".to_vec();
        push_rfc3339(&mut line, io::unix_nanos());
        let reason = serde_json::Value::from(redact::urls(reason).as_ref());
        line.extend_from_slice(format!("\",\"reason\":{reason},\"event\":{event}}}\n").as_bytes());
        let path = self.path.clone();
        io::blocking(move || append(&path, &line)).await?;
        self.count.set(self.count.get() + 1);
        Ok(())
    }
}

fn append(path: &Path, line: &[u8]) -> std::io::Result<()> {
    if let Some(dir) = path.parent().filter(|dir| !fs::exists(dir)) {
        plain::create_dir_all(dir)?;
    }
    let mut file = Plain::open(path)?;
    if file.size()? >= HOOK_DEAD_LETTER_BYTES {
        let old = path.with_extension("jsonl.old");
        tracing::error!("{} is full: it becomes {}", path.display(), old.display());
        if fs::exists(&old) {
            fs::remove_file(&old)?;
        }
        fs::rename(path, &old)?;
        file = Plain::open(path)?;
    }
    file.append(line)?;
    file.sync()
}

//! What operators have set for the whole process, over restarts and crashes: the log filter, and the configuration epoch.
//! Each is a small file of the `meta` spool, written whole: a temporary one, synced, renamed, and the folder synced.

use ringmta_io::plain::Plain;
use ringmta_io::{self as io, fs, steady_millis};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

const FILTER: &str = "log-filter";
const EPOCH: &str = "config-epoch";
/// Bytes of such a file at the most.
const BYTES_MAX: usize = 64 * 1024;

/// One at a time writes; they are few, and wait off the shards.
static WRITING: Mutex<()> = Mutex::new(());

/// Something that was set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Set<T> {
    /// What.
    pub value: T,
    /// Who has set it.
    pub by: String,
    /// When, unix milliseconds.
    pub at_millis: u64,
}

impl<T> Set<T> {
    /// Set now.
    pub fn now(value: T, by: &str) -> Set<T> {
        Set { value, by: by.to_string(), at_millis: steady_millis() }
    }
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// What the engine says on stderr, in place of what the policy or the environment says.
    pub log_filter: Option<Set<String>>,
    /// The configuration epoch, which only grows.
    pub config_epoch: Option<Set<u64>>,
}

/// What is kept. What cannot be read is told, and then as if it were not there: mail is not held up by it.
pub fn read(meta: &Path) -> Settings {
    Settings { log_filter: one(meta, FILTER), config_epoch: one(meta, EPOCH) }
}

fn one<T: DeserializeOwned>(meta: &Path, name: &str) -> Option<Set<T>> {
    let path = meta.join(name);
    let file = match Plain::open_read(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!("{}: {error}", path.display());
            return None;
        }
    };
    let read = file.read_at(0, BYTES_MAX).map_err(|error| error.to_string());
    match read.and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string())) {
        Ok(set) => Some(set),
        Err(why) => {
            tracing::warn!("{}: {why}", path.display());
            None
        }
    }
}

/// Keeps the log filter, or forgets it.
///
/// # Errors
/// As the disk says: the one before may come back.
pub async fn keep_filter(meta: &Path, filter: Option<&Set<String>>) -> std::io::Result<()> {
    match filter {
        Some(filter) => write(meta, FILTER, serde_json::to_vec(filter)?).await,
        None => {
            let path = meta.join(FILTER);
            let removed = io::blocking(move || match fs::exists(&path) {
                true => fs::remove_file(&path),
                false => Ok(()),
            });
            removed.await?;
            io::file::sync_dir(meta).await
        }
    }
}

/// Keeps the configuration epoch.
///
/// # Errors
/// As the disk says.
pub async fn keep_epoch(meta: &Path, epoch: &Set<u64>) -> std::io::Result<()> {
    write(meta, EPOCH, serde_json::to_vec(epoch)?).await
}

async fn write(meta: &Path, name: &str, text: Vec<u8>) -> std::io::Result<()> {
    let (path, fresh) = (meta.join(name), meta.join(format!("{name}.new")));
    let written = io::blocking(move || {
        let _one = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        let file = Plain::open(&fresh)?;
        file.cut(0)?;
        file.append(&text)?;
        file.sync()?;
        fs::rename(&fresh, &path)
    });
    written.await?;
    io::file::sync_dir(meta).await
}

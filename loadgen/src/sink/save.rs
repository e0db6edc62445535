//! Storing messages as received.

use super::end_of_data::unstuff;
use anyhow::{Context, Result};
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

/// An envelope as it goes into the sidecar.
#[derive(Debug, Default, Serialize)]
pub struct Envelope {
    mail_from: String,
    rcpt_to: Vec<String>,
    tls: bool,
}

impl Envelope {
    /// A MAIL command was taken.
    pub fn begin(&mut self, from: &[u8], tls: bool) {
        self.mail_from = String::from_utf8_lossy(from).into_owned();
        self.rcpt_to.clear();
        self.tls = tls;
    }

    /// A RCPT command was taken.
    pub fn add(&mut self, to: &[u8]) {
        self.rcpt_to.push(String::from_utf8_lossy(to).into_owned());
    }
}

/// Writes messages into a folder, numbered in the order in which they came.
#[derive(Debug, Clone)]
pub struct Saver {
    folder: PathBuf,
    next: Arc<AtomicU64>,
}

impl Saver {
    /// Makes the folder if need be, and goes on behind the messages already in it.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn new(folder: &Path) -> Result<Self> {
        let context = || format!("cannot use folder {}", folder.display());
        std::fs::create_dir_all(folder).with_context(context)?;
        let mut last = 0;
        for item in std::fs::read_dir(folder).with_context(context)? {
            let path = item.with_context(context)?.path();
            let number =
                path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            last = last.max(number.unwrap_or(0));
        }
        Ok(Self { folder: folder.to_owned(), next: Arc::new(AtomicU64::new(last + 1)) })
    }

    /// Stores a message: its envelope first, so that whoever sees the message finds the envelope too.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, envelope: &Envelope, id: &str, raw: &[u8]) -> io::Result<()> {
        #[derive(Serialize)]
        struct Sidecar<'a> {
            loadgen_id: &'a str,
            #[serde(flatten)]
            envelope: &'a Envelope,
        }
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let path = |ending: &str| self.folder.join(format!("{number:04}.{ending}"));
        let sidecar = serde_json::to_vec(&Sidecar { loadgen_id: id, envelope })?;
        std::fs::write(path("env"), sidecar)?;
        std::fs::write(path("eml"), unstuff(raw))
    }
}

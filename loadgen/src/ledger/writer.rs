//! Appending to a ledger: buffered, but never for longer than the flush time.

use crate::limits;
use anyhow::{Context, Result};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// One worker's end of a ledger file. Several may append to the same file: each write holds whole lines.
#[derive(Debug)]
pub struct Writer {
    file: Option<File>,
    lines: Vec<u8>,
    /// When the oldest line held back was appended.
    oldest: Option<Instant>,
}

impl Writer {
    /// Opens a ledger to append to, creating it if need be; without a path, lines go nowhere.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        let file = match path {
            Some(path) => {
                let opened = OpenOptions::new().create(true).append(true).open(path);
                Some(opened.with_context(|| format!("cannot open ledger {}", path.display()))?)
            }
            None => None,
        };
        Ok(Self { file, lines: Vec::new(), oldest: None })
    }

    /// Appends one line, given without its line end.
    ///
    /// # Errors
    /// When the file refuses the lines held back so far.
    pub fn line(&mut self, now: Instant, line: fmt::Arguments<'_>) -> io::Result<()> {
        if self.file.is_none() {
            return Ok(());
        }
        self.oldest.get_or_insert(now);
        self.lines.write_fmt(line)?;
        self.lines.push(b'\n');
        if self.lines.len() >= limits::LEDGER_BUFFER_BYTES {
            return self.flush();
        }
        Ok(())
    }

    /// Writes the lines held back if the oldest has waited long enough.
    ///
    /// # Errors
    /// When the file refuses them.
    pub fn tick(&mut self, now: Instant) -> io::Result<()> {
        // Half the time promised: the caller comes by at intervals of its own.
        let patience = Duration::from_millis(limits::LEDGER_FLUSH_MS / 2);
        match self.oldest {
            Some(oldest) if now.saturating_duration_since(oldest) >= patience => self.flush(),
            _ => Ok(()),
        }
    }

    /// Whether lines are held back, so that the caller must come by again soon.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.oldest.is_some()
    }

    /// Writes all lines held back.
    ///
    /// # Errors
    /// When the file refuses them.
    pub fn flush(&mut self) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.write_all(&self.lines)?;
        }
        self.lines.clear();
        self.oldest = None;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Last resort on the way out of an error; the regular end flushes and looks at the result.
        let _ = self.flush();
    }
}

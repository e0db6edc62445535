//! Damage found in the spool, each told once.

use std::path::PathBuf;

/// One place in the spool that does not hold what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Byte offset of the first thing that is wrong.
    pub offset: u64,
    /// What is wrong, and what becomes of it.
    pub what: String,
}

impl Damage {
    /// Damage in `path` at `offset`.
    pub fn new(path: &std::path::Path, offset: u64, what: impl Into<String>) -> Damage {
        Damage { path: path.to_path_buf(), offset, what: what.into() }
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} offset {}: {}", self.path.display(), self.offset, self.what)
    }
}

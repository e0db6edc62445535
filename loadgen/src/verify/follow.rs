//! Reading a text file that may still grow: whole lines only, each once.

use anyhow::{Context, Result};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// A file and how far it was read.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    reader: Option<BufReader<File>>,
    /// The line being read; keeps its beginning until its end has been written.
    line: Vec<u8>,
    may_be_absent: bool,
}

impl Follower {
    /// Starts at the beginning of a file; a patient one takes an absent file for an empty one.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path, patient: bool) -> Result<Self> {
        let mut this =
            Self { path: path.to_owned(), reader: None, line: Vec::new(), may_be_absent: patient };
        this.ensure_open()?;
        Ok(this)
    }

    fn ensure_open(&mut self) -> Result<()> {
        if self.reader.is_some() {
            return Ok(());
        }
        match File::open(&self.path) {
            Ok(file) => self.reader = Some(BufReader::with_capacity(1 << 20, file)),
            Err(error) if self.may_be_absent && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot open {}", self.path.display()))
            }
        }
        Ok(())
    }

    /// Hands over every line that was completed since the last call, without its line end.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn lines(&mut self, mut take: impl FnMut(&str)) -> Result<()> {
        self.ensure_open()?;
        let Some(reader) = &mut self.reader else {
            return Ok(());
        };
        loop {
            let count = reader
                .read_until(b'\n', &mut self.line)
                .with_context(|| format!("cannot read {}", self.path.display()))?;
            if count == 0 || !self.line.ends_with(b"\n") {
                return Ok(());
            }
            take(String::from_utf8_lossy(&self.line).trim_end());
            self.line.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_line_comes_once_and_whole() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut follower = Follower::open(file.path(), false).unwrap();
        let mut seen = Vec::new();
        file.write_all(b"one\ntw").unwrap();
        follower.lines(|line| seen.push(line.to_owned())).unwrap();
        file.write_all(b"o\nthree\n").unwrap();
        follower.lines(|line| seen.push(line.to_owned())).unwrap();
        assert_eq!(seen, ["one", "two", "three"]);
    }

    #[test]
    fn an_absent_file_is_an_error_unless_waited_for() {
        let path = Path::new("/nonexistent/ledger");
        assert!(Follower::open(path, false).is_err());
        assert!(Follower::open(path, true).is_ok());
    }
}

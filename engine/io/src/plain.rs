//! Plain files: small appends, made durable when asked. Every call blocks: they are made at start,
//! or inside [`crate::blocking`].

use crate::beneath;
use crate::sim;
use crate::sim::plain::SimPlain;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

/// An open file.
#[derive(Debug, Clone)]
pub struct Plain(Inner);

#[derive(Debug, Clone)]
enum Inner {
    Real(Arc<fs::File>),
    Sim(SimPlain),
}

impl Plain {
    /// Opens `path` for appending and reading. When there is no such file it is made, and its name
    /// is made durable.
    ///
    /// # Errors
    /// As open(2) and fsync(2).
    pub fn open(path: &Path) -> io::Result<Plain> {
        if sim::active() {
            return Ok(Plain(Inner::Sim(SimPlain::open(path, true)?)));
        }
        let is_new = !path.exists();
        let file = beneath::options().create(true).append(true).read(true).open(path)?;
        if is_new {
            // Were it left there, the next to open it would take its name for durable.
            sync_dir(path).inspect_err(|_| drop(fs::remove_file(path)))?;
        }
        Ok(Plain(Inner::Real(Arc::new(file))))
    }

    /// Opens an existing file for reading.
    ///
    /// # Errors
    /// As open(2).
    pub fn open_read(path: &Path) -> io::Result<Plain> {
        if sim::active() {
            return Ok(Plain(Inner::Sim(SimPlain::open(path, false)?)));
        }
        Ok(Plain(Inner::Real(Arc::new(fs::File::open(path)?))))
    }

    /// Writes `bytes` at the end.
    ///
    /// # Errors
    /// As write(2); then a part of them may be there.
    pub fn append(&self, bytes: &[u8]) -> io::Result<()> {
        match &self.0 {
            Inner::Real(file) => (&**file).write_all(bytes),
            Inner::Sim(file) => file.append(bytes),
        }
    }

    /// Makes what was written durable.
    ///
    /// # Errors
    /// As fdatasync(2). After an error what was written must be taken as lost.
    pub fn sync(&self) -> io::Result<()> {
        match &self.0 {
            Inner::Real(file) => file.sync_data(),
            Inner::Sim(file) => file.sync(),
        }
    }

    /// Size in bytes.
    ///
    /// # Errors
    /// As stat(2).
    pub fn size(&self) -> io::Result<u64> {
        match &self.0 {
            Inner::Real(file) => Ok(file.metadata()?.len()),
            Inner::Sim(file) => Ok(file.size()),
        }
    }

    /// Cuts the file to `bytes`.
    ///
    /// # Errors
    /// As ftruncate(2).
    pub fn cut(&self, bytes: u64) -> io::Result<()> {
        match &self.0 {
            Inner::Real(file) => file.set_len(bytes),
            Inner::Sim(file) => {
                file.cut(bytes);
                Ok(())
            }
        }
    }

    /// Reads up to `bytes` at `at`; shorter at the end of the file.
    ///
    /// # Errors
    /// As read(2).
    pub fn read_at(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        match &self.0 {
            Inner::Real(file) => {
                let mut file = &**file;
                let mut out = Vec::with_capacity(bytes);
                file.seek(SeekFrom::Start(at))?;
                file.take(bytes as u64).read_to_end(&mut out)?;
                Ok(out)
            }
            Inner::Sim(file) => file.read_at(at, bytes),
        }
    }
}

fn sync_dir(inside: &Path) -> io::Result<()> {
    match inside.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => fs::File::open(dir)?.sync_all(),
        _ => fs::File::open(".")?.sync_all(),
    }
}

/// Makes `path` and the folders above it; their names are durable when this returns.
///
/// # Errors
/// As mkdir(2) and fsync(2).
pub fn create_dir_all(path: &Path) -> io::Result<()> {
    if sim::active() {
        return sim::plain::create_dir_all(path);
    }
    let missing = path.ancestors().take_while(|dir| !dir.exists()).count();
    beneath::make_folders(path)?;
    // One more than was missing: a folder found may have been made by a process that died at once.
    path.ancestors().take(missing + 1).try_for_each(sync_dir)
}

/// Removes a folder and all that is in it, durably.
///
/// # Errors
/// As rmdir(2) and fsync(2).
pub fn remove_dir_all(path: &Path) -> io::Result<()> {
    if sim::active() {
        return sim::plain::remove_dir_all(path);
    }
    fs::remove_dir_all(path)?;
    sync_dir(path)
}

/// Replaces the file `path` by one that holds `bytes`, by way of `fresh`, a name beside it. After
/// a crash it may hold what it held before, or nothing that can be read.
///
/// # Errors
/// As write(2) and rename(2).
pub fn replace(path: &Path, fresh: &Path, bytes: &[u8]) -> io::Result<()> {
    if sim::active() {
        return sim::plain::replace(path, fresh, bytes);
    }
    let mut file = beneath::options().write(true).create(true).truncate(true).open(fresh)?;
    file.write_all(bytes)?;
    fs::rename(fresh, path)
}

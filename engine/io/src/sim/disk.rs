//! What the disk holds: files in sectors, names in folders, and which of it is on stable storage.
//!
//! A sector that was written and not yet made durable is kept in every version it had since its
//! stable one: a crash ([`crate::sim::crash`]) may leave any of them. A name is durable when its folder
//! was synced since the name was made or taken away.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// What a disk writes whole, or not at all.
pub const SECTOR_BYTES: u64 = 512;

/// How often operations fail, in parts of a million, and how long they take.
#[derive(Debug, Clone)]
pub struct Faults {
    /// Writes that end in EIO; what of them is on disk is unknown.
    pub write_error: u64,
    /// Writes of which only a part is done.
    pub write_short: u64,
    /// Reads that end in EIO.
    pub read_error: u64,
    /// Syncs that fail. What they were for is lost, and the next sync will not say so.
    pub sync_error: u64,
    /// Operations that take longer than anyone waits.
    pub hang: u64,
    /// Shortest and longest usual operation, nanoseconds.
    pub latency_nanos: (u64, u64),
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            write_error: 0,
            write_short: 0,
            read_error: 0,
            sync_error: 0,
            hang: 0,
            latency_nanos: (20_000, 2_000_000),
        }
    }
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A folder.
    Dir,
    /// A file, by number.
    File(u64),
}

/// One version of a sector.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    /// Its place in the order of all writes.
    pub order: u64,
    /// A sync of it has failed: no later one brings it to the disk.
    pub lost: bool,
    pub bytes: Box<[u8]>,
}

/// A write on its way.
#[derive(Debug)]
pub(crate) struct Flying {
    pub at: u64,
    pub bytes: Vec<u8>,
}

/// One file.
#[derive(Debug, Default)]
pub(crate) struct Inode {
    pub size: u64,
    pub stable_size: u64,
    /// The first version is the stable one, the last is what is read.
    pub sectors: BTreeMap<u64, Vec<Version>>,
    pub flying: BTreeMap<u64, Flying>,
}

impl Inode {
    /// Puts `bytes` at `at` (both whole sectors). What is `durable` replaces all versions.
    pub fn put(&mut self, at: u64, bytes: &[u8], order: u64, durable: bool) {
        for (step, sector) in bytes.chunks(SECTOR_BYTES as usize).enumerate() {
            let mut whole = vec![0; SECTOR_BYTES as usize];
            whole[..sector.len()].copy_from_slice(sector);
            let version = Version { order, lost: false, bytes: whole.into() };
            let versions = self.sectors.entry(at / SECTOR_BYTES + step as u64).or_default();
            if durable {
                *versions = vec![version];
                continue;
            }
            if versions.is_empty() {
                let bytes = vec![0; SECTOR_BYTES as usize].into();
                versions.push(Version { order: 0, lost: false, bytes });
            }
            versions.push(version);
        }
        self.size = self.size.max(at + bytes.len() as u64);
        if durable {
            self.stable_size = self.stable_size.max(self.size);
        }
    }

    /// Reads what is there now.
    pub fn read(&self, at: u64, bytes: usize) -> Vec<u8> {
        let end = self.size.min(at + bytes as u64).max(at);
        let mut out = vec![0; (end - at) as usize];
        let sectors = at / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES);
        for (number, versions) in self.sectors.range(sectors) {
            let Some(last) = versions.last() else { continue };
            let start = number * SECTOR_BYTES;
            let from = start.max(at);
            let to = (start + SECTOR_BYTES).min(end);
            let part = &last.bytes[(from - start) as usize..(to - start) as usize];
            out[(from - at) as usize..(to - at) as usize].copy_from_slice(part);
        }
        out
    }

    /// Everything written before `order` becomes stable, unless its sync failed before.
    pub fn settle(&mut self, order: u64, size: u64) {
        for versions in self.sectors.values_mut() {
            let stable = versions.iter().rposition(|v| v.order < order && !v.lost).unwrap_or(0);
            versions.drain(..stable);
        }
        self.stable_size = self.stable_size.max(size);
    }

    /// A sync has failed: what it was for will never reach the disk, though it can still be read.
    /// Whether there was any.
    pub fn lose(&mut self, order: u64) -> bool {
        let mut any = false;
        for versions in self.sectors.values_mut() {
            for version in versions.iter_mut().skip(1).filter(|v| v.order < order) {
                (version.lost, any) = (true, true);
            }
        }
        any
    }
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub inodes: BTreeMap<u64, Inode>,
    pub names: BTreeMap<PathBuf, Entry>,
    pub stable: BTreeMap<PathBuf, Entry>,
    pub next: u64,
}

impl State {
    pub fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// The disk of a world.
#[derive(Debug, Default)]
pub struct Disk {
    pub(crate) state: RefCell<State>,
    /// What goes wrong, and how often.
    pub faults: RefCell<Faults>,
    /// There is no room for anything more.
    pub full: Cell<bool>,
    /// A sync has failed, and what it was for can be read and will never be on the disk: whoever reads it later, and
    /// knows nothing of that sync, counts on what a power cut takes away.
    pub lost: Cell<bool>,
}

fn no_such(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{}: no such file", path.display()))
}

impl Disk {
    /// ENOSPC.
    pub(crate) fn no_space() -> io::Error {
        io::Error::from_raw_os_error(libc::ENOSPC)
    }

    /// EIO.
    pub(crate) fn broken() -> io::Error {
        io::Error::from_raw_os_error(libc::EIO)
    }

    /// Makes `path` and the folders above it. Gives the folders whose entries changed.
    ///
    /// # Errors
    /// When there is no room, or a file is in the way.
    pub fn create_dir_all(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let mut state = self.state.borrow_mut();
        let mut changed = Vec::new();
        let mut all: Vec<&Path> = path.ancestors().collect();
        all.reverse();
        for dir in all.into_iter().filter(|dir| dir.parent().is_some()) {
            match state.names.get(dir) {
                Some(Entry::Dir) => {}
                Some(Entry::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                None if self.full.get() => return Err(Disk::no_space()),
                None => {
                    state.names.insert(dir.to_path_buf(), Entry::Dir);
                    changed.extend(dir.parent().map(Path::to_path_buf));
                }
            }
        }
        Ok(changed)
    }

    /// The paths in a folder, in order.
    ///
    /// # Errors
    /// When there is no such folder.
    pub fn read_dir(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.state.borrow();
        if state.names.get(path) != Some(&Entry::Dir) {
            return Err(no_such(path));
        }
        let inside = state.names.keys().filter(|name| name.parent() == Some(path));
        Ok(inside.cloned().collect())
    }

    /// What `path` stands for.
    pub fn entry(&self, path: &Path) -> Option<Entry> {
        self.state.borrow().names.get(path).copied()
    }

    /// Takes a file's name away.
    ///
    /// # Errors
    /// When there is none.
    pub fn remove_file(&self, path: &Path) -> io::Result<()> {
        match self.state.borrow_mut().names.remove(path) {
            Some(Entry::File(_)) => Ok(()),
            _ => Err(no_such(path)),
        }
    }

    /// Takes a folder away with all that is in it.
    ///
    /// # Errors
    /// When there is none.
    pub fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        if state.names.get(path) != Some(&Entry::Dir) {
            return Err(no_such(path));
        }
        state.names.retain(|name, _| !name.starts_with(path));
        Ok(())
    }

    /// Gives a file another name, durably: journaling file systems order renames among
    /// themselves, and nothing in the engine depends on less.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        let entry = state.names.remove(from).ok_or_else(|| no_such(from))?;
        state.stable.remove(from);
        state.names.insert(to.to_path_buf(), entry);
        state.stable.insert(to.to_path_buf(), entry);
        Ok(())
    }

    /// Makes the names in `dir` durable, at once.
    pub fn sync_dir(&self, dir: &Path) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let named = |name: &PathBuf| name.parent() == Some(dir);
        let gone = |name: &&PathBuf| named(name) && !state.names.contains_key(*name);
        let gone: Vec<PathBuf> = state.stable.keys().filter(gone).cloned().collect();
        // A folder that is gone takes with it what was in it: made anew, it is another folder.
        state.stable.retain(|name, _| !gone.iter().any(|gone| name.starts_with(gone)));
        for (name, entry) in state.names.iter().filter(|(name, _)| name.parent() == Some(dir)) {
            state.stable.insert(name.clone(), *entry);
        }
    }

    /// Space: (free bytes, all bytes, free inodes, all inodes).
    pub fn free(&self) -> (u64, u64, u64, u64) {
        const ALL_BYTES: u64 = 1 << 40;
        const ALL_INODES: u64 = 1 << 24;
        let free = if self.full.get() { 0 } else { ALL_BYTES / 2 };
        (free, ALL_BYTES, ALL_INODES / 2, ALL_INODES)
    }

    /// Whether a write is on its way.
    pub fn is_writing(&self) -> bool {
        self.state.borrow().inodes.values().any(|inode| !inode.flying.is_empty())
    }

    /// Every file with what can be read of it now: for damage made on purpose, and for looking.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let state = self.state.borrow();
        let files = state.names.iter().filter_map(|(name, entry)| match entry {
            Entry::File(inode) => Some((name.clone(), state.inodes.get(inode)?)),
            Entry::Dir => None,
        });
        files.map(|(name, inode)| (name, inode.read(0, inode.size as usize))).collect()
    }

    /// Replaces a file's bytes, durably: damage made on purpose. Makes the file when absent.
    pub fn overwrite(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state.borrow_mut();
        let order = state.number();
        let known = match state.names.get(path) {
            Some(Entry::File(inode)) => Some(*inode),
            _ => None,
        };
        let inode = known.unwrap_or_else(|| {
            let inode = state.number();
            state.names.insert(path.to_path_buf(), Entry::File(inode));
            state.stable.insert(path.to_path_buf(), Entry::File(inode));
            inode
        });
        let mut fresh = Inode::default();
        fresh.put(0, bytes, order, true);
        fresh.size = bytes.len() as u64;
        fresh.stable_size = fresh.size;
        state.inodes.insert(inode, fresh);
    }
}

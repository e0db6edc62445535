//! Plain files of the simulated disk: their calls block, so they take no time of the world.

use crate::sim::disk::{Disk, Entry, Inode, SECTOR_BYTES};
use crate::sim::world::here;
use std::io;
use std::path::Path;

/// An open file.
#[derive(Debug, Clone)]
pub struct SimPlain(u64);

fn fails(how_often: impl Fn(&crate::sim::disk::Faults) -> u64) -> bool {
    let world = here();
    let parts = how_often(&world.disk.faults.borrow());
    world.rng.chance(parts)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    if fails(|faults| faults.sync_error) {
        return Err(Disk::broken());
    }
    here().disk.sync_dir(dir);
    Ok(())
}

impl SimPlain {
    /// As the real one; makes the file only when `create` says so.
    pub fn open(path: &Path, create: bool) -> io::Result<SimPlain> {
        let world = here();
        let inode = match world.disk.entry(path) {
            Some(Entry::File(inode)) => inode,
            Some(Entry::Dir) => return Err(io::ErrorKind::IsADirectory.into()),
            None if !create => return Err(io::ErrorKind::NotFound.into()),
            None if world.disk.full.get() => return Err(Disk::no_space()),
            None => {
                let mut state = world.disk.state.borrow_mut();
                let inode = state.number();
                state.inodes.insert(inode, Inode::default());
                state.names.insert(path.to_path_buf(), Entry::File(inode));
                drop(state);
                if let Some(dir) = path.parent() {
                    sync_dir(dir).inspect_err(|_| {
                        world.disk.state.borrow_mut().names.remove(path);
                    })?;
                }
                inode
            }
        };
        Ok(SimPlain(inode))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inode, u64) -> T) -> T {
        let world = here();
        let mut state = world.disk.state.borrow_mut();
        let order = state.number();
        act(state.inodes.entry(self.0).or_default(), order)
    }

    /// Appends; when it fails some of the bytes may be there.
    pub fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let world = here();
        let failed = if world.disk.full.get() {
            Some(Disk::no_space())
        } else if fails(|faults| faults.write_error + faults.write_short) {
            Some(Disk::broken())
        } else {
            None
        };
        let count = if failed.is_some() {
            world.rng.below(bytes.len() as u64) as usize
        } else {
            bytes.len()
        };
        self.with(|inode, order| {
            let at = inode.size;
            let start = at / SECTOR_BYTES * SECTOR_BYTES;
            let mut whole = inode.read(start, (at - start) as usize);
            whole.extend_from_slice(&bytes[..count]);
            inode.put(start, &whole, order, false);
        });
        failed.map_or(Ok(()), Err)
    }

    /// As fdatasync(2).
    pub fn sync(&self) -> io::Result<()> {
        if fails(|faults| faults.sync_error) {
            if self.with(|inode, order| inode.lose(order)) {
                here().disk.lost.set(true);
            }
            return Err(Disk::broken());
        }
        self.with(|inode, order| {
            let size = inode.size;
            inode.settle(order, size);
        });
        Ok(())
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.with(|inode, _| inode.size)
    }

    /// Cuts the file, at once and durably.
    pub fn cut(&self, bytes: u64) {
        self.with(|inode, order| {
            let left = inode.read(0, bytes as usize);
            *inode = Inode::default();
            inode.put(0, &left, order, true);
        });
    }

    /// Reads.
    pub fn read_at(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        if fails(|faults| faults.read_error) {
            return Err(Disk::broken());
        }
        Ok(self.with(|inode, _| inode.read(at, bytes)))
    }
}

/// Makes folders, and makes the names of all of them durable.
pub fn create_dir_all(path: &Path) -> io::Result<()> {
    here().disk.create_dir_all(path)?;
    path.ancestors().skip(1).try_for_each(sync_dir)
}

/// Removes a folder with all that is in it.
pub fn remove_dir_all(path: &Path) -> io::Result<()> {
    here().disk.remove_dir_all(path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Replaces a file; its bytes are not made durable.
pub fn replace(path: &Path, fresh: &Path, bytes: &[u8]) -> io::Result<()> {
    let world = here();
    if world.disk.entry(fresh).is_some() {
        world.disk.remove_file(fresh)?;
    }
    SimPlain::open(fresh, true)?.append(bytes)?;
    world.disk.rename(fresh, path)
}

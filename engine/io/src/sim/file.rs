//! File operations: they take their time, end in any order, and fail when the seed says so.

use crate::sim::disk::{Disk, Entry, Faults, Flying, Inode, State, SECTOR_BYTES};
use crate::sim::exec::Promise;
use crate::sim::tasks::sleep;
use crate::sim::world::{here, World};
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// A hanging operation takes between these, seconds: longer than any disk deadline.
const HANG_SECS: (u64, u64) = (31, 90);

/// An open file.
#[derive(Clone)]
pub struct SimFile {
    inode: u64,
    /// Opened with O_DSYNC.
    durable: bool,
}

impl World {
    fn latency(&self) -> u64 {
        let faults = self.disk.faults.borrow();
        if self.rng.chance(faults.hang) {
            return self.rng.between(HANG_SECS.0, HANG_SECS.1) * 1_000_000_000;
        }
        self.rng.between(faults.latency_nanos.0, faults.latency_nanos.1)
    }

    fn fails(&self, how_often: impl Fn(&Faults) -> u64) -> bool {
        self.rng.chance(how_often(&self.disk.faults.borrow()))
    }
}

/// Waits as long as a disk operation takes.
pub async fn take_time(world: &World) {
    sleep(Duration::from_nanos(world.latency())).await;
}

/// Waits until the helper thread that the machine's tasks share has done what it was asked before, and one more thing.
pub async fn take_turn(world: &World) {
    sleep(Duration::from_nanos(world.exec.helped_in(world.latency()))).await;
}

impl SimFile {
    /// As the real world's `RingFile::open`.
    pub async fn open(path: &Path, create: Option<u64>, durable: bool) -> io::Result<SimFile> {
        let world = here();
        take_time(&world).await;
        let inode = match (world.disk.entry(path), create) {
            (Some(Entry::File(inode)), None) => inode,
            (None, Some(_)) => make(&world, path)?,
            (Some(_), Some(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            _ => return Err(io::ErrorKind::NotFound.into()),
        };
        let file = SimFile { inode, durable };
        if let Some(size) = create {
            take_time(&world).await;
            if world.disk.full.get() {
                return Err(Disk::no_space());
            }
            file.with(|inode| inode.size = size);
            file.sync().await?;
        }
        Ok(file)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inode) -> T) -> T {
        let world = here();
        let mut state = world.disk.state.borrow_mut();
        act(state.inodes.entry(self.inode).or_default())
    }

    /// Writes `bytes` (whole sectors) at `at`.
    pub async fn write_at(&self, bytes: Vec<u8>, at: u64) -> io::Result<()> {
        let world = here();
        let grows = at + bytes.len() as u64 > self.with(|inode| inode.size);
        if grows && world.disk.full.get() {
            take_time(&world).await;
            return Err(Disk::no_space());
        }
        let done: Promise<io::Result<()>> = Promise::default();
        let promise = done.clone();
        let (inode, durable) = (self.inode, self.durable);
        let number = world.disk.state.borrow_mut().number();
        let flying = Flying { at, bytes };
        self.with(|inode| inode.flying.insert(number, flying));
        // The operation goes its way whether or not anyone still waits for it.
        world.act_after(world.latency(), move |world| {
            promise.keep(complete(world, inode, number, durable));
        });
        done.await
    }

    /// Reads up to `bytes` at `at`.
    pub async fn read_at(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let world = here();
        take_time(&world).await;
        if world.fails(|faults| faults.read_error) {
            return Err(Disk::broken());
        }
        Ok(self.with(|inode| inode.read(at, bytes)))
    }

    /// As fdatasync(2).
    pub async fn sync(&self) -> io::Result<()> {
        let world = here();
        let order = world.disk.state.borrow_mut().number();
        let size = self.with(|inode| inode.size);
        take_time(&world).await;
        if world.fails(|faults| faults.sync_error) {
            if self.with(|inode| inode.lose(order)) {
                world.disk.lost.set(true);
            }
            return Err(Disk::broken());
        }
        self.with(|inode| inode.settle(order, size));
        Ok(())
    }

    /// Size in bytes.
    pub async fn size(&self) -> io::Result<u64> {
        take_time(&here()).await;
        Ok(self.with(|inode| inode.size))
    }
}

fn make(world: &Rc<World>, path: &Path) -> io::Result<u64> {
    if world.disk.full.get() {
        return Err(Disk::no_space());
    }
    let known = path.parent().and_then(|dir| world.disk.entry(dir));
    if known != Some(Entry::Dir) {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut state = world.disk.state.borrow_mut();
    let inode = state.number();
    state.inodes.insert(inode, Inode::default());
    state.names.insert(path.to_path_buf(), Entry::File(inode));
    Ok(inode)
}

/// The end of a write under way. Nothing, when a crash came first.
fn complete(world: &World, inode: u64, number: u64, durable: bool) -> io::Result<()> {
    let failed = world.fails(|faults| faults.write_error);
    let short = world.fails(|faults| faults.write_short);
    let mut state = world.disk.state.borrow_mut();
    let order = state.number();
    let State { inodes, .. } = &mut *state;
    let Some(inode) = inodes.get_mut(&inode) else { return Err(Disk::broken()) };
    let Some(Flying { at, bytes }) = inode.flying.remove(&number) else {
        return Err(Disk::broken());
    };
    if short {
        let sectors = world.rng.below(bytes.len() as u64 / SECTOR_BYTES);
        inode.put(at, &bytes[..(sectors * SECTOR_BYTES) as usize], order, durable);
        return Err(io::Error::new(io::ErrorKind::WriteZero, "short write to the spool"));
    }
    if failed {
        // Some sectors are done, some are not, and some are yet to be lost.
        for (step, sector) in bytes.chunks(SECTOR_BYTES as usize).enumerate() {
            if world.rng.flip() {
                inode.put(at + step as u64 * SECTOR_BYTES, sector, order, world.rng.flip());
            }
        }
        return Err(Disk::broken());
    }
    inode.put(at, &bytes, order, durable);
    Ok(())
}

/// As fsync(2) of a folder.
pub async fn sync_dir(path: &Path) -> io::Result<()> {
    let world = here();
    take_time(&world).await;
    if world.fails(|faults| faults.sync_error) {
        return Err(Disk::broken());
    }
    world.disk.sync_dir(path);
    Ok(())
}

//! Direct-I/O files: what the spool is written with.

use crate::direct;
use crate::direct::{RingBlock, RingFile};
use crate::limits::{BLOCK_BYTES, DISK_TIMEOUT_SECS};
use crate::sim;
use crate::sim::file::SimFile;
use crate::time::{deadline, TimedOut};
use std::future::Future;
use std::io;
use std::path::Path;
use std::time::Duration;

const DISK: Duration = Duration::from_secs(DISK_TIMEOUT_SECS);

/// What the disk answers, or that it does not.
async fn answered<T>(asked: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    deadline(DISK, asked).await.unwrap_or_else(|TimedOut| {
        let why = format!("the disk has not answered for {DISK_TIMEOUT_SECS} s");
        Err(io::Error::new(io::ErrorKind::TimedOut, why))
    })
}

/// An aligned, append-only buffer. Its capacity is whole disk blocks.
pub struct Block {
    inner: Memory,
    len: usize,
}

enum Memory {
    /// Aligned for direct I/O.
    Ring(RingBlock),
    /// In a simulated world, or never to go to a disk.
    Sim(Vec<u8>),
}

impl Memory {
    fn new(bytes: usize) -> Memory {
        if sim::active() {
            Memory::Sim(vec![0; bytes])
        } else {
            Memory::Ring(RingBlock::new(bytes))
        }
    }
    /// A larger one of the same kind.
    fn another(&self, bytes: usize) -> Memory {
        match self {
            Memory::Ring(_) => Memory::new(bytes),
            Memory::Sim(_) => Memory::Sim(vec![0; bytes]),
        }
    }
    fn capacity(&self) -> usize {
        match self {
            Memory::Ring(block) => block.capacity(),
            Memory::Sim(bytes) => bytes.len(),
        }
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Memory::Ring(block) => block.bytes_mut(),
            Memory::Sim(bytes) => bytes,
        }
    }
}

impl Block {
    /// A buffer of at least `bytes`, rounded up to whole blocks.
    pub fn with_capacity(bytes: usize) -> Block {
        Block { inner: Memory::new(round_up(bytes.max(BLOCK_BYTES))), len: 0 }
    }

    /// A buffer that stays in memory: it needs no shard around it, and no file takes it.
    pub fn in_memory(bytes: usize) -> Block {
        Block { inner: Memory::Sim(vec![0; round_up(bytes.max(BLOCK_BYTES))]), len: 0 }
    }

    /// Bytes appended so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Nothing appended yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends `data`, growing when needed.
    pub fn extend(&mut self, data: &[u8]) {
        self.reserve(data.len());
        self.inner.bytes_mut()[self.len..self.len + data.len()].copy_from_slice(data);
        self.len += data.len();
    }

    /// Makes room for `more` bytes without a further allocation.
    pub fn reserve(&mut self, more: usize) {
        let need = self.len + more;
        if need <= self.inner.capacity() {
            return;
        }
        let mut grown = self.inner.another(round_up(need.max(self.inner.capacity() * 2)));
        grown.bytes_mut()[..self.len].copy_from_slice(&self.inner.bytes_mut()[..self.len]);
        self.inner = grown;
    }

    /// The bytes from `at` on, to patch a length or checksum written earlier.
    pub fn tail_mut(&mut self, at: usize) -> &mut [u8] {
        let len = self.len;
        &mut self.inner.bytes_mut()[at..len]
    }

    /// Appends zeros up to the next multiple of `unit`.
    pub fn pad_to(&mut self, unit: usize) {
        let target = self.len.div_ceil(unit) * unit;
        self.reserve(target - self.len);
        let len = self.len;
        self.inner.bytes_mut()[len..target].fill(0);
        self.len = target;
    }
}

/// `bytes` rounded up to whole disk blocks.
pub fn round_up(bytes: usize) -> usize {
    bytes.div_ceil(BLOCK_BYTES) * BLOCK_BYTES
}

/// Call once per folder before opening files in it. Works round a glommio bug, see `direct::learn_device`.
///
/// # Errors
/// As the disk says.
pub async fn learn_device(dir: &Path) -> io::Result<()> {
    if sim::active() {
        return Ok(());
    }
    answered(direct::learn_device(dir)).await
}

/// Makes the entries of a folder durable.
///
/// # Errors
/// As fsync(2); `TimedOut` past the disk deadline.
pub async fn sync_dir(dir: &Path) -> io::Result<()> {
    if sim::active() {
        return answered(sim::file::sync_dir(dir)).await;
    }
    answered(direct::sync_dir(dir)).await
}

/// A file opened for direct I/O. Cheap to clone; closed when the last clone goes.
#[derive(Clone)]
pub struct File {
    inner: Inner,
}

#[derive(Clone)]
enum Inner {
    Ring(RingFile),
    Sim(SimFile),
}

impl Inner {
    async fn open(path: &Path, create: Option<u64>, durable: bool) -> io::Result<Inner> {
        if sim::active() {
            return Ok(Inner::Sim(SimFile::open(path, create, durable).await?));
        }
        Ok(Inner::Ring(RingFile::open(path, create, durable).await?))
    }

    async fn open_read(path: &Path) -> io::Result<Inner> {
        if sim::active() {
            return Ok(Inner::Sim(SimFile::open(path, None, false).await?));
        }
        Ok(Inner::Ring(RingFile::open_read(path).await?))
    }

    async fn write_at(&self, memory: Memory, bytes: usize, at: u64) -> io::Result<()> {
        match (self, memory) {
            (Inner::Ring(file), Memory::Ring(block)) => file.write_at(block, bytes, at).await,
            (Inner::Sim(file), Memory::Sim(mut memory)) => {
                memory.truncate(bytes);
                file.write_at(memory, at).await
            }
            _ => Err(io::Error::other("a block of one world, a file of another")),
        }
    }

    async fn read_at(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        match self {
            Inner::Ring(file) => file.read_at(at, bytes).await,
            Inner::Sim(file) => file.read_at(at, bytes).await,
        }
    }

    async fn sync(&self) -> io::Result<()> {
        match self {
            Inner::Ring(file) => file.sync().await,
            Inner::Sim(file) => file.sync().await,
        }
    }

    async fn size(&self) -> io::Result<u64> {
        match self {
            Inner::Ring(file) => file.size().await,
            Inner::Sim(file) => file.size().await,
        }
    }
}

impl File {
    /// Makes `path` with `bytes` preallocated, and makes its name durable too. With `durable`
    /// every completed write is on stable storage.
    ///
    /// # Errors
    /// As open(2), fallocate(2), fsync(2); `TimedOut` past the disk deadline.
    pub async fn create(path: &Path, bytes: u64, durable: bool) -> io::Result<File> {
        let inner = answered(Inner::open(path, Some(bytes), durable)).await?;
        if let Some(dir) = path.parent() {
            sync_dir(dir).await?;
        }
        Ok(File { inner })
    }

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// As open(2).
    pub async fn open(path: &Path, durable: bool) -> io::Result<File> {
        let inner = answered(Inner::open(path, None, durable)).await?;
        Ok(File { inner })
    }

    /// Opens an existing file for reading.
    ///
    /// # Errors
    /// As open(2).
    pub async fn open_read(path: &Path) -> io::Result<File> {
        let inner = answered(Inner::open_read(path)).await?;
        Ok(File { inner })
    }

    /// Writes the whole block at `at` (a multiple of the block size), padded to whole blocks.
    ///
    /// # Errors
    /// As write(2); a short write is an error; `TimedOut` past the disk deadline, after which
    /// the state of the blocks is unknown.
    pub async fn write_at(&self, mut block: Block, at: u64) -> io::Result<()> {
        block.pad_to(BLOCK_BYTES);
        answered(self.inner.write_at(block.inner, block.len, at)).await
    }

    /// Reads up to `bytes` at `at`; shorter at the end of the file.
    ///
    /// # Errors
    /// As read(2).
    pub async fn read_at(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        answered(self.inner.read_at(at, bytes)).await
    }

    /// Waits until everything written is on stable storage.
    ///
    /// # Errors
    /// As fdatasync(2). After an error the written data must be taken as lost.
    pub async fn sync(&self) -> io::Result<()> {
        answered(self.inner.sync()).await
    }

    /// Size in bytes.
    ///
    /// # Errors
    /// As stat(2).
    pub async fn size(&self) -> io::Result<u64> {
        answered(self.inner.size()).await
    }
}

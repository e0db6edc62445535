//! Files of the real world for direct I/O: opened by glommio, written through the shard's own ring.
#![allow(unsafe_code)]

use crate::executor::blocking;
use crate::uring::Once;
use crate::{beneath, limits};
use glommio::io::{DmaFile, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::rc::Rc;

/// An aligned buffer for direct I/O.
pub struct RingBlock {
    buffer: glommio::io::DmaBuffer,
}

impl RingBlock {
    pub(crate) fn new(bytes: usize) -> RingBlock {
        RingBlock { buffer: glommio::allocate_dma_buffer(bytes) }
    }
    pub(crate) fn capacity(&self) -> usize {
        self.buffer.len()
    }
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.buffer.as_bytes_mut()
    }
}

/// A file opened for direct I/O.
#[derive(Clone)]
pub struct RingFile(Rc<DmaFile>);

impl RingFile {
    /// Opens `path`; `create` makes it new (it must not exist) with `size` bytes preallocated.
    /// With `sync`, every completed write is on stable storage (O_DSYNC).
    pub async fn open(path: &Path, create: Option<u64>, sync: bool) -> io::Result<RingFile> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(create.is_some()).mode(0o600);
        if sync {
            options.custom_flags(libc::O_DSYNC);
        }
        let file = options.dma_open(path).await.map_err(io::Error::from)?;
        if let Some(size) = create {
            file.pre_allocate(size, false).await.map_err(io::Error::from)?;
            file.fdatasync().await.map_err(io::Error::from)?;
        }
        Ok(RingFile(Rc::new(file)))
    }

    /// Opens an existing file to read it.
    pub async fn open_read(path: &Path) -> io::Result<RingFile> {
        let file = DmaFile::open(path).await.map_err(io::Error::from)?;
        Ok(RingFile(Rc::new(file)))
    }

    pub(crate) async fn write_at(
        &self,
        mut block: RingBlock,
        bytes: usize,
        at: u64,
    ) -> io::Result<()> {
        block.buffer.trim_to_size(bytes);
        let (from, fd) = (block.buffer.as_bytes().as_ptr(), self.0.as_raw_fd());
        let held = Box::new((block, self.0.clone()));
        // SAFETY: the buffer's memory stays where it is while the box is kept, and is as long as it was
        // trimmed to.
        let write = unsafe { Once::write(fd, from, bytes as u32, at, held)? };
        let written = write.await?;
        if written as usize != bytes {
            return Err(io::Error::new(io::ErrorKind::WriteZero, "short write to the spool"));
        }
        Ok(())
    }

    pub(crate) async fn read_at(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let read = self.0.read_at(at, bytes).await.map_err(io::Error::from)?;
        Ok(read.to_vec())
    }

    pub(crate) async fn sync(&self) -> io::Result<()> {
        Once::sync(self.0.as_raw_fd(), Box::new(self.0.clone()))?.await.map(drop)
    }

    pub(crate) async fn size(&self) -> io::Result<u64> {
        self.0.file_size().await.map_err(io::Error::from)
    }
}

/// Lets the executor learn how the disk under `dir` wants to be driven. It probes polled I/O once
/// per device with a read of the first file it opens; were that an empty file, the read would
/// succeed without touching the disk, and every later read would fail with EOPNOTSUPP.
pub async fn learn_device(dir: &Path) -> io::Result<()> {
    let path = dir.join(".probe-device");
    let to_write = path.clone();
    let written = blocking(move || {
        use std::io::Write;
        let mut file =
            beneath::options().write(true).create(true).truncate(true).open(&to_write)?;
        file.write_all(&[1; limits::BLOCK_BYTES])?;
        file.sync_all()
    });
    match written.await {
        Ok(()) => {}
        // Then files that are not empty are there already, and one of them is opened first.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT)) => {
            return match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        Err(error) => return Err(error),
    }
    let opened = DmaFile::open(&path).await.map_err(io::Error::from)?;
    opened.close().await.map_err(io::Error::from)?;
    std::fs::remove_file(&path)
}

/// Makes the entries of a directory durable.
pub async fn sync_dir(path: &Path) -> io::Result<()> {
    let dir = glommio::io::Directory::open(path).await.map_err(io::Error::from)?;
    dir.sync().await.map_err(io::Error::from)?;
    dir.close().await.map_err(io::Error::from)
}

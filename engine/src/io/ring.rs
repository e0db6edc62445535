//! The real world: glommio's executor and io_uring files. Only this file and `pump` name glommio.
#![allow(unsafe_code)]

use super::time::deadline;
use super::uring::{self, Counted, Once};
use super::{beneath, pump};
use crate::limits;
use glommio::io::{DmaFile, OpenOptions};
use glommio::{LocalExecutorBuilder, Placement};
use std::future::Future;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::OnceLock;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Runs `make()` to its end on a new thread with its own ring, pinned to `core` when given.
///
/// # Errors
/// When the thread cannot be started, or its executor has not run its first task within
/// [`limits::SHARD_BEGIN_SECONDS`]. That the ring cannot be made (io_uring absent or forbidden, memlock too
/// low) is the thread's result.
pub fn run_shard<T, M, F>(
    name: &str,
    core: Option<usize>,
    make: M,
) -> io::Result<std::thread::JoinHandle<io::Result<T>>>
where
    T: Send + 'static,
    M: FnOnce() -> F + Send + 'static,
    F: Future<Output = T> + 'static,
{
    let name = name.to_string();
    let (begun, begins) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name(name.clone()).spawn(move || {
        let placement = match core {
            Some(core) => Placement::Fixed(core),
            None => Placement::Unbound,
        };
        prefer_batches();
        let executor = LocalExecutorBuilder::new(placement)
            .name(&name)
            .ring_depth(limits::RING_DEPTH)
            .preempt_timer(Duration::from_secs(limits::EXECUTOR_PREEMPT_SECONDS))
            .make()
            .map_err(io::Error::from)?;
        uring::start()?;
        let result = executor.run(async move {
            let state = Rc::new(pump::State::default());
            spawn_uncounted(pump::pump(state.clone()));
            // Nothing else runs before the executor is kept from parking with ready tasks.
            state.armed().await;
            // The starting thread may have given up.
            let _ = begun.send(());
            let result = Counted(make()).await;
            // The helper thread does things in turn. What it has begun is to be over when the shard ends:
            // an answer that finds nobody would be a panic.
            let settle = Duration::from_millis(limits::STOP_SETTLE_MS);
            if deadline(settle, blocking(|| ())).await.is_err() {
                tracing::warn!("a disk operation was still under way when its shard ended");
            }
            result
        });
        uring::stop();
        Ok(result)
    })?;
    match begins.recv_timeout(Duration::from_secs(limits::SHARD_BEGIN_SECONDS)) {
        // Ended before it began: its result says why.
        Ok(()) | Err(RecvTimeoutError::Disconnected) => Ok(thread),
        Err(RecvTimeoutError::Timeout) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!(
                "its executor has run nothing for {} s: the machine gives it no time, or io_uring hangs; \
                 start again, and look at the load of the machine",
                limits::SHARD_BEGIN_SECONDS
            ),
        )),
    }
}

/// Lets every task that is ready run once.
pub(super) async fn others_first() {
    let mut has_waited = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Tells the kernel that this thread wants throughput. Where another busy process shares the core, an
/// event then does not push it off at once for a turn of one event: the shard gets the core when the
/// other's slice ends, with all that has come meanwhile. On a core of its own nothing changes.
fn prefer_batches() {
    let none = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters outlive the call; 0 is the calling thread. Refused, it costs some speed.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &none) };
}

/// Makes and drops a ring, to learn at start whether this machine allows io_uring.
///
/// # Errors
/// The reason it does not.
pub fn probe() -> io::Result<()> {
    let handle = run_shard("probe", None, || async {})?;
    match handle.join() {
        Ok(result) => result,
        Err(_) => Err(io::Error::other("the ring could not be set up")),
    }
}

/// The cores this process may run on.
pub fn cores() -> Vec<usize> {
    // SAFETY: cpu_set_t is plain data, valid when zeroed; the size passed is its own size.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, std::mem::size_of::<libc::cpu_set_t>(), &mut set) != 0 {
            return vec![0];
        }
        (0..libc::CPU_SETSIZE as usize).filter(|core| libc::CPU_ISSET(*core, &set)).collect()
    }
}

/// A number to seed a shard's generator with.
pub fn entropy() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u64(unix_nanos());
    hasher.finish() | 1
}

pub(super) fn spawn(future: impl Future<Output = ()> + 'static) {
    spawn_uncounted(Counted(future));
}

fn spawn_uncounted(future: impl Future<Output = ()> + 'static) {
    glommio::spawn_local(future).detach();
}

pub(super) async fn yield_now() {
    others_first().await;
}

pub(super) fn mono_nanos() -> u64 {
    // One start for all threads: limits that hold over all shards go by this clock.
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Monotonic clock as of the kernel's last tick, milliseconds: a few behind, and five times as cheap.
pub(super) fn coarse_millis() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the timespec outlives the call, which only writes to it.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut now) };
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}

pub(super) fn unix_nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64)
}

pub(super) async fn sleep(duration: Duration) {
    glommio::timer::sleep(duration).await;
}

/// Free space of the filesystem that holds `path`: (free bytes, bytes free or in use, free inodes, total
/// inodes).
///
/// # Errors
/// As statvfs(3).
pub fn disk_free(path: &Path) -> io::Result<(u64, u64, u64, u64)> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: statvfs is plain data filled in by the call; the path is NUL-terminated.
    unsafe {
        let mut stat: libc::statvfs = std::mem::zeroed();
        if libc::statvfs(path.as_ptr(), &mut stat) != 0 {
            return Err(io::Error::last_os_error());
        }
        let unit = stat.f_frsize as u64;
        Ok((
            stat.f_bavail as u64 * unit,
            // As df(1) counts: blocks that only the superuser may take are neither used nor free.
            (stat.f_blocks - stat.f_bfree + stat.f_bavail) as u64 * unit,
            stat.f_favail as u64,
            stat.f_files as u64,
        ))
    }
}

/// Takes an exclusive lock on `file`, for as long as it is open.
///
/// # Errors
/// `WouldBlock` when another process holds it; else as flock(2).
pub fn lock(file: &std::fs::File) -> io::Result<()> {
    // SAFETY: flock on a descriptor that its owner holds open.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Whether a process holds the lock on `path`; no when there is no such file.
pub fn is_locked(path: &Path) -> bool {
    let Ok(file) = std::fs::File::open(path) else { return false };
    // SAFETY: flock on a descriptor we own; what it takes goes with the descriptor.
    let taken = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_SH | libc::LOCK_NB) } == 0;
    !taken && io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock
}

/// This process's limits: (open files, locked memory bytes), soft values.
pub fn rlimits() -> (u64, u64) {
    // SAFETY: rlimit is plain data filled in by the call.
    unsafe {
        let mut files: libc::rlimit = std::mem::zeroed();
        let mut memlock: libc::rlimit = std::mem::zeroed();
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut files);
        // More descriptors are always wanted; the hard limit is the operator's word.
        let want = libc::rlimit { rlim_cur: files.rlim_max, rlim_max: files.rlim_max };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &want) == 0 {
            files.rlim_cur = files.rlim_max;
        }
        libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut memlock);
        (files.rlim_cur as u64, memlock.rlim_cur as u64)
    }
}

// ---- disk -----------------------------------------------------------------------------------

/// An aligned buffer for direct I/O.
pub struct RingBlock {
    buffer: glommio::io::DmaBuffer,
}

impl RingBlock {
    pub(super) fn new(bytes: usize) -> RingBlock {
        RingBlock { buffer: glommio::allocate_dma_buffer(bytes) }
    }
    pub(super) fn capacity(&self) -> usize {
        self.buffer.len()
    }
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
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

    pub(super) async fn write_at(
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

    pub(super) async fn read_at(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let read = self.0.read_at(at, bytes).await.map_err(io::Error::from)?;
        Ok(read.to_vec())
    }

    pub(super) async fn sync(&self) -> io::Result<()> {
        Once::sync(self.0.as_raw_fd(), Box::new(self.0.clone()))?.await.map(drop)
    }

    pub(super) async fn size(&self) -> io::Result<u64> {
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

/// Runs a blocking closure on the executor's helper thread.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    glommio::executor().spawn_blocking(work).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::Arc;

    #[test]
    fn all_threads_have_one_monotonic_clock() {
        let before = mono_nanos();
        let pause = Duration::from_millis(20);
        std::thread::sleep(pause);
        let elsewhere = std::thread::spawn(mono_nanos).join().unwrap();
        assert!(elsewhere >= before + pause.as_nanos() as u64);
    }

    #[test]
    fn what_the_helper_thread_has_begun_is_over_when_the_shard_ends() {
        let is_done = Arc::new(AtomicBool::new(false));
        let told = is_done.clone();
        let shard = run_shard("test", None, || async move {
            let (tell, begun) = futures::channel::oneshot::channel();
            let work = move || {
                let _ = tell.send(());
                std::thread::sleep(Duration::from_millis(50));
                told.store(true, Ordering::Relaxed);
            };
            spawn(blocking(work));
            assert_eq!(begun.await, Ok(()));
        });
        shard.unwrap().join().unwrap().unwrap();
        assert!(is_done.load(Ordering::Relaxed));
    }
}

//! What the operating system says of this machine and of this process: free space, locks, limits.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

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

/// Whether the kernel's clock is held right by a time service.
pub fn is_clock_disciplined() -> bool {
    // SAFETY: timex is plain data, valid when zeroed; without modes the call only fills it in.
    unsafe {
        let mut state: libc::timex = std::mem::zeroed();
        let code = libc::adjtimex(&mut state);
        code != -1 && code != libc::TIME_ERROR && state.status & libc::STA_UNSYNC == 0
    }
}

/// Whether this user may make files in the folder `path`.
///
/// # Errors
/// Why not.
pub fn may_write(path: &Path) -> io::Result<()> {
    use rustix::fs::{access, Access};
    Ok(access(path, Access::WRITE_OK | Access::EXEC_OK)?)
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

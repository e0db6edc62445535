//! Whom the process runs as, and the one right it keeps until its ports are bound: that to bind low ports.
//!
//! Rights belong to threads, and a new thread has those of the one that starts it. So one thread alone keeps the right
//! ([`Binder`]), and it ends when it has bound what it was told to: whatever a policy does meanwhile, and whatever
//! threads it has started, is done without.
#![allow(unsafe_code)]

use crate::listener::BoundSocket;
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its name; its number where it has none.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Number of its group.
    pub gid: u32,
}

impl User {
    /// The user called `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> io::Result<User> {
        let text = std::ffi::CString::new(name)?;
        // SAFETY: getpwnam returns a pointer to static storage or null; it is read at once, and only the thread
        // that starts the engine asks for users.
        unsafe {
            let entry = libc::getpwnam(text.as_ptr());
            if entry.is_null() {
                return Err(io::Error::new(io::ErrorKind::NotFound, "there is no such user"));
            }
            Ok(User { name: name.into(), uid: (*entry).pw_uid, gid: (*entry).pw_gid })
        }
    }

    /// The one this process runs as.
    pub fn current() -> User {
        // SAFETY: no preconditions; of getpwuid as of getpwnam above. The name is NUL-terminated.
        unsafe {
            let (uid, gid) = (libc::geteuid(), libc::getegid());
            let entry = libc::getpwuid(uid);
            let name = match entry.is_null() {
                true => uid.to_string(),
                false => std::ffi::CStr::from_ptr((*entry).pw_name).to_string_lossy().into(),
            };
            User { name, uid, gid }
        }
    }
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    user_id() == 0
}

/// Number of the user this process runs as.
pub fn user_id() -> u32 {
    // SAFETY: geteuid has no preconditions.
    unsafe { libc::geteuid() }
}

/// Becomes `name` for good, and keeps of root's rights only that to bind low ports, which is not in force before a
/// [`Binder`] raises it. To be called before any other thread is started, and before any file is touched.
///
/// # Errors
/// One line with the cause and the cure.
pub fn become_user(name: &str) -> Result<(), String> {
    let failed = |error: io::Error| format!("--user {name}: {error}");
    let user = User::named(name).map_err(failed)?;
    if user.uid == user_id() {
        return Ok(());
    }
    if !is_root() {
        return Err(format!(
            "--user {name}: only root can become another user; start as root or as {name}"
        ));
    }
    lift_memlock();
    switch(&user).map_err(failed)
}

fn switch(user: &User) -> io::Result<()> {
    let name = std::ffi::CString::new(user.name.as_str())?;
    // Else the change of user takes every right at once.
    rustix::thread::set_keep_capabilities(true)?;
    // SAFETY: plain system calls; the name outlives its use. The C library makes them for every thread.
    let done = unsafe {
        libc::initgroups(name.as_ptr(), user.gid) == 0
            && libc::setgid(user.gid) == 0
            && libc::setuid(user.uid) == 0
    };
    if !done {
        return Err(io::Error::last_os_error());
    }
    rustix::thread::set_keep_capabilities(false)?;
    keep_only(CapabilitySet::NET_BIND_SERVICE, false)
}

/// Root's locked memory is not counted; a user's is, and rings and their buffers are such memory. Where even root may
/// not lift the limit it stays, and a start that it is too low for says so.
fn lift_memlock() {
    let none = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the limits outlive the call.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &none) };
}

/// Gives up all rights of the calling thread but `right`, if it has that; with `raised` it is in force.
fn keep_only(right: CapabilitySet, raised: bool) -> io::Result<()> {
    let now = rustix::thread::capabilities(None)?;
    let permitted = now.permitted & right;
    let effective = if raised { permitted } else { CapabilitySet::empty() };
    let sets = CapabilitySets { effective, permitted, inheritable: CapabilitySet::empty() };
    if now == sets {
        return Ok(());
    }
    // What is not permitted leaves the ambient set by itself.
    rustix::thread::set_capabilities(None, sets)?;
    Ok(())
}

/// A user that was given rights by whoever started us, under a filter that forbids to hand them back, runs with them.
fn not_given_up(what: &str, error: &io::Error) {
    tracing::warn!(
        "{what}: rights cannot be given up: {error}; allow the system call capset (systemd: SystemCallFilter=capset)"
    );
}

type Bound = io::Result<Vec<io::Result<BoundSocket>>>;

/// The thread that has the right to bind low ports, alone, until it has bound what it is told to.
pub struct Binder {
    tell: mpsc::Sender<Vec<SocketAddr>>,
    thread: JoinHandle<Bound>,
}

impl Binder {
    /// Starts it. The calling thread, and all it will start, have no right beyond an ordinary user's from then on; but
    /// one that is to stay root keeps what it has.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start() -> io::Result<Binder> {
        let stays_root = is_root();
        let (tell, told) = mpsc::channel::<Vec<SocketAddr>>();
        let work = move || {
            let Ok(addrs) = told.recv() else { return Ok(Vec::new()) };
            if !stays_root {
                // Where it cannot be raised it may be in force already; if not, binding says so.
                let raised = keep_only(CapabilitySet::NET_BIND_SERVICE, true);
                raised.unwrap_or_else(|error| not_given_up("binder", &error));
            }
            Ok(addrs.into_iter().map(BoundSocket::bind).collect())
        };
        let thread = std::thread::Builder::new().name("binder".into()).spawn(work)?;
        if !stays_root {
            let given_up = keep_only(CapabilitySet::empty(), false);
            given_up.unwrap_or_else(|error| not_given_up("engine", &error));
        }
        Ok(Binder { tell, thread })
    }

    /// Binds a socket to each address, in order, and ends: nobody has the right any more.
    ///
    /// # Errors
    /// When its thread has panicked; and each socket's own.
    pub fn bind(self, addrs: Vec<SocketAddr>) -> Bound {
        // It waits for this; had it gone, its result says why.
        let _ = self.tell.send(addrs);
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread has panicked")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_binder_keeps_a_right() {
        // On a thread of its own: what it gives up, others of this program may need.
        let looked = std::thread::spawn(|| {
            keep_only(CapabilitySet::NET_BIND_SERVICE, false).unwrap();
            let before = rustix::thread::capabilities(None).unwrap();
            assert!(CapabilitySet::NET_BIND_SERVICE.contains(before.permitted));
            assert!(before.effective.is_empty() && before.inheritable.is_empty());
            keep_only(CapabilitySet::empty(), false).unwrap();
            rustix::thread::capabilities(None).unwrap().permitted
        });
        assert!(looked.join().unwrap().is_empty());
    }

    #[test]
    fn users() {
        let me = User::current();
        assert_eq!(me.uid, user_id());
        assert!(User::named("no-such-user-here").is_err());
        let root = User::named("root").unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
    }
}

//! A shard's thread in the real world: glommio's executor, kept awake by the `pump`. Only this file, `executor`,
//! `direct` and `pump` name glommio.
#![allow(unsafe_code)]

use crate::executor::{blocking, spawn_uncounted};
use crate::time::deadline;
use crate::uring::Counted;
use crate::{limits, pump, uring};
use glommio::{LocalExecutorBuilder, Placement};
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

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

/// Tells the kernel that this thread wants throughput. Where another busy process shares the core, an
/// event then does not push it off at once for a turn of one event: the shard gets the core when the
/// other's slice ends, with all that has come meanwhile. On a core of its own nothing changes.
fn prefer_batches() {
    let none = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters outlive the call; 0 is the calling thread. Refused, it costs some speed.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &none) };
}

/// Entries of the ring that is made to see whether one can be.
const PROBE_ENTRIES: u32 = 4;

/// Makes and drops a ring, to learn at start whether this machine allows io_uring.
///
/// # Errors
/// The reason it does not.
pub fn probe() -> io::Result<()> {
    // By the bare call first: the executor panics where it is forbidden, and tells no cause.
    io_uring::IoUring::new(PROBE_ENTRIES).map(drop)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spawn;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::Arc;

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

//! Threads for work that blocks (files, HTTP clients), reached without ever blocking a shard.
//!
//! The pool grows as long as its threads wait for something, and shrinks when they have nothing to do. Work for
//! one target (a host, a server) is bounded, so that one that never answers cannot take all threads: what is
//! too much for it waits in its own line.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::limits::{HELPER_IDLE, MAX_HELPERS_PER_TARGET, MAX_HELPER_THREADS};

type Work = Box<dyn FnOnce() + Send>;

struct Job {
    /// Whom it waits for; empty where that is nobody in particular.
    target: Arc<str>,
    work: Work,
}

/// What is under way for one target, and what waits for that.
#[derive(Default)]
struct Target {
    running: usize,
    line: VecDeque<Work>,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Job>,
    targets: HashMap<Arc<str>, Target>,
    threads: usize,
    idle: usize,
    started: u64,
    /// Counts how often the threads were retired: those of an earlier generation take no work any more.
    generation: u64,
    /// Threads of earlier generations that have not ended.
    retiring: usize,
    is_closed: bool,
}

struct Pool {
    state: Mutex<State>,
    wake: Condvar,
    /// The last thread has ended.
    ended: Condvar,
    /// So many threads stay though they have nothing to do.
    keep: usize,
}

/// A pool of helper threads. Threads end when the pool is dropped.
pub struct Helpers {
    pool: Arc<Pool>,
}

impl Helpers {
    /// A pool that keeps `threads` helpers (at least one) once they have been needed.
    pub(crate) fn new(threads: usize) -> Helpers {
        let keep = threads.clamp(1, MAX_HELPER_THREADS);
        Helpers {
            pool: Arc::new({
                let (wake, ended) = (Condvar::new(), Condvar::new());
                Pool { state: Mutex::default(), wake, ended, keep }
            }),
        }
    }

    /// Runs `f` on a helper thread. The future can be awaited on any executor; a panic of `f` continues in the
    /// awaiting task. `f` begins when the future is first polled, and not at all when it is dropped before.
    pub fn run<T, F>(&self, f: F) -> impl Future<Output = T> + 'static
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.run_for("", f)
    }

    /// The same for work that waits for `target`: of that, a bounded number is under way at once.
    pub fn run_for<T, F>(&self, target: &str, f: F) -> impl Future<Output = T> + 'static
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let slot = Arc::new(Mutex::new(Slot { result: None, waker: None, is_wanted: true }));
        let done = slot.clone();
        let work: Work = Box::new(move || {
            if !lock(&done).is_wanted {
                return;
            }
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
            let waker = {
                let mut slot = lock(&done);
                slot.result = Some(result);
                slot.waker.take()
            };
            if let Some(w) = waker {
                w.wake();
            }
        });
        let job = Some(Job { target: target.into(), work });
        Run { job, pool: self.pool.clone(), slot }
    }

    /// Ends the threads there are, when they have done what they are at; whoever has work after that gets new ones,
    /// with the rights of the thread that asks. Blocks for up to `wait`, and says whether all have ended.
    pub fn retire(&self, wait: Duration) -> bool {
        let mut state = lock(&self.pool.state);
        state.generation += 1;
        state.retiring = state.threads;
        state.idle = 0;
        self.pool.wake.notify_all();
        let (state, timeout) = self
            .pool
            .ended
            .wait_timeout_while(state, wait, |state| state.retiring > 0)
            .unwrap_or_else(PoisonError::into_inner);
        drop(state);
        !timeout.timed_out()
    }

    /// Threads there are.
    #[cfg(test)]
    fn threads(&self) -> usize {
        lock(&self.pool.state).threads
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        lock(&self.pool.state).is_closed = true;
        self.pool.wake.notify_all();
    }
}

impl Pool {
    /// Takes a job: a helper that has nothing to do gets it, or a new one.
    fn submit(self: &Arc<Pool>, job: Job) {
        let mut state = lock(&self.state);
        if !job.target.is_empty() {
            let target = state.targets.entry(job.target.clone()).or_default();
            if target.running >= MAX_HELPERS_PER_TARGET {
                target.line.push_back(job.work);
                return;
            }
            target.running += 1;
        }
        state.ready.push_back(job);
        if state.idle >= state.ready.len() {
            self.wake.notify_one();
        } else if state.threads < MAX_HELPER_THREADS {
            state.threads += 1;
            state.started += 1;
            let name = format!("helper-{}", state.started);
            let generation = state.generation;
            drop(state);
            self.start(name, generation);
        }
    }

    fn start(self: &Arc<Pool>, name: String, generation: u64) {
        let pool = self.clone();
        let thread = std::thread::Builder::new().name(name).spawn(move || pool.serve(generation));
        if let Err(error) = thread {
            let mut state = lock(&self.state);
            state.threads -= 1;
            // The others do it when they get to it. Without any it waits for the next job's try.
            tracing::error!("a helper thread does not start ({} run): {error}", state.threads);
        }
    }

    fn serve(&self, generation: u64) {
        let mut state = lock(&self.state);
        loop {
            if state.generation != generation {
                state.retiring = state.retiring.saturating_sub(1);
                self.ended.notify_all();
                // It may have been woken for work that is another's now.
                self.wake.notify_one();
                break;
            }
            if let Some(job) = state.ready.pop_front() {
                drop(state);
                let Job { target, work } = job;
                work();
                state = lock(&self.state);
                state.finished(target);
                continue;
            }
            if state.is_closed {
                break;
            }
            state.idle += 1;
            let (woken, waited) =
                self.wake.wait_timeout(state, HELPER_IDLE).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            // Those that were retired are not counted any more.
            state.idle -= usize::from(state.generation == generation);
            if waited.timed_out() && state.ready.is_empty() && state.threads > self.keep {
                break;
            }
        }
        state.threads -= 1;
    }
}

impl State {
    /// One job of a target is over: the next in its line may begin.
    fn finished(&mut self, target: Arc<str>) {
        let Some(of) = self.targets.get_mut(&target) else { return };
        match of.line.pop_front() {
            Some(work) => self.ready.push_back(Job { target, work }),
            None => {
                of.running -= 1;
                if of.running == 0 {
                    self.targets.remove(&target);
                }
            }
        }
    }
}

/// The name of a client's connections as a target of [`Helpers::run_for`].
pub(crate) fn target_of<T>(client: &Arc<T>) -> String {
    format!("{:p}", Arc::as_ptr(client))
}

/// A poisoned lock only means that a job panicked; the data is whole at every point where that can happen.
fn lock<T>(m: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Slot<T> {
    result: Option<std::thread::Result<T>>,
    waker: Option<Waker>,
    /// Whether somebody still waits for it.
    is_wanted: bool,
}

struct Run<T> {
    job: Option<Job>,
    pool: Arc<Pool>,
    slot: Arc<Mutex<Slot<T>>>,
}

impl<T> Future for Run<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        {
            let mut slot = lock(&self.slot);
            match slot.result.take() {
                Some(Ok(value)) => return Poll::Ready(value),
                Some(Err(panic)) => {
                    drop(slot);
                    std::panic::resume_unwind(panic)
                }
                None => slot.waker = Some(cx.waker().clone()),
            }
        }
        if let Some(job) = self.job.take() {
            self.pool.clone().submit(job);
        }
        Poll::Pending
    }
}

impl<T> Drop for Run<T> {
    /// What has not begun need not begin any more.
    fn drop(&mut self) {
        let mut slot = lock(&self.slot);
        slot.is_wanted = false;
        slot.waker = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use futures::FutureExt;
    use std::sync::mpsc::channel;

    #[test]
    fn results_come_back() {
        let h = Helpers::new(2);
        assert_eq!(block_on(h.run(|| 6 * 7)), 42);
    }

    #[test]
    fn retired_threads_end_and_others_take_their_place() {
        let h = Helpers::new(2);
        let name = || std::thread::current().name().unwrap().to_owned();
        let before = block_on(h.run(name));
        assert!(h.retire(Duration::from_secs(60)));
        assert_eq!(h.threads(), 0);
        assert_ne!(block_on(h.run(name)), before);
        let (begun, has_begun) = channel();
        let (release, held) = channel::<()>();
        let mut busy = Box::pin(h.run(move || {
            begun.send(()).unwrap();
            held.recv()
        }));
        assert!(busy.as_mut().now_or_never().is_none());
        has_begun.recv().unwrap();
        assert!(!h.retire(Duration::ZERO), "one is busy");
        release.send(()).unwrap();
        assert!(block_on(busy).is_ok(), "and finishes its work");
        assert_eq!(block_on(h.run(|| 1)), 1);
    }

    #[test]
    fn many_jobs() {
        let h = Helpers::new(1);
        const JOBS: usize = 3000;
        let all: Vec<_> = (0..JOBS).map(|i| h.run_for("x", move || i)).collect();
        let sum: usize = block_on(futures::future::join_all(all)).into_iter().sum();
        assert_eq!(sum, JOBS * (JOBS - 1) / 2);
    }

    #[test]
    fn a_panic_stays_with_its_caller() {
        let h = Helpers::new(1);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            block_on(h.run(|| panic!("boom")))
        }));
        assert!(caught.is_err());
        assert_eq!(block_on(h.run(|| 1)), 1, "the pool lives on");
    }

    #[test]
    fn a_target_that_hangs_holds_up_nobody_else() {
        let h = Helpers::new(2);
        let (release, held) = channel::<()>();
        let held = Arc::new(Mutex::new(held));
        // More than the target may have under way: each hangs until it is let go.
        let mut hung: Vec<_> = (0..MAX_HELPERS_PER_TARGET + 50)
            .map(|_| {
                let held = held.clone();
                Box::pin(h.run_for("hung.test", move || {
                    let _ = lock(&held).recv();
                }))
            })
            .collect();
        for job in &mut hung {
            assert!(job.as_mut().now_or_never().is_none());
        }
        assert_eq!(block_on(h.run_for("other.test", || 1)), 1);
        assert_eq!(block_on(h.run(|| 2)), 2);
        assert!(h.threads() <= MAX_HELPERS_PER_TARGET + 2, "{}", h.threads());
        // One whose caller has gone does not begin.
        let (begun, tell) = channel();
        let mut gone = Box::pin(h.run_for("hung.test", move || begun.send(())));
        assert!(gone.as_mut().now_or_never().is_none());
        drop(gone);
        drop(release);
        block_on(futures::future::join_all(hung));
        assert_eq!(block_on(h.run_for("hung.test", || 3)), 3);
        assert!(tell.recv().is_err());
    }
}

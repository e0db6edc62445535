//! Threads for work that blocks (files, HTTP clients), reached without ever blocking a shard.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use crossbeam::channel::{bounded, Receiver, Sender, TrySendError};

use crate::limits::{HELPER_QUEUE_JOBS, MAX_HELPER_THREADS};

type Job = Box<dyn FnOnce() + Send>;

/// A pool of helper threads. Threads end when the pool is dropped.
pub struct Helpers {
    jobs: Sender<Job>,
    waiting: Arc<Mutex<VecDeque<Waker>>>,
}

impl Helpers {
    /// Starts `threads` helpers (at least one).
    pub(crate) fn new(threads: usize) -> Helpers {
        let (jobs, queue) = bounded::<Job>(HELPER_QUEUE_JOBS);
        let waiting = Arc::new(Mutex::new(VecDeque::new()));
        for i in 0..threads.clamp(1, MAX_HELPER_THREADS) {
            let (queue, waiting) = (queue.clone(), waiting.clone());
            let started = std::thread::Builder::new()
                .name(format!("helper-{i}"))
                .spawn(move || serve(queue, waiting));
            if let Err(e) = started {
                tracing::error!("helper thread {i} does not start: {e}");
            }
        }
        Helpers { jobs, waiting }
    }

    /// Runs `f` on a helper thread. The future can be awaited on any executor; a panic of `f` continues in the awaiting task.
    pub fn run<T, F>(&self, f: F) -> impl Future<Output = T> + 'static
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let slot = Arc::new(Mutex::new(Slot { result: None, waker: None }));
        let done = slot.clone();
        let job: Job = Box::new(move || {
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
        Run { job: Some(job), jobs: self.jobs.clone(), waiting: self.waiting.clone(), slot }
    }
}

fn serve(queue: Receiver<Job>, waiting: Arc<Mutex<VecDeque<Waker>>>) {
    while let Ok(job) = queue.recv() {
        let next = lock(&waiting).pop_front();
        if let Some(w) = next {
            w.wake();
        }
        job();
    }
}

/// A poisoned lock only means that a job panicked; the data is whole at every point where that can happen.
fn lock<T>(m: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Slot<T> {
    result: Option<std::thread::Result<T>>,
    waker: Option<Waker>,
}

struct Run<T> {
    job: Option<Job>,
    jobs: Sender<Job>,
    waiting: Arc<Mutex<VecDeque<Waker>>>,
    slot: Arc<Mutex<Slot<T>>>,
}

impl<T> Run<T> {
    /// Hands the job over if there is room; otherwise asks to be woken when there is.
    fn submit(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(job) = self.job.take() else { return Poll::Ready(()) };
        match self.jobs.try_send(job) {
            Ok(()) => Poll::Ready(()),
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => {
                lock(&self.waiting).push_back(cx.waker().clone());
                // A helper may have emptied the queue between the two: try once more before sleeping.
                match self.jobs.try_send(job) {
                    Ok(()) => Poll::Ready(()),
                    Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => {
                        self.job = Some(job);
                        Poll::Pending
                    }
                }
            }
        }
    }
}

impl<T> Future for Run<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        if self.submit(cx).is_pending() {
            return Poll::Pending;
        }
        let mut slot = lock(&self.slot);
        match slot.result.take() {
            Some(Ok(value)) => Poll::Ready(value),
            Some(Err(panic)) => {
                drop(slot);
                std::panic::resume_unwind(panic)
            }
            None => {
                slot.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;

    #[test]
    fn results_come_back() {
        let h = Helpers::new(2);
        assert_eq!(block_on(h.run(|| 6 * 7)), 42);
    }

    #[test]
    fn more_jobs_than_places() {
        let h = Helpers::new(1);
        let all: Vec<_> = (0..HELPER_QUEUE_JOBS * 3).map(|i| h.run(move || i)).collect();
        let sum: usize = block_on(futures::future::join_all(all)).into_iter().sum();
        let n = HELPER_QUEUE_JOBS * 3;
        assert_eq!(sum, n * (n - 1) / 2);
    }

    #[test]
    fn a_panic_stays_with_its_caller() {
        let h = Helpers::new(1);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            block_on(h.run(|| panic!("boom")))
        }));
        assert!(caught.is_err());
        assert_eq!(block_on(h.run(|| 1)), 1, "the thread lives on");
    }
}

//! A thread beside the shard for the blocking work of one user. All of a shard shares the one of [`crate::blocking`], so
//! that what a disk holds up there holds up everything else: what no mail needs is done here.

use crate::{executor, sim};
use futures::channel::oneshot;
use std::cell::RefCell;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::mpsc::{channel, Sender};

type Work = Box<dyn FnOnce() + Send>;

/// Does work in turn, each of which may block for as long as it likes. Its thread begins with the first, with the rights of
/// who asks for it, and ends when this is dropped and what was asked for is done.
pub struct Beside {
    /// What it is for.
    name: &'static str,
    thread: RefCell<Option<Sender<Work>>>,
}

impl Beside {
    /// One that has no thread yet; the thread will be called after its shard and `name`, of which the kernel keeps 15 bytes.
    pub fn new(name: &'static str) -> Beside {
        Beside { name, thread: RefCell::default() }
    }

    /// Runs a closure, after those it was asked for before; in a simulated world, at once, after a while. Dropping the
    /// future does not keep it from being run.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        if sim::active() {
            sim::file::take_time(&sim::here()).await;
            return work();
        }
        let (tell, told) = oneshot::channel();
        let work = Box::new(move || {
            // Nobody may wait for it any more.
            let _ = tell.send(catch_unwind(AssertUnwindSafe(work)));
        });
        if let Some(work) = self.hand_over(work) {
            executor::blocking(work).await;
        }
        match told.await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(oneshot::Canceled) => unreachable!("a thread does all its work before it ends"),
        }
    }

    /// Gives the work back where there is no thread and none can be had.
    fn hand_over(&self, work: Work) -> Option<Work> {
        let mut thread = self.thread.borrow_mut();
        if thread.is_none() {
            *thread = start(self.name);
        }
        match thread.as_ref() {
            Some(thread) => thread.send(work).err().map(|unsent| unsent.0),
            None => Some(work),
        }
    }
}

fn start(name: &str) -> Option<Sender<Work>> {
    let (give, take) = channel::<Work>();
    let shard = std::thread::current();
    let called = format!("{}-{name}", shard.name().unwrap_or("shard"));
    let thread = std::thread::Builder::new().name(called).spawn(move || {
        take.into_iter().for_each(|work| work());
    });
    match thread {
        Ok(_) => Some(give),
        Err(error) => {
            tracing::error!("a thread for {name} does not start: {error}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::run_shard;
    use std::sync::mpsc::sync_channel;

    #[test]
    fn what_hangs_here_holds_up_nothing_else() {
        let shard = run_shard("test", None, || async {
            let beside = Beside::new("work");
            let (go, gone) = sync_channel(0);
            let hangs = beside.run(move || gone.recv());
            let behind = beside.run(|| 2);
            let others = async {
                let answer = crate::blocking(|| 1).await;
                assert_eq!(Beside::new("other").run(|| 3).await, 3);
                go.send(answer).unwrap();
            };
            assert_eq!(futures::join!(hangs, behind, others), (Ok(1), 2, ()));
        });
        shard.unwrap().join().unwrap().unwrap();
    }

    #[test]
    fn what_panics_does_so_where_it_is_waited_for() {
        let shard = run_shard("test", None, || async {
            let beside = Beside::new("work");
            let panics = AssertUnwindSafe(beside.run(|| panic!("as it may")));
            assert!(futures::FutureExt::catch_unwind(panics).await.is_err());
            assert_eq!(beside.run(|| 1).await, 1, "the thread goes on");
        });
        shard.unwrap().join().unwrap().unwrap();
    }
}

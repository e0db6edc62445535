//! Tasks of this shard, in whichever world it lives.

use crate::{executor, sim};
use std::future::Future;

/// Starts a task on this shard's executor; it runs until it ends or the shard stops.
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    if sim::active() {
        return sim::here().spawn(future);
    }
    executor::spawn(future);
}

/// Lets every other runnable task of the shard go first.
pub async fn yield_now() {
    if sim::active() {
        return sim::tasks::yield_now().await;
    }
    executor::yield_now().await;
}

/// Runs a closure that may block beside the shard, on the one thread that all its tasks share; in a simulated world, at once,
/// when it is its turn and after a while.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    if sim::active() {
        sim::file::take_turn(&sim::here()).await;
        return work();
    }
    executor::blocking(work).await
}

//! Tasks of the real world: what glommio's executor does for this shard.

use crate::uring::Counted;
use std::future::Future;
use std::task::Poll;
use std::time::Duration;

/// Lets every task that is ready run once.
pub(crate) async fn others_first() {
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

pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) {
    spawn_uncounted(Counted(future));
}

pub(crate) fn spawn_uncounted(future: impl Future<Output = ()> + 'static) {
    glommio::spawn_local(future).detach();
}

pub(crate) async fn yield_now() {
    others_first().await;
}

pub(crate) async fn sleep(duration: Duration) {
    glommio::timer::sleep(duration).await;
}

/// Runs a blocking closure on the executor's helper thread.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    glommio::executor().spawn_blocking(work).await
}

//! Clocks and deadlines.

use super::{ring, sim};
use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// A deadline passed before the awaited thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOut;

impl std::fmt::Display for TimedOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("timed out")
    }
}

impl From<TimedOut> for std::io::Error {
    fn from(_: TimedOut) -> Self {
        std::io::Error::new(std::io::ErrorKind::TimedOut, "timed out")
    }
}

/// Monotonic clock, nanoseconds since an arbitrary start.
pub fn mono_nanos() -> u64 {
    if sim::active() {
        return sim::here().exec.now();
    }
    ring::mono_nanos()
}

/// Wall clock, nanoseconds since 1970.
pub fn unix_nanos() -> u64 {
    if sim::active() {
        return sim::here().exec.unix_nanos();
    }
    ring::unix_nanos()
}

/// Wall clock, milliseconds since 1970.
pub fn unix_millis() -> u64 {
    unix_nanos() / 1_000_000
}

/// Waits for `duration`.
pub async fn sleep(duration: Duration) {
    if sim::active() {
        return sim::exec::sleep(duration).await;
    }
    ring::sleep(duration).await;
}

/// Runs `future` for at most `limit`. The timer is only armed when the first poll does not
/// finish, so a ready operation pays nothing for its deadline.
pub async fn deadline<F: Future>(limit: Duration, future: F) -> Result<F::Output, TimedOut> {
    let mut future = pin!(future);
    let mut timer = None;
    std::future::poll_fn(move |cx| {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(value));
        }
        let timer = timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(TimedOut)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

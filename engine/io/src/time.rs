//! Clocks and deadlines.
#![allow(unsafe_code)]

use crate::steady::Steady;
use crate::wheel;
use crate::wheel::Wheel;
use crate::{clock, executor, sim};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Shorter waits get a timer of their own.
const COARSE: Duration = Duration::from_millis(500);

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
    clock::mono_nanos()
}

/// Wall clock, nanoseconds since 1970.
pub fn unix_nanos() -> u64 {
    if sim::active() {
        return sim::here().exec.unix_nanos();
    }
    clock::unix_nanos()
}

/// The clock of queues, nanoseconds since 1970: the time of day as it was when the process began, and what has passed
/// since. It does not jump with the wall clock; see [`Steady`].
pub fn steady_nanos() -> u64 {
    if sim::active() {
        return sim::here().steady_nanos();
    }
    CLOCK.nanos(clock::mono_nanos(), clock::unix_nanos)
}

/// The clock of queues in milliseconds.
pub fn steady_millis() -> u64 {
    steady_nanos() / 1_000_000
}

/// Leads the clock of queues towards the wall clock; called by one task of the process about once in a second.
pub fn follow_wall_clock() {
    let told = match sim::active() {
        true => sim::here().follow_wall_clock(),
        false => CLOCK.follow(clock::mono_nanos(), clock::unix_nanos()),
    };
    if let Some(difference) = told {
        tracing::warn!(
            "{difference}: the queues go on as before, and follow it by a second in a minute"
        );
    }
}

static CLOCK: Steady = Steady::new();

/// Waits for `duration`.
pub async fn sleep(duration: Duration) {
    if sim::active() {
        return sim::tasks::sleep(duration).await;
    }
    executor::sleep(duration).await;
}

/// Runs `future` for at most `limit`; a deadline that passes is told up to two ticks of the wheel late.
/// It is only set when the first poll does not finish, so a ready operation pays nothing for it.
pub fn deadline<F: Future>(limit: Duration, future: F) -> Deadline<F> {
    Deadline { limit, future, alarm: None }
}

/// See [`deadline`]. A hand-written future, because `async fn` stores its argument twice (as captured and as pinned):
/// that doubled the memory of a connection.
pub struct Deadline<F> {
    limit: Duration,
    future: F,
    alarm: Option<Alarm>,
}

impl<F: Future> Future for Deadline<F> {
    type Output = Result<F::Output, TimedOut>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the future is pinned when this is: it is never moved out, and polled in its place only.
        let (future, limit, alarm) = unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&mut this.future), this.limit, &mut this.alarm)
        };
        if let Poll::Ready(value) = future.poll(cx) {
            return Poll::Ready(Ok(value));
        }
        match alarm.get_or_insert_with(|| Alarm::new(limit, cx.waker())).poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(TimedOut)),
            Poll::Pending => Poll::Pending,
        }
    }
}

thread_local! {
    static WHEEL: RefCell<Wheel> = RefCell::default();
    static TURNING: Cell<bool> = const { Cell::new(false) };
    /// The tick the wheel is turned at next, and whom to wake when that is too late.
    static NEXT: Cell<u64> = const { Cell::new(0) };
    static TURNER: Cell<Option<Waker>> = const { Cell::new(None) };
}

/// What ends a wait.
enum Alarm {
    /// One of this shard's many deadlines.
    Coarse(wheel::Id),
    /// A timer of its own: in a simulated world, where time costs nothing, and for short waits.
    Exact(Pin<Box<dyn Future<Output = ()>>>),
}

impl Alarm {
    fn new(limit: Duration, waker: &Waker) -> Alarm {
        if sim::active() || limit < COARSE {
            return Alarm::Exact(Box::pin(sleep(limit)));
        }
        let (id, due) = WHEEL.with_borrow_mut(|wheel| {
            let id = wheel.set(clock::coarse_millis(), limit, waker);
            (id, wheel.due(id))
        });
        if !TURNING.replace(true) {
            executor::spawn(turn());
        } else if due < NEXT.get() {
            TURNER.take().into_iter().for_each(Waker::wake);
        }
        Alarm::Coarse(id)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Alarm::Exact(timer) => timer.as_mut().poll(cx),
            Alarm::Coarse(id) => {
                let (passed, _before) = WHEEL.with_borrow_mut(|wheel| {
                    (wheel.has_passed(*id), wheel.wake_instead(*id, cx.waker()))
                });
                if passed {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            }
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Alarm::Coarse(id) = self {
            // At the very end of a thread there is no wheel any more.
            let _waker = WHEEL.try_with(|wheel| wheel.borrow_mut().take_back(*id));
        }
    }
}

/// Turns the wheel while a deadline is set, whenever one may be due: an idle shard is not woken for it.
async fn turn() {
    while let Some(next) = WHEEL.with_borrow(Wheel::next) {
        NEXT.set(next);
        let due = Duration::from_millis(next * wheel::TICK_MS);
        let now = Duration::from_millis(clock::coarse_millis());
        // At least a tick, that what is due about now is looked at together.
        let pause = due.saturating_sub(now).max(Duration::from_millis(wheel::TICK_MS));
        until_sooner(executor::sleep(pause)).await;
        let passed = WHEEL.with_borrow_mut(|wheel| wheel.advance(clock::coarse_millis()));
        passed.into_iter().for_each(Waker::wake);
    }
    TURNING.set(false);
}

/// Waits for `pause`, or until a deadline is set that is due before.
async fn until_sooner(pause: impl Future<Output = ()>) {
    let planned = NEXT.get();
    let mut pause = std::pin::pin!(pause);
    std::future::poll_fn(|cx| {
        if pause.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let sooner = WHEEL.with_borrow(Wheel::next).is_some_and(|next| next < planned);
        if sooner {
            return Poll::Ready(());
        }
        TURNER.set(Some(cx.waker().clone()));
        Poll::Pending
    })
    .await;
}

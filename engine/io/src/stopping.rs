//! That a shard is stopping, told at once to whoever waits for a client.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Whether a shard begins no new work.
#[derive(Default)]
pub struct Stopping {
    set: Cell<bool>,
    /// Who is woken then, by place; empty places are listed in `free`.
    waiting: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<usize>>,
}

impl Stopping {
    /// Whether the stop has begun.
    pub fn get(&self) -> bool {
        self.set.get()
    }

    /// Begins (or, in tests, takes back) the stop.
    pub fn set(&self, stopping: bool) {
        self.set.set(stopping);
        if stopping {
            let waiting: Vec<Waker> =
                self.waiting.borrow_mut().iter_mut().filter_map(Option::take).collect();
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    /// Waits for the stop. One that is polled again by the same task costs nothing.
    pub fn wait(&self) -> Wait<'_> {
        Wait { stopping: self, place: None }
    }
}

/// Ready when the stop begins.
pub struct Wait<'s> {
    stopping: &'s Stopping,
    place: Option<usize>,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.stopping.get() {
            return Poll::Ready(());
        }
        let mut waiting = self.stopping.waiting.borrow_mut();
        let place = match self.place {
            Some(place) => place,
            None => self.stopping.free.borrow_mut().pop().unwrap_or_else(|| {
                waiting.push(None);
                waiting.len() - 1
            }),
        };
        match &mut waiting[place] {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            slot => *slot = Some(cx.waker().clone()),
        }
        drop(waiting);
        self.place = Some(place);
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.stopping.waiting.borrow_mut()[place] = None;
            self.stopping.free.borrow_mut().push(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::task::noop_waker;

    #[test]
    fn places_are_used_again_and_the_stop_is_heard() {
        let stopping = Stopping::default();
        let waker = noop_waker();
        let mut cx = Context::from_waker(&waker);
        for _ in 0..100 {
            let mut wait = stopping.wait();
            assert!(Pin::new(&mut wait).poll(&mut cx).is_pending());
            assert!(Pin::new(&mut wait).poll(&mut cx).is_pending());
        }
        assert_eq!(stopping.waiting.borrow().len(), 1);
        let mut wait = stopping.wait();
        assert!(Pin::new(&mut wait).poll(&mut cx).is_pending());
        stopping.set(true);
        assert!(Pin::new(&mut wait).poll(&mut cx).is_ready());
    }
}

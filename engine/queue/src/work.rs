//! Work that one stage leaves for another: stages never call each other, they leave work in lists.

use crate::blocks::Blocks;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Things that the task of another stage has to look at, in order. Pushing one wakes that task.
pub struct WorkList<T> {
    jobs: RefCell<Blocks<T>>,
    is_pushed: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl<T> Default for WorkList<T> {
    fn default() -> WorkList<T> {
        WorkList {
            jobs: RefCell::default(),
            is_pushed: Cell::new(false),
            waker: RefCell::default(),
        }
    }
}

impl<T> WorkList<T> {
    /// Leaves work.
    pub fn push(&self, what: T) {
        self.jobs.borrow_mut().push_back(what);
        self.is_pushed.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Takes the oldest work.
    pub fn pop(&self) -> Option<T> {
        self.jobs.borrow_mut().pop_front()
    }

    /// Waits until work was pushed since this was asked last. For the one task that serves the list.
    pub async fn pushed(&self) {
        poll_fn(|cx| {
            if self.is_pushed.replace(false) {
                return Poll::Ready(());
            }
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// How much waits.
    pub fn len(&self) -> usize {
        self.jobs.borrow().len()
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.jobs.borrow().is_empty()
    }

    /// Shows all that waits.
    pub fn each(&self, see: impl FnMut(&T)) {
        self.jobs.borrow().iter().for_each(see);
    }

    /// Shows up to `most` behind the first `skip`, until `see` has found something; `None` for the second of what is given
    /// back when that was all, else how many are to be skipped next.
    pub fn look<R>(
        &self,
        skip: usize,
        most: usize,
        see: impl FnMut(&T) -> Option<R>,
    ) -> (Option<R>, Option<usize>) {
        let jobs = self.jobs.borrow();
        let found = jobs.iter_from(skip).take(most).find_map(see);
        (found, (skip + most < jobs.len()).then_some(skip + most))
    }

    /// Tells of the first that is meant.
    pub fn find<R>(&self, is_meant: impl Fn(&T) -> bool, tell: impl FnOnce(&T) -> R) -> Option<R> {
        self.jobs.borrow().iter().find(|job| is_meant(job)).map(tell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::FutureExt;

    #[test]
    fn a_push_is_heard_once_and_work_keeps_its_order() {
        let list = WorkList::default();
        assert!(list.pushed().now_or_never().is_none());
        list.push(1);
        list.push(2);
        assert!(list.pushed().now_or_never().is_some());
        assert!(list.pushed().now_or_never().is_none(), "what waits was told");
        assert_eq!((list.pop(), list.pop(), list.pop()), (Some(1), Some(2), None));
        list.push(3);
        assert!(list.pushed().now_or_never().is_some());
        assert_eq!(list.find(|n| *n == 3, |n| *n), Some(3));
    }
}

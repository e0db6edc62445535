//! Queues between handlers, whichever shard they run on.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use ringmta_options::plain::Plain;

use crate::limits::MAX_QUEUE_VALUES;

#[derive(Default)]
struct State {
    values: VecDeque<Plain>,
    closed: bool,
    receiver: Option<Waker>,
    receiving: bool,
    senders: Vec<Waker>,
}

/// One queue: many senders, one receiver at a time.
pub struct Queue {
    limit: usize,
    bounded: bool,
    state: Mutex<State>,
}

/// Why a value was not taken.
#[derive(Debug, PartialEq)]
pub enum Refusal {
    /// The queue was closed.
    Closed,
    /// There is no room.
    Full,
}

impl Queue {
    /// An empty queue; without a limit, senders never wait.
    pub fn new(limit: Option<usize>) -> Queue {
        Queue {
            limit: limit.unwrap_or(MAX_QUEUE_VALUES).clamp(1, MAX_QUEUE_VALUES),
            bounded: limit.is_some(),
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a value if there is room.
    ///
    /// # Errors
    /// Closed or full.
    pub fn try_send(&self, v: Plain) -> Result<(), Refusal> {
        let mut s = self.lock();
        if s.closed {
            return Err(Refusal::Closed);
        }
        if s.values.len() >= self.limit {
            return Err(Refusal::Full);
        }
        s.values.push_back(v);
        let waker = s.receiver.take();
        drop(s);
        if let Some(w) = waker {
            w.wake();
        }
        Ok(())
    }

    /// Adds a value when there is room.
    ///
    /// # Errors
    /// Closed.
    pub async fn send(&self, v: Plain) -> Result<(), Refusal> {
        std::future::poll_fn(|cx| match self.try_send(v.clone()) {
            Err(Refusal::Full) if self.bounded => {
                self.lock().senders.push(cx.waker().clone());
                // Room may have come between the two.
                match self.try_send(v.clone()) {
                    Err(Refusal::Full) => Poll::Pending,
                    other => Poll::Ready(other),
                }
            }
            other => Poll::Ready(other),
        })
        .await
    }

    fn take(&self, s: &mut State, most: usize) -> Vec<Plain> {
        let n = s.values.len().min(most);
        let taken: Vec<Plain> = s.values.drain(..n).collect();
        if !taken.is_empty() {
            s.senders.drain(..).for_each(Waker::wake);
        }
        taken
    }

    /// Takes up to `most` values that are there.
    ///
    /// # Errors
    /// Another task is receiving.
    pub fn try_recv(&self, most: usize) -> Result<Vec<Plain>, String> {
        let mut s = self.lock();
        if s.receiving {
            return Err(BUSY.into());
        }
        Ok(self.take(&mut s, most))
    }

    /// Takes up to `most` values, waiting for the first; nothing when the queue was closed and is empty.
    ///
    /// # Errors
    /// Another task is receiving.
    pub async fn recv(&self, most: usize) -> Result<Vec<Plain>, String> {
        if std::mem::replace(&mut self.lock().receiving, true) {
            return Err(BUSY.into());
        }
        let _turn = Turn(self);
        Ok(std::future::poll_fn(|cx| self.poll_take(cx, most)).await)
    }

    fn poll_take(&self, cx: &mut Context<'_>, most: usize) -> Poll<Vec<Plain>> {
        let mut s = self.lock();
        let taken = self.take(&mut s, most.max(1));
        if !taken.is_empty() || s.closed {
            return Poll::Ready(taken);
        }
        s.receiver = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Takes no more values; what is queued can still be received.
    pub fn close(&self) {
        let mut s = self.lock();
        s.closed = true;
        let wakers: Vec<Waker> = s.senders.drain(..).collect();
        let receiver = s.receiver.take();
        drop(s);
        wakers.into_iter().chain(receiver).for_each(Waker::wake);
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Values queued.
    pub fn len(&self) -> usize {
        self.lock().values.len()
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

const BUSY: &str = "another task is receiving from this queue";

/// The right to receive; given back also when the task ends while it waits.
struct Turn<'a>(&'a Queue);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.lock().receiving = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use std::sync::Arc;

    #[test]
    fn order_room_and_closing() {
        let q = Queue::new(Some(2));
        assert_eq!(q.try_send(Plain::Int(1)), Ok(()));
        assert_eq!(q.try_send(Plain::Int(2)), Ok(()));
        assert_eq!(q.try_send(Plain::Int(3)), Err(Refusal::Full));
        assert_eq!(block_on(q.recv(9)).unwrap(), [Plain::Int(1), Plain::Int(2)]);
        q.close();
        assert_eq!(q.try_send(Plain::Int(4)), Err(Refusal::Closed));
        assert!(block_on(q.recv(1)).unwrap().is_empty());
    }

    #[test]
    fn sides_wait_for_each_other() {
        let q = Arc::new(Queue::new(Some(1)));
        let sender = q.clone();
        let sending = std::thread::spawn(move || {
            (0..100).for_each(|i| block_on(sender.send(Plain::Int(i))).unwrap());
            sender.close();
        });
        let mut got = Vec::new();
        loop {
            let some = block_on(q.recv(7)).unwrap();
            if some.is_empty() {
                break;
            }
            got.extend(some);
        }
        sending.join().unwrap();
        assert_eq!(got, (0..100).map(Plain::Int).collect::<Vec<_>>());
    }
}

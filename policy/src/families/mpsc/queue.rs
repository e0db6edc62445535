//! Queues between handlers, whichever shard they run on.

use std::sync::atomic::{AtomicBool, Ordering};

use async_channel::{bounded, unbounded, Receiver, Sender, TrySendError};
use ringmta_options::plain::Plain;

use crate::limits::MAX_QUEUE_VALUES;

/// One queue: many senders, one receiver at a time.
pub struct Queue {
    sender: Sender<Plain>,
    receiver: Receiver<Plain>,
    receiving: AtomicBool,
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
        let (sender, receiver) = match limit {
            Some(limit) => bounded(limit.clamp(1, MAX_QUEUE_VALUES)),
            None => unbounded(),
        };
        Queue { sender, receiver, receiving: AtomicBool::new(false) }
    }

    /// Adds a value if there is room.
    ///
    /// # Errors
    /// Closed or full.
    pub fn try_send(&self, v: Plain) -> Result<(), Refusal> {
        if self.sender.capacity().is_none() && self.sender.len() >= MAX_QUEUE_VALUES {
            return Err(if self.is_closed() { Refusal::Closed } else { Refusal::Full });
        }
        self.sender.try_send(v).map_err(|e| match e {
            TrySendError::Full(_) => Refusal::Full,
            TrySendError::Closed(_) => Refusal::Closed,
        })
    }

    /// Adds a value, when there is room where the queue has a limit.
    ///
    /// # Errors
    /// Closed; full where the queue has no limit of its own.
    pub async fn send(&self, v: Plain) -> Result<(), Refusal> {
        match self.sender.capacity() {
            Some(_) => self.sender.send(v).await.map_err(|_| Refusal::Closed),
            None => self.try_send(v),
        }
    }

    /// Takes up to `most` values that are there.
    ///
    /// # Errors
    /// Another task is receiving.
    pub fn try_recv(&self, most: usize) -> Result<Vec<Plain>, String> {
        let _turn = Turn::take(self)?;
        Ok(self.take(Vec::new(), most))
    }

    /// Takes up to `most` values, waiting for the first; nothing when the queue was closed and is empty.
    ///
    /// # Errors
    /// Another task is receiving.
    pub async fn recv(&self, most: usize) -> Result<Vec<Plain>, String> {
        let _turn = Turn::take(self)?;
        match self.receiver.recv().await {
            Ok(first) => Ok(self.take(vec![first], most)),
            Err(_) => Ok(Vec::new()),
        }
    }

    /// What is there, until there are `most`.
    fn take(&self, mut taken: Vec<Plain>, most: usize) -> Vec<Plain> {
        while taken.len() < most {
            let Ok(next) = self.receiver.try_recv() else { break };
            taken.push(next);
        }
        taken
    }

    /// Takes no more values; what is queued can still be received.
    pub fn close(&self) {
        self.sender.close();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Values queued.
    pub fn len(&self) -> usize {
        self.sender.len()
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.sender.is_empty()
    }
}

const BUSY: &str = "another task is receiving from this queue";

/// The right to receive; given back also when the task ends while it waits.
struct Turn<'a>(&'a Queue);

impl Turn<'_> {
    fn take(queue: &Queue) -> Result<Turn<'_>, String> {
        match queue.receiving.swap(true, Ordering::AcqRel) {
            true => Err(BUSY.into()),
            false => Ok(Turn(queue)),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.receiving.store(false, Ordering::Release);
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
    fn one_task_receives() {
        let q = Queue::new(None);
        let mut waiting = std::pin::pin!(q.recv(1));
        assert!(futures::FutureExt::now_or_never(waiting.as_mut()).is_none());
        assert_eq!(q.try_recv(1), Err(BUSY.to_owned()));
        q.close();
        assert_eq!(block_on(waiting), Ok(vec![]));
        assert_eq!(q.try_recv(1), Ok(vec![]));
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

//! Connections kept for reuse, no more than so many at once. For helper threads: it blocks.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

struct State<T> {
    idle: Vec<T>,
    open: usize,
}

/// Places for connections.
pub(crate) struct Places<T> {
    most: usize,
    state: Mutex<State<T>>,
    freed: Condvar,
}

impl<T> Places<T> {
    pub fn new(most: usize) -> Places<T> {
        let state = State { idle: Vec::new(), open: 0 };
        Places { most: most.max(1), state: Mutex::new(state), freed: Condvar::new() }
    }

    /// A kept connection, or `None`: the right to make a new one.
    ///
    /// # Errors
    /// All are in use for longer than `wait`.
    pub fn take(&self, wait: Duration) -> Result<Option<T>, String> {
        let until = Instant::now() + wait;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(kept) = state.idle.pop() {
                return Ok(Some(kept));
            }
            if state.open < self.most {
                state.open += 1;
                return Ok(None);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err("all connections are in use".into());
            }
            state = self.freed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// All kept connections, for good.
    pub fn drain(&self) -> Vec<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.open -= state.idle.len();
        std::mem::take(&mut state.idle)
    }

    /// Keeps a connection, or gives its place up.
    pub fn give_back(&self, conn: Option<T>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match conn {
            Some(conn) => state.idle.push(conn),
            None => state.open -= 1,
        }
        drop(state);
        self.freed.notify_one();
    }
}

//! Scheduled queues that have more for a ready queue than it has room for. Each stands in line once, however often it
//! asks, so that every one of them gets the same number of turns.

use crate::model::Overflow;
use crate::model::ScheduledQueue;
use std::rc::Rc;

impl Overflow {
    /// Puts a queue at the end, unless it stands in line.
    pub fn push(&mut self, queue: &Rc<ScheduledQueue>) {
        if self.names.insert(queue.name.clone()) {
            self.line.push_back(queue.clone());
        }
    }

    /// Takes the first.
    pub fn pop(&mut self) -> Option<Rc<ScheduledQueue>> {
        let first = self.line.pop_front()?;
        self.names.remove(&first.name);
        Some(first)
    }

    /// How many stand in line.
    pub fn len(&self) -> usize {
        self.line.len()
    }

    /// Nobody does.
    pub fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Sends everybody away.
    pub fn clear(&mut self) {
        *self = Overflow::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_stands_in_line_once() {
        let queue = |name: &str| Rc::new(ScheduledQueue::new(name, Default::default()));
        let (a, b) = (queue("a"), queue("b"));
        let mut overflow = Overflow::default();
        for queue in [&a, &b, &a, &a, &b] {
            overflow.push(queue);
        }
        assert_eq!(overflow.len(), 2);
        assert!(overflow.pop().is_some_and(|first| Rc::ptr_eq(&first, &a)));
        overflow.push(&a);
        assert!(overflow.pop().is_some_and(|second| Rc::ptr_eq(&second, &b)));
        overflow.clear();
        assert!(overflow.is_empty());
    }
}

//! Lines that gather while those before them are written.

use std::cell::{Ref, RefCell, RefMut};

/// Two buffers that take turns: fresh memory has to be cleared by the kernel, page by page.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    lines: RefCell<Vec<u8>>,
    /// The buffer that was written before, empty.
    spare: RefCell<Vec<u8>>,
}

impl Gathered {
    /// What has gathered since the last turn.
    pub(crate) fn lines(&self) -> Ref<'_, Vec<u8>> {
        self.lines.borrow()
    }

    /// As [`Gathered::lines`], to be added to.
    pub(crate) fn lines_mut(&self) -> RefMut<'_, Vec<u8>> {
        self.lines.borrow_mut()
    }

    /// Whether nothing has.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.borrow().is_empty()
    }

    /// Takes what has gathered; the other buffer has its turn.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.lines.replace(self.spare.take())
    }

    /// A buffer whose lines are needed no more. Memory of a rush goes back when the rush is over.
    pub(crate) fn give_back(&self, mut buffer: Vec<u8>) {
        if buffer.len() >= buffer.capacity() / 8 {
            buffer.clear();
            self.spare.replace(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_take_turns_until_a_rush_is_over() {
        let gathered = Gathered::default();
        let turn = |bytes: usize| {
            gathered.lines_mut().extend_from_slice(&vec![b'x'; bytes]);
            let taken = gathered.take();
            assert_eq!((taken.len(), gathered.is_empty()), (bytes, true));
            let place = taken.as_ptr();
            gathered.give_back(taken);
            place
        };
        let (first, second) = (turn(100_000), turn(90_000));
        assert_eq!((turn(80_000), turn(70_000)), (first, second), "they are used again");
        turn(10);
        turn(10);
        assert_eq!(gathered.spare.borrow().capacity(), 0);
        assert!(gathered.lines().capacity() < 100_000, "what the rush took is given back");
    }
}

//! A queue of very many things whose memory goes as they go: they lie in blocks, and growing copies none of them. What is
//! done alike with it and with a `VecDeque` is done with a [`Line`].

use std::collections::VecDeque;

/// Things of a full block.
const BLOCK: usize = 1024;

/// First in, first out.
#[derive(Debug)]
pub struct Blocks<T> {
    blocks: VecDeque<VecDeque<T>>,
    len: usize,
}

impl<T> Default for Blocks<T> {
    fn default() -> Blocks<T> {
        Blocks { blocks: VecDeque::new(), len: 0 }
    }
}

impl<T> Blocks<T> {
    /// Adds one at the end.
    pub fn push_back(&mut self, one: T) {
        match self.blocks.back_mut().filter(|block| block.len() < BLOCK) {
            Some(block) => block.push_back(one),
            None => self.blocks.push_back(VecDeque::from([one])),
        }
        self.len += 1;
    }

    /// Puts one before the first.
    pub fn push_front(&mut self, one: T) {
        match self.blocks.front_mut().filter(|block| block.len() < BLOCK) {
            Some(block) => block.push_front(one),
            None => self.blocks.push_front(VecDeque::from([one])),
        }
        self.len += 1;
    }

    /// Takes the first.
    pub fn pop_front(&mut self) -> Option<T> {
        let block = self.blocks.front_mut()?;
        let one = block.pop_front();
        if block.is_empty() {
            self.blocks.pop_front();
        }
        self.len -= usize::from(one.is_some());
        one
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Those behind the first `skip`. Skipping costs a step for each block, not for each of them.
    pub fn iter_from(&self, mut skip: usize) -> impl Iterator<Item = &T> {
        let mut first = 0;
        while let Some(block) = self.blocks.get(first).filter(|block| skip >= block.len()) {
            skip -= block.len();
            first += 1;
        }
        self.blocks.range(first..).flatten().skip(skip)
    }

    /// All, from the first on.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.blocks.iter().flatten()
    }
}

impl<'b, T> IntoIterator for &'b Blocks<T> {
    type Item = &'b T;
    type IntoIter = std::iter::Flatten<std::collections::vec_deque::Iter<'b, VecDeque<T>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.blocks.iter().flatten()
    }
}

impl<T> IntoIterator for Blocks<T> {
    type Item = T;
    type IntoIter = std::iter::Flatten<std::collections::vec_deque::IntoIter<VecDeque<T>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.blocks.into_iter().flatten()
    }
}

/// First in, first out, however it is kept.
pub trait Line<T> {
    /// How many there are.
    fn length(&self) -> usize;
    /// Takes the first.
    fn take_first(&mut self) -> Option<T>;
    /// Adds one at the end.
    fn add(&mut self, one: T);
    /// Those behind the first `skip`.
    fn behind<'l>(&'l self, skip: usize) -> impl Iterator<Item = &'l T>
    where
        T: 'l;
}

impl<T> Line<T> for Blocks<T> {
    fn length(&self) -> usize {
        self.len
    }

    fn take_first(&mut self) -> Option<T> {
        self.pop_front()
    }

    fn add(&mut self, one: T) {
        self.push_back(one);
    }

    fn behind<'l>(&'l self, skip: usize) -> impl Iterator<Item = &'l T>
    where
        T: 'l,
    {
        self.iter_from(skip)
    }
}

impl<T> Line<T> for VecDeque<T> {
    fn length(&self) -> usize {
        self.len()
    }

    fn take_first(&mut self) -> Option<T> {
        self.pop_front()
    }

    fn add(&mut self, one: T) {
        self.push_back(one);
    }

    fn behind<'l>(&'l self, skip: usize) -> impl Iterator<Item = &'l T>
    where
        T: 'l,
    {
        self.range(skip.min(self.len())..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_takes_its_memory_along() {
        let mut all = Blocks::default();
        assert_eq!((all.pop_front(), all.len()), (None, 0));
        let count = 5 * BLOCK + 7;
        (0..count).for_each(|n| all.push_back(n));
        assert_eq!((all.len(), all.blocks.len()), (count, 6));
        assert!(all.iter().copied().eq(0..count));
        for skip in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, count - 1, count, count + 1] {
            assert!(all.iter_from(skip).copied().eq(skip.min(count)..count), "{skip}");
        }
        for n in 0..count - 3 {
            assert_eq!(all.pop_front(), Some(n));
        }
        assert_eq!((all.len(), all.blocks.len(), all.is_empty()), (3, 1, false));
        assert!(all.iter_from(1).copied().eq(count - 2..count));
        // As it comes and goes, one after the other, it stays as small.
        for n in count..3 * count {
            all.push_back(n);
            assert_eq!(all.pop_front(), Some(n - 3));
        }
        assert!(all.blocks.len() <= 2);
    }

    #[test]
    fn what_is_put_back_is_the_first_again() {
        let mut all = Blocks::default();
        (0..BLOCK + 1).for_each(|n| all.push_front(n));
        all.push_back(BLOCK + 1);
        assert_eq!((all.len(), all.blocks.len()), (BLOCK + 2, 3));
        let expected = (0..=BLOCK).rev().chain([BLOCK + 1]);
        assert!(expected.clone().eq((&all).into_iter().copied()));
        assert!(expected.eq(std::iter::from_fn(|| all.pop_front())));
        assert_eq!((all.len(), all.blocks.len()), (0, 0));
    }

    #[test]
    fn lines_are_alike_however_they_are_kept() {
        fn look(mut line: impl Line<usize> + Default) {
            assert_eq!((line.length(), line.take_first()), (0, None));
            (0..3000).for_each(|n| line.add(n));
            assert!(line.behind(2000).copied().eq(2000..3000));
            assert_eq!((line.behind(4000).count(), line.length()), (0, 3000));
            assert_eq!((line.take_first(), line.length()), (Some(0), 2999));
        }
        look(Blocks::default());
        look(VecDeque::new());
    }
}

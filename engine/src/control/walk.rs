//! Looks at all that waits on a shard, a slice at a time: between two slices every other task has its turn, so that a question
//! about very many messages holds up no session. What waits moves meanwhile, so an answer may be a message or two beside the
//! truth; one that is looked for is looked for twice.

use crate::limits::SLICE_ITEMS;
use ringmta_io::{self as io, mono_nanos};
use ringmta_queue::blocks::Line;
use ringmta_queue::timer_wheel::{LookedAt, Slice, TimerWheel};
use ringmta_queue::work::WorkList;
use std::cell::RefCell;

/// A look at many things.
pub struct Walk {
    /// Things that are looked at before others have their turn.
    left: usize,
    /// When it is given up, monotonic nanoseconds.
    end: u64,
    is_cut: bool,
}

impl Walk {
    /// One that goes on until all is seen.
    pub fn to_the_end() -> Walk {
        Walk::until(u64::MAX)
    }

    /// One that is given up at `end`, monotonic nanoseconds.
    pub fn until(end: u64) -> Walk {
        Walk { left: SLICE_ITEMS, end, is_cut: false }
    }

    /// It was given up: not all was seen.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// So many things were looked at. Others have their turn when that is enough.
    pub async fn looked_at(&mut self, count: usize) {
        self.left = self.left.saturating_sub(count);
        if self.left == 0 {
            self.left = SLICE_ITEMS;
            io::yield_now().await;
            self.is_cut = self.is_cut || mono_nanos() > self.end;
        }
    }

    /// Looks at what waits in a timer, each with its due time in milliseconds, until something is found.
    pub async fn timer<T, R>(
        &mut self,
        timer: &RefCell<TimerWheel<T>>,
        mut see: impl FnMut(u64, &T) -> Option<R>,
    ) -> Option<R> {
        let mut from = LookedAt::default();
        while !self.is_cut {
            let slice = timer.borrow().look(&mut from, self.left, &mut see);
            match slice {
                Slice::Found(found) => return Some(found),
                Slice::Over => return None,
                Slice::More => self.looked_at(self.left).await,
            }
        }
        None
    }

    /// Looks at what waits in a line, each with how many are before it, until something is found.
    pub async fn line<T, R>(
        &mut self,
        line: &RefCell<impl Line<T>>,
        mut see: impl FnMut(usize, &T) -> Option<R>,
    ) -> Option<R> {
        let mut from = 0;
        while !self.is_cut {
            let (found, end) = {
                let line = line.borrow();
                let (from, end) = (from.min(line.length()), line.length().min(from + self.left));
                let mut some = line.behind(from).take(end - from).enumerate();
                (some.find_map(|(at, item)| see(from + at, item)), end)
            };
            if found.is_some() {
                return found;
            }
            // An empty line is a look as well: there may be very many.
            self.looked_at((end - from.min(end)).max(1)).await;
            from = end;
            if from >= line.borrow().length() {
                return None;
            }
        }
        None
    }

    /// Looks at a list of work, until something is found.
    pub async fn work<T, R>(
        &mut self,
        list: &WorkList<T>,
        mut see: impl FnMut(&T) -> Option<R>,
    ) -> Option<R> {
        let mut from = Some(0);
        while let Some(skip) = from.filter(|_| !self.is_cut) {
            let most = self.left;
            let (found, next) = list.look(skip, most, &mut see);
            if found.is_some() {
                return found;
            }
            self.looked_at(most).await;
            from = next;
        }
        None
    }
}

/// The fullest of `all`, at most `most`, and how many are left out: of those with anything in them.
pub async fn fullest<T: Clone>(
    all: Vec<T>,
    most: usize,
    count: impl Fn(&T) -> usize,
) -> (Vec<T>, usize) {
    let mut walk = Walk::to_the_end();
    let mut used = Vec::new();
    for one in all {
        let count = count(&one);
        if count > 0 {
            used.push((count, one));
        }
        walk.looked_at(1).await;
    }
    let further = used.len().saturating_sub(most);
    if further > 0 {
        used.select_nth_unstable_by_key(most, |(count, _)| std::cmp::Reverse(*count));
        used.truncate(most);
    }
    (used.into_iter().map(|(_, one)| one).collect(), further)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmta_io::sim::World;
    use ringmta_queue::blocks::Blocks;
    use std::cell::Cell;
    use std::collections::VecDeque;
    use std::future::Future;
    use std::rc::Rc;
    use std::time::Duration;

    const MANY: usize = 1_000_000;

    /// Does `work` beside a task that counts its turns: how many it had.
    fn turns_beside<R: 'static>(work: impl Future<Output = R> + 'static) -> (R, usize) {
        let world = World::new(1, false);
        let _entered = world.enter();
        let told = Rc::new(RefCell::new(None));
        let tell = told.clone();
        let both = async move {
            let (turns, is_over) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
            let (counted, seen) = (turns.clone(), is_over.clone());
            io::spawn(async move {
                while !seen.get() {
                    counted.set(counted.get() + 1);
                    io::yield_now().await;
                }
            });
            let done = work.await;
            is_over.set(true);
            tell.replace(Some((done, turns.get())));
        };
        world.complete(Duration::from_secs(600), 100_000_000, both).unwrap();
        told.take().unwrap()
    }

    #[test]
    fn a_look_at_a_million_gives_others_their_turns() {
        let timer = RefCell::new(TimerWheel::default());
        (0..MANY).for_each(|n| timer.borrow_mut().insert(n as u64 % 5_000, n));
        let line = RefCell::new(Blocks::default());
        (0..MANY).for_each(|n| line.borrow_mut().push_back(n));
        let list = WorkList::default();
        (0..MANY).for_each(|n| list.push(n));
        let ((seen, found), turns) = turns_beside(async move {
            let mut walk = Walk::to_the_end();
            let mut seen = [0; 3];
            let none = walk.timer(&timer, |_, _| {
                seen[0] += 1;
                None::<()>
            });
            none.await;
            let found = walk.line(&line, |at, n| {
                seen[1] += 1;
                (*n == MANY - 1).then_some(at)
            });
            let found = found.await;
            let none = walk.work(&list, |_| {
                seen[2] += 1;
                None::<()>
            });
            none.await;
            assert!(!walk.is_cut());
            (seen, found)
        });
        assert_eq!((seen, found), ([MANY; 3], Some(MANY - 1)));
        // The world picks who is next by chance; a walk in one go would leave it none.
        assert!(turns >= 3 * MANY / SLICE_ITEMS / 4, "{turns}");
    }

    #[test]
    fn a_look_at_very_many_lines_gives_others_their_turns() {
        let lines: Vec<RefCell<VecDeque<u8>>> = (0..100_000).map(|_| RefCell::default()).collect();
        let ((), turns) = turns_beside(async move {
            let mut walk = Walk::to_the_end();
            for line in &lines {
                assert_eq!(walk.line(line, |_, _| None::<()>).await, None);
            }
        });
        assert!(turns >= 100_000 / SLICE_ITEMS / 4, "{turns}");
        let ((some, further), turns) =
            turns_beside(fullest((0..100_000).collect(), 10, |n: &usize| *n));
        assert_eq!((some.len(), further), (10, 100_000 - 1 - 10));
        assert!(some.iter().all(|n| *n >= 100_000 - 10));
        assert!(turns >= 100_000 / SLICE_ITEMS / 4, "{turns}");
    }

    #[test]
    fn a_look_ends_at_its_time() {
        let timer = RefCell::new(TimerWheel::default());
        (0..MANY).for_each(|n| timer.borrow_mut().insert(0, n));
        let ((seen, is_cut), _) = turns_beside(async move {
            let mut walk = Walk::until(mono_nanos());
            let mut seen = 0;
            // Time stands still in this world unless somebody waits.
            io::sleep(Duration::from_millis(1)).await;
            let look = walk.timer(&timer, |_, _| {
                seen += 1;
                None::<()>
            });
            look.await;
            (seen, walk.is_cut())
        });
        assert_eq!((seen, is_cut), (SLICE_ITEMS, true));
    }
}

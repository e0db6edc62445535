//! A ring of the shard's own, below the executor's: which sockets are ready, and writes of the spool.
//!
//! The executor enters three rings and sets two timers in each turn of its loop, however few events it
//! carries. Here one turn is one `io_uring_enter`: it hands in what the tasks have asked for, waits, and
//! brings back everything that has happened. Sockets are watched by one poll each for as long as they
//! live; the bytes are moved by recv(2) and send(2) straight from and into the task's own buffers.
#![allow(unsafe_code)]

use crate::limits;
use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{cqueue, opcode, squeue, IoUring};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Completions that nobody waits for.
const IGNORED: u64 = u64::MAX;
const READABLE: u32 = (libc::POLLIN | libc::POLLRDHUP) as u32;
const ENDED: i32 = (libc::POLLHUP | libc::POLLRDHUP | libc::POLLERR) as i32;

thread_local! {
    static RING: RefCell<Option<Ring>> = const { RefCell::new(None) };
    /// Tasks of the shard that have run.
    static RAN: Cell<u64> = const { Cell::new(0) };
}

struct Ring {
    ring: IoUring,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Whom to wake when something is to be handed in and no turn is due.
    parked: Option<Waker>,
    pace: Pace,
}

/// How fast events come: what would come within a moment anyway is brought back in one turn.
struct Pace {
    since: Instant,
    events: usize,
    /// Events per moment, by the last window.
    expected: usize,
    /// Sockets watched.
    watched: usize,
}

impl Pace {
    fn count(&mut self, events: usize) {
        self.events += events;
        let window = self.since.elapsed();
        if window >= Duration::from_micros(10 * limits::RING_GATHER_MICROS) {
            let moments = window.as_micros() as usize / limits::RING_GATHER_MICROS as usize;
            self.expected = self.events / moments;
            (self.since, self.events) = (Instant::now(), 0);
        }
    }

    /// Events worth waiting a moment for: never more than a part of those who can cause one, for they
    /// may all wait for us.
    fn worth(&self) -> usize {
        self.expected.min(self.watched / 4).min(limits::RING_GATHER_MAX)
    }
}

struct Slot {
    /// So that a late completion does not meet the slot's next user.
    generation: u32,
    kind: Kind,
}

enum Kind {
    Free,
    Watch(Watched),
    Once(Asked),
}

/// A socket that is watched for something to read.
struct Watched {
    fd: RawFd,
    ready: bool,
    /// The other end has closed: it stays ready.
    ended: bool,
    /// Why it cannot be watched.
    failed: Option<i32>,
    armed: bool,
    dropped: bool,
    waker: Option<Waker>,
}

/// Something with one answer.
struct Asked {
    result: Option<i32>,
    dropped: bool,
    waker: Option<Waker>,
    /// What the kernel reads from until it is done.
    _held: Option<Box<dyn Any>>,
}

/// What a turn has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UringTurn {
    /// Something has happened.
    Events,
    /// Nothing, for as long as was waited.
    Nothing,
    /// The wait was broken off: one of the executor's rings has something.
    Broken,
}

/// Makes this thread's ring.
///
/// # Errors
/// When io_uring is absent, forbidden or too old.
pub(crate) fn start() -> io::Result<()> {
    let ring = build()?;
    if !ring.params().is_feature_resource_tagging() {
        return Err(io::Error::other("io_uring of Linux 5.13 or later is needed"));
    }
    let pace = Pace { since: Instant::now(), events: 0, expected: 0, watched: 0 };
    let ring = Ring { ring, slots: Vec::new(), free: Vec::new(), parked: None, pace };
    RING.set(Some(ring));
    Ok(())
}

/// Asks for work to be done in our own turns only, which Linux can from 6.1 on.
fn build() -> io::Result<IoUring> {
    let entries = limits::RING_DEPTH as u32;
    let mut builder = IoUring::builder();
    builder.setup_cqsize(4 * entries).setup_clamp();
    builder.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag();
    builder.build(entries).or_else(|_| {
        let mut builder = IoUring::builder();
        builder.setup_cqsize(4 * entries).setup_clamp().build(entries)
    })
}

/// Ends this thread's ring. What the kernel still reads from is never freed.
pub(crate) fn stop() {
    let Some(ring) = RING.take() else { return };
    for slot in ring.slots {
        if let Kind::Once(asked) = slot.kind {
            std::mem::forget(asked._held);
        }
    }
}

/// Runs `work` on this thread's ring; nothing when there is none (any more).
fn with<T>(work: impl FnOnce(&mut Ring) -> T) -> Option<T> {
    RING.try_with(|ring| ring.borrow_mut().as_mut().map(work)).ok().flatten()
}

fn gone() -> io::Error {
    io::Error::other("this thread has no ring")
}

/// A task whose polls are counted, so that [`ran`] can tell whether any task had something to do.
pub(crate) struct Counted<F>(pub(super) F);

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        RAN.set(RAN.get() + 1);
        // SAFETY: the future is pinned when this is, for it is never moved out. (An async block around it
        // would hold it twice: where it comes from and where it is pinned.)
        unsafe { self.map_unchecked_mut(|counted| &mut counted.0) }.poll(cx)
    }
}

/// Number of polls of counted tasks.
pub(crate) fn ran() -> u64 {
    RAN.get()
}

/// Hands in what was asked for, waits for at most `wait` (not at all when zero), and wakes whoever waits
/// for what has come.
///
/// # Errors
/// As io_uring_enter(2).
pub(crate) fn turn(wait: Duration) -> io::Result<UringTurn> {
    let mut wakers = Vec::new();
    let turned = with(|ring| ring.turn(wait, &mut wakers)).ok_or_else(gone)?;
    // Only now: a waker may end a task, and that may use the ring.
    wakers.into_iter().for_each(Waker::wake);
    turned
}

/// Makes events signal `eventfd` when told to.
///
/// # Errors
/// As io_uring_register(2).
pub(crate) fn set_signal(eventfd: RawFd) -> io::Result<()> {
    with(|ring| {
        ring.ring.submitter().register_eventfd(eventfd)?;
        ring.ring.completion().disable_eventfd();
        Ok(())
    })
    .ok_or_else(gone)?
}

/// From now on events signal, and something asked for wakes `waker`. False when there is something to do
/// already.
///
/// # Errors
/// As io_uring_enter(2).
pub(crate) fn park(waker: &Waker) -> io::Result<bool> {
    with(|ring| {
        ring.ring.completion().enable_eventfd();
        // Work put off for our next turn does not signal any more.
        ring.enter(0, Duration::ZERO)?;
        let idle = ring.ring.completion().is_empty() && ring.ring.submission().is_empty();
        if idle {
            ring.parked = Some(waker.clone());
        } else {
            ring.ring.completion().disable_eventfd();
        }
        Ok(idle)
    })
    .ok_or_else(gone)?
}

/// Events do not signal any more. Whether something was asked for meanwhile.
pub(crate) fn unpark() -> bool {
    let was = with(|ring| {
        ring.ring.completion().disable_eventfd();
        ring.parked.take()
    });
    was.flatten().is_none()
}

/// Whether something was asked for since the ring was parked.
pub(crate) fn was_asked() -> bool {
    with(|ring| ring.parked.is_none()).unwrap_or(true)
}

/// Slots of this thread's ring, in use or free.
#[cfg(test)]
pub(crate) fn slots() -> usize {
    with(|ring| ring.slots.len()).unwrap_or(0)
}

impl Ring {
    fn turn(&mut self, wait: Duration, wakers: &mut Vec<Waker>) -> io::Result<UringTurn> {
        let worth = self.pace.worth();
        let moment = Duration::from_micros(limits::RING_GATHER_MICROS);
        let mut broken = false;
        if worth > 1 && wait > moment {
            broken = self.enter(worth, moment)?;
        }
        if self.ring.completion().is_empty() && !broken {
            broken = self.enter(1, wait)?;
        }
        let mut count = 0;
        loop {
            let next = self.ring.completion().next();
            let Some(event) = next else { break };
            self.complete(&event, wakers);
            count += 1;
        }
        self.pace.count(count);
        Ok(match (count, broken) {
            (0, true) => UringTurn::Broken,
            (0, false) => UringTurn::Nothing,
            _ => UringTurn::Events,
        })
    }

    /// Waits for `want` events, but not longer than `wait`.
    ///
    /// True when a signal, or work of another ring, has broken the wait off.
    fn enter(&mut self, want: usize, wait: Duration) -> io::Result<bool> {
        let nothing_to_do = {
            let queue = self.ring.submission();
            queue.is_empty() && !queue.taskrun() && !queue.cq_overflow()
        };
        let result = if !wait.is_zero() {
            let time = Timespec::from(wait);
            self.ring.submitter().submit_with_args(want, &SubmitArgs::new().timespec(&time))
        } else if nothing_to_do && self.ring.params().is_setup_single_issuer() {
            return Ok(false);
        } else {
            self.ring.submit()
        };
        match result {
            Ok(_) => Ok(false),
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIME) => Ok(false),
                // Too much waits to be taken: it is taken now.
                Some(libc::EBUSY | libc::EAGAIN) => Ok(false),
                Some(libc::EINTR) => Ok(true),
                _ => Err(error),
            },
        }
    }

    fn complete(&mut self, event: &cqueue::Entry, wakers: &mut Vec<Waker>) {
        let Some(at) = self.slot_of(event.user_data()) else { return };
        let is_free = match &mut self.slots[at].kind {
            Kind::Free => return,
            Kind::Watch(watched) => {
                watched.armed = cqueue::more(event.flags());
                watched.ready = true;
                watched.ended |= event.result() > 0 && event.result() & ENDED != 0;
                watched.failed = (event.result() < 0).then_some(-event.result());
                wakers.extend(watched.waker.take());
                watched.dropped && !watched.armed
            }
            Kind::Once(asked) => {
                asked.result = Some(event.result());
                asked._held = None;
                wakers.extend(asked.waker.take());
                asked.dropped
            }
        };
        if is_free {
            self.release(at);
        }
    }

    fn add(&mut self, kind: Kind) -> u64 {
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize].kind = kind;
                at as usize
            }
            None => {
                self.slots.push(Slot { generation: 0, kind });
                self.slots.len() - 1
            }
        };
        u64::from(self.slots[at].generation) << 32 | at as u64
    }

    fn slot_of(&self, key: u64) -> Option<usize> {
        let at = key as u32 as usize;
        let slot = self.slots.get(at)?;
        (u64::from(slot.generation) == key >> 32 && key != IGNORED).then_some(at)
    }

    fn release(&mut self, at: usize) {
        let slot = &mut self.slots[at];
        slot.kind = Kind::Free;
        // Half the range, so that no key is the one of ignored completions.
        slot.generation = (slot.generation + 1) & (u32::MAX >> 1);
        self.free.push(at as u32);
    }

    /// Puts a request into the queue. What it points to must live until it completes.
    fn push(&mut self, entry: &squeue::Entry, wake: &mut Option<Waker>) -> io::Result<()> {
        // SAFETY: requests carry no pointers but those of writes, whose memory their slot holds.
        if unsafe { self.ring.submission().push(entry) }.is_err() {
            self.ring.submit()?;
            // SAFETY: as above.
            unsafe { self.ring.submission().push(entry) }
                .map_err(|_| io::Error::other("the ring takes nothing more"))?;
        }
        *wake = self.parked.take();
        Ok(())
    }
}

/// Ends a request. Removing a poll would fail just when it has an event on its way; this does not.
fn give_up(key: u64) -> squeue::Entry {
    opcode::AsyncCancel::new(key).build().user_data(IGNORED)
}

fn watched(ring: &mut Ring, key: u64) -> Option<&mut Watched> {
    let at = ring.slot_of(key)?;
    match &mut ring.slots[at].kind {
        Kind::Watch(watched) => Some(watched),
        _ => None,
    }
}

/// Watches a socket for something to read, until dropped. Belongs to the thread that made it.
pub(crate) struct Watch {
    key: u64,
    _not_send: std::marker::PhantomData<*const ()>,
}

impl Watch {
    /// Watches `fd`, which must stay open for as long.
    pub(crate) fn new(fd: RawFd) -> Watch {
        let watched = Watched {
            fd,
            ready: false,
            ended: false,
            failed: None,
            armed: false,
            dropped: false,
            waker: None,
        };
        let key = with(|ring| {
            ring.pace.watched += 1;
            ring.add(Kind::Watch(watched))
        });
        let key = key.unwrap_or(IGNORED);
        Watch { key, _not_send: std::marker::PhantomData }
    }

    /// Ready when there may be something to read, or the end, or an error.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wake = None;
        // Dropped outside: with it a task may end, and use the ring.
        let mut before = None;
        let polled = with(|ring| {
            let Some(watched) = watched(ring, self.key) else { return Poll::Ready(Err(gone())) };
            if watched.ready {
                let failed = watched.failed.take().map(io::Error::from_raw_os_error);
                return Poll::Ready(failed.map_or(Ok(()), Err));
            }
            match &watched.waker {
                Some(known) if known.will_wake(cx.waker()) => {}
                _ => before = watched.waker.replace(cx.waker().clone()),
            }
            if !watched.armed {
                watched.armed = true;
                let poll = opcode::PollAdd::new(Fd(watched.fd), READABLE).multi(true);
                if let Err(error) = ring.push(&poll.build().user_data(self.key), &mut wake) {
                    return Poll::Ready(Err(error));
                }
            }
            Poll::Pending
        });
        drop(before);
        wake.into_iter().for_each(Waker::wake);
        polled.unwrap_or_else(|| Poll::Ready(Err(gone())))
    }

    /// Everything there was has been read, but for the end when it has come.
    pub(crate) fn is_drained(&self) {
        with(|ring| {
            if let Some(watched) = watched(ring, self.key) {
                watched.ready = watched.ended;
            }
        });
    }

    /// There was nothing, whatever was told before.
    pub(crate) fn is_empty(&self) {
        with(|ring| {
            if let Some(watched) = watched(ring, self.key) {
                (watched.ready, watched.ended) = (false, false);
            }
        });
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut wake = None;
        let _waker = with(|ring| {
            let at = ring.slot_of(self.key)?;
            let Kind::Watch(watched) = &mut ring.slots[at].kind else { return None };
            let waker = watched.waker.take();
            watched.dropped = true;
            ring.pace.watched -= 1;
            if watched.armed {
                // Until this is handed in the kernel keeps the socket open. Refused, it ends with the ring.
                let _ = ring.push(&give_up(self.key), &mut wake);
            } else {
                ring.release(at);
            }
            waker
        });
        wake.into_iter().for_each(Waker::wake);
    }
}

/// Something with one answer, the result of the system call of its name.
pub(crate) struct Once {
    key: u64,
    /// Dropped, the kernel is to give it up: a poll may wait for ever.
    give_up: bool,
    _not_send: std::marker::PhantomData<*const ()>,
}

impl Once {
    fn ask(entry: squeue::Entry, held: Option<Box<dyn Any>>, give_up: bool) -> io::Result<Once> {
        let mut wake = None;
        let asked = Asked { result: None, dropped: false, waker: None, _held: held };
        let key = with(|ring| {
            let key = ring.add(Kind::Once(asked));
            let pushed = ring.push(&entry.user_data(key), &mut wake);
            if pushed.is_err() {
                if let Some(at) = ring.slot_of(key) {
                    ring.release(at);
                }
            }
            pushed.map(|()| key)
        });
        wake.into_iter().for_each(Waker::wake);
        let key = key.unwrap_or_else(|| Err(gone()))?;
        Ok(Once { key, give_up, _not_send: std::marker::PhantomData })
    }

    /// Waits until `fd` takes bytes, or has failed.
    pub(crate) fn writable(fd: RawFd) -> io::Result<Once> {
        let poll = opcode::PollAdd::new(Fd(fd), libc::POLLOUT as u32);
        Once::ask(poll.build(), None, true)
    }

    /// Writes `bytes` bytes at `from` to `at` of file `fd`. `held` owns them, and the file.
    ///
    /// # Safety
    /// `from` must be good for `bytes` bytes for as long as `held` lives, wherever it is moved to.
    pub(crate) unsafe fn write(
        fd: RawFd,
        from: *const u8,
        bytes: u32,
        at: u64,
        held: Box<dyn Any>,
    ) -> io::Result<Once> {
        Once::ask(opcode::Write::new(Fd(fd), from, bytes).offset(at).build(), Some(held), false)
    }

    /// Puts on stable storage what was written to `fd`. `held` owns the file.
    pub(crate) fn sync(fd: RawFd, held: Box<dyn Any>) -> io::Result<Once> {
        let sync = opcode::Fsync::new(Fd(fd)).flags(io_uring::types::FsyncFlags::DATASYNC);
        Once::ask(sync.build(), Some(held), false)
    }
}

impl Future for Once {
    type Output = io::Result<u32>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u32>> {
        let mut before = None;
        let polled = with(|ring| {
            let at = ring.slot_of(self.key)?;
            let Kind::Once(asked) = &mut ring.slots[at].kind else { return None };
            if let Some(result) = asked.result {
                return Some(Poll::Ready(result));
            }
            before = asked.waker.replace(cx.waker().clone());
            Some(Poll::Pending)
        });
        drop(before);
        match polled.flatten() {
            None => Poll::Ready(Err(gone())),
            Some(Poll::Pending) => Poll::Pending,
            Some(Poll::Ready(result)) if result < 0 => {
                Poll::Ready(Err(io::Error::from_raw_os_error(-result)))
            }
            Some(Poll::Ready(result)) => Poll::Ready(Ok(result as u32)),
        }
    }
}

impl Drop for Once {
    fn drop(&mut self) {
        let mut wake = None;
        let _waker = with(|ring| {
            let at = ring.slot_of(self.key)?;
            let Kind::Once(asked) = &mut ring.slots[at].kind else { return None };
            let waker = asked.waker.take();
            asked.dropped = true;
            if asked.result.is_some() {
                ring.release(at);
            } else if self.give_up {
                let _ = ring.push(&give_up(self.key), &mut wake);
            }
            waker
        });
        wake.into_iter().for_each(Waker::wake);
    }
}

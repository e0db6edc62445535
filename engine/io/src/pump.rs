//! Turns the shard's own ring, and keeps glommio's executor from parking while tasks are ready.
//!
//! glommio 0.9 arms a preemption timer, polls its rings, and then runs its task queues. When the thread loses
//! its core between the first and the last step for longer than the timer, the queues are left before anything
//! ran, and "ran nothing" is taken for "has nothing to run": the executor parks with ready tasks, until a timer
//! or another thread wakes it. Three things keep that from happening:
//! - the preemption timer is so long that it never fires ([`limits::EXECUTOR_PREEMPT_SECONDS`]);
//! - in its place the pump rings a [`Bells`] bell every few milliseconds: a completion on glommio's latency ring
//!   that a task waits for, which makes the executor look at its rings and timers and forbids it to park;
//! - a backstop timer bounds what may remain, and counts it ([`stalls`]).

#![allow(unsafe_code)]

use crate::executor::others_first;
use crate::limits;
use crate::uring;
use crate::uring::UringTurn;
use futures::FutureExt;
use glommio::io::BufferedFile;
use glommio::net::UnixDatagram;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::os::fd::FromRawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// Times a backstop timer found a shard parked with ready tasks, over all shards of the process.
static STALLS: AtomicU64 = AtomicU64::new(0);

/// Times the backstop found a shard asleep although it had tasks to run. Anything but 0 is a fault.
pub fn stalls() -> u64 {
    STALLS.load(Ordering::Relaxed)
}

/// What the pump tells the tasks beside it.
#[derive(Default)]
pub(crate) struct State {
    /// The bells are armed: other tasks may run.
    armed: Cell<bool>,
    /// Who waits for that.
    waits: RefCell<Option<Waker>>,
    /// The pump sleeps because nothing is to be done.
    asleep: Cell<bool>,
    /// When the pump ran last.
    ran: Cell<Option<Instant>>,
}

impl State {
    /// Waits until the executor can no longer park with ready tasks.
    pub(crate) async fn armed(&self) {
        std::future::poll_fn(|cx| {
            if self.armed.get() {
                return Poll::Ready(());
            }
            *self.waits.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn arm(&self) {
        self.armed.set(true);
        self.waits.borrow_mut().take().into_iter().for_each(Waker::wake);
    }
}

/// Turns the shard's own ring for as long as the shard lives. While anything happens this task is always
/// ready to run, so that the executor gives it its turn after all others, and looks at its own rings and
/// timers only every few milliseconds. When nothing does, the executor sleeps, and the ring wakes it.
pub(crate) async fn pump(state: Rc<State>) {
    if let Err(error) = turn_for_ever(&state).await {
        // Without its ring a shard can do nothing any more; a start takes up all that was acknowledged.
        tracing::error!("io_uring has failed: {error}");
        std::process::abort();
    }
}

async fn turn_for_ever(state: &Rc<State>) -> io::Result<()> {
    // SAFETY: no pointers.
    let eventfd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    if eventfd < 0 {
        return Err(io::Error::last_os_error());
    }
    uring::set_signal(eventfd)?;
    // SAFETY: the descriptor is fresh and owned by nobody else; the file takes it over.
    let signal = unsafe { BufferedFile::from_raw_fd(eventfd) };
    let mut heard = Box::pin(signal.read_at(0, 8));
    let wait = Duration::from_micros(limits::RING_WAIT_MICROS);
    let turn = Duration::from_millis(limits::EXECUTOR_TURN_MILLIS);
    let mut bells = Bells::new()?;
    // The bells' reads are asked for, and handed in when nothing is ready and the executor looks at its rings. A
    // timer that is due at once would not make it look.
    others_first().await;
    glommio::timer::sleep(Duration::from_millis(1)).await;
    state.arm();
    glommio::spawn_local(backstop(state.clone())).detach();
    let (mut laps, mut turned) = (0, Instant::now());
    loop {
        let before = uring::ran();
        others_first().await;
        let is_quiet = uring::ran() == before;
        let now = Instant::now();
        state.ran.set(Some(now));
        laps += 1;
        let is_due = now.duration_since(turned) >= turn;
        if now.duration_since(bells.rung_at) >= turn {
            bells.ring();
            // Where each round of the others takes longer than that, the own ring has its turn all the same.
            if is_quiet || !is_due {
                continue;
            }
        }
        if !is_quiet && laps < limits::RING_LAPS && !is_due {
            continue;
        }
        (laps, turned) = (0, now);
        match uring::turn(if is_quiet { wait } else { Duration::ZERO })? {
            // A signal, or work of glommio's rings.
            UringTurn::Broken => bells.ring(),
            UringTurn::Nothing if is_quiet => {
                state.asleep.set(true);
                let rest = asleep(heard.as_mut()).await?;
                state.asleep.set(false);
                if rest == Rest::Signalled {
                    heard = Box::pin(signal.read_at(0, 8));
                }
                if rest != Rest::None {
                    bells.looked();
                }
            }
            UringTurn::Nothing | UringTurn::Events => {}
        }
    }
}

/// Two datagram sockets that glommio reads on its latency ring, each by a task of its own. A byte sent into
/// one is a completion somebody waits for. Two in turn, because a read is only handed in again when the
/// executor looks at its rings next: while both wait, the one to be rung next is handed in.
struct Bells {
    bells: [Bell; 2],
    next: usize,
    rung_at: Instant,
    /// Times the pump has run and found that the last ring was not heard.
    unheard: u32,
    /// The look that the last ring asked for is so late that it was told.
    is_late: bool,
}

struct Bell {
    sender: UnixDatagram,
    /// Its read is handed in, or will be at the next look.
    waits: Rc<Cell<bool>>,
}

impl Bells {
    fn new() -> io::Result<Bells> {
        Ok(Bells {
            bells: [Bell::new()?, Bell::new()?],
            next: 0,
            rung_at: Instant::now(),
            unheard: 0,
            is_late: false,
        })
    }

    /// The executor has waked, and so has looked at its rings.
    fn looked(&mut self) {
        if self.bells.iter().all(|bell| bell.waits.get()) {
            self.rung_at = Instant::now();
        }
    }

    /// Makes the executor look at its rings and timers as soon as the pump lets it.
    ///
    /// One ring at a time: the other bell's read is handed in to the kernel by the look that this one causes. Two
    /// rings before a look would leave both reads waiting for a look that nothing causes any more.
    fn ring(&mut self) {
        let now = Instant::now();
        if self.bells.iter().any(|bell| !bell.waits.get()) {
            let late = now.duration_since(self.rung_at);
            // A thread that had no core for so long comes here once or twice, and then looks.
            self.unheard = self.unheard.saturating_add(1);
            if late > Duration::from_millis(limits::BACKSTOP_STALL_MILLIS)
                && self.unheard >= limits::BACKSTOP_STALL_LAPS
                && !self.is_late
            {
                self.is_late = true;
                STALLS.fetch_add(1, Ordering::Relaxed);
                tracing::error!("a shard has not looked at its timers for {late:?}");
            }
            return;
        }
        let bell = &self.bells[self.next];
        self.next = (self.next + 1) % self.bells.len();
        bell.waits.set(false);
        // Done at once: the socket's buffer is empty, for its reader waits.
        let sent = bell.sender.send(&[1]).now_or_never();
        debug_assert!(matches!(sent, Some(Ok(_))));
        self.rung_at = now;
        self.unheard = 0;
        self.is_late = false;
    }
}

impl Bell {
    fn new() -> io::Result<Bell> {
        let (sender, receiver) = UnixDatagram::pair().map_err(io::Error::from)?;
        let waits = Rc::new(Cell::new(false));
        glommio::spawn_local(listen(receiver, waits.clone())).detach();
        Ok(Bell { sender, waits })
    }
}

/// Reads one bell's bytes until its sender is gone.
async fn listen(receiver: UnixDatagram, waits: Rc<Cell<bool>>) {
    let mut byte = [0u8; 8];
    loop {
        let mut receive = std::pin::pin!(receiver.recv(&mut byte));
        let got = std::future::poll_fn(|cx| {
            let polled = receive.as_mut().poll(cx);
            waits.set(polled.is_pending());
            polled
        })
        .await;
        match got {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                tracing::error!("a shard cannot hear its bell: {error}");
                return;
            }
        }
    }
}

/// Ends a sleep that should not be, after [`limits::BACKSTOP_MILLIS`] at most, and tells of it.
async fn backstop(state: Rc<State>) {
    let step = Duration::from_millis(limits::BACKSTOP_MILLIS);
    loop {
        let due = Instant::now() + step;
        glommio::timer::sleep(step).await;
        let now = Instant::now();
        let stood = state.ran.get().map_or(Duration::ZERO, |ran| now.duration_since(ran));
        // A thread that merely had no core does not come back just when the timer is due.
        let by_timer =
            now.duration_since(due) < Duration::from_millis(limits::BACKSTOP_SLACK_MILLIS);
        if !state.asleep.get()
            && by_timer
            && stood > Duration::from_millis(limits::BACKSTOP_STALL_MILLIS)
        {
            STALLS.fetch_add(1, Ordering::Relaxed);
            tracing::error!("a shard slept for {stood:?} though it had tasks to run; it goes on");
        }
    }
}

/// How the pump slept.
#[derive(PartialEq)]
enum Rest {
    /// Not at all: the ring had something to do.
    None,
    /// Until something was asked of the ring.
    Asked,
    /// Until the ring signalled.
    Signalled,
}

/// Waits until the ring has something, or is asked for something.
async fn asleep<T>(
    mut heard: Pin<&mut impl Future<Output = glommio::Result<T, ()>>>,
) -> io::Result<Rest> {
    let mut is_parked = false;
    std::future::poll_fn(|cx| {
        if let Poll::Ready(signal) = heard.as_mut().poll(cx) {
            uring::unpark();
            return Poll::Ready(signal.map(|_| Rest::Signalled).map_err(io::Error::from));
        }
        if is_parked && uring::was_asked() {
            uring::unpark();
            return Poll::Ready(Ok(Rest::Asked));
        }
        if !is_parked {
            is_parked = true;
            match uring::park(cx.waker()) {
                Ok(true) => {}
                Ok(false) => return Poll::Ready(Ok(Rest::None)),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Pending
    })
    .await
}

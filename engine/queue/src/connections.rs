//! The connections of a ready queue, for people who ask: what each does, since when, and how it is ended by hand. They
//! are cells of one thread; a message costs a look at the clock.

use crate::limits;
use ringmta_io::{deadline, mono_nanos, unix_nanos};
use ringmta_mail::MessageId;
use ringmta_options::format_duration;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::Duration;

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It is being opened.
    Connecting,
    /// It waits for a message.
    Idle,
    /// It delivers one.
    Delivering,
    /// It says good-bye.
    Closing,
}

impl Phase {
    /// Its name in answers of the control interface.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Connecting => "AttemptingConnection",
            Phase::Idle => "WaitingForMessage",
            Phase::Delivering => "DeliveringMessage",
            Phase::Closing => "Closing",
        }
    }
}

/// One connection.
pub struct Connection {
    /// Its id, a UUID: that of the records of what it delivers.
    pub session_id: String,
    /// When it was begun, unix nanoseconds.
    pub started_at: u64,
    /// The same, monotonic nanoseconds.
    pub started: u64,
    phase: Cell<Phase>,
    detail: Cell<&'static str>,
    since: Cell<u64>,
    /// When it went on to something else, or another step of it; monotonic nanoseconds.
    progress: Cell<u64>,
    /// The host it is with: name, address.
    pub host: RefCell<String>,
    /// The message it has in work.
    pub message: Cell<Option<MessageId>>,
    /// Messages delivered.
    pub delivered: Cell<u64>,
    /// Those that are tried again.
    pub transfailed: Cell<u64>,
    /// Those that failed for good.
    pub failed: Cell<u64>,
    aborted: Cell<bool>,
    /// What it was at when it was ended because nothing came of it.
    hung: RefCell<Option<String>>,
    waker: RefCell<Option<Waker>>,
}

/// An operator has ended the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aborted;

impl Connection {
    /// A connection that is about to be opened.
    pub fn new(session_id: String) -> Connection {
        let now = mono_nanos();
        Connection {
            session_id,
            started_at: unix_nanos(),
            started: now,
            phase: Cell::new(Phase::Connecting),
            detail: Cell::new("connect+banner"),
            since: Cell::new(now),
            progress: Cell::new(now),
            host: RefCell::default(),
            message: Cell::new(None),
            delivered: Cell::new(0),
            transfailed: Cell::new(0),
            failed: Cell::new(0),
            aborted: Cell::new(false),
            hung: RefCell::default(),
            waker: RefCell::default(),
        }
    }

    /// It does something else from now on.
    pub fn enter(&self, phase: Phase, detail: &'static str) {
        self.phase.set(phase);
        self.detail.set(detail);
        let now = mono_nanos();
        self.since.set(now);
        self.progress.set(now);
    }

    /// The same thing goes on with another step.
    pub fn step(&self, detail: &'static str) {
        self.detail.set(detail);
        self.progress.set(mono_nanos());
    }

    /// It has message `id` in work.
    pub fn deliver(&self, id: MessageId) {
        self.message.set(Some(id));
        self.enter(Phase::Delivering, "");
    }

    /// It waits for work.
    pub fn idle(&self) {
        self.message.set(None);
        self.enter(Phase::Idle, "");
    }

    /// What it does, and since when, monotonic nanoseconds.
    pub fn doing(&self) -> (Phase, &'static str, u64) {
        (self.phase.get(), self.detail.get(), self.since.get())
    }

    /// An operator ends it. What it has in hand is tried again; what the peer has whole is given a last while for
    /// its answer first.
    pub fn abort(&self) {
        self.aborted.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Ends it when it has been at one step for `limit`; whether it has been. One that waits for work is at none.
    pub fn ends_when_hung(&self, limit: Duration, now: u64) -> bool {
        let nanos = |since: u64| Duration::from_nanos(now.saturating_sub(since));
        let is_at_work = self.phase.get() != Phase::Idle && !self.aborted.get();
        if !is_at_work || nanos(self.progress.get()) < limit {
            return false;
        }
        let (phase, detail, since) = self.doing();
        *self.hung.borrow_mut() = Some(format!(
            "dispatcher watchdog aborted task; phase={} detail={detail:?} session={} age={} time_in_phase={}",
            phase.name(),
            self.session_id,
            format_duration(nanos(self.started)),
            format_duration(nanos(since)),
        ));
        self.abort();
        true
    }

    /// What it was at when [`Connection::ends_when_hung`] ended it.
    pub fn hung(&self) -> Option<String> {
        self.hung.borrow().clone()
    }

    /// Whether an operator has ended it.
    pub fn is_aborted(&self) -> bool {
        self.aborted.get()
    }

    /// Waits for `work`, unless an operator ends the connection first.
    ///
    /// # Errors
    /// An operator has.
    pub async fn unless_aborted<T>(&self, work: impl Future<Output = T>) -> Result<T, Aborted> {
        let mut work = pin!(work);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            if self.aborted.get() {
                return Poll::Ready(Err(Aborted));
            }
            let mut waker = self.waker.borrow_mut();
            if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                *waker = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// Waits for `answer` to a message that the peer has whole. If an operator ends the connection meanwhile, the
    /// answer has [`limits::ABORTED_ANSWER_SECONDS`] more: without it the message goes out twice (RFC 5321
    /// section 4.5.3.2.6 warns of that).
    ///
    /// # Errors
    /// An operator has ended it, and no answer came.
    pub async fn last_answer<T>(&self, answer: impl Future<Output = T>) -> Result<T, Aborted> {
        let mut answer = pin!(answer);
        if let Ok(done) = self.unless_aborted(answer.as_mut()).await {
            return Ok(done);
        }
        let limit = Duration::from_secs(limits::ABORTED_ANSWER_SECONDS);
        deadline(limit, answer).await.map_err(|_| Aborted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_ended_and_says_where() {
        let connection = Connection::new("s".into());
        let limit = Duration::from_secs(3);
        let at = |seconds: u64| connection.progress.get() + seconds * 1_000_000_000;
        assert!(!connection.ends_when_hung(limit, at(2)));
        connection.idle();
        assert!(!connection.ends_when_hung(limit, at(60)), "it waits for work");
        connection.enter(Phase::Delivering, "");
        connection.step("DATA");
        assert!(connection.ends_when_hung(limit, at(3)) && connection.is_aborted());
        let told = connection.hung().unwrap();
        assert!(told.contains("phase=DeliveringMessage detail=\"DATA\" session=s age="), "{told}");
        assert!(!connection.ends_when_hung(limit, at(9)), "it is ended once");
    }
}

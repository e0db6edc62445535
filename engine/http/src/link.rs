//! What the socket, the service and the response body of one connection tell its driver: which
//! phase it is in since when, and so when it is overdue.

use crate::options::Options;
use crate::types::Upgraded;
use futures::future::LocalBoxFuture;
use ringmta_io::mono_nanos;
use std::cell::{Cell, RefCell};
use std::time::Duration;

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Between two requests.
    Idle,
    /// Some bytes of a request head have come.
    Head,
    /// A request is being read or answered; those have deadlines of their own.
    Busy,
}

/// Why a connection was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    Idle,
    Head,
    Write,
}

type UpgradeFn = Box<dyn FnOnce(Upgraded) -> LocalBoxFuture<'static, ()>>;

/// The state shared by the parts of one connection.
pub(super) struct Link {
    phase: Cell<Phase>,
    since: Cell<u64>,
    write_waits_since: Cell<Option<u64>>,
    idle: u64,
    head: u64,
    write: u64,
    /// The protocol that takes over after a 101.
    pub upgrade: RefCell<Option<UpgradeFn>>,
    /// A request was answered before all of it was read.
    pub unread: Cell<bool>,
}

impl Link {
    pub fn new(options: &Options) -> Link {
        let nanos = |limit: Duration| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX / 4);
        Link {
            phase: Cell::new(Phase::Idle),
            since: Cell::new(mono_nanos()),
            write_waits_since: Cell::new(None),
            idle: nanos(options.idle),
            head: nanos(options.head),
            write: nanos(options.write),
            upgrade: RefCell::new(None),
            unread: Cell::new(false),
        }
    }

    pub fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(mono_nanos());
    }

    /// Bytes came in.
    pub fn received(&self) {
        if self.phase.get() == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    /// Bytes went out.
    pub fn sent(&self) {
        self.write_waits_since.set(None);
        // A long answer still on its way is no idleness.
        if self.phase.get() == Phase::Idle {
            self.since.set(mono_nanos());
        }
    }

    /// The client leaves our bytes unread.
    pub fn write_waits(&self) {
        if self.write_waits_since.get().is_none() {
            self.write_waits_since.set(Some(mono_nanos()));
        }
    }

    /// When this connection is overdue if nothing changes, and for what.
    pub fn due(&self) -> Option<(u64, Overdue)> {
        let phase = match self.phase.get() {
            Phase::Idle => Some((self.since.get().saturating_add(self.idle), Overdue::Idle)),
            Phase::Head => Some((self.since.get().saturating_add(self.head), Overdue::Head)),
            Phase::Busy => None,
        };
        let write = self.write_waits_since.get();
        let write = write.map(|since| (since.saturating_add(self.write), Overdue::Write));
        [phase, write].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

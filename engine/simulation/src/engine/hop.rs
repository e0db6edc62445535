//! A next hop, as all see it.

use crate::engine::plan::HopLimits;
use ringmta_io::mono_nanos;
use std::cell::Cell;
use std::net::SocketAddr;

/// One next hop.
pub struct Hop {
    /// Where it listens.
    pub addr: SocketAddr,
    /// What the policy promised it.
    pub limits: HopLimits,
    connects: Cell<u64>,
    messages: Cell<u64>,
    /// When the engine that lives now was switched on.
    begin: Cell<u64>,
}

impl Hop {
    /// A next hop that has seen nothing.
    pub fn new(addr: SocketAddr, limits: HopLimits) -> Hop {
        Hop { addr, limits, connects: Cell::new(0), messages: Cell::new(0), begin: Cell::new(0) }
    }

    /// An engine has begun its life: its limiters are new.
    pub fn new_life(&self) {
        self.begin.set(mono_nanos());
        self.connects.set(0);
        self.messages.set(0);
    }

    /// Nanoseconds since the engine that lives was switched on.
    pub fn since_start(&self) -> u64 {
        mono_nanos() - self.begin.get()
    }

    /// Counts a connection of the living engine.
    pub(super) fn connected(&self) -> Option<String> {
        self.connects.set(self.connects.get() + 1);
        let most = self.limits.connects?.most(self.since_start());
        let came = self.connects.get();
        (came > most).then(|| format!("{came} connections to {}, at most {most}", self.addr))
    }

    /// Counts a message of the living engine.
    pub(super) fn offered(&self) -> Option<String> {
        self.messages.set(self.messages.get() + 1);
        let most = self.limits.messages?.most(self.since_start());
        let came = self.messages.get();
        (came > most).then(|| format!("{came} messages to {}, at most {most}", self.addr))
    }
}

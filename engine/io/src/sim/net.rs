//! Connections: two ends, bytes under way between them, and what can go wrong.
//!
//! Bytes written at one end are cut into segments that arrive in order, each after a delay of the
//! seed. A connection may be fated to be reset, or to fall silent, after so many bytes.

use crate::sim::exec::Node;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::task::Waker;

/// How often things go wrong, in parts of a million, and how long they take.
#[derive(Debug, Clone)]
pub struct Faults {
    /// Connections refused.
    pub refuse: u64,
    /// Connection attempts that are never answered.
    pub ignore: u64,
    /// Connections reset after some bytes.
    pub reset: u64,
    /// Connections that fall silent after some bytes.
    pub silence: u64,
    /// Datagrams lost; as many come twice.
    pub datagram_loss: u64,
    /// Shortest and longest usual way, nanoseconds.
    pub latency_nanos: (u64, u64),
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            refuse: 0,
            ignore: 0,
            reset: 0,
            silence: 0,
            datagram_loss: 0,
            latency_nanos: (10_000, 5_000_000),
        }
    }
}

/// One end of a connection.
pub(crate) struct End {
    pub node: Node,
    pub addr: SocketAddr,
    /// Arrived and not yet read.
    pub(super) inbox: VecDeque<u8>,
    /// Under way to this end.
    pub(super) coming: usize,
    pub(super) last_arrival: u64,
    pub(super) fin: bool,
    pub(super) reset: bool,
    /// Its owner has said it sends no more.
    pub(super) shut: bool,
    /// Its owner is gone.
    pub gone: bool,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

impl End {
    pub(super) fn new(node: Node, addr: SocketAddr) -> End {
        End {
            node,
            addr,
            inbox: VecDeque::new(),
            coming: 0,
            last_arrival: 0,
            fin: false,
            reset: false,
            shut: false,
            gone: false,
            reader: None,
            writer: None,
        }
    }

    pub(super) fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    None,
    Reset(u64),
    Silence(u64),
}

/// A connection; end 0 is the one that connected.
pub(crate) struct Link {
    pub ends: [End; 2],
    pub(super) fate: Fate,
    pub(super) carried: u64,
    pub(super) window: usize,
}

pub(crate) struct Listening {
    pub addr: SocketAddr,
    pub node: Node,
    pub backlog: VecDeque<u64>,
    pub waker: Option<Waker>,
}

/// A bound UDP socket.
pub(crate) struct Datagrams {
    pub node: Node,
    pub inbox: VecDeque<(SocketAddr, Vec<u8>)>,
    pub waker: Option<Waker>,
}

/// All bound UDP sockets by address.
pub(crate) type Sockets = BTreeMap<SocketAddr, Datagrams>;

#[derive(Default)]
pub(crate) struct State {
    pub listeners: BTreeMap<u64, Listening>,
    pub links: BTreeMap<u64, Link>,
    pub datagrams: Sockets,
    /// Most connections that were ever open to an address at once.
    pub peaks: BTreeMap<SocketAddr, usize>,
    pub next: u64,
}

impl State {
    pub fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// The network of a world.
#[derive(Default)]
pub struct Net {
    pub(crate) state: RefCell<State>,
    /// What goes wrong, and how often.
    pub faults: RefCell<Faults>,
}

impl Net {
    /// Connections of which `node` holds an end.
    pub fn links_of(&self, node: Node) -> usize {
        let state = self.state.borrow();
        let holds = |link: &&Link| link.ends.iter().any(|end| end.node == node && !end.gone);
        state.links.values().filter(holds).count()
    }

    /// Most connections that were open to `addr` at once since this was asked last, as those who
    /// connect count them.
    pub fn take_peak(&self, addr: SocketAddr) -> usize {
        self.state.borrow_mut().peaks.remove(&addr).unwrap_or(0)
    }
}

//! Connections: two ends, bytes under way between them, and what can go wrong.
//!
//! Bytes written at one end are cut into segments that arrive in order, each after a delay of the
//! seed. A connection may be fated to be reset, or to fall silent, after so many bytes.

use super::exec::Node;
use super::World;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};

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

/// Bytes after which a fated connection meets its fate, at the most.
const FATE_BYTES_MAX: u64 = 20_000;
/// Room of a connection in one direction: smallest and largest.
const WINDOW_BYTES: (u64, u64) = (600, 200_000);

/// One end of a connection.
pub(super) struct End {
    pub node: Node,
    pub addr: SocketAddr,
    /// Arrived and not yet read.
    inbox: VecDeque<u8>,
    /// Under way to this end.
    coming: usize,
    last_arrival: u64,
    fin: bool,
    reset: bool,
    /// Its owner has said it sends no more.
    shut: bool,
    /// Its owner is gone.
    pub gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl End {
    fn new(node: Node, addr: SocketAddr) -> End {
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

    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    None,
    Reset(u64),
    Silence(u64),
}

/// A connection; end 0 is the one that connected.
pub(super) struct Link {
    pub ends: [End; 2],
    fate: Fate,
    carried: u64,
    window: usize,
}

pub(super) struct Listening {
    pub addr: SocketAddr,
    pub node: Node,
    pub backlog: VecDeque<u64>,
    pub waker: Option<Waker>,
}

#[derive(Default)]
pub(super) struct State {
    pub listeners: BTreeMap<u64, Listening>,
    pub links: BTreeMap<u64, Link>,
    pub datagrams: super::udp::Sockets,
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
    pub(super) state: RefCell<State>,
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

impl World {
    pub(super) fn net_latency(&self) -> u64 {
        let (low, high) = self.net.faults.borrow().latency_nanos;
        self.rng.between(low, high)
    }

    /// Makes a connection from `from` to a listener on `to`, when there is one.
    pub(super) fn net_link(&self, node: Node, from: SocketAddr, to: SocketAddr) -> io::Result<u64> {
        let fate = self.fate();
        let mut state = self.net.state.borrow_mut();
        let state = &mut *state;
        let fits = |l: &&u64| {
            let at = state.listeners[*l].addr;
            at == to || (at.ip().is_unspecified() && at.port() == to.port())
        };
        let listeners: Vec<u64> = state.listeners.keys().filter(fits).copied().collect();
        let Some(chosen) = self.rng.pick(&listeners) else {
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        let id = state.number();
        let Some(listener) = state.listeners.get_mut(chosen) else {
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        let ends = [End::new(node, from), End::new(listener.node, to)];
        let window = self.rng.between(WINDOW_BYTES.0, WINDOW_BYTES.1) as usize;
        listener.backlog.push_back(id);
        if let Some(waker) = listener.waker.take() {
            waker.wake();
        }
        state.links.insert(id, Link { ends, fate, carried: 0, window });
        let open = state.links.values().filter(|l| l.ends[1].addr == to && !l.ends[0].gone).count();
        let peak = state.peaks.entry(to).or_default();
        *peak = (*peak).max(open);
        Ok(id)
    }

    fn fate(&self) -> Fate {
        let faults = self.net.faults.borrow();
        let after = self.rng.below(FATE_BYTES_MAX);
        if self.rng.chance(faults.reset) {
            Fate::Reset(after)
        } else if self.rng.chance(faults.silence) {
            Fate::Silence(after)
        } else {
            Fate::None
        }
    }

    /// Reads at end `end` of link `id`.
    pub(super) fn net_read(
        &self,
        id: u64,
        end: usize,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.net.state.borrow_mut();
        let Some(link) = state.links.get_mut(&id) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let mine = &mut link.ends[end];
        if mine.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if mine.inbox.is_empty() {
            if mine.fin {
                return Poll::Ready(Ok(0));
            }
            mine.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let there = mine.inbox.len().min(buf.len());
        // Now and then the system gives less than there is.
        let count = if self.rng.chance(200_000) {
            self.rng.between(1, there as u64) as usize
        } else {
            there
        };
        for (to, byte) in buf.iter_mut().zip(mine.inbox.drain(..count)) {
            *to = byte;
        }
        if let Some(writer) = link.ends[1 - end].writer.take() {
            writer.wake();
        }
        Poll::Ready(Ok(count))
    }

    /// Writes at end `end` of link `id`.
    pub(super) fn net_write(
        &self,
        id: u64,
        end: usize,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.net.state.borrow_mut();
        let Some(link) = state.links.get_mut(&id) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if link.ends[end].reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if link.ends[end].shut {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let other = 1 - end;
        if link.ends[other].gone {
            // Nobody is there: the answer to what is sent is a reset.
            self.act_after(self.net_latency(), move |world| world.net_reset(id, end));
            return Poll::Ready(Ok(buf.len()));
        }
        let room =
            link.window.saturating_sub(link.ends[other].inbox.len() + link.ends[other].coming);
        if room == 0 {
            link.ends[end].writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let mut count = buf.len().min(room);
        if self.rng.chance(100_000) {
            count = self.rng.between(1, count as u64) as usize;
        }
        self.net_carry(link, id, other, &buf[..count]);
        Poll::Ready(Ok(count))
    }

    /// Sends `bytes` on their way to end `to`, in segments.
    fn net_carry(&self, link: &mut Link, id: u64, to: usize, mut bytes: &[u8]) {
        link.carried += bytes.len() as u64;
        match link.fate {
            Fate::Reset(after) if link.carried > after => {
                // Nothing behind what is lost may arrive: a stream has no holes.
                link.fate = Fate::Silence(0);
                for end in 0..2 {
                    self.act_after(self.net_latency(), move |world| world.net_reset(id, end));
                }
                return;
            }
            // What is sent into silence fills the window for ever.
            Fate::Silence(after) if link.carried > after => {
                link.ends[to].coming += bytes.len();
                return;
            }
            _ => {}
        }
        while !bytes.is_empty() {
            let whole = self.rng.chance(700_000);
            let size =
                if whole { bytes.len() } else { self.rng.between(1, bytes.len() as u64) as usize };
            let segment = bytes[..size].to_vec();
            bytes = &bytes[size..];
            let end = &mut link.ends[to];
            end.coming += size;
            let arrival = (self.exec.now() + self.net_latency()).max(end.last_arrival + 1);
            end.last_arrival = arrival;
            self.act_after(arrival - self.exec.now(), move |world| {
                world.net_arrive(id, to, segment);
            });
        }
    }

    fn net_arrive(&self, id: u64, end: usize, segment: Vec<u8>) {
        let mut state = self.net.state.borrow_mut();
        let Some(link) = state.links.get_mut(&id) else { return };
        let mine = &mut link.ends[end];
        mine.coming = mine.coming.saturating_sub(segment.len());
        if mine.reset || mine.gone {
            return;
        }
        mine.inbox.extend(segment);
        if let Some(reader) = mine.reader.take() {
            reader.wake();
        }
    }

    fn net_reset(&self, id: u64, end: usize) {
        let keep = self.rng.flip();
        let mut state = self.net.state.borrow_mut();
        let Some(link) = state.links.get_mut(&id) else { return };
        let mine = &mut link.ends[end];
        if mine.fin && mine.inbox.is_empty() && keep {
            return;
        }
        mine.reset = true;
        mine.inbox.clear();
        mine.wake();
    }

    /// End `end` sends no more: the other one sees the end behind all that is under way.
    pub(super) fn net_shut(&self, id: u64, end: usize) {
        let mut state = self.net.state.borrow_mut();
        let Some(link) = state.links.get_mut(&id) else { return };
        if std::mem::replace(&mut link.ends[end].shut, true) {
            return;
        }
        if matches!(link.fate, Fate::Silence(after) if link.carried > after) {
            return;
        }
        let other = &mut link.ends[1 - end];
        let arrival = (self.exec.now() + self.net_latency()).max(other.last_arrival + 1);
        other.last_arrival = arrival;
        self.act_after(arrival - self.exec.now(), move |world| {
            let mut state = world.net.state.borrow_mut();
            let Some(link) = state.links.get_mut(&id) else { return };
            let end = &mut link.ends[1 - end];
            end.fin = true;
            end.wake();
        });
    }

    /// The owner of end `end` lets go of it. Unread bytes make it a reset, as in every system.
    pub(super) fn net_drop(&self, id: u64, end: usize) {
        let unread = {
            let mut state = self.net.state.borrow_mut();
            let Some(link) = state.links.get_mut(&id) else { return };
            link.ends[end].gone = true;
            if link.ends[1 - end].gone {
                state.links.remove(&id);
                return;
            }
            !link.ends[end].inbox.is_empty()
        };
        if unread {
            self.act_after(self.net_latency(), move |world| world.net_reset(id, 1 - end));
        } else {
            self.net_shut(id, end);
        }
    }

    /// Machine `node` is switched off. Its peers hear of it by a reset, or when they next speak.
    pub(super) fn net_kill(&self, node: Node) {
        let mut cut = Vec::new();
        {
            let mut state = self.net.state.borrow_mut();
            state.listeners.retain(|_, listener| listener.node != node);
            state.datagrams.retain(|_, socket| socket.node != node);
            for (id, link) in &mut state.links {
                for end in 0..2 {
                    if link.ends[end].node == node && !link.ends[end].gone {
                        link.ends[end].gone = true;
                        cut.push((*id, 1 - end));
                    }
                }
            }
            state.links.retain(|_, link| !(link.ends[0].gone && link.ends[1].gone));
        }
        for (id, end) in cut {
            if self.rng.flip() {
                self.act_after(self.net_latency(), move |world| world.net_reset(id, end));
            }
        }
    }
}

//! What goes over connections, and when: bytes written at one end are cut into segments that arrive in order, each after
//! a delay of the seed.

use crate::sim::exec::Node;
use crate::sim::net::{End, Fate, Link};
use crate::sim::world::World;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

/// Bytes after which a fated connection meets its fate, at the most.
const FATE_BYTES_MAX: u64 = 20_000;
/// Room of a connection in one direction: smallest and largest.
const WINDOW_BYTES: (u64, u64) = (600, 200_000);

impl World {
    pub(crate) fn net_latency(&self) -> u64 {
        let (low, high) = self.net.faults.borrow().latency_nanos;
        self.rng.between(low, high)
    }

    /// Makes a connection from `from` to a listener on `to`, when there is one.
    pub(crate) fn net_link(&self, node: Node, from: SocketAddr, to: SocketAddr) -> io::Result<u64> {
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
    pub(crate) fn net_read(
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
    pub(crate) fn net_write(
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
    pub(crate) fn net_shut(&self, id: u64, end: usize) {
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
    pub(crate) fn net_drop(&self, id: u64, end: usize) {
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
    pub(crate) fn net_kill(&self, node: Node) {
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

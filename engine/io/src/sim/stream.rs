//! Sockets of the simulated network, as the engine sees them. They hold numbers, not links, so
//! that an accepted one may go to another shard.

use crate::sim::address::address_of;
use crate::sim::exec::Node;
use crate::sim::net::Listening;
use crate::sim::tasks::sleep;
use crate::sim::world::{current, here};
use futures::io::{AsyncRead, AsyncWrite};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long an attempt to connect that nobody answers lasts, if nobody gives it up.
const NO_ANSWER_SECS: u64 = 130;
/// Ports of those who connect start here.
const PORT_START: u64 = 20_000;

/// One end of a connection.
pub struct SimStream {
    link: u64,
    end: usize,
}

impl SimStream {
    /// Connects to `to`.
    pub async fn connect(to: SocketAddr, from: Option<IpAddr>) -> io::Result<SimStream> {
        let world = here();
        let (refuse, ignore) = {
            let faults = world.net.faults.borrow();
            (world.rng.chance(faults.refuse), world.rng.chance(faults.ignore))
        };
        if ignore {
            sleep(Duration::from_secs(NO_ANSWER_SECS)).await;
            return Err(io::ErrorKind::TimedOut.into());
        }
        sleep(Duration::from_nanos(world.net_latency())).await;
        if refuse {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let node = world.exec.node();
        let port = (PORT_START + world.rng.below(40_000)) as u16;
        let from = SocketAddr::new(from.unwrap_or(address_of(node)), port);
        // From here on the stream counts, and is let go when its owner drops it.
        let stream = SimStream { link: world.net_link(node, from, to)?, end: 0 };
        sleep(Duration::from_nanos(world.net_latency())).await;
        Ok(stream)
    }

    fn addr(&self, end: usize) -> io::Result<SocketAddr> {
        let world = here();
        let state = world.net.state.borrow();
        let link = state.links.get(&self.link).ok_or(io::ErrorKind::NotConnected)?;
        Ok(link.ends[end].addr)
    }

    /// The other end.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.addr(1 - self.end)
    }

    /// Our end.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.addr(self.end)
    }

    /// The machine at the other end, while it holds its end.
    pub fn peer_node(&self) -> Option<Node> {
        let world = current()?;
        let state = world.net.state.borrow();
        let end = &state.links.get(&self.link)?.ends[1 - self.end];
        (!end.gone).then_some(end.node)
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        if let Some(world) = current() {
            world.net_drop(self.link, self.end);
        }
    }
}

impl AsyncRead for SimStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        here().net_read(self.link, self.end, cx, buf)
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        here().net_write(self.link, self.end, cx, buf)
    }
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        here().net_shut(self.link, self.end);
        Poll::Ready(Ok(()))
    }
}

/// A listening socket.
pub struct SimListener {
    number: u64,
    addr: SocketAddr,
}

/// An accepted socket on its way to the shard that will serve it.
pub struct SimAccepted(Option<u64>);

impl SimListener {
    /// Listens on `addr`; several may.
    pub fn bind(mut addr: SocketAddr) -> io::Result<SimListener> {
        let world = here();
        let mut state = world.net.state.borrow_mut();
        let number = state.number();
        if addr.port() == 0 {
            addr.set_port((PORT_START + number) as u16);
        }
        let node = world.exec.node();
        let listening = Listening { addr, node, backlog: VecDeque::new(), waker: None };
        state.listeners.insert(number, listening);
        Ok(SimListener { number, addr })
    }

    /// The next connection.
    pub async fn accept(&self) -> io::Result<SimAccepted> {
        std::future::poll_fn(|cx| {
            let world = here();
            let mut state = world.net.state.borrow_mut();
            let Some(listening) = state.listeners.get_mut(&self.number) else {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            };
            match listening.backlog.pop_front() {
                Some(link) => Poll::Ready(Ok(SimAccepted(Some(link)))),
                None => {
                    listening.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Our address.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let Some(world) = current() else { return };
        let gone = world.net.state.borrow_mut().listeners.remove(&self.number);
        for link in gone.into_iter().flat_map(|listening| listening.backlog) {
            world.net_drop(link, 1);
        }
    }
}

impl SimAccepted {
    /// Makes it a stream of the current shard.
    pub fn bind(mut self) -> SimStream {
        // Taken exactly once: here, or when it is dropped unbound.
        SimStream { link: self.0.take().unwrap_or(0), end: 1 }
    }
}

impl Drop for SimAccepted {
    fn drop(&mut self) {
        if let (Some(link), Some(world)) = (self.0.take(), current()) {
            world.net_drop(link, 1);
        }
    }
}

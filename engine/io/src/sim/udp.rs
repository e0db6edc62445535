//! Datagrams: late, lost, twice, in any order.

use crate::sim::address::address_of;
use crate::sim::net::Datagrams;
use crate::sim::world::{current, here};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;

/// Ports of sockets that ask for none start here.
const PORT_START: u64 = 30_000;

/// A UDP socket.
pub struct SimUdp(SocketAddr);

impl SimUdp {
    /// Binds to `addr`; an address not given is the machine's, a port not given is any.
    pub fn bind(mut addr: SocketAddr) -> io::Result<SimUdp> {
        let world = here();
        let mut state = world.net.state.borrow_mut();
        let node = world.exec.node();
        if addr.ip().is_unspecified() {
            addr.set_ip(address_of(node));
        }
        if addr.port() == 0 {
            addr.set_port((PORT_START + state.number() % 30_000) as u16);
        }
        if state.datagrams.contains_key(&addr) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        state.datagrams.insert(addr, Datagrams { node, inbox: VecDeque::new(), waker: None });
        Ok(SimUdp(addr))
    }

    /// Sends one datagram.
    pub async fn send_to(&self, data: &[u8], to: SocketAddr) -> io::Result<usize> {
        let world = here();
        let loss = world.net.faults.borrow().datagram_loss;
        let copies = 1 + u64::from(world.rng.chance(loss)) - u64::from(world.rng.chance(loss));
        for _ in 0..copies {
            let (from, data) = (self.0, data.to_vec());
            world.act_after(world.net_latency(), move |world| {
                let mut state = world.net.state.borrow_mut();
                let Some(socket) = state.datagrams.get_mut(&to) else { return };
                socket.inbox.push_back((from, data));
                if let Some(waker) = socket.waker.take() {
                    waker.wake();
                }
            });
        }
        Ok(data.len())
    }

    /// Receives one datagram.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (from, data) = std::future::poll_fn(|cx| {
            let world = here();
            let mut state = world.net.state.borrow_mut();
            let Some(socket) = state.datagrams.get_mut(&self.0) else {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::NotConnected)));
            };
            match socket.inbox.pop_front() {
                Some(datagram) => Poll::Ready(Ok(datagram)),
                None => {
                    socket.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await?;
        let count = data.len().min(buf.len());
        buf[..count].copy_from_slice(&data[..count]);
        Ok((count, from))
    }
}

impl Drop for SimUdp {
    fn drop(&mut self) {
        if let Some(world) = current() {
            world.net.state.borrow_mut().datagrams.remove(&self.0);
        }
    }
}

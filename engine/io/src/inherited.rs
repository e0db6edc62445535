//! Listening sockets that a service manager holds and hands down (sd_listen_fds(3)): they outlive the engine, so that a restart
//! refuses no connection.

use crate::listener::BoundSocket;
use listenfd::ListenFd;
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Those this process was handed.
#[derive(Default)]
pub struct Inherited(Vec<(SocketAddr, TcpListener)>);

impl Inherited {
    /// Takes them. To be called once, and early: no program that the policy runs is to have them.
    ///
    /// # Errors
    /// One line about a descriptor that is no listening socket of TCP.
    pub fn take() -> Result<Inherited, String> {
        let mut handed = ListenFd::from_env();
        let mut held = Vec::new();
        for index in 0..handed.len() {
            let wrong = |error: io::Error| {
                format!("socket {index} of the service manager: {error}; a socket unit lists addresses of TCP alone (ListenStream=)")
            };
            if let Some(listener) = handed.take_tcp_listener(index).map_err(wrong)? {
                let addr = own(&listener).map_err(wrong)?;
                held.push((addr, listener));
            }
        }
        Ok(Inherited(held))
    }

    /// Their addresses, each as often as it is held.
    pub fn addrs(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.0.iter().map(|(addr, _)| *addr)
    }

    /// Whether there is one at `addr`.
    pub fn holds(&self, addr: SocketAddr) -> bool {
        self.addrs().any(|held| held == addr)
    }

    /// The socket of one shard at `addr`, if the manager holds one there: shards share what there are fewer of than shards.
    pub fn socket(&self, addr: SocketAddr, shard: usize) -> Option<io::Result<BoundSocket>> {
        let there: Vec<_> = self.0.iter().filter(|(held, _)| *held == addr).collect();
        let (_, listener) = there.get(shard % there.len().max(1))?;
        Some(listener.try_clone().map(BoundSocket::inherited))
    }
}

/// Makes it one of this process alone, which nothing waits on; its address.
fn own(listener: &TcpListener) -> io::Result<SocketAddr> {
    rustix::io::fcntl_setfd(listener, rustix::io::FdFlags::CLOEXEC)?;
    // Of several shards that hear of a connection all but one find it taken.
    listener.set_nonblocking(true)?;
    listener.local_addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_what_there_is() {
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (one, other) = (listen(), listen());
        let at = [own(&one).unwrap(), own(&other).unwrap()];
        let inherited = Inherited(vec![(at[0], one), (at[1], other)]);
        assert!(inherited.holds(at[0]) && !inherited.holds("127.0.0.1:1".parse().unwrap()));
        for shard in 0..3 {
            let socket = inherited.socket(at[1], shard).unwrap().unwrap();
            assert_eq!(socket.local_addr().unwrap(), at[1]);
        }
        assert!(inherited.socket("127.0.0.1:1".parse().unwrap(), 0).is_none());
        assert!(Inherited::default().socket(at[0], 0).is_none());
    }
}

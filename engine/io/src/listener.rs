//! Listening sockets of the real network, and the ports they share.
#![allow(unsafe_code)]

use crate::limits;
use crate::socket::{bind_socket, tcp_socket, RingStream};
use crate::unix;
use crate::uring::Watch;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

/// A listening socket; every shard binds its own to the same address (SO_REUSEPORT), but for port 0,
/// which is its own.
pub struct RingListener {
    reads: Watch,
    socket: Socket,
}

/// What kind of socket listens.
enum Socket {
    Tcp(std::net::TcpListener),
    Unix(UnixListener),
}

/// An accepted socket on its way to the shard that will serve it.
pub struct RingAccepted {
    socket: std::net::TcpStream,
    is_unix: bool,
}

/// A socket bound for a listener of one shard, on any thread. It takes no connections before that shard opens it.
pub struct BoundSocket {
    socket: OwnedFd,
    is_unix: bool,
}

impl BoundSocket {
    /// Binds.
    ///
    /// # Errors
    /// As bind(2).
    pub fn bind(addr: SocketAddr) -> io::Result<BoundSocket> {
        let socket = tcp_socket(&addr)?;
        // Among sockets that share ports the system would hand out one that another of them has.
        if addr.port() != 0 {
            share_port(&socket)?;
        }
        bind_socket(&socket, addr)?;
        Ok(BoundSocket { socket, is_unix: false })
    }

    /// Binds a Unix socket whose file has these permissions. A socket that nobody listens on any more gives way.
    ///
    /// # Errors
    /// When somebody listens there, when the file is none of a socket, and as bind(2).
    pub fn bind_unix(path: &Path, mode: u32) -> io::Result<BoundSocket> {
        Ok(BoundSocket { socket: unix::bind(path, mode)?, is_unix: true })
    }

    /// One that somebody else has bound, and that does not block.
    pub(crate) fn inherited(listener: std::net::TcpListener) -> BoundSocket {
        BoundSocket { socket: listener.into(), is_unix: false }
    }

    /// Our address, with the real port; [`unix::ADDRESS`] of a Unix socket.
    ///
    /// # Errors
    /// As getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        if self.is_unix {
            return Ok(unix::ADDRESS);
        }
        std::net::TcpListener::from(self.socket.try_clone()?).local_addr()
    }
}

impl RingListener {
    /// Binds and listens.
    pub fn bind(addr: SocketAddr) -> io::Result<RingListener> {
        RingListener::open(BoundSocket::bind(addr)?)
    }

    /// Listens, on this shard.
    pub fn open(BoundSocket { socket, is_unix }: BoundSocket) -> io::Result<RingListener> {
        // SAFETY: no pointers.
        if unsafe { libc::listen(socket.as_raw_fd(), limits::LISTEN_BACKLOG) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let reads = Watch::new(socket.as_raw_fd());
        let socket = match is_unix {
            true => Socket::Unix(socket.into()),
            false => Socket::Tcp(socket.into()),
        };
        Ok(RingListener { reads, socket })
    }

    /// The next connection, not yet bound to a shard.
    pub async fn accept(&self) -> io::Result<RingAccepted> {
        loop {
            std::future::poll_fn(|cx| self.reads.poll_ready(cx)).await?;
            // It may block: every call on it says that it must not.
            let accepted = match &self.socket {
                Socket::Tcp(listener) => listener.accept().map(|(socket, _)| (socket, false)),
                Socket::Unix(listener) => {
                    // What is done with it is the same for both kinds.
                    listener.accept().map(|(socket, _)| (OwnedFd::from(socket).into(), true))
                }
            };
            match accepted {
                Ok((socket, is_unix)) => return Ok(RingAccepted { socket, is_unix }),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.reads.is_empty(),
                Err(error) => return Err(error),
            }
        }
    }

    /// Our address, with the real port.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr(),
            Socket::Unix(_) => Ok(unix::ADDRESS),
        }
    }
}

impl RingAccepted {
    /// Makes it a stream of the current shard.
    pub fn bind(self) -> RingStream {
        RingStream::new(self.socket, self.is_unix)
    }
}

/// A free port kept for the shards' listeners. It takes no connections; the system hands the port to
/// nobody else as long as this lives.
pub struct ReservedPort(OwnedFd);

impl ReservedPort {
    /// Has the system choose a port for `addr`, whose port is 0.
    ///
    /// # Errors
    /// As bind(2).
    pub fn choose(addr: SocketAddr) -> io::Result<ReservedPort> {
        let socket = tcp_socket(&addr)?;
        bind_socket(&socket, addr)?;
        // Only now, that it is a port which no other socket has.
        share_port(&socket)?;
        Ok(ReservedPort(socket))
    }

    /// The address with its port.
    ///
    /// # Errors
    /// As getsockname(2).
    pub fn addr(&self) -> io::Result<SocketAddr> {
        let socket = std::net::TcpListener::from(self.0.try_clone()?);
        socket.local_addr()
    }
}

/// Lets other sockets of this user bind to the same address, when they say so too.
fn share_port(socket: &OwnedFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    let size = std::mem::size_of_val(&on) as libc::socklen_t;
    // SAFETY: the option's value outlives the call, and its size is its own.
    let set = unsafe {
        let value = std::ptr::addr_of!(on).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, value, size)
    };
    if set != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::run_shard;

    #[test]
    fn a_reserved_port_is_handed_to_nobody_else_and_shared_by_listeners() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let reserved: Vec<_> = (0..300).map(|_| ReservedPort::choose(any).unwrap()).collect();
        let addrs: std::collections::HashSet<_> =
            reserved.iter().map(|port| port.addr().unwrap()).collect();
        assert_eq!(addrs.len(), reserved.len());
        let addr = reserved[7].addr().unwrap();
        let alone = std::net::TcpListener::bind(addr).unwrap_err();
        assert_eq!(alone.kind(), io::ErrorKind::AddrInUse);
        let shard = run_shard("test", None, move || async move {
            let shared = [RingListener::bind(addr).unwrap(), RingListener::bind(addr).unwrap()];
            assert_eq!(shared.map(|listener| listener.local_addr().unwrap()), [addr, addr]);
            let own = RingListener::bind(any).unwrap();
            assert!(RingListener::bind(own.local_addr().unwrap()).is_err());
        });
        shard.unwrap().join().unwrap().unwrap();
    }
}

//! Sockets of the real network: non-blocking system calls, and the shard's ring to say when.
#![allow(unsafe_code)]

use crate::limits;
use crate::unix;
use crate::uring::{Once, Watch};
use futures::io::{AsyncRead, AsyncWrite};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::task::{ready, Context, Poll};

/// A TCP stream of this shard, or one of a Unix socket, with which the same is done.
pub struct RingStream {
    // Before the socket: what watches it goes first.
    reads: Watch,
    writes: Option<Once>,
    /// Reads and writes in a row that did not have to wait.
    streak: u32,
    is_unix: bool,
    socket: std::net::TcpStream,
}

impl RingStream {
    pub(crate) fn new(socket: std::net::TcpStream, is_unix: bool) -> RingStream {
        let reads = Watch::new(socket.as_raw_fd());
        RingStream { reads, writes: None, streak: 0, is_unix, socket }
    }

    /// Connects to `to`, from `from` when given. The caller sets the deadline.
    pub async fn connect(to: SocketAddr, from: Option<IpAddr>) -> io::Result<RingStream> {
        let socket = std::net::TcpStream::from(start_connect(to, from)?);
        Once::writable(socket.as_raw_fd())?.await?;
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        let stream = RingStream::new(socket, false);
        stream.set_nodelay();
        Ok(stream)
    }

    /// Turns Nagle off: replies are coalesced by us, and a waiting half-packet costs 40 ms.
    pub fn set_nodelay(&self) {
        let _ = self.socket.set_nodelay(true);
    }

    /// The other end.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self.is_unix {
            true => Ok(unix::ADDRESS),
            false => self.socket.peer_addr(),
        }
    }

    /// Our end.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self.is_unix {
            true => Ok(unix::ADDRESS),
            false => self.socket.local_addr(),
        }
    }

    /// A socket that never has to wait lets the shard's other tasks go first now and then.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.streak += 1;
        if self.streak < limits::SOCKET_CALLS_PER_TURN {
            return Poll::Ready(());
        }
        self.streak = 0;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl AsyncRead for RingStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.reads.poll_ready(cx)?.is_pending() {
                self.streak = 0;
                return Poll::Pending;
            }
            ready!(self.poll_turn(cx));
            match receive(self.socket.as_raw_fd(), buf) {
                Ok(bytes) => {
                    // A short read drained the socket; the multishot poll will signal new data.
                    if bytes > 0 && bytes < buf.len() {
                        self.reads.is_drained();
                    }
                    return Poll::Ready(Ok(bytes));
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => self.reads.is_empty(),
                    io::ErrorKind::Interrupted => {}
                    _ => return Poll::Ready(Err(error)),
                },
            }
        }
    }
}

impl AsyncWrite for RingStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if let Some(wait) = &mut self.writes {
                let ready = Pin::new(wait).poll(cx);
                if ready.is_pending() {
                    self.streak = 0;
                    return Poll::Pending;
                }
                // Whatever it says, the next send says it too.
                self.writes = None;
            }
            ready!(self.poll_turn(cx));
            match send(self.socket.as_raw_fd(), buf) {
                Ok(bytes) => return Poll::Ready(Ok(bytes)),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        self.writes = Some(Once::writable(self.socket.as_raw_fd())?);
                    }
                    io::ErrorKind::Interrupted => {}
                    _ => return Poll::Ready(Err(error)),
                },
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.shutdown(std::net::Shutdown::Write))
    }
}

fn receive(fd: RawFd, buf: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the buffer is good for its length for the time of the call.
    let got = unsafe { libc::recv(fd, buf.as_mut_ptr().cast(), buf.len(), libc::MSG_DONTWAIT) };
    usize::try_from(got).map_err(|_| io::Error::last_os_error())
}

fn send(fd: RawFd, buf: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: as above.
    let sent = unsafe { libc::send(fd, buf.as_ptr().cast(), buf.len(), flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// A new non-blocking TCP socket for addresses like `addr`.
pub(crate) fn tcp_socket(addr: &SocketAddr) -> io::Result<OwnedFd> {
    let family = if addr.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers; the descriptor is fresh and owned by nobody else.
    unsafe {
        let fd = libc::socket(family, kind, 0);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

pub(crate) fn bind_socket(socket: &OwnedFd, to: SocketAddr) -> io::Result<()> {
    let (addr, len) = sockaddr(to);
    // SAFETY: the address is a valid sockaddr of the length given.
    if unsafe { libc::bind(socket.as_raw_fd(), std::ptr::addr_of!(addr).cast(), len) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Starts a connect and returns its socket.
fn start_connect(to: SocketAddr, from: Option<IpAddr>) -> io::Result<OwnedFd> {
    let socket = tcp_socket(&to)?;
    if let Some(from) = from {
        bind_socket(&socket, SocketAddr::new(from, 0))?;
    }
    let (addr, len) = sockaddr(to);
    // SAFETY: the address is a valid sockaddr of the length given.
    let result = unsafe { libc::connect(socket.as_raw_fd(), std::ptr::addr_of!(addr).cast(), len) };
    if result != 0 {
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINPROGRESS) {
            return Err(error);
        }
    }
    Ok(socket)
}

fn sockaddr(addr: SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: sockaddr_storage is plain data, large and aligned enough for both families.
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let len = match addr {
        SocketAddr::V4(v4) => {
            let raw = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                sin_zero: [0; 8],
            };
            // SAFETY: see above.
            unsafe { std::ptr::write(std::ptr::addr_of_mut!(storage).cast(), raw) };
            std::mem::size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(v6) => {
            let raw = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: see above.
            unsafe { std::ptr::write(std::ptr::addr_of_mut!(storage).cast(), raw) };
            std::mem::size_of::<libc::sockaddr_in6>()
        }
    };
    (storage, len as libc::socklen_t)
}

/// A UDP socket of this shard.
pub struct RingUdp {
    reads: Watch,
    socket: std::net::UdpSocket,
}

impl RingUdp {
    /// Binds to `addr`.
    pub fn bind(addr: SocketAddr) -> io::Result<RingUdp> {
        let socket = std::net::UdpSocket::bind(addr)?;
        socket.set_nonblocking(true)?;
        Ok(RingUdp { reads: Watch::new(socket.as_raw_fd()), socket })
    }

    /// Sends one datagram.
    pub async fn send_to(&self, data: &[u8], to: SocketAddr) -> io::Result<usize> {
        loop {
            match self.socket.send_to(data, to) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    Once::writable(self.socket.as_raw_fd())?.await?;
                }
                other => return other,
            }
        }
    }

    /// Receives one datagram.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        loop {
            std::future::poll_fn(|cx| self.reads.poll_ready(cx)).await?;
            match self.socket.recv_from(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.reads.is_empty(),
                other => return other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::RingListener;
    use crate::ring::run_shard;
    use crate::{deadline, spawn};
    use std::cell::Cell;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::rc::Rc;
    use std::time::{Duration, Instant};

    const LONG: Duration = Duration::from_secs(30);

    /// Runs `work` on a shard with a listener, and `peer` on a thread with its address.
    fn meet<F: Future<Output = ()> + 'static>(
        work: impl FnOnce(RingListener) -> F + Send + 'static,
        peer: impl FnOnce(SocketAddr),
    ) {
        let (tell, told) = std::sync::mpsc::channel();
        let shard = run_shard("test", None, move || async move {
            let listener = RingListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            deadline(LONG, work(listener)).await.unwrap();
        });
        peer(told.recv().unwrap());
        shard.unwrap().join().unwrap().unwrap();
    }

    async fn read(stream: &mut RingStream, buf: &mut [u8]) -> io::Result<usize> {
        std::future::poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, buf)).await
    }

    async fn write_all(stream: &mut RingStream, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let sent = std::future::poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, data));
            data = &data[sent.await?..];
        }
        Ok(())
    }

    async fn read_to_end(stream: &mut RingStream, buf: &mut [u8]) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            match read(stream, buf).await.unwrap() {
                0 => return all,
                bytes => all.extend_from_slice(&buf[..bytes]),
            }
        }
    }

    fn pattern(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|at| (at * 31 / 8) as u8).collect()
    }

    /// Where every round of ready tasks takes longer than the executor may go without a look at its own rings.
    #[test]
    fn tasks_that_are_always_ready_keep_nobody_waiting() {
        const TRIPS: usize = 20;
        let work = |listener: RingListener| async move {
            let is_over = Rc::new(Cell::new(false));
            for _ in 0..4 {
                let is_over = is_over.clone();
                spawn(async move {
                    while !is_over.get() {
                        let end = Instant::now() + Duration::from_millis(2);
                        while Instant::now() < end {}
                        crate::yield_now().await;
                    }
                });
            }
            let mut stream = listener.accept().await.unwrap().bind();
            for _ in 0..TRIPS {
                assert_eq!(read(&mut stream, &mut [0; 9]).await.unwrap(), 1);
                write_all(&mut stream, b"x").await.unwrap();
            }
            is_over.set(true);
        };
        meet(work, |to| {
            let mut peer = TcpStream::connect(to).unwrap();
            for _ in 0..TRIPS {
                peer.write_all(b"x").unwrap();
                peer.read_exact(&mut [0]).unwrap();
            }
        });
    }

    #[test]
    fn what_is_sent_comes_whole_and_so_does_its_end() {
        for room in [1, 7, 4096, 1 << 20] {
            let work = move |listener: RingListener| async move {
                let mut stream = listener.accept().await.unwrap().bind();
                assert!(read_to_end(&mut stream, &mut vec![0; room]).await == pattern(20_000));
                assert_eq!(read(&mut stream, &mut [0; 9]).await.unwrap(), 0, "the end stays");
                write_all(&mut stream, b"thanks").await.unwrap();
            };
            meet(work, |addr| {
                let mut socket = TcpStream::connect(addr).unwrap();
                socket.write_all(&pattern(20_000)).unwrap();
                socket.shutdown(std::net::Shutdown::Write).unwrap();
                let mut answer = String::new();
                socket.read_to_string(&mut answer).unwrap();
                assert_eq!(answer, "thanks");
            });
        }
    }

    #[test]
    fn a_write_waits_for_a_reader_that_is_slow_to_start() {
        let (go, gone) = std::sync::mpsc::channel();
        let work = move |listener: RingListener| async move {
            let mut stream = listener.accept().await.unwrap().bind();
            let data = pattern(20 << 20);
            let writing = write_all(&mut stream, &data);
            let mut writing = std::pin::pin!(writing);
            // More than any socket holds: it has to wait, and can be left and taken up again.
            assert!(deadline(Duration::from_millis(500), writing.as_mut()).await.is_err());
            go.send(()).unwrap();
            writing.await.unwrap();
        };
        meet(work, |addr| {
            let mut socket = TcpStream::connect(addr).unwrap();
            gone.recv().unwrap();
            let mut all = Vec::new();
            socket.read_to_end(&mut all).unwrap();
            assert!(all == pattern(20 << 20));
        });
    }

    #[test]
    fn a_read_that_was_given_up_loses_nothing() {
        let (go, gone) = std::sync::mpsc::channel();
        let work = move |listener: RingListener| async move {
            let mut stream = listener.accept().await.unwrap().bind();
            let mut buf = [0; 64];
            let short = Duration::from_millis(5);
            assert!(deadline(short, read(&mut stream, &mut buf)).await.is_err());
            go.send(()).unwrap();
            assert_eq!(read_to_end(&mut stream, &mut buf).await, b"late");
        };
        meet(work, |addr| {
            let mut socket = TcpStream::connect(addr).unwrap();
            gone.recv().unwrap();
            socket.write_all(b"late").unwrap();
        });
    }

    #[test]
    fn a_dropped_stream_is_closed_though_it_was_waited_for() {
        let work = |listener: RingListener| async move {
            let mut stream = listener.accept().await.unwrap().bind();
            assert!(deadline(Duration::from_millis(5), read(&mut stream, &mut [0; 9]))
                .await
                .is_err());
            drop(stream);
            // Nothing else happens on this shard until the peer has seen it.
            listener.accept().await.unwrap();
        };
        meet(work, |addr| {
            let mut socket = TcpStream::connect(addr).unwrap();
            assert_eq!(socket.read(&mut [0; 9]).unwrap(), 0);
            TcpStream::connect(addr).unwrap();
        });
    }

    #[test]
    fn a_stream_dropped_while_more_arrives_is_closed() {
        let work = |listener: RingListener| async move {
            for _ in 0..50 {
                let mut stream = listener.accept().await.unwrap().bind();
                // Waited for once, it is watched: an event may be on its way when it is dropped.
                assert_eq!(read(&mut stream, &mut [0; 1]).await.unwrap(), 1);
                deadline(Duration::from_millis(1), std::future::pending::<()>()).await.ok();
            }
        };
        meet(work, |addr| {
            for _ in 0..50 {
                let mut socket = TcpStream::connect(addr).unwrap();
                // Ends when the other side has closed and with it what was not read: the write fails.
                socket.set_write_timeout(Some(LONG)).unwrap();
                let error = loop {
                    if let Err(error) = socket.write_all(b"more") {
                        break error;
                    }
                };
                assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "left open");
            }
        });
    }

    #[test]
    fn both_ends_on_one_shard_a_thousand_times() {
        let work = |listener: RingListener| async move {
            let addr = listener.local_addr().unwrap();
            spawn(async move {
                for _ in 0..1000 {
                    let mut stream = listener.accept().await.unwrap().bind();
                    spawn(async move {
                        let mut buf = [0; 100];
                        let bytes = read(&mut stream, &mut buf).await.unwrap();
                        write_all(&mut stream, &buf[..bytes]).await.unwrap();
                    });
                }
            });
            for round in 0..1000u32 {
                let mut stream = RingStream::connect(addr, None).await.unwrap();
                write_all(&mut stream, &round.to_be_bytes()).await.unwrap();
                assert_eq!(read_to_end(&mut stream, &mut [0; 9]).await, round.to_be_bytes());
            }
            assert!(crate::uring::slots() < 100, "slots are used again");
        };
        meet(work, |_| {});
    }

    #[test]
    fn nobody_listens() {
        let work = |listener: RingListener| async move {
            let addr = listener.local_addr().unwrap();
            drop(listener);
            // The kernel keeps the listener until the ring has let go of it.
            let error = loop {
                match RingStream::connect(addr, None).await {
                    Ok(_) => crate::yield_now().await,
                    Err(error) => break error,
                }
            };
            assert!(matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
            ));
        };
        meet(work, |_| {});
    }

    #[test]
    fn datagrams() {
        let work = |listener: RingListener| async move {
            drop(listener);
            let any = "127.0.0.1:0".parse().unwrap();
            let (one, two) = (RingUdp::bind(any).unwrap(), RingUdp::bind(any).unwrap());
            let to = two.socket.local_addr().unwrap();
            let mut buf = [0; 64];
            assert!(deadline(Duration::from_millis(5), two.recv_from(&mut buf)).await.is_err());
            one.send_to(b"question", to).await.unwrap();
            let (bytes, from) = two.recv_from(&mut buf).await.unwrap();
            assert_eq!((&buf[..bytes], from), (&b"question"[..], one.socket.local_addr().unwrap()));
        };
        meet(work, |_| {});
    }

    #[test]
    fn another_thread_wakes_a_shard_that_sleeps() {
        let work = |_listener: RingListener| async move {
            for pause in [0, 1, 3, 20] {
                let (send, receive) = futures::channel::oneshot::channel();
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(pause));
                    send.send(pause).unwrap();
                });
                assert_eq!(receive.await, Ok(pause));
            }
            assert_eq!(crate::blocking(|| 7).await, 7);
        };
        meet(work, |_| {});
    }
}

//! Sockets: TCP streams (plain or TLS), listeners, UDP.

use crate::listener::{BoundSocket, RingAccepted, RingListener};
use crate::sim;
use crate::sim::stream::{SimAccepted, SimListener, SimStream};
use crate::sim::udp::SimUdp;
use crate::socket::{RingStream, RingUdp};
use futures::io::{AsyncRead, AsyncWrite};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A TCP connection of this shard.
pub enum Stream {
    /// On the real network.
    Ring(RingStream),
    /// In a simulated world.
    Sim(SimStream),
}

impl Stream {
    /// Connects to `to`, bound to `from` when given. The caller sets the deadline.
    ///
    /// # Errors
    /// As connect(2) and bind(2).
    pub async fn connect(to: SocketAddr, from: Option<IpAddr>) -> io::Result<Stream> {
        if sim::active() {
            return Ok(Stream::Sim(SimStream::connect(to, from).await?));
        }
        Ok(Stream::Ring(RingStream::connect(to, from).await?))
    }
    /// The other end.
    ///
    /// # Errors
    /// When the socket is no longer connected.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Stream::Ring(stream) => stream.peer_addr(),
            Stream::Sim(stream) => stream.peer_addr(),
        }
    }
    /// Our end.
    ///
    /// # Errors
    /// As getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Stream::Ring(stream) => stream.local_addr(),
            Stream::Sim(stream) => stream.local_addr(),
        }
    }
    /// Turns Nagle's algorithm off.
    pub fn set_nodelay(&self) {
        match self {
            Stream::Ring(stream) => stream.set_nodelay(),
            Stream::Sim(_) => {}
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Ring(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Sim(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Ring(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Sim(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Ring(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Sim(stream) => Pin::new(stream).poll_flush(cx),
        }
    }
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Ring(stream) => Pin::new(stream).poll_close(cx),
            Stream::Sim(stream) => Pin::new(stream).poll_close(cx),
        }
    }
}

/// A connection as the SMTP code sees it: plain, or under TLS in either role.
pub enum Conn {
    /// No TLS.
    Plain(Stream),
    /// We are the TLS server.
    Server(Box<futures_rustls::server::TlsStream<Stream>>),
    /// We are the TLS client.
    Client(Box<futures_rustls::client::TlsStream<Stream>>),
    /// Nothing: the socket is gone, or being handed to a handshake.
    Closed,
}

impl Conn {
    /// What TLS agreed on: (cipher suite, protocol version), when there is TLS.
    pub fn tls_info(&self) -> Option<(String, String)> {
        let state: &rustls::CommonState = match self {
            Conn::Plain(_) | Conn::Closed => return None,
            Conn::Server(tls) => tls.get_ref().1,
            Conn::Client(tls) => tls.get_ref().1,
        };
        let cipher = state.negotiated_cipher_suite()?.suite();
        let version = state.protocol_version()?;
        Some((format!("{cipher:?}"), format!("{version:?}")))
    }

    /// The subject of the peer's certificate, when it has shown one.
    pub fn peer_subject(&self) -> Option<Vec<String>> {
        let state: &rustls::CommonState = match self {
            Conn::Plain(_) | Conn::Closed => return None,
            Conn::Server(tls) => tls.get_ref().1,
            Conn::Client(tls) => tls.get_ref().1,
        };
        crate::subject::of(state.peer_certificates()?.first()?)
    }

    /// Reads some bytes; 0 at the end of the stream.
    ///
    /// # Errors
    /// As recv(2), or a TLS failure.
    pub async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_read(cx, buf)).await
    }

    /// Writes all of `data` and flushes it.
    ///
    /// # Errors
    /// As send(2), or a TLS failure.
    pub async fn write_all(&mut self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let sent = std::future::poll_fn(|cx| Pin::new(&mut *self).poll_write(cx, data)).await?;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            data = &data[sent..];
        }
        if !matches!(self, Conn::Plain(_)) {
            std::future::poll_fn(|cx| Pin::new(&mut *self).poll_flush(cx)).await?;
        }
        Ok(())
    }

    /// Writes some of `data`, and gives how many bytes were taken.
    ///
    /// # Errors
    /// As send(2), or a TLS failure.
    pub async fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_write(cx, data)).await
    }

    /// Hands what was written to the system: under TLS some of it may wait.
    ///
    /// # Errors
    /// As send(2), or a TLS failure.
    pub async fn flush(&mut self) -> io::Result<()> {
        if matches!(self, Conn::Plain(_)) {
            return Ok(());
        }
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_flush(cx)).await
    }

    /// Ends our half (close_notify under TLS).
    ///
    /// # Errors
    /// As shutdown(2).
    pub async fn close(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_close(cx)).await
    }
}

impl AsyncRead for Conn {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Conn::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Conn::Server(tls) => Pin::new(tls.as_mut()).poll_read(cx, buf),
            Conn::Client(tls) => Pin::new(tls.as_mut()).poll_read(cx, buf),
            Conn::Closed => Poll::Ready(Ok(0)),
        }
    }
}

impl AsyncWrite for Conn {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Conn::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Conn::Server(tls) => Pin::new(tls.as_mut()).poll_write(cx, buf),
            Conn::Client(tls) => Pin::new(tls.as_mut()).poll_write(cx, buf),
            Conn::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Conn::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Conn::Server(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
            Conn::Client(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
            Conn::Closed => Poll::Ready(Ok(())),
        }
    }
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Conn::Plain(stream) => Pin::new(stream).poll_close(cx),
            Conn::Server(tls) => Pin::new(tls.as_mut()).poll_close(cx),
            Conn::Client(tls) => Pin::new(tls.as_mut()).poll_close(cx),
            Conn::Closed => Poll::Ready(Ok(())),
        }
    }
}

/// Takes the connection out of `conn` for a handshake and leaves a closed one.
pub fn take(conn: &mut Conn) -> Option<Conn> {
    match conn {
        Conn::Closed => None,
        _ => Some(std::mem::replace(conn, Conn::Closed)),
    }
}

/// A listening socket of this shard.
pub enum Listener {
    /// On the real network.
    Ring(RingListener),
    /// In a simulated world.
    Sim(SimListener),
}

/// An accepted socket that may still go to another shard.
pub enum Accepted {
    /// On the real network.
    Ring(RingAccepted),
    /// In a simulated world.
    Sim(SimAccepted),
}

impl Listener {
    /// Binds and listens with SO_REUSEPORT, so that every shard has its own socket.
    ///
    /// # Errors
    /// As bind(2) and listen(2).
    pub fn bind(addr: SocketAddr) -> io::Result<Listener> {
        if sim::active() {
            return Ok(Listener::Sim(SimListener::bind(addr)?));
        }
        Ok(Listener::Ring(RingListener::bind(addr)?))
    }
    /// Listens on a socket that was bound before.
    ///
    /// # Errors
    /// As listen(2).
    pub fn open(socket: BoundSocket) -> io::Result<Listener> {
        Ok(Listener::Ring(RingListener::open(socket)?))
    }
    /// The next connection.
    ///
    /// # Errors
    /// As accept(2).
    pub async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Listener::Ring(listener) => Ok(Accepted::Ring(listener.accept().await?)),
            Listener::Sim(listener) => Ok(Accepted::Sim(listener.accept().await?)),
        }
    }
    /// Our address, with the real port.
    ///
    /// # Errors
    /// As getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Listener::Ring(listener) => listener.local_addr(),
            Listener::Sim(listener) => Ok(listener.local_addr()),
        }
    }
}

impl Accepted {
    /// Makes it a stream of the current shard.
    pub fn bind(self) -> Stream {
        match self {
            Accepted::Ring(accepted) => Stream::Ring(accepted.bind()),
            Accepted::Sim(accepted) => Stream::Sim(accepted.bind()),
        }
    }
}

/// A UDP socket of this shard.
pub enum UdpSocket {
    /// On the real network.
    Ring(RingUdp),
    /// In a simulated world.
    Sim(SimUdp),
}

impl UdpSocket {
    /// Binds to `addr`.
    ///
    /// # Errors
    /// As bind(2).
    pub fn bind(addr: SocketAddr) -> io::Result<UdpSocket> {
        if sim::active() {
            return Ok(UdpSocket::Sim(SimUdp::bind(addr)?));
        }
        Ok(UdpSocket::Ring(RingUdp::bind(addr)?))
    }
    /// Sends one datagram.
    ///
    /// # Errors
    /// As sendto(2).
    pub async fn send_to(&self, data: &[u8], to: SocketAddr) -> io::Result<usize> {
        match self {
            UdpSocket::Ring(socket) => socket.send_to(data, to).await,
            UdpSocket::Sim(socket) => socket.send_to(data, to).await,
        }
    }
    /// Receives one datagram.
    ///
    /// # Errors
    /// As recvfrom(2).
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        match self {
            UdpSocket::Ring(socket) => socket.recv_from(buf).await,
            UdpSocket::Sim(socket) => socket.recv_from(buf).await,
        }
    }
}

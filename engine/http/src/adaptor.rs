//! Our socket as hyper sees it, and our response body.

use crate::limits::HTTP_READ_BYTES;
use crate::link::{Link, Phase};
use crate::types::Body;
use futures::io::{AsyncRead, AsyncWrite};
use hyper::body::{Bytes, Frame, SizeHint};
use ringmta_io::Conn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// A connection, whose reads and writes are reported to its link.
pub(super) struct Io {
    pub conn: Conn,
    link: Rc<Link>,
    // hyper's own buffer may be uninitialized memory, which only unsafe code may fill.
    scratch: Box<[u8]>,
}

impl Io {
    pub fn new(conn: Conn, link: Rc<Link>) -> Io {
        Io { conn, link, scratch: vec![0; HTTP_READ_BYTES].into() }
    }
}

impl hyper::rt::Read for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Io { conn, link, scratch } = self.get_mut();
        let room = buf.remaining().min(scratch.len());
        let read = futures::ready!(Pin::new(conn).poll_read(cx, &mut scratch[..room]))?;
        if read > 0 {
            link.received();
        }
        buf.put_slice(&scratch[..read]);
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Io { conn, link, .. } = self.get_mut();
        let result = Pin::new(conn).poll_write(cx, buf);
        match &result {
            Poll::Pending => link.write_waits(),
            Poll::Ready(_) => link.sent(),
        }
        result
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Io { conn, link, .. } = self.get_mut();
        let result = Pin::new(conn).poll_flush(cx);
        if result.is_pending() {
            link.write_waits();
        }
        result
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().conn).poll_close(cx)
    }
}

/// A response body that reports its end to the link by being dropped.
pub(super) struct Outgoing {
    body: Body,
    link: Rc<Link>,
}

impl Outgoing {
    pub fn new(body: Body, link: Rc<Link>) -> Outgoing {
        Outgoing { body, link }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.link.enter(Phase::Idle);
    }
}

impl hyper::body::Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut self.get_mut().body {
            Body::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Body::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Body::Stream(chunks) => {
                chunks.as_mut().poll_next(cx).map(|next| next.map(|chunk| chunk.map(Frame::data)))
            }
            Body::Upgrade(_) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Body::Full(bytes) => bytes.is_empty(),
            Body::Stream(_) => false,
            Body::Upgrade(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Body::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Stream(_) => SizeHint::default(),
            Body::Upgrade(_) => SizeHint::with_exact(0),
        }
    }
}

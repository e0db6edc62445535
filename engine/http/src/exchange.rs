//! One request and its answer on a connection of a client: a library that drives connections by itself passes all through
//! channels, and that was a tenth of what a webhook adds to a message.

use crate::answer::{self, Answer};
use crate::failure::Failure;
use crate::limits::HTTP_CLIENT_READ_BYTES;
use futures::io::{AsyncRead, AsyncWrite};
use hyper::body::Bytes;
use hyper::{Request, Response};
use ringmta_io::Conn;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A connection to a server, between requests or in the middle of one.
pub(crate) struct Connected {
    conn: Conn,
    /// What has come and was not used yet is `buffer[used..end]`.
    buffer: Vec<u8>,
    used: usize,
    end: usize,
    /// No other request can follow.
    has_ended: bool,
}

/// What is still to be sent.
struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    is_flushed: bool,
    /// The server takes nothing more. It may have said why before.
    failed: Option<io::Error>,
}

impl Connected {
    pub(crate) fn new(conn: Conn) -> Connected {
        let buffer = vec![0; HTTP_CLIENT_READ_BYTES];
        Connected { conn, buffer, used: 0, end: 0, has_ended: false }
    }

    /// Whether no other request can follow.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether another request may be sent: the server has said nothing unasked, nor closed the connection.
    pub(crate) async fn is_quiet(&mut self) -> bool {
        let Connected { conn, buffer, .. } = self;
        poll_fn(|cx| Poll::Ready(Pin::new(&mut *conn).poll_read(cx, buffer).is_pending())).await
    }

    /// Sends a request, and reads its answer of at most `most` bytes, and whether that is whole. The answer may come before
    /// all of the request is sent.
    ///
    /// # Errors
    /// Why there is no answer. The connection cannot be used again then.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Bytes>,
        most: usize,
    ) -> Result<(Response<Vec<u8>>, Result<(), Failure>), Failure> {
        self.has_ended = true;
        let (bytes, mut answer) = answer::to(request, most)?;
        let mut outgoing = Outgoing { bytes, sent: 0, is_flushed: false, failed: None };
        let whole = self.read(&mut answer, &mut outgoing).await;
        if whole.is_ok() {
            self.has_ended = answer.must_close() || !outgoing.is_done() || self.used < self.end;
        }
        (self.used, self.end) = (0, 0);
        // A long header was a rare one.
        self.buffer.truncate(HTTP_CLIENT_READ_BYTES);
        self.buffer.shrink_to_fit();
        match (answer.into_response(), whole) {
            (Some(response), whole) => Ok((response, whole)),
            (None, Err(why)) => Err(why),
            (None, Ok(())) => Err(Failure::Bad("the answer has no header")),
        }
    }

    async fn read(&mut self, answer: &mut Answer, outgoing: &mut Outgoing) -> Result<(), Failure> {
        loop {
            let heard = self.hear(outgoing).await?;
            if heard == 0 {
                // What was wrong first says more.
                return answer.end().map_err(|why| outgoing.failed.take().map_or(why, Failure::Io));
            }
            self.used += answer.take(&self.buffer[self.used..self.end])?;
            if answer.is_whole() {
                return Ok(());
            }
        }
    }

    /// Waits until something comes, and sends meanwhile what is left to be sent. How many bytes have come; 0 is the end.
    async fn hear(&mut self, outgoing: &mut Outgoing) -> io::Result<usize> {
        self.make_room();
        let Connected { conn, buffer, end, .. } = self;
        let heard = poll_fn(|cx| {
            outgoing.poll_send(conn, cx);
            Pin::new(&mut *conn).poll_read(cx, &mut buffer[*end..])
        })
        .await;
        match heard {
            Ok(bytes) => *end += bytes,
            // What was wrong first says more.
            Err(error) => return Err(outgoing.failed.take().unwrap_or(error)),
        }
        heard
    }

    fn make_room(&mut self) {
        if self.used > 0 {
            self.buffer.copy_within(self.used..self.end, 0);
            (self.used, self.end) = (0, self.end - self.used);
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
    }
}

impl Outgoing {
    fn is_done(&self) -> bool {
        self.is_flushed && self.failed.is_none()
    }

    /// Sends as much as the connection takes now.
    fn poll_send(&mut self, conn: &mut Conn, cx: &mut Context<'_>) {
        while self.failed.is_none() && !self.is_flushed {
            let left = &self.bytes[self.sent..];
            let result = match left.is_empty() {
                true => Pin::new(&mut *conn).poll_flush(cx).map_ok(|()| self.is_flushed = true),
                false => Pin::new(&mut *conn).poll_write(cx, left).map(|sent| match sent? {
                    0 => Err(io::ErrorKind::WriteZero.into()),
                    bytes => {
                        self.sent += bytes;
                        Ok(())
                    }
                }),
            };
            match result {
                Poll::Pending => return,
                Poll::Ready(result) => self.failed = result.err(),
            }
        }
    }
}

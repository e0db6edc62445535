//! One request and its answer on a connection of a client, by the protocol of `ureq-proto`, which does no I/O: a library that
//! drives connections by itself passes all through channels, and that was a tenth of what a webhook adds to a message.

use crate::limits::{HTTP_CLIENT_READ_BYTES, HTTP_HEAD_BYTES};
use futures::io::{AsyncRead, AsyncWrite};
use hyper::body::Bytes;
use hyper::header::{HeaderValue, CONTENT_LENGTH, TRANSFER_ENCODING};
use hyper::{Method, Request, Response};
use ringmta_io::Conn;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use ureq_proto::client::state::{RecvBody, RecvResponse};
use ureq_proto::client::{
    Await100Result, Call, RecvBodyResult, RecvResponseResult, SendRequestResult,
};
use ureq_proto::BodyMode;

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// The time that the request was given is over.
    TimedOut,
    /// The request cannot be sent: what is wrong with it.
    Bad(&'static str),
    /// No connection, or it broke.
    Io(std::io::Error),
    /// The request, or the answer, is none of HTTP/1.1.
    Http(ureq_proto::Error),
    /// The answer is longer than it may be: bytes.
    TooLong(usize),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::TimedOut => out.write_str("timed out"),
            Failure::Bad(what) => out.write_str(what),
            Failure::Io(error) => error.fmt(out),
            Failure::Http(error) => error.fmt(out),
            Failure::TooLong(most) => write!(out, "the answer is longer than {most} bytes"),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::Io(error)
    }
}

impl From<ureq_proto::Error> for Failure {
    fn from(error: ureq_proto::Error) -> Failure {
        Failure::Http(error)
    }
}

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
        let (bytes, mut call) = written(request)?;
        let mut outgoing = Outgoing { bytes, sent: 0, is_flushed: false, failed: None };
        let head = self.head(&mut call, &mut outgoing).await?;
        let (answer, must_close) = match call.proceed() {
            Some(RecvResponseResult::RecvBody(call)) => {
                match self.body(call, &mut outgoing, most).await {
                    Ok((content, must_close)) => (head.map(|()| content), must_close),
                    Err(why) => return Ok((head.map(|()| Vec::new()), Err(why))),
                }
            }
            Some(RecvResponseResult::Cleanup(call)) => {
                (head.map(|()| Vec::new()), call.must_close_connection())
            }
            Some(RecvResponseResult::Redirect(call)) => {
                (head.map(|()| Vec::new()), call.must_close_connection())
            }
            None => return Err(Failure::Bad("the answer has no end")),
        };
        self.has_ended = must_close || !outgoing.is_done() || self.used < self.end;
        (self.used, self.end) = (0, 0);
        // A long header was a rare one.
        self.buffer.truncate(HTTP_CLIENT_READ_BYTES);
        self.buffer.shrink_to_fit();
        Ok((answer, Ok(())))
    }

    /// The status and the header of the answer.
    async fn head(
        &mut self,
        call: &mut Call<RecvResponse>,
        outgoing: &mut Outgoing,
    ) -> Result<Response<()>, Failure> {
        let mut has_line = false;
        loop {
            // It is looked at anew with each line, not with each byte that comes.
            while has_line {
                let (used, head) = call.try_response(&self.buffer[self.used..self.end], false)?;
                self.used += used;
                if let Some(head) = head {
                    return Ok(head);
                }
                // Interim answers (RFC 9110, 15.2) are passed over.
                has_line = used > 0;
            }
            if self.end - self.used >= HTTP_HEAD_BYTES {
                return Err(Failure::TooLong(HTTP_HEAD_BYTES));
            }
            let came = self.hear(outgoing).await?;
            if came == 0 {
                return Err(outgoing.failed.take().unwrap_or_else(ended_early).into());
            }
            has_line = self.buffer[self.end - came..self.end].contains(&b'\n');
        }
    }

    /// The body of the answer, and whether the connection must be closed.
    async fn body(
        &mut self,
        mut call: Call<RecvBody>,
        outgoing: &mut Outgoing,
        most: usize,
    ) -> Result<(Vec<u8>, bool), Failure> {
        let until_end = call.body_mode() == BodyMode::CloseDelimited;
        let mut content = Vec::new();
        loop {
            let (part, before) = (&self.buffer[self.used..self.end], content.len());
            content.resize(before + part.len(), 0);
            let (used, given) = call.read(part, &mut content[before..])?;
            self.used += used;
            content.truncate(before + given);
            if content.len() > most {
                return Err(Failure::TooLong(most));
            }
            if call.can_proceed() && !until_end {
                break;
            }
            if used + given > 0 {
                continue;
            }
            if self.end - self.used >= HTTP_HEAD_BYTES {
                return Err(Failure::Bad("a chunk of the answer has no end"));
            }
            match self.hear(outgoing).await? {
                0 if until_end => break,
                0 => return Err(outgoing.failed.take().unwrap_or_else(ended_early).into()),
                _ => {}
            }
        }
        let must_close = match call.proceed() {
            Some(RecvBodyResult::Cleanup(call)) => call.must_close_connection(),
            Some(RecvBodyResult::Redirect(call)) => call.must_close_connection(),
            None => true,
        };
        Ok((content, must_close || until_end))
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

fn ended_early() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the server closed the connection before its answer ended",
    )
}

/// A request as it is sent, and what its answer is read by.
fn written(mut request: Request<Bytes>) -> Result<(Vec<u8>, Call<RecvResponse>), Failure> {
    let body = std::mem::take(request.body_mut());
    // Its length is known here, whatever the caller says of it.
    request.headers_mut().remove(TRANSFER_ENCODING);
    let has_body = [Method::POST, Method::PUT, Method::PATCH].contains(request.method());
    if has_body || !body.is_empty() {
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    } else {
        request.headers_mut().remove(CONTENT_LENGTH);
    }
    let (mut bytes, room) = (Vec::new(), room_for(&request));
    bytes.reserve_exact(room + body.len());
    bytes.resize(room, 0);
    let mut call = Call::new(request.map(drop))?;
    call.allow_non_standard_methods(true);
    if !body.is_empty() {
        call.force_send_body();
    }
    let mut call = call.proceed();
    let head = call.write(&mut bytes)?;
    bytes.truncate(head);
    bytes.extend_from_slice(&body);
    let call = match call.proceed()? {
        Some(SendRequestResult::SendBody(call)) => Ok(call),
        Some(SendRequestResult::RecvResponse(call)) => Err(call),
        // It is not waited for: the body goes with the header.
        Some(SendRequestResult::Await100(call)) => match call.proceed()? {
            Await100Result::SendBody(call) => Ok(call),
            Await100Result::RecvResponse(call) => Err(call),
        },
        None => return Err(Failure::Bad("the request has too many headers")),
    };
    let call = match call {
        Err(call) => Some(call),
        Ok(mut call) => {
            call.consume_direct_write(body.len())?;
            call.proceed()
        }
    };
    Ok((bytes, call.ok_or(Failure::Bad("the request has no end"))?))
}

/// Bytes that a request's head takes at the most.
fn room_for(request: &Request<Bytes>) -> usize {
    let line = request.method().as_str().len()
        + request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    let fields =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    line + fields.sum::<usize>() + 64
}

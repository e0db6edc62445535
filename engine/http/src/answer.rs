//! A request of a client as it is sent, and its answer, read from bytes as they come, by the protocol of `ureq-proto`. There is
//! no I/O here, so that any bytes can be tried.

use crate::failure::Failure;
use crate::limits::{HTTP_CHUNK_OVERHEAD_BYTES, HTTP_HEAD_BYTES};
use hyper::body::Bytes;
use hyper::header::{HeaderValue, CONTENT_LENGTH, TRANSFER_ENCODING};
use hyper::{Method, Request, Response};
use std::io;
use ureq_proto::client::state::{RecvBody, RecvResponse};
use ureq_proto::client::{
    Await100Result, Call, RecvBodyResult, RecvResponseResult, SendRequestResult,
};
use ureq_proto::BodyMode;

/// The answer to a request, as far as it has come.
pub struct Answer {
    step: Step,
    head: Option<Response<()>>,
    content: Vec<u8>,
    /// Bytes of content at the most.
    most: usize,
    /// Bytes that were no content: headers and what is around chunks.
    overhead: usize,
    /// Bytes of what was not used that were looked at: none of them is used before another line has ended.
    seen: usize,
}

/// What comes next.
enum Step {
    Head(Call<RecvResponse>),
    Body(Call<RecvBody>),
    Nothing {
        must_close: bool,
    },
    /// Whatever comes: it is none of HTTP, too long, or cut.
    Failed,
}

impl Answer {
    fn of(call: Call<RecvResponse>, most: usize) -> Answer {
        let step = Step::Head(call);
        Answer { step, head: None, content: Vec::new(), most, overhead: 0, seen: 0 }
    }

    /// Whether all of it has come.
    pub fn is_whole(&self) -> bool {
        matches!(self.step, Step::Nothing { .. })
    }

    /// Whether no other request can follow on its connection.
    pub fn must_close(&self) -> bool {
        !matches!(self.step, Step::Nothing { must_close: false })
    }

    /// Status, header, and the content as far as it came. None without a whole header.
    pub fn into_response(self) -> Option<Response<Vec<u8>>> {
        Some(self.head?.map(|()| self.content))
    }

    /// Takes what has come. How many bytes of it were used: the rest must come again, before what comes next.
    ///
    /// # Errors
    /// It is none of HTTP/1.1, or longer than it may be.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        self.take_steps(bytes).inspect_err(|_| self.step = Step::Failed)
    }

    /// Nothing comes any more.
    ///
    /// # Errors
    /// It is not whole.
    pub fn end(&mut self) -> Result<(), Failure> {
        let is_whole = match &self.step {
            Step::Nothing { .. } => true,
            Step::Body(call) => call.body_mode() == BodyMode::CloseDelimited,
            Step::Head(_) | Step::Failed => false,
        };
        self.step = if is_whole { Step::Nothing { must_close: true } } else { Step::Failed };
        if is_whole {
            return Ok(());
        }
        let why = "the server closed the connection before its answer ended";
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, why).into())
    }

    fn take_steps(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        let mut used = 0;
        while used < bytes.len() && !self.is_whole() {
            let rest = &bytes[used..];
            // It is looked at anew with each line, not with each byte that comes.
            let is_new = |came: &[u8]| self.seen == 0 || came.contains(&b'\n');
            let is_new = rest.get(self.seen..).is_none_or(is_new);
            let step = if is_new { self.take_step(rest)? } else { 0 };
            used += step;
            self.seen = if step == 0 { rest.len() } else { 0 };
            self.check_lengths()?;
            if step == 0 {
                break;
            }
        }
        Ok(used)
    }

    fn take_step(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        match &mut self.step {
            Step::Head(call) => {
                // Interim answers (RFC 9110, 15.2) are used, and are none.
                let (used, head) = call.try_response(bytes, false)?;
                self.overhead += used;
                if head.is_some() {
                    self.head = head;
                    self.go_on()?;
                }
                Ok(used)
            }
            Step::Body(call) => {
                let before = self.content.len();
                self.content.resize(before + bytes.len(), 0);
                let read = call.read(bytes, &mut self.content[before..]);
                self.content.truncate(before + read.as_ref().map_or(0, |(_, given)| *given));
                let (used, given) = read?;
                self.overhead += used - given;
                if call.can_proceed() && call.body_mode() != BodyMode::CloseDelimited {
                    self.go_on()?;
                }
                Ok(used)
            }
            Step::Nothing { .. } | Step::Failed => Ok(0),
        }
    }

    fn check_lengths(&self) -> Result<(), Failure> {
        if self.content.len() > self.most {
            return Err(Failure::TooLong(self.most));
        }
        let around = self.content.len().saturating_mul(HTTP_CHUNK_OVERHEAD_BYTES);
        if self.seen >= HTTP_HEAD_BYTES || self.overhead > HTTP_HEAD_BYTES.saturating_add(around) {
            return Err(Failure::TooLong(HTTP_HEAD_BYTES));
        }
        Ok(())
    }

    /// Header or body have come.
    fn go_on(&mut self) -> Result<(), Failure> {
        let next = match std::mem::replace(&mut self.step, Step::Failed) {
            Step::Head(call) => call.proceed().map(|next| match next {
                RecvResponseResult::RecvBody(call) => Step::Body(call),
                RecvResponseResult::Cleanup(call) => ended(call.must_close_connection()),
                RecvResponseResult::Redirect(call) => ended(call.must_close_connection()),
            }),
            Step::Body(call) => call.proceed().map(|next| match next {
                RecvBodyResult::Cleanup(call) => ended(call.must_close_connection()),
                RecvBodyResult::Redirect(call) => ended(call.must_close_connection()),
            }),
            Step::Nothing { .. } | Step::Failed => None,
        };
        self.step = next.ok_or(Failure::Bad("the answer has no end"))?;
        Ok(())
    }
}

fn ended(must_close: bool) -> Step {
    Step::Nothing { must_close }
}

/// A request as it is sent, and its answer of at most `most` bytes of content, of which nothing has come yet.
///
/// # Errors
/// The request cannot be sent.
pub fn to(mut request: Request<Bytes>, most: usize) -> Result<(Vec<u8>, Answer), Failure> {
    if request.method() == Method::CONNECT {
        return Err(Failure::Bad(
            "CONNECT asks a proxy for a connection, and no server for an answer",
        ));
    }
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
    let call = call.ok_or(Failure::Bad("the request has no end"))?;
    Ok((bytes, Answer::of(call, most)))
}

/// Bytes that a request's head takes at the most.
fn room_for(request: &Request<Bytes>) -> usize {
    let line = request.method().as_str().len()
        + request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    let fields =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    line + fields.sum::<usize>() + 64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer to a POST, given `first` and then `again` and again. How many bytes it took until it was refused.
    fn refused_after(first: &[u8], again: &[u8]) -> usize {
        let request = Request::post("/").body(Bytes::new()).unwrap();
        let (_, mut answer) = to(request, 1000).unwrap();
        assert_eq!(answer.take(first).unwrap(), first.len());
        for number in 0..100_000 {
            match answer.take(again) {
                Ok(used) => assert_eq!((used, answer.is_whole()), (again.len(), false)),
                Err(Failure::TooLong(_)) => return number * again.len(),
                Err(why) => panic!("{why}"),
            }
        }
        panic!("it goes on for ever");
    }

    #[test]
    fn what_is_no_content_has_an_end() {
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let interim = refused_after(b"", b"HTTP/1.1 102 Processing\r\nx: y\r\n\r\n");
        let trailer = refused_after(&[&chunked[..], b"0\r\n"].concat(), b"x: y\r\n");
        for bytes in [interim, trailer] {
            assert!((HTTP_HEAD_BYTES - 100..=HTTP_HEAD_BYTES).contains(&bytes), "{bytes}");
        }
        // Chunks of one byte, with all that may stand around it, are refused for their content alone.
        let chunk = b"1;345678901234567890\r\nx\r\n";
        assert_eq!(chunk.len(), HTTP_CHUNK_OVERHEAD_BYTES + 1);
        assert_eq!(refused_after(chunked, chunk), 1000 * chunk.len());
    }

    #[test]
    fn a_body_goes_without_being_asked_for() {
        let request = Request::post("/").header("expect", "100-continue").header("host", "a.test");
        let (sent, mut answer) = to(request.body(Bytes::from("x")).unwrap(), 9).unwrap();
        assert!(sent.ends_with(b"\r\n\r\nx"));
        let said = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(answer.take(said).unwrap(), said.len());
        assert!(answer.is_whole() && !answer.must_close());
    }

    #[test]
    fn a_tunnel_is_not_asked_for() {
        let request = Request::connect("/").body(Bytes::new()).unwrap();
        assert!(matches!(to(request, 9), Err(Failure::Bad(why)) if why.contains("CONNECT")));
    }

    #[test]
    fn a_body_that_breaks_keeps_what_was_read_of_it() {
        let (_, mut answer) = to(Request::get("/").body(Bytes::new()).unwrap(), 9).unwrap();
        let said = b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n";
        assert_eq!(answer.take(said).unwrap(), said.len());
        assert!(matches!(answer.take(b"no size\r\nx").unwrap_err(), Failure::Http(_)));
        assert_eq!(answer.take(b"2\r\nok\r\n").unwrap(), 0, "it has failed");
        assert!(answer.must_close() && answer.end().is_err());
        let response = answer.into_response().unwrap();
        assert_eq!((response.status().as_u16(), &response.body()[..]), (202, &b"ok"[..]));
    }
}

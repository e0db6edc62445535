//! One connection from its first byte to its close.

use crate::adaptor::{Io, Outgoing};
use crate::body::{too_large, Decoder};
use crate::gate::{open_gate, Gate};
use crate::limits;
use crate::link::{Link, Overdue, Phase};
use crate::options::Options;
use crate::types::{Body, Query, Request, Response, Upgraded};
use futures::future::LocalBoxFuture;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{HeaderValue, CONNECTION};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::StatusCode;
use ringmta_io::receiving::Held;
use ringmta_io::{deadline, leave, mono_nanos, sleep, Conn};
use std::convert::Infallible;
use std::future::{poll_fn, Future};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Serves one connection until it ends, with the engine's usual deadlines.
pub async fn serve<H>(conn: Conn, peer: SocketAddr, body_limit: usize, handler: H)
where
    H: Fn(Request) -> LocalBoxFuture<'static, Response> + 'static,
{
    serve_with(conn, peer, &Options::new(body_limit, 0), open_gate(), handler).await;
}

/// Serves one connection until it ends, within `options`; `gate` decides who may ask.
pub async fn serve_with<H>(conn: Conn, peer: SocketAddr, options: &Options, gate: Gate, handler: H)
where
    H: Fn(Request) -> LocalBoxFuture<'static, Response> + 'static,
{
    let Some(local) = local_addr(&conn) else { return };
    let link = Rc::new(Link::new(options));
    let ends = Ends { peer, local };
    let (handler, shared, limits) = (Rc::new(handler), link.clone(), options.clone());
    let service = service_fn(move |incoming: hyper::Request<Incoming>| {
        let (handler, link, limits) = (handler.clone(), shared.clone(), limits.clone());
        let gate = gate.clone();
        link.enter(Phase::Busy);
        let answer = async move {
            let response = match read(incoming, ends, &limits, &gate).await {
                Ok(request) => handler(request).await,
                Err(refusal) => {
                    link.unread.set(true);
                    refusal
                }
            };
            Ok::<_, Infallible>(finish(response, link))
        };
        Box::pin(answer) as LocalBoxFuture<'static, _>
    });
    let mut http = http1::Builder::new();
    http.half_close(true).max_buf_size(limits::HTTP_HEAD_BYTES).header_read_timeout(None);
    let mut connection = http.serve_connection(Io::new(conn, link.clone()), service);
    let mut watch = Watch { link: link.clone(), timer: None };
    let end = poll_fn(|cx| {
        if let Poll::Ready(result) = connection.poll_without_shutdown(cx) {
            return Poll::Ready(End::Done(result.is_ok()));
        }
        watch.poll(cx).map(End::Cut)
    })
    .await;
    let parts = connection.into_parts();
    let (conn, early) = (parts.io.conn, parts.read_buf);
    let upgrade = link.upgrade.borrow_mut().take();
    match (end, upgrade) {
        (End::Done(true), Some(take_over)) => take_over(Upgraded { conn, early }).await,
        (End::Cut(Overdue::Head), _) => refuse_slow_head(conn, options.head).await,
        // The client may still be sending, whatever it has sent before (RFC 9112 section 9.6).
        (End::Done(_) | End::Cut(Overdue::Idle | Overdue::Write), _) => leave(conn),
    }
}

fn local_addr(conn: &Conn) -> Option<SocketAddr> {
    let stream = match conn {
        Conn::Plain(stream) => stream,
        Conn::Server(tls) => tls.get_ref().0,
        Conn::Client(tls) => tls.get_ref().0,
        Conn::Closed => return None,
    };
    stream.local_addr().ok()
}

/// How a connection ended: by itself (without an error?), or overdue.
enum End {
    Done(bool),
    Cut(Overdue),
}

#[derive(Clone, Copy)]
struct Ends {
    peer: SocketAddr,
    local: SocketAddr,
}

type Timer = Pin<Box<dyn Future<Output = ()>>>;

/// The one timer of a connection, armed for the nearest thing that can become overdue.
struct Watch {
    link: Rc<Link>,
    timer: Option<(u64, Timer)>,
}

impl Watch {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Overdue> {
        loop {
            let Some((due, what)) = self.link.due() else { return Poll::Pending };
            let now = mono_nanos();
            if due <= now {
                return Poll::Ready(what);
            }
            // A timer that fires too early is armed again; only one that is too late is replaced.
            let timer = match &mut self.timer {
                Some((at, timer)) if *at <= due => timer,
                slot => {
                    let timer: Timer = Box::pin(sleep(Duration::from_nanos(due - now)));
                    &mut slot.insert((due, timer)).1
                }
            };
            match timer.as_mut().poll(cx) {
                Poll::Ready(()) => self.timer = None,
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// Asks the gate about the head of a request, then reads its body within its limit, deadline and memory.
async fn read(
    incoming: hyper::Request<Incoming>,
    ends: Ends,
    options: &Options,
    gate: &Gate,
) -> Result<Request, Response> {
    let (head, body) = incoming.into_parts();
    let limit = options.body_limit;
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large(limit));
    }
    let request = Request {
        method: head.method,
        path: head.uri.path().to_string(),
        query: Query::parse(head.uri.query().unwrap_or("")),
        headers: head.headers,
        body: Bytes::new(),
        peer: ends.peer,
        local: ends.local,
        caller: None,
        held: Held::default(),
    };
    let mut request = gate(request).await?;
    let time = options.body;
    let encoding = request.header("content-encoding").map(str::to_ascii_lowercase);
    let mut whole = Decoder::new(encoding.as_deref(), limit, ends.peer.ip().into())?;
    match deadline(time, whole.take(body)).await {
        Ok(Ok(())) => (request.body, request.held) = whole.finish()?,
        Ok(Err(refusal)) => return Err(refusal),
        Err(_) => {
            let text = format!("the request body did not arrive within {} s\n", time.as_secs());
            return Err(Response::text(StatusCode::REQUEST_TIMEOUT, text));
        }
    }
    Ok(request)
}

/// Our response as hyper's.
fn finish(response: Response, link: Rc<Link>) -> hyper::Response<Outgoing> {
    let Response { status, headers, mut body } = response;
    if let Body::Upgrade(take_over) = body {
        *link.upgrade.borrow_mut() = Some(take_over);
        body = Body::Full(Bytes::new());
    }
    let unread = link.unread.get();
    let mut out = hyper::Response::new(Outgoing::new(body, link));
    *out.status_mut() = status;
    *out.headers_mut() = *headers;
    if unread {
        out.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    out
}

/// Answers a connection over the limit.
pub(super) async fn refuse(conn: Conn) {
    last_words(conn, "503 Service Unavailable", "too many connections, try again later\n").await;
}

/// Answers a connection of a peer that has as many as it may, or may have none for a while.
pub(super) async fn refuse_peer(conn: Conn, why: &str) {
    last_words(conn, "429 Too Many Requests", why).await;
}

async fn refuse_slow_head(conn: Conn, limit: Duration) {
    let text = format!("the request head did not arrive within {} s\n", limit.as_secs());
    last_words(conn, "408 Request Timeout", &text).await;
}

async fn last_words(mut conn: Conn, status: &str, text: &str) {
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{text}",
        text.len()
    );
    let limit = Duration::from_millis(limits::HTTP_LAST_WORDS_MS);
    if let Ok(Ok(())) = deadline(limit, conn.write_all(answer.as_bytes())).await {
        leave(conn);
    }
}

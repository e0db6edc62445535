//! HTTP/1.1 server glue: hyper's protocol over our sockets, with our limits and deadlines.
//!
//! A handler is given a whole [`Request`] (its body read within limit and deadline) and gives
//! back a [`Response`]. Everything runs in the task that awaits [`serve`] or [`listen`]; dropping
//! that future ends all of its connections.
//!
//! Who may ask is decided by the listener's [`Gate`] on the head of a request, before its body is read.
//!
//! Layout: `acceptor` the accept loop · `body` a request's body · `browser` requests of other sites' pages · `types` request and response · `link` what a connection's parts tell each other ·
//! `adaptor` our socket as hyper sees it · `driver` one connection from first byte to close.

mod acceptor;
mod adaptor;
mod body;
pub mod browser;
mod driver;
mod link;
mod types;

pub use acceptor::accept_each;
pub use driver::{serve, serve_with};
pub use hyper::body::Bytes;
pub use hyper::header;
pub use hyper::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
pub use types::{percent_decode, Body, Query, Request, Response, Upgraded};

use crate::certificates::ListenerTls;
use crate::io::{self, Conn, Listener};
use crate::limits;
use futures::future::LocalBoxFuture;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Looks at a request whose body has not been read, and gives it back, with its caller where that is known, or refuses it.
pub type Gate = Rc<dyn Fn(Request) -> LocalBoxFuture<'static, Result<Request, Response>>>;

/// Limits and deadlines of a server's connections.
#[derive(Clone)]
pub struct Options {
    /// Bytes of a request body; more is answered 413.
    pub body_limit: usize,
    /// Open connections of one listener; a further one is answered 503.
    pub connections: usize,
    /// Longest a kept-alive connection may rest between two requests.
    pub idle: Duration,
    /// Longest a request head may take from its first byte.
    pub head: Duration,
    /// Longest a request body may take.
    pub body: Duration,
    /// Longest a client may leave our bytes unread.
    pub write: Duration,
    /// TLS, when the listener speaks HTTPS.
    pub tls: Option<Arc<ListenerTls>>,
}

impl Options {
    /// The limits of `limits.rs` with this body limit and number of connections.
    pub fn new(body_limit: usize, connections: usize) -> Options {
        Options {
            body_limit,
            connections,
            idle: Duration::from_secs(limits::HTTP_IDLE_SECS),
            head: Duration::from_secs(limits::HTTP_HEAD_SECS),
            body: Duration::from_secs(limits::HTTP_BODY_SECS),
            write: Duration::from_secs(limits::HTTP_WRITE_SECS),
            tls: None,
        }
    }
}

/// Lets anyone ask but pages of other sites.
pub fn open_gate() -> Gate {
    Rc::new(|request| {
        let passed = browser::check(&request).map(|()| request);
        Box::pin(std::future::ready(passed))
    })
}

/// Accepts connections for ever and serves each with a handler of its own. Dropping the future
/// closes the listener and every connection.
pub async fn listen<M, H>(listener: Listener, options: Options, make_handler: M)
where
    M: Fn(SocketAddr) -> H,
    H: Fn(Request) -> LocalBoxFuture<'static, Response> + 'static,
{
    listen_behind(listener, options, open_gate(), make_handler).await;
}

/// The same; `gate` decides who may ask.
pub async fn listen_behind<M, H>(listener: Listener, options: Options, gate: Gate, make_handler: M)
where
    M: Fn(SocketAddr) -> H,
    H: Fn(Request) -> LocalBoxFuture<'static, Response> + 'static,
{
    let options = Rc::new(options);
    accept_each(listener, options.connections, |stream, peer, full| {
        if full {
            return Box::pin(driver::refuse(Conn::Plain(stream)));
        }
        let (handler, options, gate) = (make_handler(peer), options.clone(), gate.clone());
        Box::pin(async move {
            let conn = match &options.tls {
                None => Conn::Plain(stream),
                Some(tls) => match io::tls::accept(stream, tls.config()).await {
                    Ok(conn) => conn,
                    Err(_) => return,
                },
            };
            serve_with(conn, peer, &options, gate, handler).await;
        })
    })
    .await;
}

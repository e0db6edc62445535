//! The sandbox as it runs: its sockets, and what is behind each of them.

use crate::api::Api;
use crate::capture;
use crate::capture::Capture;
use crate::limits;
use crate::receiver::Receiver;
use crate::store::Store;
use crate::web::Web;
use futures::future::{select, select_all, LocalBoxFuture};
use ringmta_http as http;
use ringmta_io::listener::BoundSocket;
use ringmta_io::sockets::is_taken;
use ringmta_io::Listener;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;

/// Environment variable with the secret that the webhook receiver checks signatures with.
const WEBHOOK_SECRET: &str = "RINGMTA_WEBHOOK_SECRET";

/// What a sandbox is to be.
#[derive(Clone)]
pub struct SandboxConfig {
    /// Where mail is taken.
    pub smtp: SocketAddr,
    /// Where the page and the API are.
    pub web: SocketAddr,
    /// Messages kept; older ones give way.
    pub max_messages: usize,
    /// Where event records are taken, and the key they must carry.
    pub receiver: Option<(SocketAddr, String)>,
}

impl Default for SandboxConfig {
    /// Loopback only: what is captured is nobody else's business.
    fn default() -> SandboxConfig {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        SandboxConfig {
            smtp: loopback(1025),
            web: loopback(8025),
            max_messages: limits::SANDBOX_MESSAGES,
            receiver: None,
        }
    }
}

/// The addresses a sandbox listens on, with the real ports.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// Where mail is taken.
    pub smtp: SocketAddr,
    /// Where the page and the API are.
    pub web: SocketAddr,
    /// Where event records are taken.
    pub receiver: Option<SocketAddr>,
}

/// The sockets of a sandbox, bound on any thread and not yet listening.
pub struct Sockets {
    smtp: BoundSocket,
    web: BoundSocket,
    receiver: Option<BoundSocket>,
    /// Where they are.
    pub addresses: Bound,
}

impl Sockets {
    /// Binds them. Blocks while an address is asked for whether somebody listens there.
    ///
    /// # Errors
    /// When an address cannot be listened on; the text names it and the cure.
    pub fn bind(config: &SandboxConfig) -> io::Result<Sockets> {
        let smtp = bind("SMTP", config.smtp)?;
        let web = bind("web", config.web)?;
        let receiver = config.receiver.as_ref();
        let receiver = receiver.map(|(addr, _)| bind("webhook receiver", *addr)).transpose()?;
        let addresses = Bound {
            smtp: smtp.local_addr()?,
            web: web.local_addr()?,
            receiver: receiver.as_ref().map(BoundSocket::local_addr).transpose()?,
        };
        Ok(Sockets { smtp, web, receiver, addresses })
    }
}

/// Binds the sockets of a sandbox and runs it. `bound` is called once all are bound.
///
/// # Errors
/// As [`Sockets::bind`] and [`run_on`].
pub async fn run(
    config: SandboxConfig,
    bound: impl FnOnce(&Bound),
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let sockets = Sockets::bind(&config)?;
    run_on(sockets, config, bound, stop).await
}

/// Runs a sandbox on the current executor until `stop` is done. `bound` is called once all
/// sockets listen.
///
/// # Errors
/// As listen(2).
pub async fn run_on(
    sockets: Sockets,
    config: SandboxConfig,
    bound: impl FnOnce(&Bound),
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let addresses = sockets.addresses;
    let (smtp, web) = (Listener::open(sockets.smtp)?, Listener::open(sockets.web)?);
    let receiver = sockets.receiver.map(Listener::open).transpose()?;
    let receiver = receiver.zip(config.receiver.as_ref().map(|(_, key)| key));
    let store = Rc::new(Store::new(config.max_messages, limits::SANDBOX_BYTES));
    let api = Api::new(store.clone(), addresses.smtp.to_string());
    let pages = Rc::new(Web::new(api));
    let capture = Rc::new(Capture::new(store));
    let mut parts: Vec<LocalBoxFuture<'_, ()>> = vec![
        Box::pin(capture::listen(smtp, capture)),
        Box::pin(http::listen(web, options(limits::SANDBOX_SEND_BYTES), move |_| {
            pages.clone().handler()
        })),
    ];
    if let Some((listener, key)) = receiver {
        let secret = std::env::var(WEBHOOK_SECRET).ok();
        let receiver = Rc::new(Receiver::new(key).with_secret(secret.as_deref()));
        parts.push(Box::pin(http::listen(
            listener,
            options(limits::RECEIVER_BODY_BYTES),
            move |_| receiver.clone().handler(),
        )));
    }
    bound(&addresses);
    select(select_all(parts), pin!(stop)).await;
    Ok(())
}

fn options(body_limit: usize) -> http::Options {
    http::Options::new(body_limit, limits::SANDBOX_CONNECTIONS)
}

/// Listens, and refuses an address where someone listens already: our sockets share ports among
/// shards, so the system would let two sandboxes share one and give each of them half of the mail.
fn bind(what: &str, address: SocketAddr) -> io::Result<BoundSocket> {
    let failed = |error: io::Error| {
        let cure = match error.kind() {
            io::ErrorKind::AddrInUse => "stop what listens there, or choose another port",
            io::ErrorKind::PermissionDenied => "choose a port above 1023, or start as root",
            io::ErrorKind::AddrNotAvailable => "choose an address of this machine",
            _ => "choose another address",
        };
        io::Error::new(error.kind(), format!("{what} cannot listen on {address}: {error}; {cure}"))
    };
    if address.port() != 0 && is_taken(address) {
        return Err(failed(io::Error::from(io::ErrorKind::AddrInUse)));
    }
    BoundSocket::bind(address).map_err(failed)
}

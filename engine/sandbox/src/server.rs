//! The sandbox as it runs: its sockets, and what is behind each of them.

use crate::api::{not_found, Api};
use crate::capture::Capture;
use crate::chaos::Chaos;
use crate::codes::Codes;
use crate::database::Database;
use crate::offload::Helpers;
use crate::place::Place;
use crate::receiver::Receiver;
use crate::release::Outbound;
use crate::settings::{Prometheus, Settings};
use crate::store::Store;
use crate::web::Web;
use crate::{capture, cors, limits, metrics, pop3, webhook};
use futures::future::{select, select_all, LocalBoxFuture};
use ringmta_http as http;
use ringmta_io::listener::BoundSocket;
use ringmta_io::tls::ServerTls;
use ringmta_io::Listener;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Environment variable with the secret that the webhook receiver checks signatures with.
const WEBHOOK_SECRET: &str = "RINGMTA_WEBHOOK_SECRET";

/// What a sandbox is to be.
#[derive(Clone)]
pub struct SandboxConfig {
    /// Where mail is taken.
    pub smtp: Place,
    /// Where the page and the API are.
    pub web: Place,
    /// Everything else.
    pub settings: Settings,
    /// Where event records are taken, and the key they must carry.
    pub receiver: Option<(SocketAddr, String)>,
}

impl Default for SandboxConfig {
    /// Loopback only: what is captured is nobody else's business.
    fn default() -> SandboxConfig {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        SandboxConfig {
            smtp: loopback(1025).into(),
            web: loopback(8025).into(),
            settings: Settings::default(),
            receiver: None,
        }
    }
}

/// The addresses a sandbox listens on, with the real ports; [`ringmta_io::unix::ADDRESS`] for a Unix socket.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// Where mail is taken.
    pub smtp: SocketAddr,
    /// Where the page and the API are.
    pub web: SocketAddr,
    /// Where POP3 is spoken.
    pub pop3: Option<SocketAddr>,
    /// Where metrics are, when they have an address of their own.
    pub metrics: Option<SocketAddr>,
    /// Where event records are taken.
    pub receiver: Option<SocketAddr>,
}

/// The sockets of a sandbox, bound on any thread and not yet listening.
pub struct Sockets {
    smtp: BoundSocket,
    web: BoundSocket,
    metrics: Option<BoundSocket>,
    pop3: Option<BoundSocket>,
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
        let smtp = config.smtp.bind("SMTP")?;
        let web = config.web.bind("web")?;
        let metrics = match config.settings.prometheus {
            Prometheus::At(addr) => Some(Place::Tcp(addr).bind("metrics")?),
            Prometheus::Off | Prometheus::Here => None,
        };
        let pop3 = config.settings.pop3.as_ref();
        let pop3 = pop3.map(|pop3| Place::Tcp(pop3.address).bind("POP3")).transpose()?;
        let receiver = config.receiver.as_ref();
        let receiver =
            receiver.map(|(addr, _)| Place::Tcp(*addr).bind("webhook receiver")).transpose()?;
        let addresses = Bound {
            smtp: smtp.local_addr()?,
            web: web.local_addr()?,
            metrics: metrics.as_ref().map(BoundSocket::local_addr).transpose()?,
            pop3: pop3.as_ref().map(BoundSocket::local_addr).transpose()?,
            receiver: receiver.as_ref().map(BoundSocket::local_addr).transpose()?,
        };
        Ok(Sockets { smtp, web, metrics, pop3, receiver, addresses })
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
    let metrics = sockets.metrics.map(Listener::open).transpose()?;
    let pop3 = sockets.pop3.map(Listener::open).transpose()?;
    let receiver = sockets.receiver.map(Listener::open).transpose()?;
    let receiver = receiver.zip(config.receiver.as_ref().map(|(_, key)| key));
    let settings = Rc::new(config.settings.clone());
    let store = Rc::new(open_store(&settings)?);
    let (chaos, helpers) =
        (Rc::new(Chaos::new(settings.chaos.clone())), Helpers::new(limits::SANDBOX_HELPERS));
    let codes = Codes::new().map_err(io::Error::other)?;
    let new_api = || {
        let smtp = config.smtp.bound(addresses.smtp).to_string();
        let (store, settings, chaos) = (store.clone(), settings.clone(), chaos.clone());
        Api::new(store, settings, chaos, helpers.clone(), smtp, codes.clone())
    };
    let pages = Rc::new(Web::new(new_api()));
    let outbound = Outbound::new(settings.clone(), helpers.clone());
    let capture = Rc::new(Capture::new(store.clone(), settings.clone(), chaos.clone(), outbound));
    let mut web_options = options(limits::SANDBOX_SEND_BYTES);
    web_options.tls = settings.web_tls.clone().map(|tls| Arc::new(ServerTls::new(tls)));
    let answer = move |_| pages.clone().handler();
    let mut parts: Vec<LocalBoxFuture<'_, ()>> = vec![
        Box::pin(capture::listen(smtp, capture)),
        Box::pin(http::listen_behind(web, web_options, cors::gate(settings.clone()), answer)),
        Box::pin(expire(store.clone())),
    ];
    if let Some(webhook) = settings.webhook.clone() {
        let untrusted = settings.untrusted_tls;
        parts.push(Box::pin(webhook::tell(webhook, untrusted, store.clone(), helpers.clone())));
    }
    if let Some(listener) = metrics {
        let api = Rc::new(new_api());
        parts.push(Box::pin(http::listen(
            listener,
            options(limits::SANDBOX_BODY_BYTES),
            move |_| metrics_only(api.clone()),
        )));
    }
    if let Some((listener, pop3)) = pop3.zip(settings.pop3.clone()) {
        parts.push(Box::pin(pop3::listen(listener, pop3, store.clone())));
    }
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
    [&config.smtp, &config.web].into_iter().for_each(Place::leave);
    Ok(())
}

fn open_store(settings: &Settings) -> io::Result<Store> {
    let keeping = settings.keeping.clone();
    match &settings.database {
        None => Ok(Store::in_memory(keeping)),
        Some(file) => {
            let database = Database::open(file, keeping.most()).map_err(io::Error::other)?;
            Ok(Store::in_database(database, keeping))
        }
    }
}

/// Drops old messages for ever.
async fn expire(store: Rc<Store>) {
    loop {
        if let Err(failed) = store.expire().await {
            tracing::error!(error = failed.0, "old messages of the inbox");
        }
        ringmta_io::sleep(Duration::from_secs(limits::SANDBOX_EXPIRE_SECS)).await;
    }
}

/// The handler of an address that has metrics alone.
fn metrics_only(api: Rc<Api>) -> impl Fn(http::Request) -> LocalBoxFuture<'static, http::Response> {
    move |request| {
        let api = api.clone();
        Box::pin(async move {
            match request.path.as_str() {
                "/metrics" => metrics::answer(&api).await.unwrap_or_else(http::Response::from),
                _ => not_found(),
            }
        })
    }
}

fn options(body_limit: usize) -> http::Options {
    http::Options::new(body_limit, limits::SANDBOX_CONNECTIONS)
}

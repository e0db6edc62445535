//! Opens a connection to a site: candidate hosts in order, greeting, EHLO, TLS, AUTH.

use crate::client_tls;
use crate::key_source;
use crate::limits::HOST_LOOKUP_SECONDS;
use crate::proxy;
use crate::proxy::{At, Connected, Failure, Stage};
use crate::routing::mx::shuffle_equals;
use crate::stage::Egress;
use crate::tap::Tap;
use crate::timed::timed;
use crate::wire::Wire;
use crate::words;
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use futures::future::join_all;
use ringmta_events::metrics::Step;
use ringmta_io::{deadline, mono_nanos, random_u64, tls, Conn};
use ringmta_policy::{EgressPath, EnableTls};
use ringmta_queue::connections::Connection;
use ringmta_queue::limits::CANDIDATE_HOSTS_MAX;
use ringmta_queue::model::ReadyQueue;
use ringmta_queue::plan::PlanHost;
use ringmta_shard::trace::Seen;
use ringmta_smtp::client::capabilities::Capabilities;
use ringmta_smtp::response::Response;
use ringmta_smtp::via::TlsInfo;
use ringmta_smtp::via::Via;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

/// An open, greeted connection.
pub struct Opened {
    /// The connection.
    pub wire: Wire,
    /// What the peer offers.
    pub offers: Capabilities,
    /// Host name it was reached under.
    pub host: String,
    /// Its address.
    pub peer: SocketAddr,
    /// Ours.
    pub local: Option<SocketAddr>,
    /// The proxy in between: protocol, address.
    pub proxy: Option<(&'static str, SocketAddr)>,
    /// Under TLS: what it came to.
    pub tls: Option<TlsInfo>,
}

impl Opened {
    /// A delivery of `ready` over this connection, as records tell it.
    pub fn via(&self, ready: &ReadyQueue, session_id: String) -> Via {
        Via {
            host: self.host.clone(),
            peer: Some(self.peer),
            local: self.local,
            proxy: self.proxy,
            tls: self.tls.clone(),
            ..ready.via(session_id)
        }
    }
}

/// One address to try.
struct Candidate {
    host: String,
    addr: SocketAddr,
}

/// Why no connection was opened.
pub enum Unopened {
    /// There is no host to try: this holds for all that waits. Permanent when the site can never be reached under this
    /// policy.
    NoHost(Response),
    /// No host took us: what each of them said or did, word for word.
    NoneTookUs(Response),
}

/// Connects to the first host of the site that takes us.
///
/// # Errors
/// A response that stands for all of them.
pub async fn open(
    egress: &Rc<Egress>,
    ready: &ReadyQueue,
    connection: &Connection,
    tap: &Tap,
) -> Result<Opened, Unopened> {
    tap.tell(&Seen::Mark("BeginSession"));
    let path = effective_path(ready);
    let candidates = candidates(egress, ready, &path).await;
    let mut candidates = candidates.map_err(Unopened::NoHost)?;
    // Stable: otherwise in the order of preference.
    candidates.sort_by_key(|candidate| ready.dead_hosts.has(candidate.addr));
    let known: Vec<_> = candidates.iter().map(|to| (to.host.clone(), to.addr)).collect();
    tap.plan(&known);
    let mut failures = Vec::new();
    for candidate in candidates.into_iter().take(CANDIDATE_HOSTS_MAX) {
        *connection.host.borrow_mut() = format!("{} ({})", candidate.host, candidate.addr);
        tap.remark("INFO", || format!("Attempting connection to {}", candidate.addr));
        match open_one(egress, ready, &path, (&candidate, tap)).await {
            Ok(opened) => {
                ready.dead_hosts.forget(candidate.addr);
                return Ok(opened);
            }
            // Another host of the site may well take us, whatever this one says (RFC 5321 section 5.1).
            Err(failure) => {
                tap.remark("ERROR", || failure.why.clone());
                failures.push((failure.cause, failure.why));
            }
        }
    }
    Err(Unopened::NoneTookUs(Response::internal(400, words::no_host(&failures))))
}

/// The path, with what the domain demands by MTA-STS: TLS to a host that proves its name, and never
/// without (RFC 8461 section 5).
fn effective_path(ready: &ReadyQueue) -> Rc<EgressPath> {
    let path = ready.path();
    if !path.enable_mta_sts || ready.plan.borrow().sts.is_none() {
        return path;
    }
    Rc::new(EgressPath { enable_tls: EnableTls::Required, ..(*path).clone() })
}

async fn candidates(
    egress: &Egress,
    ready: &ReadyQueue,
    path: &EgressPath,
) -> Result<Vec<Candidate>, Response> {
    let (mut hosts, fixed) = {
        let plan = ready.plan.borrow();
        (plan.hosts.clone(), plan.fixed)
    };
    if !fixed {
        shuffle_equals(&mut hosts);
    }
    let default_port = ready.source.borrow().remote_port.unwrap_or(path.smtp_port);
    let found = join_all(hosts.iter().map(|host| addresses(egress, path, host))).await;
    let (mut list, mut out_of_reach) = (Vec::new(), Vec::new());
    let (mut prohibited, mut skipped) = (None, false);
    for (host, found) in hosts.iter().zip(found) {
        let mut found = found.unwrap_or_else(|why| {
            *ready.last_trouble.borrow_mut() = format!("{}: {why}", host.name);
            Vec::new()
        });
        rotate(&mut found);
        for ip in found {
            if path.prohibited_hosts.contains(ip) {
                prohibited.get_or_insert_with(|| format!("{}./{ip}", host.name));
            } else if path.skip_hosts.contains(ip) {
                skipped = true;
            } else {
                let addr = SocketAddr::new(ip, host.port.unwrap_or(default_port));
                let fits = fits_source(ready, ip);
                let list = if fits { &mut list } else { &mut out_of_reach };
                list.push(Candidate { host: host.name.clone(), addr });
            }
        }
    }
    // Those that the source cannot reach say so when there is no other.
    if list.is_empty() {
        list = out_of_reach;
    }
    if !list.is_empty() {
        return Ok(list);
    }
    Err(no_candidate(path, prohibited, skipped))
}

/// Why no host is left to try.
fn no_candidate(path: &EgressPath, prohibited: Option<String>, skipped: bool) -> Response {
    let of = |code, enhanced, content| Response { code, enhanced, content, command: None };
    if let Some(host) = prohibited {
        let list = path.prohibited_hosts.to_string();
        let text = format!("{host} is on the list of prohibited_hosts {list}");
        return of(550, Some((5, 4, 4)), text);
    }
    let unresolved = Some((4, 4, 4));
    if skipped {
        let text = "MX consisted solely of hosts on the skip_hosts list";
        return Response { enhanced: unresolved, ..Response::internal(451, text) };
    }
    of(451, unresolved, "MX didn't resolve to any hosts".into())
}

/// Addresses of one host, within a time for all that is asked of it.
async fn addresses(
    egress: &Egress,
    path: &EgressPath,
    host: &PlanHost,
) -> Result<Vec<IpAddr>, String> {
    if let Some(addr) = host.addr {
        return Ok(vec![addr]);
    }
    let limit = Duration::from_secs(HOST_LOOKUP_SECONDS);
    let asked = egress.resolver.addresses(&host.name, path.ip_lookup_strategy);
    match deadline(limit, asked).await {
        Ok(found) => found.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no address within {limit:?}")),
    }
}

/// A host with several addresses is tried at any of them (RFC 5321 section 5.1); the families keep the order
/// that the path's strategy has put them in.
fn rotate(addresses: &mut [IpAddr]) {
    for family in addresses.chunk_by_mut(|a, b| a.is_ipv4() == b.is_ipv4()) {
        let by = random_u64() as usize % family.len().max(1);
        family.rotate_left(by);
    }
}

/// A source bound to one family cannot reach the other.
fn fits_source(ready: &ReadyQueue, ip: IpAddr) -> bool {
    proxy::leaves_from(&ready.source.borrow()).is_none_or(|from| from.is_ipv4() == ip.is_ipv4())
}

async fn open_one(
    egress: &Rc<Egress>,
    ready: &ReadyQueue,
    path: &EgressPath,
    (to, tap): (&Candidate, &Tap),
) -> Result<Opened, Failure> {
    let in_clear =
        path.enable_tls == EnableTls::Disabled || ready.tls_broken_until.get() > mono_nanos();
    let (why, certificate) = match attempt(egress, ready, path, (to, tap), in_clear).await {
        Err(Failed::Tls { why, certificate }) => (why, certificate),
        Err(Failed::Other(why)) => return Err(why),
        Ok(opened) => return Ok(opened),
    };
    let remember = path.remember_broken_tls;
    let told_to = remember.is_some() || path.opportunistic_tls_reconnect_on_failed_handshake;
    // Mail whose policy does not demand TLS is not held up by a peer's broken TLS (RFC 7435 section 3). A
    // certificate that does not verify is what `Opportunistic`, unlike `OpportunisticInsecure`, refuses.
    if !is_opportunistic(path) || certificate && !told_to {
        return Err(why.into());
    }
    tracing::info!("{}: TLS with {} failed ({why}), going on in clear", ready.name, to.host);
    if let Some(remember) = remember {
        ready.tls_broken_until.set(mono_nanos() + remember.as_nanos() as u64);
    }
    attempt(egress, ready, path, (to, tap), true).await.map_err(|failed| match failed {
        Failed::Tls { why, .. } => why.into(),
        Failed::Other(failure) => failure,
    })
}

fn is_opportunistic(path: &EgressPath) -> bool {
    matches!(path.enable_tls, EnableTls::Opportunistic | EnableTls::OpportunisticInsecure)
}

/// Why a host did not take us, in the reference's words.
enum Failed {
    /// TLS failed: without it, it may work.
    Tls {
        why: String,
        /// It was the certificate that failed.
        certificate: bool,
    },
    Other(Failure),
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Failed {
        Failed::Other(failure)
    }
}

impl From<String> for Failed {
    fn from(why: String) -> Failed {
        Failed::Other(why.into())
    }
}

impl Candidate {
    /// Its name and address.
    fn place(&self) -> (&str, SocketAddr) {
        (&self.host, self.addr)
    }

    /// As the reference names a host it speaks to.
    fn resolved(&self) -> String {
        format!("{}:{}", words::resolved_address(&self.host, self.addr.ip()), self.addr.port())
    }
}

fn rejected(response: &Response) -> String {
    format!("Command rejected {}", response.quoted())
}

async fn attempt(
    egress: &Rc<Egress>,
    ready: &ReadyQueue,
    path: &EgressPath,
    (to, tap): (&Candidate, &Tap),
    in_clear: bool,
) -> Result<Opened, Failed> {
    let shard = &egress.shard;
    let Connected { stream, local, proxy } = connect(egress, ready, path, (to, tap)).await?;
    let mut wire = Wire::new(Conn::Plain(stream), tap.clone());
    let greeting = greeting(egress, ready, path, &mut wire, to);
    let step = (Step::Greeting, "greeting");
    let mut offers = timed(shard, step, to.place(), greeting, Failure::words).await?;
    let mut tls_info = None;
    if !in_clear && offers.starttls {
        let started = start_tls(egress, ready, path, wire, to).await?;
        wire = started.wire;
        if started.encrypted {
            tls_info = TlsInfo::of_conn(&wire.conn);
            let version = tls_info.as_ref().map_or("", |tls| &tls.version);
            shard.metrics.under_tls("out", version);
            let greeted = greet(egress, ready, path, &mut wire).await;
            offers = greeted.map_err(|why| Failed::Tls {
                why: format!("{}: EHLO after STARTTLS: {why}", to.addr),
                certificate: false,
            })?;
        }
    } else if matches!(path.enable_tls, EnableTls::Required | EnableTls::RequiredInsecure) {
        let policy = format!("{:?}", path.enable_tls);
        let to = to.resolved();
        return Err(format!("tls policy is {policy} but STARTTLS is not advertised by {to}").into());
    }
    authenticate(egress, path, &mut wire, &offers, tls_info.is_some(), to).await?;
    let host = to.host.clone();
    Ok(Opened { wire, offers, host, peer: to.addr, local, proxy, tls: tls_info })
}

/// Why a host was not reached, or has not greeted us; it is tried last for a while.
fn unreached(ready: &ReadyQueue, to: &Candidate, failure: Failure) -> Failure {
    ready.dead_hosts.note(to.addr);
    let why = format!("connect to {} and read initial banner: {}", to.addr, failure.why);
    Failure { why, ..failure }
}

/// Connects.
async fn connect(
    egress: &Rc<Egress>,
    ready: &ReadyQueue,
    path: &EgressPath,
    (to, tap): (&Candidate, &Tap),
) -> Result<Connected, Failure> {
    let source = ready.source.borrow().clone();
    let stage = Stage::new(At::NextHop);
    let connecting = proxy::connect(egress, &source, to.addr, &stage);
    let connecting = async {
        let late = |_| Err(Failure::late(to.addr, path.connect_timeout, &stage));
        deadline(path.connect_timeout, connecting).await.unwrap_or_else(late)
    };
    let step = (Step::Connect, "connect");
    let connected = timed(&egress.shard, step, to.place(), connecting, Failure::words).await;
    let connected = connected.map_err(|failure| {
        if let Some(fault) = failure.cause.fault() {
            ready.note_fault(fault);
        }
        unreached(ready, to, failure)
    })?;
    ready.stats.connections.set(ready.stats.connections.get() + 1);
    tap.host(&to.host, to.addr, connected.local);
    tap.tell(&Seen::Mark("Connected"));
    Ok(connected)
}

/// Reads the banner, and says EHLO.
async fn greeting(
    egress: &Egress,
    ready: &ReadyQueue,
    path: &EgressPath,
    wire: &mut Wire,
    to: &Candidate,
) -> Result<Capabilities, Failure> {
    let limit = path.banner_timeout;
    let refused = match wire.reply(limit).await {
        Ok(banner) if banner.is_success() => {
            let greeted = greet(egress, ready, path, wire).await;
            return greeted.map_err(|why| format!("{}: EHLO after banner: {why}", to.addr).into());
        }
        Ok(banner) => rejected(&banner),
        Err(why) => format!("reading banner: {}", why.words(limit, "cmd=NONE")),
    };
    Err(unreached(ready, to, refused.into()))
}

/// EHLO; HELO only where the peer does not know EHLO (RFC 5321 section 3.2).
async fn greet(
    egress: &Egress,
    ready: &ReadyQueue,
    path: &EgressPath,
    wire: &mut Wire,
) -> Result<Capabilities, String> {
    let source = ready.source.borrow().ehlo_domain.clone();
    let name = path
        .ehlo_domain
        .clone()
        .or(source)
        .unwrap_or_else(|| egress.shard.process.hostname.clone());
    let verb = if path.use_lmtp { "LHLO" } else { "EHLO" };
    let response = said(wire, &format!("{verb} {name}"), path.ehlo_timeout).await?;
    if response.is_success() {
        return Ok(Capabilities::parse(&response.content));
    }
    if path.use_lmtp || !matches!(response.code, 500 | 502 | 504) {
        return Err(rejected(&response));
    }
    match said(wire, &format!("HELO {name}"), path.ehlo_timeout).await {
        Ok(helo) if helo.is_success() => Ok(Capabilities::default()),
        Ok(helo) => Err(rejected(&helo)),
        // It has said why it does not take us before it went.
        Err(_) => Err(rejected(&response)),
    }
}

/// Says one command and gives the answer, or the words for what broke.
async fn said(wire: &mut Wire, command: &str, limit: Duration) -> Result<Response, String> {
    let answer = wire.command(&format!("{command}\r\n"), limit).await;
    answer.map_err(|why| why.words(limit, &format!("cmd={command}")))
}

/// A connection after STARTTLS.
struct Started {
    wire: Wire,
    encrypted: bool,
}

async fn start_tls(
    egress: &Egress,
    ready: &ReadyQueue,
    path: &EgressPath,
    mut wire: Wire,
    to: &Candidate,
) -> Result<Started, Failed> {
    // A certificate that cannot be loaded must not make the mail go in clear.
    let config = client_tls::config(&egress.shard, ready, path).await?;
    let response = said(&mut wire, "STARTTLS", path.starttls_timeout).await;
    let response = response
        .map_err(|why| Failed::Tls { why: format!("{}: {why}", to.addr), certificate: false })?;
    if !response.is_success() {
        if is_opportunistic(path) && response.code != 421 {
            tracing::info!("{}: {} {}", ready.name, to.host, rejected(&response));
            return Ok(Started { wire, encrypted: false });
        }
        return Err(rejected(&response).into());
    }
    let (conn, tap) = wire.into_conn();
    let Conn::Plain(stream) = conn else {
        return Err("TLS is already on".to_string().into());
    };
    let handshake = tls::connect(stream, &to.host, config, path.starttls_timeout);
    let step = (Step::TlsOut, "tls");
    match timed(&egress.shard, step, to.place(), handshake, ToString::to_string).await {
        Ok(conn) => Ok(Started { wire: Wire::new(conn, tap), encrypted: true }),
        Err(error) => Err(Failed::Tls {
            why: format!("TLS handshake with {} failed: {error}", to.resolved()),
            certificate: tls::is_bad_certificate(&error),
        }),
    }
}

/// AUTH PLAIN where the path asks for it; credentials never go out in clear, nor to an unproven
/// host, unless the path says so by name.
async fn authenticate(
    egress: &Egress,
    path: &EgressPath,
    wire: &mut Wire,
    offers: &Capabilities,
    under_tls: bool,
    to: &Candidate,
) -> Result<(), Failed> {
    let Some(user) = &path.smtp_auth_plain_username else { return Ok(()) };
    let to = to.resolved();
    let deny = |text: String| Failed::Other(text.into());
    let verified = matches!(path.enable_tls, EnableTls::Required | EnableTls::Opportunistic);
    if !under_tls && !path.allow_smtp_auth_plain_without_tls {
        let text = format!("TLS is not enabled and AUTH PLAIN is required. Skipping ({to})");
        return Err(deny(text));
    }
    if under_tls && !verified && !path.allow_smtp_auth_plain_without_valid_certificate {
        return Err(deny(format!(
            "TLS peer certificate was not validated and AUTH PLAIN requires a valid certificate. Skipping ({to})"
        )));
    }
    if !offers.auth_plain {
        return Err(deny(format!("AUTH is configured but {to} does not offer AUTH PLAIN")));
    }
    let password = match &path.smtp_auth_plain_password {
        Some(source) => key_source::load(&egress.shard, source)
            .await
            .map_err(|error| deny(format!("password of {user} cannot be read: {error}")))?,
        None => Vec::new(),
    };
    let mut secret = format!("\0{user}\0").into_bytes();
    secret.extend_from_slice(&password);
    let line = format!("AUTH PLAIN {}\r\n", STANDARD.encode(secret));
    let failed =
        |why: String| deny(format!("authenticating as {user} via SMTP AUTH PLAIN to {to}: {why}"));
    let limit = path.auth_timeout;
    let sent = wire.send(line.as_bytes(), limit, "AUTH PLAIN").await;
    let answer = match sent {
        Ok(()) => wire.reply(limit).await,
        Err(why) => Err(why),
    };
    let mut answer = answer.map_err(|why| failed(why.words(limit, "cmd=AUTH PLAIN")))?;
    if answer.code == 235 {
        return Ok(());
    }
    // The secret is not told.
    answer.command = Some("AUTH PLAIN\r\n".into());
    Err(failed(rejected(&answer)))
}

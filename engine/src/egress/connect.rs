//! Opens a connection to a site: candidate hosts in order, greeting, EHLO, TLS, AUTH.

use super::client::Capabilities;
use super::client_tls;
use super::plan::{shuffle_equals, PlanHost};
use super::proxy::{self, At, Connected, Failure, Stage};
use super::reply::Response;
use super::wire::{Broken, Wire};
use crate::events::record::TlsInfo;
use crate::io::{deadline, mono_nanos, tls, Conn};
use crate::limits::CANDIDATE_HOSTS_MAX;
use crate::queue::ReadyQueue;
use crate::shard::Shard;
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use ringmta_policy::{EgressPath, EnableTls};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

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

/// One address to try.
struct Candidate {
    host: String,
    addr: SocketAddr,
}

/// Connects to the first host of the site that takes us.
///
/// # Errors
/// A response that stands for all of them: permanent when the site can never be reached under
/// this policy, else transient.
pub async fn open(shard: &Rc<Shard>, ready: &ReadyQueue) -> Result<Opened, Response> {
    let path = effective_path(ready);
    let candidates = candidates(shard, ready, &path).await?;
    let mut failures = Vec::new();
    for candidate in candidates.into_iter().take(CANDIDATE_HOSTS_MAX) {
        let Candidate { host, addr } = &candidate;
        match open_one(shard, ready, &path, host, *addr).await {
            Ok(opened) => return Ok(opened),
            Err(Trouble::Refused(response)) if response.is_permanent() => {
                // Another host of the site may well take us (RFC 5321 section 5.1).
                failures.push(format!("{host} {addr}: {} {}", response.code, response.content));
            }
            Err(Trouble::Refused(response)) => {
                failures.push(format!("{host} {addr}: {} {}", response.code, response.content));
            }
            Err(Trouble::Broken(why)) => failures.push(format!("{host} {addr}: {why}")),
        }
    }
    let text = format!("failed to connect to any candidate hosts: {}", failures.join("; "));
    Err(Response::internal(400, text))
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

enum Trouble {
    /// The peer said no.
    Refused(Response),
    /// The connection failed.
    Broken(String),
}

impl From<String> for Trouble {
    fn from(why: String) -> Trouble {
        Trouble::Broken(why)
    }
}

async fn candidates(
    shard: &Shard,
    ready: &ReadyQueue,
    path: &EgressPath,
) -> Result<Vec<Candidate>, Response> {
    let mut hosts: Vec<PlanHost> = ready.plan.borrow().hosts.clone();
    if path.enable_mta_sts {
        hosts = allowed(ready, hosts)?;
    }
    if hosts.iter().any(|host| host.preference != 0) {
        shuffle_equals(&mut hosts);
    }
    let default_port = ready.source.borrow().remote_port.unwrap_or(path.smtp_port);
    let mut list = Vec::new();
    let mut failures = Vec::new();
    let mut prohibited = 0;
    for host in &hosts {
        let addresses = match host.addr {
            Some(addr) => vec![addr],
            None => match shard.resolver.addresses(&host.name, path.ip_lookup_strategy).await {
                Ok(addresses) => addresses,
                Err(error) => {
                    failures.push(format!("{}: {error}", host.name));
                    continue;
                }
            },
        };
        for ip in addresses {
            if path.prohibited_hosts.contains(ip) {
                prohibited += 1;
            } else if !path.skip_hosts.contains(ip) && fits_source(ready, ip) {
                let addr = SocketAddr::new(ip, host.port.unwrap_or(default_port));
                list.push(Candidate { host: host.name.clone(), addr });
            }
        }
    }
    if !list.is_empty() {
        return Ok(list);
    }
    if prohibited > 0 {
        let text = format!("every host of {} is in prohibited_hosts", ready.plan.borrow().site);
        return Err(Response { enhanced: Some((5, 4, 4)), ..Response::internal(550, text) });
    }
    let text =
        format!("no usable address for {}: {}", ready.plan.borrow().site, failures.join("; "));
    Err(Response { enhanced: Some((4, 4, 4)), ..Response::internal(451, text) })
}

/// The hosts that the domain's MTA-STS policy names.
fn allowed(ready: &ReadyQueue, hosts: Vec<PlanHost>) -> Result<Vec<PlanHost>, Response> {
    let plan = ready.plan.borrow();
    let Some(policy) = &plan.sts else { return Ok(hosts) };
    let names: Vec<String> = hosts.iter().map(|host| host.name.clone()).collect();
    let hosts: Vec<_> = hosts.into_iter().filter(|host| policy.names(&host.name)).collect();
    if !hosts.is_empty() {
        return Ok(hosts);
    }
    let text = format!("the MTA-STS policy of the domain names none of {}", names.join(", "));
    Err(Response { enhanced: Some((4, 7, 5)), ..Response::internal(451, text) })
}

/// A source bound to one family cannot reach the other.
fn fits_source(ready: &ReadyQueue, ip: IpAddr) -> bool {
    proxy::leaves_from(&ready.source.borrow()).is_none_or(|from| from.is_ipv4() == ip.is_ipv4())
}

async fn open_one(
    shard: &Rc<Shard>,
    ready: &ReadyQueue,
    path: &EgressPath,
    host: &str,
    addr: SocketAddr,
) -> Result<Opened, Trouble> {
    let in_clear =
        path.enable_tls == EnableTls::Disabled || ready.tls_broken_until.get() > mono_nanos();
    let result = attempt(shard, ready, path, host, addr, in_clear).await;
    let Err(Failed::Tls(why)) = result else {
        return result.map_err(|failed| match failed {
            Failed::Tls(why) => Trouble::Broken(why),
            Failed::Other(trouble) => trouble,
        });
    };
    let opportunistic =
        matches!(path.enable_tls, EnableTls::Opportunistic | EnableTls::OpportunisticInsecure);
    let remember = path.remember_broken_tls;
    if !opportunistic
        || (remember.is_none() && !path.opportunistic_tls_reconnect_on_failed_handshake)
    {
        return Err(Trouble::Broken(why));
    }
    tracing::info!("{}: TLS with {host} failed ({why}), going on in clear", ready.name);
    if let Some(remember) = remember {
        ready.tls_broken_until.set(mono_nanos() + remember.as_nanos() as u64);
    }
    attempt(shard, ready, path, host, addr, true).await.map_err(|failed| match failed {
        Failed::Tls(why) => Trouble::Broken(why),
        Failed::Other(trouble) => trouble,
    })
}

enum Failed {
    /// The handshake failed: without TLS it may work.
    Tls(String),
    Other(Trouble),
}

impl From<String> for Failed {
    fn from(why: String) -> Failed {
        Failed::Other(Trouble::Broken(why))
    }
}

impl From<Broken> for Failed {
    fn from(why: Broken) -> Failed {
        Failed::Other(Trouble::Broken(why.to_string()))
    }
}

fn accepted(response: Response) -> Result<Response, Failed> {
    if response.is_positive() {
        Ok(response)
    } else {
        Err(Failed::Other(Trouble::Refused(response)))
    }
}

async fn attempt(
    shard: &Rc<Shard>,
    ready: &ReadyQueue,
    path: &EgressPath,
    host: &str,
    addr: SocketAddr,
    in_clear: bool,
) -> Result<Opened, Failed> {
    let source = ready.source.borrow().clone();
    let stage = Stage::new(At::NextHop);
    let connecting = proxy::connect(shard, &source, addr, &stage);
    let connected = deadline(path.connect_timeout, connecting).await;
    let connected = connected.unwrap_or_else(|_| Err(Failure::late(path.connect_timeout, &stage)));
    let Connected { stream, local, proxy } = connected.map_err(|failure| {
        if let Some(fault) = failure.fault {
            ready.note_fault(fault);
        }
        format!("connect: {}", failure.why)
    })?;
    ready.stats.connections.set(ready.stats.connections.get() + 1);
    let mut wire = Wire::new(Conn::Plain(stream));
    let banner = wire.reply(path.banner_timeout, "banner").await?;
    accepted(Response { command: None, ..banner })?;
    let mut offers = greet(shard, ready, path, &mut wire).await?;
    let mut tls_info = None;
    let required = matches!(path.enable_tls, EnableTls::Required | EnableTls::RequiredInsecure);
    if !in_clear && offers.starttls {
        wire = start_tls(shard, ready, path, wire, host).await?;
        tls_info = TlsInfo::of_conn(&wire.conn);
        offers = greet(shard, ready, path, &mut wire).await?;
    } else if required {
        let text = format!("TLS is required by policy but {host} does not offer it");
        let response = Response { enhanced: Some((4, 7, 4)), ..Response::internal(451, text) };
        return Err(Failed::Other(Trouble::Refused(response)));
    }
    authenticate(shard, path, &mut wire, &offers, tls_info.is_some()).await?;
    let host = host.to_string();
    Ok(Opened { wire, offers, host, peer: addr, local, proxy, tls: tls_info })
}

async fn greet(
    shard: &Shard,
    ready: &ReadyQueue,
    path: &EgressPath,
    wire: &mut Wire,
) -> Result<Capabilities, Failed> {
    let source = ready.source.borrow().ehlo_domain.clone();
    let name =
        path.ehlo_domain.clone().or(source).unwrap_or_else(|| shard.process.hostname.clone());
    let verb = if path.use_lmtp { "LHLO" } else { "EHLO" };
    let response = wire.command(&format!("{verb} {name}\r\n"), path.ehlo_timeout).await?;
    if response.is_positive() {
        return Ok(Capabilities::parse(&response.content));
    }
    if response.is_permanent() && !path.use_lmtp {
        accepted(wire.command(&format!("HELO {name}\r\n"), path.ehlo_timeout).await?)?;
        return Ok(Capabilities::default());
    }
    accepted(response).map(|_| Capabilities::default())
}

async fn start_tls(
    shard: &Shard,
    ready: &ReadyQueue,
    path: &EgressPath,
    mut wire: Wire,
    host: &str,
) -> Result<Wire, Failed> {
    // A certificate that cannot be loaded must not make the mail go in clear.
    let config = client_tls::config(shard, ready, path).await?;
    let response = wire.command("STARTTLS\r\n", path.starttls_timeout).await?;
    if !response.is_positive() {
        return Err(Failed::Tls(format!("STARTTLS: {} {}", response.code, response.content)));
    }
    let Conn::Plain(stream) = wire.into_conn() else {
        return Err(Failed::Tls("TLS is already on".into()));
    };
    match tls::connect(stream, host, config, path.starttls_timeout).await {
        Ok(conn) => Ok(Wire::new(conn)),
        Err(error) => Err(Failed::Tls(format!("TLS handshake with {host}: {error}"))),
    }
}

/// AUTH PLAIN where the path asks for it; credentials never go out in clear, nor to an unproven
/// host, unless the path says so by name.
async fn authenticate(
    shard: &Shard,
    path: &EgressPath,
    wire: &mut Wire,
    offers: &Capabilities,
    under_tls: bool,
) -> Result<(), Failed> {
    let Some(user) = &path.smtp_auth_plain_username else { return Ok(()) };
    let deny = |text: &str| Failed::Other(Trouble::Refused(Response::internal(451, text)));
    let verified = matches!(path.enable_tls, EnableTls::Required | EnableTls::Opportunistic);
    if !under_tls && !path.allow_smtp_auth_plain_without_tls {
        return Err(deny("AUTH is configured but there is no TLS to protect it"));
    }
    if under_tls && !verified && !path.allow_smtp_auth_plain_without_valid_certificate {
        return Err(deny("AUTH is configured but the peer's certificate is not verified"));
    }
    if !offers.auth_plain {
        return Err(deny("AUTH is configured but the peer does not offer AUTH PLAIN"));
    }
    let password = match &path.smtp_auth_plain_password {
        Some(source) => shard
            .policy()
            .load_key(source)
            .await
            .map_err(|error| deny(&format!("password of {user} cannot be read: {error}")))?,
        None => Vec::new(),
    };
    let mut secret = format!("\0{user}\0").into_bytes();
    secret.extend_from_slice(&password);
    let line = format!("AUTH PLAIN {}\r\n", STANDARD.encode(secret));
    wire.send(line.as_bytes(), path.auth_timeout, "AUTH PLAIN").await?;
    let mut response = wire.reply(path.auth_timeout, "AUTH PLAIN").await?;
    response.command = Some("AUTH PLAIN\r\n".into());
    accepted(response).map(|_| ())
}

//! Connections through a proxy that has the address mail is to leave from: SOCKS5 (RFC 1928, RFC 1929), or HAProxy by its
//! PROXY protocol, version 2.
//!
//! SOCKS5 has no word for a source address; the convention here is that of KumoProxy: BIND names it, then CONNECT follows
//! on the same connection.

use crate::key_source;
use crate::stage::Egress;
use crate::words::{self, Cause};
use ringmta_io::{Conn, Stream};
use ringmta_policy::{EgressSource, IpLookupStrategy};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// A connection, through a proxy or not.
pub struct Connected {
    /// To the next hop, or to a proxy that now passes on what is written.
    pub stream: Stream,
    /// The address it leaves from, as far as known.
    pub local: Option<SocketAddr>,
    /// The proxy and what it is spoken to in.
    pub proxy: Option<(&'static str, SocketAddr)>,
}

/// The address that mail of `source` leaves from, when it names one.
pub fn leaves_from(source: &EgressSource) -> Option<IpAddr> {
    source.socks5_proxy_source_address.or(source.ha_proxy_source_address).or(source.source_address)
}

/// Why there is no connection.
pub struct Failure {
    /// In words; with the proxy's address when it was the proxy.
    pub why: String,
    /// What it says about the source.
    pub cause: Cause,
}

impl Failure {
    fn of_proxy(why: String) -> Failure {
        Failure { why, cause: Cause::Proxy }
    }

    /// In words.
    pub fn words(&self) -> String {
        self.why.clone()
    }

    /// No connection to `to` came about in time.
    pub fn late(to: SocketAddr, limit: Duration, stage: &Stage) -> Failure {
        let why = format!("no answer within {limit:?}");
        match stage.get() {
            At::Proxy => Failure::of_proxy(format!("the proxy on the way to {to}: {why}")),
            At::NextHop => words::not_connected(to, "None", &why).into(),
        }
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Failure {
        Failure { why, cause: Cause::Other }
    }
}

/// Who is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The proxy.
    Proxy,
    /// The next hop.
    NextHop,
}

/// Tells the caller, whose deadline may pass, who is waited for.
pub type Stage = Cell<At>;

/// Connects to `to` as `source` says. The caller sets the deadline.
///
/// # Errors
/// What went wrong.
pub async fn connect(
    egress: &Egress,
    source: &EgressSource,
    to: SocketAddr,
    stage: &Stage,
) -> Result<Connected, Failure> {
    let socks = source.socks5_proxy_server.as_ref().zip(source.socks5_proxy_source_address);
    let ha = source.ha_proxy_server.as_ref().zip(source.ha_proxy_source_address);
    let plain = || Failure::from("not a plain connection".to_string());
    if let Some(why) = words::of_another_family(source, to) {
        return Err(why.into());
    }
    match (socks, ha) {
        (Some((server, from)), _) => {
            let credentials = credentials(egress, source).await?;
            stage.set(At::Proxy);
            let secret = credentials.is_some();
            let as_socks = |proxy| words::socks5(proxy, from, to, secret);
            let (stream, proxy) = reach(egress, source, server, &as_socks).await?;
            let mut conn = Conn::Plain(stream);
            let failed = |why: String| words::no_handshake(proxy, &as_socks(proxy), &why);
            let bound = socks5_bind(&mut conn, credentials, from, &as_socks(proxy)).await;
            let bound = bound.map_err(|failure| Failure { why: failed(failure.why), ..failure })?;
            stage.set(At::NextHop);
            let local = socks5_connect(&mut conn, to).await.map_err(failed)?;
            // Which of the two a server fills in is up to it.
            let known = |addr: &SocketAddr| !addr.ip().is_unspecified();
            let local = [local, bound].into_iter().find(known).unwrap_or(SocketAddr::new(from, 0));
            let Conn::Plain(stream) = conn else { return Err(plain()) };
            Ok(Connected { stream, local: Some(local), proxy: Some(("socks5", proxy)) })
        }
        (None, Some((server, from))) => {
            let header = ha_header(from, to)?;
            stage.set(At::Proxy);
            let as_ha = |proxy| words::haproxy(proxy, from, to);
            let (stream, proxy) = reach(egress, source, server, &as_ha).await?;
            let mut conn = Conn::Plain(stream);
            let sent = conn.write_all(&header).await;
            let failed = |why: String| words::no_handshake(proxy, &as_ha(proxy), &why);
            sent.map_err(|error| Failure::of_proxy(failed(error.to_string())))?;
            let Conn::Plain(stream) = conn else { return Err(plain()) };
            let local = Some(SocketAddr::new(from, 0));
            Ok(Connected { stream, local, proxy: Some(("haproxy", proxy)) })
        }
        (None, None) => {
            let connected = Stream::connect(to, source.source_address).await;
            let stream = connected.map_err(|error| of_address(source, to, "None", &error))?;
            let local = stream.local_addr().ok();
            Ok(Connected { stream, local, proxy: None })
        }
    }
}

/// A failed connect to `to`; without the source's address on this host it is the source's fault.
fn of_address(
    source: &EgressSource,
    to: SocketAddr,
    proxy: &str,
    error: &std::io::Error,
) -> Failure {
    let missing = error.kind() == std::io::ErrorKind::AddrNotAvailable;
    match source.source_address.filter(|_| missing) {
        Some(from) => Failure {
            why: words::not_bound(from, &source.name, to, proxy, error),
            cause: Cause::Unplumbed,
        },
        None => words::not_connected(to, proxy, error).into(),
    }
}

/// Connects to the first address of a proxy that answers.
async fn reach(
    egress: &Egress,
    source: &EgressSource,
    server: &str,
    described: &dyn Fn(SocketAddr) -> String,
) -> Result<(Stream, SocketAddr), Failure> {
    let addresses = match server.parse::<SocketAddr>() {
        Ok(addr) => vec![addr],
        Err(_) => {
            let (host, port) = server.rsplit_once(':').unwrap_or((server, ""));
            let port: u16 = port.parse().map_err(|_| format!("proxy {server}: not a port"))?;
            let found = egress.resolver.addresses(host, IpLookupStrategy::Ipv4AndIpv6).await;
            let found =
                found.map_err(|error| Failure::of_proxy(format!("proxy {host}: {error}")))?;
            found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()
        }
    };
    let mut failures = Vec::new();
    let mut cause = Cause::Proxy;
    for addr in addresses {
        let from = source.source_address.filter(|from| from.is_ipv4() == addr.is_ipv4());
        match Stream::connect(addr, from).await {
            Ok(stream) => return Ok((stream, addr)),
            Err(error) => {
                let failure = of_address(source, addr, &described(addr), &error);
                if failure.cause == Cause::Unplumbed {
                    cause = Cause::Unplumbed;
                }
                failures.push(failure.why);
            }
        }
    }
    Err(Failure { why: failures.join(", "), cause })
}

async fn credentials(
    egress: &Egress,
    source: &EgressSource,
) -> Result<Option<(Vec<u8>, Vec<u8>)>, String> {
    let Some(user) = &source.socks5_proxy_username else { return Ok(None) };
    let password = match &source.socks5_proxy_password {
        Some(key) => {
            let read = key_source::load(&egress.shard, key).await;
            read.map_err(|error| format!("socks5_proxy_password: {error}"))?
        }
        None => Vec::new(),
    };
    Ok(Some((user.clone().into_bytes(), password)))
}

const SOCKS_VERSION: u8 = 5;
const AUTH_VERSION: u8 = 1;
const NO_AUTH: u8 = 0;
const USER_PASSWORD: u8 = 2;
const CONNECT: u8 = 1;
const BIND: u8 = 2;

/// The client's side, up to where the proxy has the address to leave from. That address.
async fn socks5_bind(
    conn: &mut Conn,
    credentials: Option<(Vec<u8>, Vec<u8>)>,
    from: IpAddr,
    described: &str,
) -> Result<SocketAddr, Failure> {
    socks5_login(conn, credentials).await.map_err(Failure::of_proxy)?;
    let sent = send(conn, &request(BIND, SocketAddr::new(from, 0))).await;
    sent.map_err(Failure::of_proxy)?;
    match reply(conn).await {
        Ok(bound) => Ok(bound),
        Err(Unbound::Refused(status)) => Err(Failure {
            why: format!(
                "The proxy server failed to bind {from} via {described}: {}",
                words::socks5_status(status)
            ),
            cause: Cause::UnplumbedAtProxy,
        }),
        Err(Unbound::Broken(why)) => Err(Failure::of_proxy(why)),
    }
}

/// The client's side, up to where the proxy knows who asks.
async fn socks5_login(
    conn: &mut Conn,
    credentials: Option<(Vec<u8>, Vec<u8>)>,
) -> Result<(), String> {
    let hello: &[u8] = match credentials {
        Some(_) => &[SOCKS_VERSION, 2, NO_AUTH, USER_PASSWORD],
        None => &[SOCKS_VERSION, 1, NO_AUTH],
    };
    send(conn, hello).await?;
    match (read::<2>(conn).await?, credentials) {
        ([SOCKS_VERSION, NO_AUTH], _) => {}
        ([SOCKS_VERSION, USER_PASSWORD], Some((user, password))) => {
            let mut login = vec![AUTH_VERSION];
            for text in [&user, &password] {
                login.push(u8::try_from(text.len()).map_err(|_| "user or password too long")?);
                login.extend_from_slice(text);
            }
            send(conn, &login).await?;
            if read::<2>(conn).await?[1] != 0 {
                return Err("user or password refused".into());
            }
        }
        ([SOCKS_VERSION, method], _) => return Err(words::socks5_method(method)),
        _ => return Err("does not speak SOCKS5".into()),
    }
    Ok(())
}

/// The rest: the proxy connects. The address it connects from.
async fn socks5_connect(conn: &mut Conn, to: SocketAddr) -> Result<SocketAddr, String> {
    send(conn, &request(CONNECT, to)).await?;
    reply(conn).await.map_err(|why| match why {
        Unbound::Refused(status) => words::socks5_status(status),
        Unbound::Broken(why) => why,
    })
}

/// Why a proxy did not do what it was asked for.
enum Unbound {
    /// It says so, with this status.
    Refused(u8),
    /// It gave no answer that can be read.
    Broken(String),
}

impl From<String> for Unbound {
    fn from(why: String) -> Unbound {
        Unbound::Broken(why)
    }
}

fn request(command: u8, addr: SocketAddr) -> Vec<u8> {
    let mut out = vec![SOCKS_VERSION, command, 0];
    match addr.ip() {
        IpAddr::V4(ip) => {
            out.push(1);
            out.extend(ip.octets());
        }
        IpAddr::V6(ip) => {
            out.push(4);
            out.extend(ip.octets());
        }
    }
    out.extend(addr.port().to_be_bytes());
    out
}

/// Reads a reply and not a byte more: what follows is the next hop's.
async fn reply(conn: &mut Conn) -> Result<SocketAddr, Unbound> {
    let [version, status, _, kind] = read::<4>(conn).await?;
    if version != SOCKS_VERSION {
        return Err(Unbound::Broken("does not speak SOCKS5".into()));
    }
    let ip = match kind {
        1 => IpAddr::V4(Ipv4Addr::from(read::<4>(conn).await?)),
        4 => IpAddr::V6(Ipv6Addr::from(read::<16>(conn).await?)),
        3 => {
            let [length] = read::<1>(conn).await?;
            for _ in 0..length {
                read::<1>(conn).await?;
            }
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        }
        _ => return Err(Unbound::Broken("malformed reply".into())),
    };
    let port = u16::from_be_bytes(read::<2>(conn).await?);
    match status {
        0 => Ok(SocketAddr::new(ip, port)),
        status => Err(Unbound::Refused(status)),
    }
}

async fn send(conn: &mut Conn, bytes: &[u8]) -> Result<(), String> {
    conn.write_all(bytes).await.map_err(|error| error.to_string())
}

async fn read<const N: usize>(conn: &mut Conn) -> Result<[u8; N], String> {
    let mut out = [0; N];
    let mut filled = 0;
    while filled < N {
        match conn.read(&mut out[filled..]).await {
            Ok(0) => return Err("the connection was closed".into()),
            Ok(count) => filled += count,
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(out)
}

/// The header that asks HAProxy to connect to `to` from `from`.
fn ha_header(from: IpAddr, to: SocketAddr) -> Result<Vec<u8>, String> {
    let mut out = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    match (from, to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(ip)) => {
            out.extend([0x11, 0, 12]);
            out.extend(from.octets().into_iter().chain(ip.octets()));
        }
        (IpAddr::V6(from), IpAddr::V6(ip)) => {
            out.extend([0x21, 0, 36]);
            out.extend(from.octets().into_iter().chain(ip.octets()));
        }
        _ => return Err(format!("{to} cannot be reached from {from}")),
    }
    out.extend([0, 0]);
    out.extend(to.port().to_be_bytes());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmta_smtp::proxy_header::{parse, Found};

    #[test]
    fn our_header_is_one_that_we_would_take() {
        for (from, to) in [("192.0.2.1", "198.51.100.2:25"), ("2001:db8::1", "[2001:db8::2]:2525")]
        {
            let (from, to): (IpAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
            let header = ha_header(from, to).unwrap();
            let ends = Some((SocketAddr::new(from, 0), to));
            assert_eq!(parse(&header), Ok(Found::Header(ends, header.len())));
        }
        assert!(ha_header("192.0.2.1".parse().unwrap(), "[::1]:25".parse().unwrap()).is_err());
    }

    #[test]
    fn requests() {
        assert_eq!(request(BIND, "192.0.2.1:0".parse().unwrap()), [5, 2, 0, 1, 192, 0, 2, 1, 0, 0]);
        let v6 = request(CONNECT, "[::1]:25".parse().unwrap());
        assert_eq!((&v6[..4], v6.len(), v6[19], v6[21]), (&[5, 1, 0, 4][..], 22, 1, 25));
    }
}

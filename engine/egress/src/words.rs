//! Why a host did not take us, word for word as the reference has it: rules of automation, bounce classes and
//! dashboards match on these texts.

use ringmta_policy::EgressSource;
use ringmta_queue::quota::health::Fault;
use ringmta_smtp::response::Response;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};

/// What records say of a connection that an operator has ended.
pub const ABORTED: &str = "an operator has ended the connection";

/// The reply in place of a peer's when a connection was ended because nothing came of it; `what` it was at.
pub fn hung(what: String) -> Response {
    Response { code: 451, enhanced: Some((4, 4, 1)), content: what, ..Response::default() }
}

/// What a failed connection says about the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Nothing.
    Other,
    /// Its address is not on this host.
    Unplumbed,
    /// Its address is not on the proxy's host.
    UnplumbedAtProxy,
    /// The proxy cannot be reached, or does not do what it is asked for.
    Proxy,
}

impl Cause {
    /// As it is counted of the source.
    pub fn fault(self) -> Option<Fault> {
        match self {
            Cause::Other => None,
            Cause::Unplumbed => Some(Fault::Unplumbed),
            Cause::UnplumbedAtProxy | Cause::Proxy => Some(Fault::Proxy),
        }
    }

    /// What is said in front where it is the cause of all failures.
    fn of_all(self) -> &'static str {
        match self {
            Cause::Other => "",
            Cause::Unplumbed => {
                "All failures are related to having an unplumbed source address. \
                 Are the network interfaces provisioned correctly? "
            }
            Cause::UnplumbedAtProxy => {
                "All failures are related to the proxy server having an unplumbed source address. \
                 Are the network interfaces provisioned correctly on the proxy? "
            }
            Cause::Proxy => {
                "All failures are related to proxy connection issues. \
                 Is the proxy infrastructure online and healthy? "
            }
        }
    }
}

/// No host of a site took us: what each of them said or did.
pub fn no_host(failures: &[(Cause, String)]) -> String {
    let first = failures.first().map_or(Cause::Other, |(cause, _)| *cause);
    let common = failures.iter().all(|(cause, _)| *cause == first);
    let texts: Vec<&str> = failures.iter().map(|(_, text)| text.as_str()).collect();
    let of_all = if common { first.of_all() } else { "" };
    format!("failed to connect to any candidate hosts: {of_all}{}", texts.join(", "))
}

/// A host that is spoken to.
pub fn resolved_address(name: &str, ip: IpAddr) -> String {
    let dot = if name.parse::<IpAddr>().is_ok() { "" } else { "." };
    format!("ResolvedAddress {{ name: \"{name}{dot}\", addr: {ip}, is_secure: false }}")
}

/// A command whose answer was waited for in vain.
pub fn command(line: &str) -> String {
    let mut out = String::from("Some(Command(\"");
    for byte in line.bytes() {
        match byte {
            b' ' => out.push_str("\\x20"),
            other => out.extend(std::ascii::escape_default(other).map(char::from)),
        }
    }
    out + "\"))"
}

/// No connection to `to`, by way of `proxy` as [`socks5`] or [`haproxy`] tell it, or `None`.
pub fn not_connected(to: SocketAddr, proxy: &str, error: impl Display) -> String {
    format!("failed to connect to {to} {proxy}: {error}")
}

/// The address of a source is not on this host.
pub fn not_bound(
    from: IpAddr,
    source: &str,
    to: SocketAddr,
    proxy: &str,
    error: impl Display,
) -> String {
    format!(
        "bind {from} for {source} failed: {error} while attempting to connect to {to} \
         transport={to} proto={proxy}"
    )
}

/// A source bound to one family cannot reach the other.
pub fn of_another_family(source: &EgressSource, to: SocketAddr) -> Option<String> {
    let socks = source.socks5_proxy_server.as_ref().and(source.socks5_proxy_source_address);
    let ha = source.ha_proxy_server.as_ref().and(source.ha_proxy_source_address);
    let name = &source.name;
    let (option, from) = match (socks, ha, source.source_address) {
        (Some(from), ..) => ("socks5_proxy_source_address", from),
        (None, Some(from), _) => ("ha_proxy_source_address", from),
        (None, None, Some(from)) if from.is_ipv4() != to.is_ipv4() => {
            let error = "Address family not supported by protocol (os error 97)";
            return Some(not_bound(from, name, to, "None", error));
        }
        _ => return None,
    };
    (from.is_ipv4() != to.is_ipv4()).then(|| {
        format!(
            "Skipping {name} because {option} {from} address family does not match the destination \
             address family {to}"
        )
    })
}

/// A SOCKS5 proxy and what it is asked for; the credentials are not told.
pub fn socks5(server: SocketAddr, from: IpAddr, to: SocketAddr, credentials: bool) -> String {
    let login = if credentials { "Some(..)" } else { "None" };
    format!(
        "Socks5 {{ server: {server}, source: {from}, destination: {to}, username_and_password: {login} }}"
    )
}

/// An HAProxy and what it is asked for.
pub fn haproxy(server: SocketAddr, from: IpAddr, to: SocketAddr) -> String {
    let family = if from.is_ipv4() { "IPv4" } else { "IPv6" };
    format!(
        "HA {{ server: {server}, addresses: {family}({family} {{ source_address: {from}, source_port: 0, \
         destination_address: {}, destination_port: {} }}), source: {from} }}",
        to.ip(),
        to.port()
    )
}

/// A proxy that was reached and did not do its part.
pub fn no_handshake(server: SocketAddr, proxy: &str, why: &str) -> String {
    format!("failed to perform proxy handshake with {server} {proxy}: {why}")
}

/// A way to authenticate that was not offered to the proxy (RFC 1928 section 3).
pub fn socks5_method(method: u8) -> String {
    match method {
        0xff => "incompatible SOCKS5 authentication NoAcceptableMethod".into(),
        other => format!("incompatible SOCKS5 authentication {other}"),
    }
}

/// What a SOCKS5 server says (RFC 1928 section 6).
pub fn socks5_status(status: u8) -> String {
    let name = match status {
        1 => "ServerFailure",
        2 => "ConnectionNotAllowed",
        3 => "NetworkUnreachable",
        4 => "HostUnreachable",
        5 => "ConnectionRefused",
        6 => "TtlExpired",
        7 => "CommandNotSupported",
        8 => "AddrtypeNotSupported",
        other => return format!("SocksV5Response {{ status: {other} }}"),
    };
    format!("SocksV5Response {{ status: {name} }}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_in_front_when_it_is_that_of_all() {
        let both = |other| no_host(&[(Cause::Unplumbed, "a".into()), (other, "b".into())]);
        assert_eq!(
            both(Cause::Unplumbed),
            "failed to connect to any candidate hosts: All failures are related to having an unplumbed \
             source address. Are the network interfaces provisioned correctly? a, b"
        );
        assert_eq!(both(Cause::Other), "failed to connect to any candidate hosts: a, b");
    }

    #[test]
    fn commands_as_they_are_quoted() {
        assert_eq!(
            command("RCPT TO:<u@x.test>\r\n"),
            r#"Some(Command("RCPT\x20TO:<u@x.test>\r\n"))"#
        );
    }

    #[test]
    fn families_that_differ() {
        let to: SocketAddr = "127.0.0.1:28101".parse().unwrap();
        let source = |set: fn(&mut EgressSource)| {
            let mut source = EgressSource { name: "s1".into(), ..EgressSource::default() };
            set(&mut source);
            of_another_family(&source, to)
        };
        assert_eq!(source(|s| s.source_address = Some([127, 0, 0, 1].into())), None);
        assert_eq!(
            source(|s| s.source_address = "2001:db8::1".parse().ok()).unwrap(),
            "bind 2001:db8::1 for s1 failed: Address family not supported by protocol (os error 97) while \
             attempting to connect to 127.0.0.1:28101 transport=127.0.0.1:28101 proto=None"
        );
        let by_proxy = source(|s| {
            s.ha_proxy_server = Some("127.0.0.1:5000".into());
            s.ha_proxy_source_address = "::1".parse().ok();
        });
        assert_eq!(
            by_proxy.unwrap(),
            "Skipping s1 because ha_proxy_source_address ::1 address family does not match the destination \
             address family 127.0.0.1:28101"
        );
    }

    #[test]
    fn proxies_as_records_name_them() {
        let (server, to) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:28101".parse().unwrap());
        let from = [127, 0, 0, 1].into();
        assert_eq!(
            haproxy(server, from, to),
            "HA { server: 127.0.0.1:1, addresses: IPv4(IPv4 { source_address: 127.0.0.1, source_port: 0, \
             destination_address: 127.0.0.1, destination_port: 28101 }), source: 127.0.0.1 }"
        );
        assert_eq!(
            socks5(server, from, to, false),
            "Socks5 { server: 127.0.0.1:1, source: 127.0.0.1, destination: 127.0.0.1:28101, \
             username_and_password: None }"
        );
    }
}

//! DNS, the way out by port 25, and what this host is called.

use super::names::Names;
use super::report::Report;
use crate::cli::args::CheckArgs;
use ringmta_policy::{DnsFailure, DnsKind};
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// Longest wait for a connection, and for a greeting.
const PATIENCE: Duration = Duration::from_secs(10);
/// Slower than this, a resolver holds up mail.
const DNS_SLOW: Duration = Duration::from_millis(200);

pub(super) fn look(report: &mut Report, names: &Names, args: &CheckArgs) {
    let is_address = args.to.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let host = match is_address {
        true => Some(args.to.trim_matches(['[', ']']).to_string()),
        false => name_servers(report, names, &args.to),
    };
    if let Some(host) = host {
        way_out(report, names, &host, args.port);
    }
    own_names(report, names, args);
}

/// The best mail server of `domain`, when names can be resolved; the domain itself where it names none (RFC 5321 section
/// 5.1).
fn name_servers(report: &mut Report, names: &Names, domain: &str) -> Option<String> {
    let start = Instant::now();
    let answer = names.ask(domain, DnsKind::Mx);
    let took = start.elapsed();
    let host = match answer {
        Ok(answer) => answer.mx.first().map_or(domain.to_string(), |(_, host)| host.clone()),
        Err(DnsFailure::NoData) => domain.to_string(),
        Err(DnsFailure::NoSuchName) => {
            let found = format!("MX of {domain}: {}", DnsFailure::NoSuchName);
            report.bad("dns", found, "name another with --to");
            return None;
        }
        Err(why) => {
            report.bad("dns", format!("MX of {domain}: {why}"), names.cure());
            return None;
        }
    };
    let found = format!("MX of {domain} in {} ms", took.as_millis());
    match took > DNS_SLOW {
        true => {
            let cure = "a caching resolver on this host (unbound) answers sooner";
            report.warn("dns", found, cure);
        }
        false => report.fine("dns", found),
    }
    Some(host)
}

/// Reads the greeting of `host`; no mail is sent.
fn way_out(report: &mut Report, names: &Names, host: &str, port: u16) {
    let what = format!("port {port} out");
    let all = match host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) => names.addresses(host).unwrap_or_default(),
    };
    let Some(address) = all.iter().find(|ip| ip.is_ipv4()).or(all.first()) else {
        return report.warn(&what, format!("{host} has no address"), "name another with --to");
    };
    match greeting(SocketAddr::new(*address, port)) {
        Ok(line) if line.starts_with("220") => {
            report.fine(&what, format!("{host} says {}", line.trim_end().escape_default()));
        }
        Ok(line) => report.warn(
            &what,
            format!("{host} says {}", line.trim_end().escape_default()),
            "it does not want this address: see what it says, and lists of blocked addresses",
        ),
        Err(error) => report.bad(
            &what,
            format!("{host} [{address}]: {error}"),
            match port {
                25 => "most clouds and home connections block it: ask for it to be opened, or use a smart host",
                _ => "is this the port its server listens on, and is it open from here?",
            },
        ),
    }
}

fn greeting(address: SocketAddr) -> io::Result<String> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(io::Read::take(stream, 1000)).read_line(&mut line)?;
    Ok(line)
}

/// The address this host sends from, as itself sees it.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: the kernel only picks a route.
    socket.connect("192.0.2.1:25").ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

fn is_public(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared = Ipv4Addr::new(100, 64, 0, 0).octets();
            let is_shared = v4.octets()[0] == shared[0] && v4.octets()[1] & 0xc0 == shared[1];
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || is_shared)
        }
        IpAddr::V6(v6) => !(v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local()),
    }
}

/// PTR, the name said in EHLO, and whether the two lead to each other.
fn own_names(report: &mut Report, names: &Names, args: &CheckArgs) {
    let helo = args.helo.clone().unwrap_or_else(crate::start::hostname);
    if !helo.contains('.') {
        let cure = "give the host a full name (hostnamectl), or sources an `ehlo_domain`, and tell it here with --helo";
        report.warn("EHLO name", format!("{helo:?} has no domain: many receivers refuse it"), cure);
    }
    let Some(address) = args.address.or_else(own_address) else {
        return report.warn("address", "this host has no way out", "see `ip route`");
    };
    if !is_public(&address) {
        let found = format!("{address} is an address of a private network: others see another");
        return report.warn("PTR", found, "name that one with --address to have it looked at");
    }
    if helo.contains('.') {
        leads_to(report, names, &helo, address);
    }
    ptr(report, names, address, &helo);
}

fn leads_to(report: &mut Report, names: &Names, helo: &str, address: IpAddr) {
    let record = if address.is_ipv4() { "A" } else { "AAAA" };
    let cure = format!("publish {helo}. IN {record} {address}");
    match names.addresses(helo) {
        Ok(all) if all.contains(&address) => {
            report.fine("EHLO name", format!("{helo} leads to {address}"));
        }
        Err(DnsFailure::Failed(why)) => report.warn("EHLO name", why, "ask again later"),
        _ => report.warn("EHLO name", format!("{helo} does not lead to {address}"), cure),
    }
}

fn ptr(report: &mut Report, names: &Names, address: IpAddr, helo: &str) {
    let cure = format!("ask whoever gave you {address} to set its PTR record to {helo}");
    match names.ask(&reverse(address), DnsKind::Ptr) {
        Ok(answer) => {
            let found = format!("{address} is called {}", answer.texts.join(", "));
            match answer.texts.iter().any(|name| name.eq_ignore_ascii_case(helo)) {
                true => report.fine("PTR", found),
                false => report.warn("PTR", format!("{found}, not {helo}"), cure),
            }
        }
        Err(DnsFailure::Failed(why)) => report.warn("PTR", why, "ask again later"),
        Err(why) => {
            report.bad("PTR", format!("{address}: {why}: large receivers refuse such mail"), cure)
        }
    }
}

/// The name that a PTR record of `address` has (RFC 1035 section 3.5, RFC 3596 section 2.5).
fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let digits = v6.octets().into_iter().rev();
            let digits = digits.map(|byte| format!("{:x}.{:x}.", byte & 15, byte >> 4));
            digits.collect::<String>() + "ip6.arpa"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_backwards() {
        assert_eq!(reverse("192.0.2.1".parse().unwrap()), "1.2.0.192.in-addr.arpa");
        let v6 = reverse("2001:db8::1".parse().unwrap());
        assert!(v6.starts_with("1.0.0.0.") && v6.ends_with("8.b.d.0.1.0.0.2.ip6.arpa"), "{v6}");
    }

    #[test]
    fn private_networks_are_known() {
        for private in ["10.0.0.1", "172.17.0.2", "100.64.3.1", "127.0.0.1", "fd00::1", "fe80::1"] {
            assert!(!is_public(&private.parse().unwrap()), "{private}");
        }
        for public in ["100.128.0.1", "192.0.2.1", "2001:db8::1"] {
            assert!(is_public(&public.parse().unwrap()), "{public}");
        }
    }
}

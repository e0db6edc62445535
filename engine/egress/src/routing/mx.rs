//! Where the mail of a queue goes: hosts in order, and the name of the site they make up.

use crate::limits;
use crate::resolve::{DnsError, Resolver};
use ringmta_io::random_u64;
use ringmta_policy::{site_name, MxEntry};
use ringmta_queue::plan::{Plan, PlanHost};
use ringmta_smtp::response::Response;
use std::net::IpAddr;

/// A plan from a policy's `mx_list`.
pub fn from_list(list: &[MxEntry]) -> Plan {
    let given: Vec<&str> = list.iter().map(|entry| entry.given.as_str()).collect();
    let hosts = list
        .iter()
        .map(|entry| PlanHost {
            name: entry.name.clone(),
            addr: entry.addr,
            port: entry.port,
            preference: 0,
        })
        .collect();
    Plan { site: format!("mx_list:{}", given.join(",")), hosts, fixed: true, sts: None }
}

/// A plan from the DNS for `domain` (which may carry a port or be an address literal).
///
/// # Errors
/// What stands in for the peer's response: 5xx when the domain can never get mail, 4xx when it may later.
pub async fn from_dns(resolver: &Resolver, domain: &str) -> Result<Plan, Unresolved> {
    let (domain, port) = split_port(domain);
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let host = |name: String, preference| PlanHost { name, addr: None, port, preference };
    let plan = |site: String, hosts| Plan { site, hosts, fixed: false, sts: None };
    if let Some(literal) = domain.strip_prefix('[').and_then(|d| d.strip_suffix(']')) {
        let addr = literal_address(literal).ok_or_else(|| Unresolved {
            response: said(501, (5, 1, 3), &format!("bad address literal [{literal}]")),
            site: String::new(),
            why: String::new(),
        })?;
        let name = addr.to_string();
        let host = PlanHost { addr: Some(addr), ..host(name.clone(), 0) };
        return Ok(plan(with_port(name, port), vec![host]));
    }
    match resolver.mx(domain).await {
        Ok(list) if list.iter().all(|(_, name)| name.is_empty() || name == ".") => {
            // A null MX (RFC 7505): the domain says it takes no mail.
            let response = said(556, (5, 1, 10), "Recipient address has a null MX");
            Err(Unresolved { response, site: String::new(), why: String::new() })
        }
        Ok(mut list) => {
            // Sorted by preference and name: the same hosts, and so the same site, each time.
            list.truncate(limits::MX_HOSTS_MAX);
            let mut hosts: Vec<PlanHost> =
                list.into_iter().map(|(preference, name)| host(name, preference)).collect();
            let names: Vec<&str> = hosts.iter().map(|h| h.name.as_str()).collect();
            let site = with_port(site_name(&names), port);
            shuffle_equals(&mut hosts);
            Ok(plan(site, hosts))
        }
        Err(DnsError::NoData) => {
            Ok(plan(with_port(domain.to_string(), port), vec![host(domain.to_string(), 0)]))
        }
        // A name may come into being, or back: as the reference, tried until the message expires.
        Err(error) => Err(Unresolved {
            response: said(451, (4, 4, 4), "MX didn't resolve to any hosts"),
            site: with_port(domain.to_string(), port),
            why: format!("MX of {domain}: {error}"),
        }),
    }
}

/// A domain without hosts.
#[derive(Debug)]
pub struct Unresolved {
    /// What stands in for a peer's response.
    pub response: Response,
    /// Name of the site, as records tell it.
    pub site: String,
    /// What the DNS said, for operators; may be empty.
    pub why: String,
}

fn said(code: u16, enhanced: (u8, u16, u16), text: &str) -> Response {
    Response { code, enhanced: Some(enhanced), content: text.into(), command: None }
}

/// The address within the brackets of a literal (RFC 5321 section 4.1.3); its tag is not case-sensitive.
fn literal_address(literal: &str) -> Option<IpAddr> {
    match literal.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => {
            literal[5..].parse::<std::net::Ipv6Addr>().ok().map(IpAddr::V6)
        }
        _ => literal.parse().ok(),
    }
}

/// The domain alone, without a port; `None` for an address literal, which has no records.
pub fn domain_name(domain: &str) -> Option<&str> {
    let (name, _) = split_port(domain);
    (!name.starts_with('[')).then_some(name)
}

fn split_port(domain: &str) -> (&str, Option<u16>) {
    match domain.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (domain, None),
        },
        _ => (domain, None),
    }
}

fn with_port(site: String, port: Option<u16>) -> String {
    match port {
        Some(port) => format!("{site}:{port}"),
        None => site,
    }
}

/// Hosts of the same preference are tried in random order (RFC 5321 section 5.1).
pub fn shuffle_equals(hosts: &mut [PlanHost]) {
    for at in (1..hosts.len()).rev() {
        let other = (random_u64() % (at as u64 + 1)) as usize;
        hosts.swap(at, other);
    }
    hosts.sort_by_key(|host| host.preference);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals() {
        let six: IpAddr = "2001:db8::1".parse().unwrap();
        for text in ["IPv6:2001:db8::1", "ipv6:2001:db8::1", "2001:db8::1"] {
            assert_eq!(literal_address(text), Some(six), "{text}");
        }
        assert_eq!(literal_address("192.0.2.1"), Some(IpAddr::from([192, 0, 2, 1])));
        assert_eq!(literal_address("IPv6:192.0.2.1"), None);
    }

    #[test]
    fn hosts_of_one_preference_take_turns_whatever_it_is() {
        for preference in [0, 10] {
            let host =
                |name: &str| PlanHost { name: name.into(), addr: None, port: None, preference };
            let mut first = std::collections::BTreeSet::new();
            for _ in 0..200 {
                let mut hosts = vec![host("a"), host("b"), host("c")];
                shuffle_equals(&mut hosts);
                first.insert(hosts[0].name.clone());
            }
            assert_eq!(first.len(), 3, "preference {preference}");
        }
    }

    #[test]
    fn ports() {
        assert_eq!(split_port("a.test:26"), ("a.test", Some(26)));
        assert_eq!(split_port("a.test"), ("a.test", None));
        assert_eq!(split_port("[::1]:26"), ("[::1]", Some(26)));
        assert_eq!(split_port("[::1]"), ("[::1]", None));
    }
}

//! Where the mail of a queue goes: hosts in order, and the name of the site they make up.

use super::resolve::{DnsError, Resolver};
use crate::egress::reply::Response;
use crate::io::random_u64;
use ringmta_policy::{site_name, MxEntry, StsPolicy};
use std::net::IpAddr;
use std::rc::Rc;

/// One host to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanHost {
    /// Its name, for EHLO checks, TLS and logs.
    pub name: String,
    /// Its address, when policy gives it.
    pub addr: Option<IpAddr>,
    /// Its port, when policy gives it.
    pub port: Option<u16>,
    /// MX preference; 0 for a fixed list, which is tried in its own order.
    pub preference: u16,
}

/// The hosts of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Name of the site: part of the ready queue's name.
    pub site: String,
    /// Hosts, best first.
    pub hosts: Vec<PlanHost>,
    /// What the domain demands of its hosts (RFC 8461); only when it is to be enforced.
    pub sts: Option<Rc<StsPolicy>>,
}

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
    Plan { site: format!("mx_list:{}", given.join(",")), hosts, sts: None }
}

/// A plan from the DNS for `domain` (which may carry a port or be an address literal).
///
/// # Errors
/// The response that stands in for the peer's: 5xx when the domain can never get mail, 4xx when
/// it may later.
pub async fn from_dns(resolver: &Resolver, domain: &str) -> Result<Plan, Response> {
    let (domain, port) = split_port(domain);
    let host = |name: String, preference| PlanHost { name, addr: None, port, preference };
    if let Some(literal) = domain.strip_prefix('[').and_then(|d| d.strip_suffix(']')) {
        let literal = literal.strip_prefix("IPv6:").unwrap_or(literal);
        let addr: IpAddr = literal
            .parse()
            .map_err(|_| Response::internal(500, format!("bad address literal [{literal}]")))?;
        let host = PlanHost { addr: Some(addr), ..host(domain.to_string(), 0) };
        return Ok(Plan { site: domain.to_string(), hosts: vec![host], sts: None });
    }
    match resolver.mx(domain).await {
        Ok(list) if list.iter().all(|(_, name)| name.is_empty() || name == ".") => {
            // A null MX (RFC 7505): the domain says it takes no mail.
            Err(Response {
                enhanced: Some((5, 1, 10)),
                ..Response::internal(556, format!("{domain} accepts no mail (null MX)"))
            })
        }
        Ok(list) => {
            let mut hosts: Vec<PlanHost> =
                list.into_iter().map(|(preference, name)| host(name, preference)).collect();
            let names: Vec<&str> = hosts.iter().map(|h| h.name.as_str()).collect();
            let site = with_port(site_name(&names), port);
            shuffle_equals(&mut hosts);
            Ok(Plan { site, hosts, sts: None })
        }
        Err(DnsError::NoData) => Ok(Plan {
            site: with_port(domain.to_string(), port),
            hosts: vec![host(domain.to_string(), 0)],
            sts: None,
        }),
        Err(DnsError::NoSuchName) => Err(Response {
            enhanced: Some((5, 1, 2)),
            ..Response::internal(550, format!("domain {domain} does not exist"))
        }),
        Err(error) => Err(Response {
            enhanced: Some((4, 4, 3)),
            ..Response::internal(451, format!("MX of {domain}: {error}"))
        }),
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
    fn ports() {
        assert_eq!(split_port("a.test:26"), ("a.test", Some(26)));
        assert_eq!(split_port("a.test"), ("a.test", None));
        assert_eq!(split_port("[::1]:26"), ("[::1]", Some(26)));
        assert_eq!(split_port("[::1]"), ("[::1]", None));
    }
}

//! Sender Policy Framework (RFC 7208).

use std::net::IpAddr;

use futures::future::LocalBoxFuture;
use ringmta_options::IpLookupStrategy;

use super::results::AuthResult;
use super::spf_macro::Context;
use crate::dns::names::{is_name, ptr_host};
use crate::dns::question::{DnsAnswer, DnsFailure, DnsKind, DnsQuestion};
use crate::limits::{SPF_HOSTS, SPF_LOOKUPS, SPF_VOID_LOOKUPS};
use crate::vm::asker::Asker;

/// What the record says of the address, and why.
pub(crate) struct Outcome {
    /// Word of section 2.6.
    pub result: &'static str,
    /// The term that decided, or what is wrong.
    pub reason: String,
}

fn outcome(result: &'static str, reason: impl Into<String>) -> Outcome {
    Outcome { result, reason: reason.into() }
}

/// A record that cannot be evaluated to the end.
enum Stop {
    /// DNS failed: try again later.
    Temp(String),
    /// The record is wrong.
    Perm(String),
}

struct Eval<'a> {
    dns: &'a Asker<'a>,
    ip: IpAddr,
    sender: &'a str,
    helo: &'a str,
    lookups: usize,
    void: usize,
}

/// Evaluates the record of `domain` for an address.
pub(crate) async fn check_host(
    dns: &Asker<'_>,
    ip: IpAddr,
    domain: &str,
    sender: &str,
    helo: &str,
) -> Outcome {
    let domain = domain.trim_end_matches('.').to_ascii_lowercase();
    if domain.starts_with('[') {
        return outcome("none", "this is not a domain name");
    }
    let whole;
    let sender = match sender.contains('@') {
        true => sender,
        false => {
            whole = format!("postmaster@{}", if sender.is_empty() { &domain } else { sender });
            &whole
        }
    };
    let ip = match ip {
        IpAddr::V6(six) => six.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        four => four,
    };
    let mut eval = Eval { dns, ip, sender, helo, lookups: 0, void: 0 };
    match eval.host(domain).await {
        Ok(found) => found,
        Err(Stop::Temp(e)) => outcome("temperror", e),
        Err(Stop::Perm(e)) => outcome("permerror", e),
    }
}

/// A term that may match, cut into its parts.
struct Mechanism<'t> {
    result: &'static str,
    name: String,
    /// Behind the colon.
    argument: &'t str,
    /// Behind the slash or slashes.
    prefix4: u8,
    prefix6: u8,
}

fn mechanism(term: &str) -> Result<Mechanism<'_>, Stop> {
    let bad = || Stop::Perm(format!("`{term}` is not a term"));
    let (result, rest) = match term.as_bytes()[0] {
        b'+' => ("pass", &term[1..]),
        b'-' => ("fail", &term[1..]),
        b'~' => ("softfail", &term[1..]),
        b'?' => ("neutral", &term[1..]),
        _ => ("pass", term),
    };
    let end = rest.find([':', '/']).unwrap_or(rest.len());
    let name = rest[..end].to_ascii_lowercase();
    let rest = &rest[end..];
    let mut argument = rest.strip_prefix(':').unwrap_or("");
    if rest.starts_with(':') && argument.is_empty() {
        return Err(bad());
    }
    let (mut prefix4, mut prefix6) = (32, 128);
    if matches!(name.as_str(), "a" | "mx") {
        let tail = if rest.starts_with(':') { argument } else { rest };
        // A slash inside a macro is a delimiter.
        let from = tail.rfind('}').map_or(0, |n| n + 1);
        let slash = tail[from..].find('/').map_or(tail.len(), |n| from + n);
        let (before, sizes) = tail.split_at(slash);
        argument = before;
        if !sizes.is_empty() {
            let (four, six) = match sizes.split_once("//") {
                Some((four, six)) => (four, Some(six)),
                None => (sizes, None),
            };
            let number = |text: &str, most: u8| -> Result<u8, Stop> {
                let n = text
                    .parse::<u8>()
                    .ok()
                    .filter(|n| *n <= most && (text.len() == 1 || !text.starts_with('0')));
                n.ok_or_else(bad)
            };
            if let Some(four) = four.strip_prefix('/') {
                prefix4 = number(four, 32)?;
            }
            if let Some(six) = six {
                prefix6 = number(six, 128)?;
            }
        }
    }
    Ok(Mechanism { result, name, argument, prefix4, prefix6 })
}

/// Whether two addresses agree in their first bits.
fn within(a: IpAddr, b: IpAddr, prefix4: u8, prefix6: u8) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let shift = 32 - u32::from(prefix4.min(32));
            (u64::from(u32::from(a)) >> shift) == (u64::from(u32::from(b)) >> shift)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let shift = 128 - u32::from(prefix6.min(128));
            shift == 128 || (u128::from(a) >> shift) == (u128::from(b) >> shift)
        }
        _ => false,
    }
}

impl Eval<'_> {
    async fn ask(&mut self, name: String, kind: DnsKind) -> Result<DnsAnswer, Stop> {
        match self.dns.dns(DnsQuestion::new(name.clone(), kind)).await {
            Ok(answer) => Ok(answer),
            Err(DnsFailure::NoData | DnsFailure::NoSuchName) => Ok(DnsAnswer::default()),
            Err(DnsFailure::Failed(e)) => Err(Stop::Temp(format!("{name}: {e}"))),
        }
    }

    /// As [`Eval::ask`] for a term: counts against the limits of section 4.6.4.
    async fn ask_for_term(&mut self, name: String, kind: DnsKind) -> Result<DnsAnswer, Stop> {
        let answer = self.ask(name, kind).await?;
        if answer.addresses.is_empty() && answer.mx.is_empty() && answer.texts.is_empty() {
            self.void += 1;
            if self.void > SPF_VOID_LOOKUPS {
                return Err(Stop::Perm("too many DNS questions find nothing".into()));
            }
        }
        Ok(answer)
    }

    fn count(&mut self) -> Result<(), Stop> {
        self.lookups += 1;
        match self.lookups > SPF_LOOKUPS {
            true => Err(Stop::Perm("the record needs too many DNS questions".into())),
            false => Ok(()),
        }
    }

    async fn record(&mut self, domain: &str) -> Result<Option<String>, Stop> {
        let texts = self.ask(domain.to_owned(), DnsKind::Txt).await?.texts;
        let mut found = texts.into_iter().filter(|t| {
            t.get(..6).is_some_and(|v| v.eq_ignore_ascii_case("v=spf1"))
                && (t.len() == 6 || t.as_bytes()[6] == b' ')
        });
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(Stop::Perm("there is more than one record".into())),
            (one, None) => Ok(one),
        }
    }

    fn host<'s>(&'s mut self, domain: String) -> LocalBoxFuture<'s, Result<Outcome, Stop>> {
        Box::pin(async move {
            // Section 4.3: what is no domain name has no record.
            if !is_name(&domain) || !domain.contains('.') {
                return Ok(outcome("none", "this is not a domain name"));
            }
            let Some(record) = self.record(&domain).await? else {
                return Ok(outcome("none", format!("{domain} has no SPF record")));
            };
            let mut redirect = None;
            let mut terms = Vec::new();
            for term in record.split(' ').skip(1).filter(|t| !t.is_empty()) {
                // A modifier has its `=` before any `:` or `/`.
                let equals = term.find('=').filter(|at| !term[..*at].contains([':', '/']));
                match equals {
                    Some(at) if term[..at].eq_ignore_ascii_case("redirect") => {
                        if redirect.replace(&term[at + 1..]).is_some() {
                            return Err(Stop::Perm("redirect comes twice".into()));
                        }
                    }
                    Some(_) => {}
                    None => terms.push(mechanism(term).map(|m| (term, m))?),
                }
            }
            for (term, m) in &terms {
                if self.matches(m, &domain).await? {
                    return Ok(outcome(m.result, format!("{domain}: matched `{term}`")));
                }
            }
            let Some(target) = redirect else {
                return Ok(outcome("neutral", format!("{domain}: nothing matched")));
            };
            self.count()?;
            let target = self.expand(target, &domain)?;
            match self.host(target.clone()).await? {
                Outcome { result: "none", .. } => {
                    Err(Stop::Perm(format!("redirect to {target}, which has no record")))
                }
                found => Ok(found),
            }
        })
    }

    fn expand(&self, text: &str, domain: &str) -> Result<String, Stop> {
        let context = Context { ip: self.ip, sender: self.sender, helo: self.helo, domain };
        context.name(text).map_err(Stop::Perm)
    }

    fn target(&self, m: &Mechanism<'_>, domain: &str) -> Result<String, Stop> {
        match m.argument {
            "" => Ok(domain.to_owned()),
            text => self.expand(text, domain),
        }
    }

    fn family(&self) -> DnsKind {
        DnsKind::Addresses(match self.ip {
            IpAddr::V4(_) => IpLookupStrategy::Ipv4Only,
            IpAddr::V6(_) => IpLookupStrategy::Ipv6Only,
        })
    }

    async fn matches(&mut self, m: &Mechanism<'_>, domain: &str) -> Result<bool, Stop> {
        let ip = self.ip;
        let near = |a: &IpAddr| within(ip, *a, m.prefix4, m.prefix6);
        let needs = |m: &Mechanism<'_>| match m.argument.is_empty() {
            true => Err(Stop::Perm(format!("`{}` needs an argument", m.name))),
            false => Ok(()),
        };
        match m.name.as_str() {
            "all" => Ok(true),
            "ip4" | "ip6" => {
                let (address, size) = match m.argument.split_once('/') {
                    Some((a, s)) => (a, Some(s)),
                    None => (m.argument, None),
                };
                let bad = || Stop::Perm(format!("`{}:{}` is not a network", m.name, m.argument));
                let network: IpAddr = address.parse().map_err(|_| bad())?;
                let most = if network.is_ipv4() { 32 } else { 128 };
                let size =
                    size.map(str::parse::<u8>).transpose().map_err(|_| bad())?.unwrap_or(most);
                if network.is_ipv4() != (m.name == "ip4") || size > most {
                    return Err(bad());
                }
                Ok(within(ip, network, size, size))
            }
            "include" => {
                needs(m)?;
                self.count()?;
                let target = self.expand(m.argument, domain)?;
                match self.host(target.clone()).await?.result {
                    "pass" => Ok(true),
                    "none" => Err(Stop::Perm(format!("include of {target}, which has no record"))),
                    _ => Ok(false),
                }
            }
            "a" => {
                self.count()?;
                let (name, kind) = (self.target(m, domain)?, self.family());
                Ok(self.ask_for_term(name, kind).await?.addresses.iter().any(near))
            }
            "mx" => {
                self.count()?;
                let (name, kind) = (self.target(m, domain)?, self.family());
                let hosts = self.ask_for_term(name, DnsKind::Mx).await?.mx;
                if hosts.len() > SPF_HOSTS {
                    return Err(Stop::Perm("`mx` has too many hosts".into()));
                }
                for (_, host) in hosts {
                    if self.ask(host, kind).await?.addresses.iter().any(near) {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            "ptr" => {
                self.count()?;
                let target = self.target(m, domain)?.to_ascii_lowercase();
                self.ptr(&target).await
            }
            "exists" => {
                needs(m)?;
                self.count()?;
                let name = self.expand(m.argument, domain)?;
                let kind = DnsKind::Addresses(IpLookupStrategy::Ipv4Only);
                Ok(!self.ask_for_term(name, kind).await?.addresses.is_empty())
            }
            other => Err(Stop::Perm(format!("`{other}` is not a mechanism"))),
        }
    }

    /// Section 5.5: a name of the address that leads back to it lies within the target. DNS failures do not match.
    async fn ptr(&mut self, target: &str) -> Result<bool, Stop> {
        let kind = self.family();
        let Ok(found) = self.ask(ptr_host(self.ip), DnsKind::Ptr).await else { return Ok(false) };
        for name in found.texts.into_iter().take(SPF_HOSTS) {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            if !super::dkim::below(&name, target) {
                continue;
            }
            if self.ask(name, kind).await.is_ok_and(|a| a.addresses.contains(&self.ip)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The outcome as an authentication result.
pub(crate) fn result(o: &Outcome, sender: &str, helo: &str) -> AuthResult {
    let r = AuthResult::new("spf", o.result, o.reason.clone());
    match sender.is_empty() {
        false => r.with("smtp.mailfrom", sender),
        true => r.with("smtp.helo", helo),
    }
}

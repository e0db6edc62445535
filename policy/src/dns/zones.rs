//! Zones held in memory, so that tests of a policy need no name server.

use std::collections::HashMap;
use std::net::IpAddr;

use ringmta_options::IpLookupStrategy;

use crate::dns::question::{DnsAnswer, DnsFailure, DnsKind, DnsQuestion, DnsResult};

/// CNAMEs followed at most.
const MAX_CNAMES: usize = 8;

/// Records of one name.
#[derive(Clone, Debug, Default, PartialEq)]
struct Node {
    mx: Vec<(u16, String)>,
    addresses: Vec<IpAddr>,
    txt: Vec<String>,
    ptr: Vec<String>,
    cname: Option<String>,
    /// Its zone counts as signed.
    secure: bool,
}

/// All names of the zones, and those that always fail.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Zones {
    nodes: HashMap<String, Node>,
    failing: Vec<String>,
}

impl Zones {
    /// Reads zones in master-file form (RFC 1035 section 5; one record per line). Names in `servfail` fail when asked.
    pub fn parse<'a>(
        zones: impl IntoIterator<Item = &'a str>,
        servfail: impl IntoIterator<Item = &'a str>,
    ) -> Result<Zones, String> {
        let mut out = Zones {
            failing: servfail.into_iter().map(|n| absolute(n, "")).collect(),
            ..Zones::default()
        };
        for zone in zones {
            out.add(zone, false)?;
        }
        Ok(out)
    }

    /// Adds a zone; a `secure` one counts as signed.
    pub fn add(&mut self, zone: &str, secure: bool) -> Result<(), String> {
        let mut origin = String::new();
        let mut owner = String::new();
        for (at, line) in zone.lines().enumerate() {
            let words = split(line);
            let Some(first) = words.first() else { continue };
            let bad = |why: &str| format!("zone line {}: {why}: {}", at + 1, line.trim());
            match (first.as_str(), words.get(1)) {
                ("$ORIGIN", Some(name)) => {
                    origin = absolute(name, "");
                    continue;
                }
                ("$TTL", _) => continue,
                _ => {}
            }
            let mut rest = &words[..];
            // A line that begins with a blank goes on with the name of the one before.
            if !line.starts_with([' ', '\t']) {
                owner = absolute(first, &origin);
                rest = &words[1..];
            }
            while rest.first().is_some_and(|w| {
                w.eq_ignore_ascii_case("IN") || w.bytes().all(|b| b.is_ascii_digit())
            }) {
                rest = &rest[1..];
            }
            let [kind, data @ ..] = rest else { return Err(bad("no record type")) };
            let one = || data.first().ok_or_else(|| bad("no data"));
            let node = self.nodes.entry(owner.clone()).or_default();
            node.secure = secure;
            match kind.to_ascii_uppercase().as_str() {
                "A" | "AAAA" => {
                    node.addresses.push(one()?.parse().map_err(|_| bad("not an address"))?)
                }
                "MX" => {
                    let preference = one()?.parse().map_err(|_| bad("not a preference"))?;
                    let host = data.get(1).ok_or_else(|| bad("no host"))?;
                    node.mx.push((preference, absolute(host, &origin)));
                    node.mx.sort();
                }
                "TXT" => node.txt.push(data.concat()),
                "PTR" => node.ptr.push(absolute(one()?, &origin)),
                "CNAME" => node.cname = Some(absolute(one()?, &origin)),
                // Zones of real servers carry these; nothing here asks for them.
                "SOA" | "NS" | "TLSA" | "SRV" | "CAA" => {}
                _ => return Err(bad("unknown record type")),
            }
        }
        Ok(())
    }

    /// Takes the names of other zones that these do not have.
    pub fn take_missing(&mut self, other: &Zones) {
        for (name, node) in &other.nodes {
            self.nodes.entry(name.clone()).or_insert_with(|| node.clone());
        }
        self.failing.extend(other.failing.iter().cloned());
    }

    /// Answers a question.
    pub fn answer(&self, question: &DnsQuestion) -> DnsResult {
        let mut name = absolute(&question.name, "");
        let mut secure = true;
        for _ in 0..MAX_CNAMES {
            if self.failing.contains(&name) {
                return Err(DnsFailure::Failed(format!("{name}: SERVFAIL (test zone)")));
            }
            let node = self.nodes.get(&name).ok_or(DnsFailure::NoSuchName)?;
            secure &= node.secure;
            match &node.cname {
                Some(target) => name = target.clone(),
                None => return node.answer(question.kind).map(|a| DnsAnswer { secure, ..a }),
            }
        }
        Err(DnsFailure::Failed(format!("{name}: too many CNAMEs")))
    }
}

impl Node {
    fn answer(&self, kind: DnsKind) -> DnsResult {
        let mut found = DnsAnswer::default();
        match kind {
            DnsKind::Mx => found.mx = self.mx.clone(),
            DnsKind::Txt => found.texts = self.txt.clone(),
            DnsKind::Ptr => found.texts = self.ptr.clone(),
            DnsKind::Addresses(strategy) => found.addresses = self.of_families(strategy),
        }
        let any = !(found.mx.is_empty() && found.texts.is_empty() && found.addresses.is_empty());
        any.then_some(found).ok_or(DnsFailure::NoData)
    }

    fn of_families(&self, strategy: IpLookupStrategy) -> Vec<IpAddr> {
        let pick = |v4: bool| -> Vec<IpAddr> {
            self.addresses.iter().filter(|a| a.is_ipv4() == v4).copied().collect()
        };
        let or = |first: Vec<IpAddr>, other: bool| {
            if first.is_empty() {
                pick(other)
            } else {
                first
            }
        };
        match strategy {
            IpLookupStrategy::Ipv4Only => pick(true),
            IpLookupStrategy::Ipv6Only => pick(false),
            IpLookupStrategy::Ipv4AndIpv6 => [pick(true), pick(false)].concat(),
            IpLookupStrategy::Ipv4ThenIpv6 => or(pick(true), false),
            IpLookupStrategy::Ipv6ThenIpv4 => or(pick(false), true),
        }
    }
}

/// The name without its last dot, in lower case, below `origin` unless it had that dot or is the origin.
fn absolute(name: &str, origin: &str) -> String {
    let lower = name.to_ascii_lowercase();
    match lower.strip_suffix('.') {
        Some(whole) => whole.to_owned(),
        None if lower == "@" => origin.to_owned(),
        None if origin.is_empty() => lower,
        None => format!("{lower}.{origin}"),
    }
}

/// The words of a line: quoted texts are one word, a semicolon begins a comment.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ';' if !quoted => break,
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            '(' | ')' if !quoted => {}
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZONE: &str = r#"
$ORIGIN example.com.
$TTL 60
@       600 IN MX 10 mx1
@           MX 20 mx2.other.test.
        IN TXT "v=spf1 " "-all" ; a comment
mx1     A 192.0.2.1
        AAAA 2001:db8::1
www     CNAME mx1
"#;

    fn ask(z: &Zones, name: &str, kind: DnsKind) -> DnsResult {
        z.answer(&DnsQuestion::new(name, kind))
    }

    #[test]
    fn records_are_found() {
        let z = Zones::parse([ZONE], ["broken.test"]).unwrap();
        let mx = ask(&z, "Example.COM.", DnsKind::Mx).unwrap().mx;
        assert_eq!(mx, [(10, "mx1.example.com".into()), (20, "mx2.other.test".into())]);
        assert_eq!(ask(&z, "example.com", DnsKind::Txt).unwrap().texts, ["v=spf1 -all"]);
        let v6 = DnsKind::Addresses(IpLookupStrategy::Ipv6ThenIpv4);
        let got = ask(&z, "www.example.com", v6).unwrap().addresses;
        assert_eq!(got, ["2001:db8::1".parse::<IpAddr>().unwrap()]);
        assert_eq!(ask(&z, "nope.test", DnsKind::Mx), Err(DnsFailure::NoSuchName));
        assert_eq!(ask(&z, "mx1.example.com", DnsKind::Mx), Err(DnsFailure::NoData));
        assert!(matches!(ask(&z, "broken.test", DnsKind::Mx), Err(DnsFailure::Failed(_))));
    }

    #[test]
    fn bad_lines_are_named() {
        let e = Zones::parse(["$ORIGIN x.\na A 1.2.3"], []).unwrap_err();
        assert!(e.contains("line 2: not an address"), "{e}");
    }
}

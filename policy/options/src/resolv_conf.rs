//! `/etc/resolv.conf` (resolv.conf(5)), read as the C library reads it: lines and options it does not know say nothing.
//! The crate of that name refuses the whole file for one of those, which would leave a host without name servers.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Port of name servers: the file names none.
const DNS_PORT: u16 = 53;
/// Longest wait for a server that the file may ask for, seconds (as the C library has it).
const TIMEOUT_MAX_SECS: u64 = 30;
/// Most rounds over the servers.
const ATTEMPTS_MAX: usize = 5;
/// Most dots.
const NDOTS_MAX: i64 = 15;

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// Name servers, in the order to ask them.
    pub servers: Vec<SocketAddr>,
    /// Domains to search.
    pub search: Vec<String>,
    /// Dots of a name that is tried as it is first, when it is said.
    pub ndots: Option<i64>,
    /// How long a server may take, seconds, when it is said.
    pub timeout_secs: Option<u64>,
    /// Rounds over the servers, when it is said.
    pub attempts: Option<usize>,
    /// Long answers over UDP.
    pub edns0: bool,
    /// Whether questions are shared out over the servers.
    pub rotate: bool,
}

impl ResolvConf {
    /// Reads the text of the file. `interface` tells the number of a network interface by its name: servers at link-local
    /// addresses have one (`fe80::1%eth0`).
    pub fn parse(text: &str, interface: impl Fn(&str) -> Option<u32>) -> ResolvConf {
        let mut conf = ResolvConf::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    conf.servers.extend(words.next().and_then(|word| server(word, &interface)));
                }
                // The last of these counts.
                Some("search") => conf.search = words.map(str::to_string).collect(),
                Some("domain") => conf.search = words.take(1).map(str::to_string).collect(),
                Some("options") => words.for_each(|word| conf.option(word)),
                _ => {}
            }
        }
        conf
    }

    fn option(&mut self, word: &str) {
        let (name, value) = word.split_once(':').unwrap_or((word, ""));
        let number = value.parse::<u32>().ok();
        match name {
            "ndots" => self.ndots = number.map(|n| i64::from(n).min(NDOTS_MAX)).or(self.ndots),
            "timeout" => {
                let secs = number.map(|n| u64::from(n).clamp(1, TIMEOUT_MAX_SECS));
                self.timeout_secs = secs.or(self.timeout_secs);
            }
            "attempts" => {
                let rounds = number.map(|n| (n as usize).clamp(1, ATTEMPTS_MAX));
                self.attempts = rounds.or(self.attempts);
            }
            "edns0" => self.edns0 = true,
            "rotate" => self.rotate = true,
            _ => {}
        }
    }
}

/// The number of a network interface of this host, by its name.
pub fn interface_number(name: &str) -> Option<u32> {
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return None;
    }
    let text = std::fs::read_to_string(format!("/sys/class/net/{name}/ifindex")).ok()?;
    text.trim().parse().ok()
}

fn server(word: &str, interface: &impl Fn(&str) -> Option<u32>) -> Option<SocketAddr> {
    let Some((address, scope)) = word.split_once('%') else {
        return word.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, DNS_PORT));
    };
    let scope = scope.parse().ok().or_else(|| interface(scope))?;
    let address: Ipv6Addr = address.parse().ok()?;
    Some(SocketAddrV6::new(address, DNS_PORT, 0, scope).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_c_library_reads_it() {
        let text = "# made by hand\n; so\nnameserver 192.0.2.1 trailing\nnameserver junk\nnameserver\n\
            nameserver fe80::1%eth0\nnameserver fe80::2%7\nnameserver fe80::3%gone\nnameserver 2001:db8::9\n\
            domain old.test\nsearch a.test b.test\nlookup file bind\n\
            options ndots:99 timeout:60 trust-ad attempts:x\noptions attempts:9 rotate edns0 no-such:1\n";
        let conf = ResolvConf::parse(text, |name| (name == "eth0").then_some(3));
        let servers: Vec<String> = conf.servers.iter().map(ToString::to_string).collect();
        let wanted = ["192.0.2.1:53", "[fe80::1%3]:53", "[fe80::2%7]:53", "[2001:db8::9]:53"];
        assert_eq!(servers, wanted);
        assert_eq!(conf.search, ["a.test", "b.test"]);
        assert_eq!((conf.ndots, conf.timeout_secs, conf.attempts), (Some(15), Some(30), Some(5)));
        assert!(conf.rotate && conf.edns0);
        let conf = ResolvConf::parse("search a b\ndomain c d\noptions timeout:0", |_| None);
        assert_eq!((conf.search, conf.timeout_secs), (vec!["c".to_string()], Some(1)));
        assert_eq!(ResolvConf::parse("", |_| None), ResolvConf::default());
        assert_eq!(interface_number("../../../etc"), None);
        assert!(interface_number("lo").is_none_or(|number| number > 0), "there may be no /sys");
    }
}

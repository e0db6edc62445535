//! Names that this host knows without the DNS: `localhost` (RFC 6761 section 6.3), and what is in `/etc/hosts`, as the
//! system's own resolver has it.

use crate::limits::{HOSTS_FILE_BYTES, HOSTS_KEEP_SECS};
use ringmta_io::{self as io, sim, Map};
use std::cell::{Cell, RefCell};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const FILE: &str = "/etc/hosts";

/// The names of this host, as one shard knows them.
#[derive(Default)]
pub struct Hosts {
    names: RefCell<Map<String, Vec<IpAddr>>>,
    /// When the file was read, monotonic nanoseconds; 0 is never.
    read_nanos: Cell<u64>,
}

impl Hosts {
    /// The addresses of `name` (lower case, without the last dot); `None` when it is none of these names.
    pub async fn find(&self, name: &str) -> Option<Vec<IpAddr>> {
        if is_localhost(name) {
            return Some(localhost());
        }
        // A simulated world has no such file.
        if sim::active() {
            return None;
        }
        let now = io::mono_nanos().max(1);
        let read = self.read_nanos.get();
        if read == 0 || now - read > HOSTS_KEEP_SECS * 1_000_000_000 {
            self.read_nanos.set(now);
            let text = io::blocking(read_file);
            // Without it names are asked for in the DNS alone.
            *self.names.borrow_mut() = parse(&text.await.unwrap_or_default());
        }
        self.names.borrow().get(name).cloned()
    }
}

/// As [`Hosts::find`], for who may wait: reads the file each time.
pub fn known(name: &str) -> Option<Vec<IpAddr>> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    if is_localhost(&name) {
        return Some(localhost());
    }
    parse(&read_file()?).remove(&name)
}

fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

fn localhost() -> Vec<IpAddr> {
    vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
}

/// The file, as far as it is read.
fn read_file() -> Option<String> {
    let mut text = String::new();
    let file = std::fs::File::open(FILE).ok()?;
    file.take(HOSTS_FILE_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The names of a file in the form of hosts(5).
fn parse(text: &str) -> Map<String, Vec<IpAddr>> {
    let mut names: Map<String, Vec<IpAddr>> = Map::default();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or("").split_ascii_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse) else { continue };
        for name in words {
            let known = names.entry(name.trim_end_matches('.').to_ascii_lowercase()).or_default();
            if !known.contains(&address) {
                known.push(address);
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_hosts() {
        let names = parse(
            "127.0.0.1 localhost\n192.0.2.7\tMail.Example. mail # comment\n2001:db8::7 mail\n\
             192.0.2.7 mail\nfe80::1%eth0 scoped\nnonsense x\n#192.0.2.9 gone\n",
        );
        let mail: Vec<IpAddr> = ["192.0.2.7", "2001:db8::7"].map(|ip| ip.parse().unwrap()).into();
        assert_eq!(names["mail"], mail);
        assert_eq!(names["mail.example"], mail[..1]);
        assert!(!names.contains_key("gone") && !names.contains_key("x"));
    }
}

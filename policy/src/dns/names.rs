//! Names made of names and addresses.

use std::net::IpAddr;

/// One name for a set of hosts, equal for equal sets: labels that differ become alternatives, labels that some hosts lack
/// become optional, e.g. `(alt1|alt2)?.mx.example`. Ready queues and shaping rules are both keyed by it.
pub fn site_name(names: &[&str]) -> String {
    let mut sorted: Vec<&str> = names.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let split: Vec<Vec<&str>> = sorted.iter().map(|name| name.rsplit('.').collect()).collect();
    let depth = split.iter().map(Vec::len).max().unwrap_or(0);
    let mut parts = Vec::with_capacity(depth);
    for level in (0..depth).rev() {
        let mut labels: Vec<&str> = Vec::new();
        let mut missing = false;
        for name in &split {
            match name.get(level) {
                Some(label) if !labels.contains(label) => labels.push(label),
                Some(_) => {}
                None => missing = true,
            }
        }
        let label = match (labels.as_slice(), missing) {
            ([one], false) => (*one).to_string(),
            (many, false) => format!("({})", many.join("|")),
            (many, true) => format!("({})?", many.join("|")),
        };
        parts.push(label);
    }
    parts.join(".")
}

/// Longest name as it is written, without its last dot (RFC 1035 section 3.1 in its text form).
pub(crate) const NAME_BYTES: usize = 253;
/// Longest part of one.
const LABEL_BYTES: usize = 63;

/// Whether a name, without its last dot, can be one of the DNS by its lengths (RFC 1035 section 2.3.4).
pub fn is_name(name: &str) -> bool {
    let fits = |label: &str| (1..=LABEL_BYTES).contains(&label.len());
    name.len() <= NAME_BYTES && name.split('.').all(fits)
}

/// The address with its parts in reverse order, as DNS lists are asked: `4.3.2.1`, or nibbles for IPv6.
pub fn reverse_ip(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(a) => {
            let [a, b, c, d] = a.octets();
            format!("{d}.{c}.{b}.{a}")
        }
        IpAddr::V6(a) => {
            let nibbles = a.octets().into_iter().rev().flat_map(|o| [o & 15, o >> 4]);
            nibbles.map(|n| format!("{n:x}")).collect::<Vec<_>>().join(".")
        }
    }
}

/// The name PTR records of an address are found under.
pub fn ptr_host(ip: IpAddr) -> String {
    let tail = if ip.is_ipv4() { "in-addr" } else { "ip6" };
    format!("{}.{tail}.arpa", reverse_ip(ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_names() {
        let label = "x".repeat(63);
        let longest = [&*label, &label, &label, &label[..61]].join(".");
        for name in ["a", "a.test", "_x._y.test", &label, &longest] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "a..b", ".a", "a.", &(label + "x"), &format!("{longest}x")] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn site_names() {
        assert_eq!(site_name(&["mx.example"]), "mx.example");
        assert_eq!(site_name(&["mx2.example", "mx1.example"]), "(mx1|mx2).example");
        let google = ["alt2.g.l.test", "g.l.test", "alt1.g.l.test"];
        assert_eq!(site_name(&google), "(alt1|alt2)?.g.l.test");
    }

    #[test]
    fn reverse_names() {
        assert_eq!(ptr_host("192.0.2.7".parse().unwrap()), "7.2.0.192.in-addr.arpa");
        let six = reverse_ip("2001:db8::1".parse().unwrap());
        assert!(six.starts_with("1.0.0.0.") && six.ends_with("8.b.d.0.1.0.0.2"), "{six}");
    }
}

//! Sets and maps of IP networks.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use prefix_trie::joint::map::JointPrefixMap;

use crate::plain::Plain;
use crate::table::Notes;
use crate::value::{wrong, OptionValue};

/// Reads one network. IPv4 is kept apart from IPv6, but an IPv4-mapped IPv6 address counts as IPv4.
fn parse(text: &str) -> Result<IpNet, String> {
    let bad = |why: &str| {
        format!("invalid value: string {text:?}, expected an IP address or network: {why}")
    };
    let (addr, prefix) = match text.split_once('/') {
        Some((a, p)) => {
            (a, Some(p.parse::<u8>().map_err(|_| bad("the prefix length is not a number"))?))
        }
        None => (text, None),
    };
    let addr: IpAddr =
        addr.trim_matches(|c| c == '[' || c == ']').parse().map_err(|_| bad("not an address"))?;
    let single = IpNet::from(addr.to_canonical());
    let network = IpNet::new(single.addr(), prefix.unwrap_or(single.prefix_len()))
        .map_err(|_| bad("the prefix is longer than the address"))?;
    match network.network() == network.addr() {
        true => Ok(network),
        false => Err(bad("bits are set behind the prefix")),
    }
}

/// The network as a policy writes it: a single address without its prefix.
fn text(network: IpNet) -> String {
    match network.prefix_len() == network.max_prefix_len() {
        true => network.addr().to_string(),
        false => network.to_string(),
    }
}

/// A set of addresses and networks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CidrSet(CidrMap<()>);

impl fmt::Display for CidrSet {
    /// As a set of quoted texts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(network, ())| network)).finish()
    }
}

impl CidrSet {
    /// A set of the given networks; the error says which is wrong and why (host bits behind the prefix are refused).
    pub fn parse_list<S: AsRef<str>>(
        items: impl IntoIterator<Item = S>,
    ) -> Result<CidrSet, String> {
        let mut set = CidrSet::default();
        items.into_iter().try_for_each(|s| set.0.insert(s.as_ref(), ()))?;
        Ok(set)
    }

    /// Whether any network of the set holds the address.
    pub fn contains(&self, addr: IpAddr) -> bool {
        self.0.get(addr).is_some()
    }

    /// Whether the set holds nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For defaults written in this crate: texts that are not networks are left out.
    pub(crate) fn of(items: &[&str]) -> CidrSet {
        let mut set = CidrSet::default();
        for item in items {
            let _ = set.0.insert(item, ());
        }
        set
    }
}

impl OptionValue for CidrSet {
    const TYPE: &'static str = "a sequence of IP addresses or networks";
    const LUA_TYPE: &'static str = "string[]";
    fn parse(v: &Plain, _: &mut Notes) -> Result<CidrSet, String> {
        let list = match v {
            Plain::List(l) => l.clone(),
            Plain::Map(m) if m.is_empty() => return Ok(CidrSet::default()),
            Plain::Str(_) => return CidrSet::parse_list([v.as_str().unwrap_or("")]),
            _ => return Err(wrong::<CidrSet>(v)),
        };
        let texts = list
            .iter()
            .map(|i| i.as_str().ok_or_else(|| wrong::<CidrSet>(i)))
            .collect::<Result<Vec<_>, _>>()?;
        CidrSet::parse_list(texts)
    }
    fn to_plain(&self) -> Plain {
        Plain::list(self.0.iter().map(|(network, ())| Plain::str(network)).collect())
    }
}

/// Values by network; the longest prefix wins.
#[derive(Clone, Debug)]
pub struct CidrMap<T> {
    /// In the order they came.
    entries: Vec<(IpNet, T)>,
    /// Where in the list a network is.
    places: JointPrefixMap<IpNet, usize>,
}

impl<T> Default for CidrMap<T> {
    fn default() -> Self {
        CidrMap { entries: Vec::new(), places: JointPrefixMap::default() }
    }
}

impl<T: PartialEq> PartialEq for CidrMap<T> {
    fn eq(&self, other: &CidrMap<T>) -> bool {
        self.entries == other.entries
    }
}

impl<T> CidrMap<T> {
    /// Adds or replaces the value of one network.
    pub fn insert(&mut self, network: &str, value: T) -> Result<(), String> {
        let network = parse(network)?;
        match self.places.get(&network) {
            Some(place) => self.entries[*place].1 = value,
            None => {
                self.places.insert(network, self.entries.len());
                self.entries.push((network, value));
            }
        }
        Ok(())
    }

    /// The value of the longest prefix that holds the address.
    pub fn get(&self, addr: IpAddr) -> Option<&T> {
        let (_, place) = self.places.get_lpm(&IpNet::from(addr.to_canonical()))?;
        Some(&self.entries[*place].1)
    }

    /// Whether the map is empty.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All networks with their values, in the order they came.
    pub fn iter(&self) -> impl Iterator<Item = (String, &T)> {
        self.entries.iter().map(|(network, value)| (text(*network), value))
    }
}

impl<T: OptionValue> OptionValue for CidrMap<T> {
    const TYPE: &'static str = "a map from IP addresses or networks";
    const LUA_TYPE: &'static str = "table<string, any>";
    fn parse(v: &Plain, notes: &mut Notes) -> Result<Self, String> {
        let mut out = CidrMap::default();
        match v {
            Plain::Map(m) => {
                for (k, v) in m.iter() {
                    let key = k.as_str().ok_or_else(|| wrong::<CidrSet>(k))?;
                    out.insert(key, T::parse(v, notes).map_err(|e| format!("key `{key}`: {e}"))?)?;
                }
                Ok(out)
            }
            Plain::List(l) if l.is_empty() => Ok(out),
            _ => Err(format!("invalid type: {}, expected {}", v.describe(), Self::TYPE)),
        }
    }
    fn to_plain(&self) -> Plain {
        Plain::map(self.iter().map(|(k, v)| (k, v.to_plain())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(s: &str) -> IpAddr {
        s.parse().unwrap()
    }

    #[test]
    fn membership() {
        let set = CidrSet::parse_list(["10.0.0.0/8", "::1", "192.0.2.7", "2001:db8::/32"]).unwrap();
        for inside in ["10.255.0.1", "::1", "192.0.2.7", "::ffff:10.1.2.3", "2001:db8:1::"] {
            assert!(set.contains(ip(inside)), "{inside}");
        }
        for outside in ["11.0.0.1", "::2", "192.0.2.8", "2001:db9::"] {
            assert!(!set.contains(ip(outside)), "{outside}");
        }
        assert!(CidrSet::parse_list(["0.0.0.0/0"]).unwrap().contains(ip("8.8.8.8")));
        assert!(!CidrSet::parse_list(["0.0.0.0/0"]).unwrap().contains(ip("::1")));
    }

    #[test]
    fn strict_masks() {
        assert!(CidrSet::parse_list(["10.0.0.1/8"])
            .unwrap_err()
            .ends_with("bits are set behind the prefix"));
        assert!(CidrSet::parse_list(["10.0.0.0/33"])
            .unwrap_err()
            .ends_with("longer than the address"));
        assert!(CidrSet::parse_list(["host"]).unwrap_err().ends_with("not an address"));
    }

    #[test]
    fn empty_table_is_an_empty_list() {
        let mut n = Notes::default();
        assert!(CidrSet::parse(&Plain::list(vec![]), &mut n).unwrap().is_empty());
        assert!(CidrSet::parse(&Plain::map::<&str>([]), &mut n).unwrap().is_empty());
    }

    #[test]
    fn longest_prefix_wins() {
        let mut m = CidrMap::default();
        m.insert("10.0.0.0/8", 1).unwrap();
        m.insert("10.1.0.0/16", 2).unwrap();
        assert_eq!(m.get(ip("10.1.2.3")), Some(&2));
        assert_eq!(m.get(ip("10.2.2.3")), Some(&1));
        assert_eq!(m.get(ip("::1")), None);
    }
}

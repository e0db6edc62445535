//! DNS as a policy sees it: questions, answers, and the name of a site.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;

use ringmta_options::{IpLookupStrategy, ResolverOptions};

/// What is asked about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsKind {
    /// Mail exchangers.
    Mx,
    /// Addresses, of the families the strategy allows.
    Addresses(IpLookupStrategy),
    /// Texts.
    Txt,
    /// Names of an address, asked under its reverse name.
    Ptr,
}

/// Name servers of a named resolver. Each shard keeps a cache of its own for them.
#[derive(Clone, Debug, PartialEq)]
pub struct NameServers {
    /// Name of the resolver.
    pub name: String,
    /// Tried in order; those of the system when there are none.
    pub servers: Vec<SocketAddr>,
    /// Deadlines, tries, the cache.
    pub options: ResolverOptions,
}

/// One question.
#[derive(Clone, Debug, PartialEq)]
pub struct DnsQuestion {
    /// The name.
    pub name: String,
    /// What about it.
    pub kind: DnsKind,
    /// Whom to ask, when it is not the default resolver.
    pub servers: Option<Arc<NameServers>>,
}

impl DnsQuestion {
    /// A question to the default resolver.
    pub fn new(name: impl Into<String>, kind: DnsKind) -> DnsQuestion {
        DnsQuestion { name: name.into(), kind, servers: None }
    }
}

/// What was found; only the list that was asked for is filled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsAnswer {
    /// Preference and host (without the last dot), best first.
    pub mx: Vec<(u16, String)>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
    /// Texts of TXT records, names of PTR records.
    pub texts: Vec<String>,
    /// The answer is from a zone that counts as signed; only zones held in memory can be.
    pub secure: bool,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsFailure {
    /// The name does not exist.
    NoSuchName,
    /// The name has no such record.
    NoData,
    /// No usable answer: may work later.
    Failed(String),
}

impl std::fmt::Display for DnsFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DnsFailure::NoSuchName => f.write_str("no such domain"),
            DnsFailure::NoData => f.write_str("no such record"),
            DnsFailure::Failed(why) => write!(f, "DNS failed: {why}"),
        }
    }
}

/// An answer or why there is none.
pub type DnsResult = Result<DnsAnswer, DnsFailure>;

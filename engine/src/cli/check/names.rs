//! Questions to the DNS.

use ringmta_egress::questions::ask_blocking;
use ringmta_policy::{
    DnsAnswer, DnsFailure, DnsKind, DnsQuestion, IpLookupStrategy, NameServers, ResolverOptions,
};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Whom they are put to: the name servers of this host, or others.
pub(super) struct Names(Option<Arc<NameServers>>);

impl Names {
    /// These servers, or those of this host when there are none.
    pub(super) fn of(servers: &[SocketAddr]) -> Names {
        let named = || NameServers {
            name: "check".into(),
            servers: servers.to_vec(),
            options: ResolverOptions::default(),
        };
        Names((!servers.is_empty()).then(|| Arc::new(named())))
    }

    pub(super) fn ask(&self, name: &str, kind: DnsKind) -> Result<DnsAnswer, DnsFailure> {
        ask_blocking(&DnsQuestion { servers: self.0.clone(), ..DnsQuestion::new(name, kind) })
    }

    /// What is to be looked at when nobody answers.
    pub(super) fn cure(&self) -> &'static str {
        match self.0 {
            Some(_) => "see whether a name server is there (--resolver)",
            None => "see /etc/resolv.conf; UDP and TCP to port 53 of those servers have to be open",
        }
    }

    /// The addresses of `name`, those of the older protocol first.
    pub(super) fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, DnsFailure> {
        let kind = DnsKind::Addresses(IpLookupStrategy::Ipv4ThenIpv6);
        self.ask(name, kind).map(|answer| answer.addresses)
    }
}

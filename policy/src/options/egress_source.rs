//! `kumo.make_egress_source` and `kumo.make_egress_pool`.

use std::net::IpAddr;
use std::time::Duration;

use super::*;

option_table! {
    /// One address (or identity) mail leaves from.
    pub struct EgressSource for "kumo.make_egress_source" {
        /// Its name.
        name: String = String::new(); Support::Required,
        /// Name given in EHLO.
        ehlo_domain: Option<String> = None,
        /// Local address to bind.
        source_address: Option<IpAddr> = None,
        /// Port of the next hop, over that of the path.
        remote_port: Option<u16> = None,
        /// HAProxy to connect through (host:port).
        ha_proxy_server: Option<String> = None; Support::Refused,
        /// Address HAProxy shall use.
        ha_proxy_source_address: Option<String> = None; Support::Refused,
        /// SOCKS5 server to connect through (host:port).
        socks5_proxy_server: Option<String> = None; Support::Refused,
        /// Address the SOCKS5 server shall use.
        socks5_proxy_source_address: Option<String> = None; Support::Refused,
        /// SOCKS5 user.
        socks5_proxy_username: Option<String> = None; Support::Refused,
        /// SOCKS5 password.
        socks5_proxy_password: Option<KeySource> = None; Support::Refused,
        /// Suspend the source when its address is not on this host.
        suspend_when_unplumbed: Option<Plain> = None; Support::Refused,
        /// Suspend the source when its proxy is down.
        suspend_when_proxy_unhealthy: Option<Plain> = None; Support::Refused,
        /// How long the answer is kept (duration).
        ttl: Duration = Duration::from_secs(60),
    }
}

option_table! {
    /// Sources to choose from.
    pub struct EgressPool for "kumo.make_egress_pool" {
        /// Its name.
        name: String = String::new(); Support::Required,
        /// Sources with their weights; empty = always suspended.
        entries: Vec<PoolEntry> = Vec::new(),
        /// How long the answer is kept (duration).
        ttl: Duration = Duration::from_secs(60),
    }
}

option_table! {
    /// One source of a pool.
    pub struct PoolEntry for "entries" {
        /// Name of the source.
        name: String = String::new(); Support::Required,
        /// Share of the traffic; 0 = none.
        weight: u32 = 1,
    }
}

impl OptionValue for PoolEntry {
    const TYPE: &'static str = "a pool entry ({name=..., weight=...})";
    fn parse(v: &Plain, notes: &mut Notes) -> Result<PoolEntry, String> {
        <PoolEntry as OptionTable>::parse(v, notes)
    }
    fn to_plain(&self) -> Plain {
        self.fields()
    }
}

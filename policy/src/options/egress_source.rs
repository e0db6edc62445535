//! `kumo.make_egress_source` and `kumo.make_egress_pool`.

use std::net::IpAddr;
use std::time::Duration;

use super::*;

option_table! {
    /// One address (or identity) mail leaves from.
    pub struct EgressSource for "kumo.make_egress_source" check proxies {
        /// Its name.
        name: String = String::new(); Support::Required,
        /// Name given in EHLO.
        ehlo_domain: Option<String> = None,
        /// Local address to bind.
        source_address: Option<IpAddr> = None,
        /// Port of the next hop, over that of the path.
        remote_port: Option<u16> = None,
        /// HAProxy to connect through (host:port), by its PROXY protocol, version 2.
        ha_proxy_server: Option<String> = None,
        /// Address HAProxy shall connect from; needed with `ha_proxy_server`.
        ha_proxy_source_address: Option<IpAddr> = None,
        /// SOCKS5 server to connect through (host:port).
        socks5_proxy_server: Option<String> = None,
        /// Address the SOCKS5 server shall connect from, told by BIND; needed with `socks5_proxy_server`.
        socks5_proxy_source_address: Option<IpAddr> = None,
        /// SOCKS5 user.
        socks5_proxy_username: Option<String> = None,
        /// SOCKS5 password.
        socks5_proxy_password: Option<KeySource> = None,
        /// Suspend the source when its address is not on this host.
        suspend_when_unplumbed: Option<Plain> = None; Support::Refused,
        /// Suspend the source when its proxy is down.
        suspend_when_proxy_unhealthy: Option<Plain> = None; Support::Refused,
        /// How long the answer is kept (duration).
        ttl: Duration = Duration::from_secs(60),
    }
}

impl EgressSource {
    /// Half of a proxy would send mail from an address nobody asked for.
    fn proxies(&mut self, _: &mut Notes) -> Result<(), String> {
        let socks = (&self.socks5_proxy_server, self.socks5_proxy_source_address.is_some());
        let ha = (&self.ha_proxy_server, self.ha_proxy_source_address.is_some());
        for (name, (server, has_source)) in [("socks5_proxy", socks), ("ha_proxy", ha)] {
            if server.is_some() != has_source {
                return Err(format!(
                    "`{name}_server` and `{name}_source_address` are needed together"
                ));
            }
            let port = server
                .as_ref()
                .map(|s| s.rsplit_once(':').and_then(|(_, p)| p.parse::<u16>().ok()));
            if port == Some(None) {
                return Err(format!("option `{name}_server`: expected host:port"));
            }
        }
        if socks.1 && ha.1 {
            return Err("`socks5_proxy_server` and `ha_proxy_server` exclude each other".into());
        }
        Ok(())
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

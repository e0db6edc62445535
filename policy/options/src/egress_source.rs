//! `kumo.make_egress_source` and `kumo.make_egress_pool`.

use std::net::IpAddr;
use std::time::Duration;

use crate::ehlo;
use crate::key_source::KeySource;
use crate::option_table;
use crate::plain::Plain;
use crate::rate::Throttle;
use crate::suggest;
use crate::table::{Notes, OptionTable, Support};
use crate::value::{wrong, OptionValue};

option_table! {
    /// One address (or identity) mail leaves from.
    pub struct EgressSource for "kumo.make_egress_source" check check {
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
        /// Leave the source alone for a while when `source_address` is not on this host: `{ duration, trigger = 'Immediate' or { Threshold = 'N/period' } }`. Other sources of the pool are taken meanwhile; without any, the mail waits.
        suspend_when_unplumbed: Option<SuspendOnFailure> = None,
        /// The same, when its proxy cannot be reached or does not do as asked.
        suspend_when_proxy_unhealthy: Option<SuspendOnFailure> = None,
        /// How long the answer is kept (duration).
        ttl: Duration = Duration::from_secs(60),
    }
}

/// When a source is left alone, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct SuspendOnFailure {
    /// So many failures within the period; `None` = the first.
    pub threshold: Option<Throttle>,
    /// How long.
    pub duration: Duration,
}

impl OptionValue for SuspendOnFailure {
    const TYPE: &'static str = "a table of duration and trigger";
    fn parse(v: &Plain, notes: &mut Notes) -> Result<SuspendOnFailure, String> {
        let Plain::Map(fields) = v else { return Err(wrong::<SuspendOnFailure>(v)) };
        const KNOWN: [&str; 2] = ["duration", "trigger"];
        if let Some((name, _)) = fields.iter().find(|(k, _)| !KNOWN.iter().any(|known| k.is(known)))
        {
            return Err(suggest::unknown("field", &name.key_text(), KNOWN.into_iter()));
        }
        let duration = v.get("duration").ok_or("missing field `duration` (a duration)")?;
        let threshold = match v.get("trigger") {
            None => None,
            Some(word) if word.is("Immediate") => None,
            Some(rule) => match rule.get("Threshold") {
                Some(rate) => Some(Throttle::parse(rate.as_str().unwrap_or(""))?),
                None => {
                    return Err(
                        "`trigger`: expected 'Immediate' or { Threshold = 'N/period' }".into()
                    )
                }
            },
        };
        Ok(SuspendOnFailure { threshold, duration: Duration::parse(duration, notes)? })
    }
    fn to_plain(&self) -> Plain {
        let trigger = match &self.threshold {
            Some(rate) => Plain::map([("Threshold", Plain::str(rate.to_string()))]),
            None => Plain::str("Immediate"),
        };
        Plain::map([("duration", self.duration.to_plain()), ("trigger", trigger)])
    }
}

impl EgressSource {
    fn check(&mut self, notes: &mut Notes) -> Result<(), String> {
        ehlo::note(self.ehlo_domain.as_deref(), notes);
        self.proxies()
    }

    /// Half of a proxy would send mail from an address nobody asked for.
    fn proxies(&self) -> Result<(), String> {
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

/// The pool of queues that name none, and its one source: this host as it is.
pub const UNSPECIFIED: &str = "unspecified";

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

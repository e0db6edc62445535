//! The connection a delivery went over, as records and metrics tell it.

use ringmta_io::Conn;
use ringmta_mail::Meta;
use serde_json::Value;
use std::net::SocketAddr;

/// What TLS came to on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsInfo {
    /// Cipher suite.
    pub cipher: String,
    /// Version of the protocol.
    pub version: String,
    /// Subject of the certificate the peer has shown; empty when it has shown none.
    pub peer_subject: Vec<String>,
}

impl TlsInfo {
    /// Of an open connection, when it is under TLS.
    pub fn of_conn(conn: &Conn) -> Option<TlsInfo> {
        let (cipher, version) = conn.tls_info()?;
        Some(TlsInfo { cipher, version, peer_subject: conn.peer_subject().unwrap_or_default() })
    }

    /// Of the connection a message came over, as its metadata has it.
    pub fn of_meta(meta: &Meta) -> Option<TlsInfo> {
        let text = |name: &str| meta.get(name).and_then(Value::as_str).map(str::to_string);
        let parts = meta.get("tls_peer_subject_name").and_then(Value::as_array);
        let parts = parts.into_iter().flatten().filter_map(Value::as_str);
        Some(TlsInfo {
            cipher: text("tls_cipher")?,
            version: text("tls_protocol_version")?,
            peer_subject: parts.map(str::to_string).collect(),
        })
    }
}

/// The path a message took, as far as metrics tell paths apart.
#[derive(Debug, Clone, Copy)]
pub struct MetricPath<'a> {
    /// Name of the provider; of the site where the path names none.
    pub provider: &'a str,
    /// The path names its provider.
    pub is_named: bool,
    /// Source.
    pub source: &'a str,
    /// Pool of the source.
    pub pool: &'a str,
}

/// The connection a delivery went over, as records tell it.
#[derive(Debug, Clone)]
pub struct Via {
    /// Ready queue.
    pub site: String,
    /// Pool of the source.
    pub pool: String,
    /// Source.
    pub source: String,
    /// Host name of the peer; empty when there was none.
    pub host: String,
    /// Its address.
    pub peer: Option<SocketAddr>,
    /// Our address.
    pub local: Option<SocketAddr>,
    /// The proxy in between: protocol, address.
    pub proxy: Option<(&'static str, SocketAddr)>,
    /// Under TLS: what it came to.
    pub tls: Option<TlsInfo>,
    /// Id of this connection.
    pub session_id: String,
    /// Provider of the path.
    pub provider: Option<String>,
    /// ESMTP, LMTP, Lua.
    pub protocol: &'static str,
}

/// The site in the name of a ready queue, `source->site@smtp_client`; of one that the policy's own code delivers, the
/// scheduled queue.
pub fn site_of<'a>(ready: &'a str, source: &str) -> &'a str {
    let behind = ready.strip_prefix(source).and_then(|rest| rest.strip_prefix("->"));
    let site = behind.unwrap_or(ready);
    let end = ["@smtp_client", "@lua:", "@maildir:"].iter().find_map(|end| site.rfind(end));
    end.map_or(site, |end| &site[..end])
}

impl Via {
    /// For metrics; none where it never came to a path.
    pub fn path(&self) -> Option<MetricPath<'_>> {
        if self.source.is_empty() {
            return None;
        }
        let (provider, is_named) = (self.who(), self.provider.is_some());
        Some(MetricPath { provider, is_named, source: &self.source, pool: &self.pool })
    }

    /// Who is behind the path, as people call it: its provider, or the site where it names none.
    pub fn who(&self) -> &str {
        self.provider.as_deref().unwrap_or_else(|| site_of(&self.site, &self.source))
    }

    /// No way at all: only the place a message was in has a name.
    pub fn of_queue(name: &str) -> Via {
        Via {
            site: name.to_string(),
            pool: String::new(),
            source: String::new(),
            host: String::new(),
            peer: None,
            local: None,
            proxy: None,
            tls: None,
            session_id: String::new(),
            provider: None,
            protocol: "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_of_ready_queues() {
        for (ready, site) in [
            ("s->(mx1|mx2).d.test@smtp_client", "(mx1|mx2).d.test"),
            ("s->d.test@smtp_client+mta-sts:0123", "d.test"),
            ("s->events.log_hook@lua:make.events", "events.log_hook"),
            ("s->t@d.test@lua:make", "t@d.test"),
            ("no path at all", "no path at all"),
        ] {
            assert_eq!(site_of(ready, "s"), site);
        }
        assert_eq!(site_of("a->b->d.test@smtp_client", "a->b"), "d.test");
    }

    #[test]
    fn a_path_without_a_provider_is_told_by_its_site() {
        let mut via = Via::of_queue("s->d.test@smtp_client");
        assert!(via.path().is_none(), "it never came to a path");
        via.source = "s".into();
        let told = |via: &Via| via.path().map(|path| (path.provider.to_string(), path.is_named));
        assert_eq!(told(&via), Some(("d.test".into(), false)));
        via.provider = Some("big".into());
        assert_eq!(told(&via), Some(("big".into(), true)));
    }
}

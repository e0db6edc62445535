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

/// The path a message took, as far as metrics tell paths apart: its provider has a name.
#[derive(Debug, Clone, Copy)]
pub struct MetricPath<'a> {
    /// Name of the provider.
    pub provider: &'a str,
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

impl Via {
    /// For metrics, when the provider has a name.
    pub fn path(&self) -> Option<MetricPath<'_>> {
        let provider = self.provider.as_deref()?;
        Some(MetricPath { provider, source: &self.source, pool: &self.pool })
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

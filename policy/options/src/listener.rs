//! `kumo.start_esmtp_listener` and `kumo.make_listener_domain`.

use std::net::IpAddr;
use std::time::Duration;

use ringmta_mail::Meta;

use crate::cidr::{CidrMap, CidrSet};
use crate::enums::{BatchHandling, LineEndings, ReportHandling};
use crate::key_source::KeySource;
use crate::option_table;
use crate::plain::Plain;
use crate::rate::Throttle;
use crate::table::{Notes, OptionTable, Support};
use crate::value::{wrong, OptionValue};

option_table! {
    /// One ESMTP listener.
    pub struct EsmtpListener for "kumo.start_esmtp_listener" {
        /// Address and port to listen on.
        listen: String = "127.0.0.1:2025".into(),
        /// Connections open at once; more are answered 421 4.3.2.
        max_connections: usize = 32_768,
        /// Name in the banner and in trace headers; the host's name when absent.
        hostname: Option<String> = None,
        /// Peers that may relay without authentication.
        relay_hosts: CidrSet = CidrSet::of(&["127.0.0.1", "::1"]),
        /// Text behind the host name in the greeting.
        banner: String = "KumoMTA".into(),
        /// How the recipients of one transaction become messages.
        batch_handling: BatchHandling = BatchHandling::BifurcateAlways,
        /// Certificate chain (PEM); self-signed when absent. Read anew at a reload and when its file changes.
        tls_certificate: Option<KeySource> = None,
        /// Private key (PEM) of the certificate.
        tls_private_key: Option<KeySource> = None,
        /// Certificates (PEM) of the CAs a client's certificate must chain to: TLS without one fails. Its subject is in the connection's metadata `tls_peer_subject_name`. For the whole listener.
        tls_required_client_ca: Option<KeySource> = None,
        /// Keep accepted mail in memory until its first transient failure. Not durable.
        deferred_spool: bool = false; Support::NoEffect("every message is on stable storage before its 250"),
        /// Answer 250 before policy has seen the message; `smtp_server_message_deferred_inject` then stands in for `smtp_server_message_received`. The message is on stable storage all the same.
        deferred_queue: bool = false,
        /// Which trace headers are added.
        trace_headers: TraceHeaders = TraceHeaders::default(),
        /// How long a silent client is waited for (duration).
        client_timeout: Duration = Duration::from_secs(60),
        /// How long receiving and processing one message may take (duration).
        data_processing_timeout: Duration = Duration::from_secs(300),
        /// Messages taken from one connection.
        max_messages_per_connection: usize = 10_000,
        /// Recipients of one transaction; more are answered 452 4.5.3.
        max_recipients_per_message: usize = 1024,
        /// Largest message (bytes); 552 5.3.4 beyond.
        max_message_size: usize = 20 * 1024 * 1024,
        /// Read buffer during DATA (bytes).
        data_buffer_size: usize = 128 * 1024; Support::NoEffect("buffers are sized by the engine"),
        /// What to do with bare CR or LF in DATA.
        invalid_line_endings: LineEndings = LineEndings::Deny,
        /// Longest line (octets, without CRLF); 500 5.2.3 beyond.
        line_length_hard_limit: usize = 998,
        /// Offer XCLIENT: whoever may use it says on whose behalf it speaks (ADDR, PORT, DESTADDR, DESTPORT). Set it in `peer` for the front ends alone.
        allow_xclient: bool = false,
        /// Expect a HAProxy PROXY header (version 1 or 2) on every connection, and take the client it names for the client. A connection without one is closed.
        require_proxy_protocol: bool = false,
        /// Peers whose PROXY header is believed; connections of others are closed. Every peer's when absent.
        proxy_hosts: Option<CidrSet> = None,
        /// What one client address (of IPv6 its /64) may do, over all its connections.
        per_peer: PeerLimits = PeerLimits::default(),
        /// What one client network (its /24, of IPv6 its /48) may do, over all its connections.
        per_network: PeerLimits = PeerLimits::default(),
        /// Other options for some client networks.
        peer: CidrMap<Overrides> = CidrMap::default(),
        /// Other options for some local addresses; applied after `peer`.
        via: CidrMap<Overrides> = CidrMap::default(),
        /// Metadata every connection starts with.
        meta: JsonMap = JsonMap::default(),
    }
}

impl EsmtpListener {
    /// The options in force for one connection: `peer` by client address, then `via` by local address, each of which may
    /// bring further overrides of its own.
    pub fn for_connection(&self, peer: IpAddr, local: IpAddr) -> EsmtpListener {
        let mut out = self.clone();
        out.apply_maps(peer, local, 0);
        out
    }

    /// Whether [`EsmtpListener::for_connection`] can make a difference.
    pub fn has_overrides(&self) -> bool {
        !self.peer.is_empty() || !self.via.is_empty()
    }

    fn apply_maps(&mut self, peer: IpAddr, local: IpAddr, depth: usize) {
        /// Overrides may nest; a sane policy needs two levels.
        const MAX_OVERRIDE_DEPTH: usize = 4;
        let by_peer = std::mem::take(&mut self.peer);
        let by_via = std::mem::take(&mut self.via);
        for found in [by_peer.get(peer), by_via.get(local)].into_iter().flatten() {
            self.apply_overrides(found);
            if depth < MAX_OVERRIDE_DEPTH && self.has_overrides() {
                self.apply_maps(peer, local, depth + 1);
            }
        }
        self.peer = by_peer;
        self.via = by_via;
    }

    /// Puts overrides (already checked when they were read) over these options.
    pub fn apply_overrides(&mut self, overrides: &Overrides) {
        // Checked by `Overrides::parse`: it cannot fail here.
        let _ = self.apply(&overrides.0, &mut Notes::default());
    }
}

/// Some options of a listener, to be put over the others. `listen` and `max_connections` cannot be overridden.
#[derive(Clone, Debug, PartialEq)]
pub struct Overrides(Plain);

impl OptionValue for Overrides {
    const TYPE: &'static str = "a table of listener options";
    fn parse(v: &Plain, notes: &mut Notes) -> Result<Overrides, String> {
        for fixed in ["listen", "max_connections", "tls_required_client_ca"] {
            if v.get(fixed).is_some() {
                return Err(format!("option `{fixed}` can only be set for the whole listener"));
            }
        }
        EsmtpListener::default().apply(v, notes)?;
        Ok(Overrides(v.clone()))
    }
    fn to_plain(&self) -> Plain {
        self.0.clone()
    }
}

/// A free map of JSON values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JsonMap(pub Meta);

impl OptionValue for JsonMap {
    const TYPE: &'static str = "a map";
    const LUA_TYPE: &'static str = "table<string, any>";
    fn parse(v: &Plain, _: &mut Notes) -> Result<JsonMap, String> {
        match v.to_json() {
            serde_json::Value::Object(m) => Ok(JsonMap(m)),
            _ => Err(wrong::<JsonMap>(v)),
        }
    }
    fn to_plain(&self) -> Plain {
        Plain::map(self.0.iter().map(|(k, v)| (k, Plain::from_json(v))))
    }
}

option_table! {
    /// Which trace headers are added to accepted mail.
    pub struct TraceHeaders for "trace_headers" {
        /// Add a Received header.
        received_header: bool = true,
        /// Add the header that lets reports be traced back to the recipient.
        supplemental_header: bool = true,
        /// Name of that header.
        header_name: String = "X-KumoRef".into(),
        /// Metadata copied into that header.
        include_meta_names: Vec<String> = Vec::new(),
    }
}

impl OptionValue for TraceHeaders {
    const TYPE: &'static str = "a table of trace header options";
    fn parse(v: &Plain, notes: &mut Notes) -> Result<TraceHeaders, String> {
        <TraceHeaders as OptionTable>::parse(v, notes)
    }
    fn to_plain(&self) -> Plain {
        self.fields()
    }
}

option_table! {
    /// What a client address or network may do at a listener. Nothing is limited unless it is set.
    pub struct PeerLimits for "per_peer" {
        /// Connections open at once; more are answered 421 4.7.0, over HTTP 429.
        max_connections: Option<usize> = None,
        /// Connections begun, such as `"60/min"`; more are answered 421 4.7.0, over HTTP 429.
        max_connection_rate: Option<Throttle> = None,
        /// Messages begun; more are answered 450 4.7.1 at MAIL. Over HTTP requests to inject; more are answered 429.
        max_message_rate: Option<Throttle> = None,
        /// Commands, messages and requests refused for good (5xx, over HTTP 4xx); whoever has more is answered 421 4.7.0, over HTTP 429, and turned away for a while.
        max_rejection_rate: Option<Throttle> = None,
    }
}

impl OptionValue for PeerLimits {
    const TYPE: &'static str = "a table of limits";
    fn parse(v: &Plain, notes: &mut Notes) -> Result<PeerLimits, String> {
        <PeerLimits as OptionTable>::parse(v, notes)
    }
    fn to_plain(&self) -> Plain {
        self.fields()
    }
}

option_table! {
    /// What is known of a domain at a listener.
    pub struct ListenerDomain for "kumo.make_listener_domain" {
        /// Mail to the domain may be relayed.
        relay_to: bool = false,
        /// Peers that may relay mail from the domain.
        relay_from: CidrSet = CidrSet::default(),
        /// What to do with delivery status notifications (RFC 3464) to the domain. Other mail to a domain that may not be relayed to is refused after DATA.
        log_oob: ReportHandling = ReportHandling::Ignore,
        /// What to do with feedback reports (RFC 5965) to the domain.
        log_arf: ReportHandling = ReportHandling::Ignore,
        /// How long the answer may be kept (duration).
        ttl: Option<Duration> = None; Support::NoEffect("the event is asked once per transaction"),
    }
}

impl ReportHandling {
    fn of_bool(v: bool) -> ReportHandling {
        if v {
            ReportHandling::LogThenRelay
        } else {
            ReportHandling::Ignore
        }
    }
}

impl ListenerDomain {
    /// `true` and `false` are taken where a word is expected.
    pub fn normalise(v: &Plain) -> Plain {
        let Plain::Map(m) = v else { return v.clone() };
        let fix = |(k, v): &(Plain, Plain)| match v {
            Plain::Bool(b) if k.is("log_oob") || k.is("log_arf") => {
                (k.clone(), ReportHandling::of_bool(*b).to_plain())
            }
            _ => (k.clone(), v.clone()),
        };
        Plain::Map(std::sync::Arc::new(m.iter().map(fix).collect()))
    }
}
/// The address that an option `listen` means: an address and a port, or a name that the system's resolver knows
/// (`localhost:25`, `0:25`). May wait for the resolver.
///
/// # Errors
/// One line on what is wrong with it.
pub fn listen_address(listen: &str) -> Result<std::net::SocketAddr, String> {
    use std::net::ToSocketAddrs;
    if let Ok(addr) = listen.parse() {
        return Ok(addr);
    }
    let wrong = |why: &str| {
        format!("listen = {listen:?}: {why}; give an address and a port, like 0.0.0.0:25")
    };
    match listen.to_socket_addrs() {
        Ok(mut found) => found.next().ok_or_else(|| wrong("the name has no address")),
        Err(error) => Err(wrong(&error.to_string())),
    }
}

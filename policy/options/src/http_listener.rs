//! `kumo.start_http_listener`.

use crate::cidr::CidrSet;
use crate::enums::HttpDoor;
use crate::key_source::KeySource;
use crate::listener::PeerLimits;
use crate::option_table;

option_table! {
    /// One HTTP listener (injection, administration, metrics).
    pub struct HttpListener for "kumo.start_http_listener" {
        /// Address and port to listen on.
        listen: String = "127.0.0.1:8000".into(),
        /// Name the listener reports; the host's name when absent.
        hostname: Option<String> = None,
        /// Serve over TLS.
        use_tls: bool = false,
        /// Certificate chain (PEM); self-signed when absent. Read anew at a reload and when its file changes.
        tls_certificate: Option<KeySource> = None,
        /// Private key (PEM) of the certificate.
        tls_private_key: Option<KeySource> = None,
        /// Largest request body (bytes, after decompression).
        request_body_limit: usize = 2 * 1024 * 1024,
        /// Peers that need no credentials.
        trusted_hosts: CidrSet = CidrSet::of(&["127.0.0.1", "::1"]),
        /// What the listener is for; what it is not for is answered 404. Liveness is always served.
        serves: Vec<HttpDoor> = HttpDoor::all(),
        /// Peers that may administer without credentials; those of `trusted_hosts` when absent.
        administration_hosts: Option<CidrSet> = None,
        /// Peers that may read metrics without credentials; those of `trusted_hosts` when absent.
        metrics_hosts: Option<CidrSet> = None,
        /// Whoever authenticates as a member of one of these groups may administer and read metrics, from anywhere.
        administration_groups: Vec<String> = Vec::new(),
        /// Whoever authenticates as a member of one of these groups may read metrics, from anywhere.
        metrics_groups: Vec<String> = Vec::new(),
        /// What one client address (of IPv6 its /64) may do, over all its connections.
        per_peer: PeerLimits = PeerLimits::default(),
        /// What one client network (its /24, of IPv6 its /48) may do, over all its connections.
        per_network: PeerLimits = PeerLimits::default(),
    }
}

impl HttpListener {
    /// The peers that need no credentials for `door`.
    pub fn hosts_of(&self, door: HttpDoor) -> &CidrSet {
        let own = match door {
            HttpDoor::Injection => None,
            HttpDoor::Administration => self.administration_hosts.as_ref(),
            HttpDoor::Metrics => self.metrics_hosts.as_ref(),
        };
        own.unwrap_or(&self.trusted_hosts)
    }

    /// Whether credentials of a member of `groups` open `door`. Whoever authenticates may inject.
    pub fn opens_to(&self, door: HttpDoor, groups: &[String]) -> bool {
        let in_one = |named: &[String]| named.iter().any(|name| groups.contains(name));
        match door {
            HttpDoor::Injection => true,
            HttpDoor::Administration => in_one(&self.administration_groups),
            HttpDoor::Metrics => {
                in_one(&self.metrics_groups) || in_one(&self.administration_groups)
            }
        }
    }
}

impl HttpDoor {
    /// All of them.
    pub fn all() -> Vec<HttpDoor> {
        vec![HttpDoor::Injection, HttpDoor::Administration, HttpDoor::Metrics]
    }
}

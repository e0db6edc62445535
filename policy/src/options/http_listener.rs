//! `kumo.start_http_listener`.

use super::*;

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
    }
}

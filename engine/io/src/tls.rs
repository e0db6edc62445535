//! rustls configurations: our certificates as a server, our demands as a client.

use crate::limits::TLS_HANDSHAKE_SECS;
use crate::stream::{Conn, Stream};
use crate::time::deadline;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    SupportedCipherSuite,
};
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A server configuration from PEM texts.
///
/// # Errors
/// A text that names what is wrong with the certificate or key.
pub fn server_config(certificate_pem: &[u8], key_pem: &[u8]) -> Result<Arc<ServerConfig>, String> {
    server_config_asking(certificate_pem, key_pem, None)
}

/// As [`server_config`]; with `client_ca_pem` a client must show a certificate that chains to one of those.
///
/// # Errors
/// A text that names what is wrong.
pub fn server_config_asking(
    certificate_pem: &[u8],
    key_pem: &[u8],
    client_ca_pem: Option<&[u8]>,
) -> Result<Arc<ServerConfig>, String> {
    let (chain, key) = (certificates(certificate_pem)?, private_key(key_pem)?);
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match client_ca_pem {
        Some(pem) => builder.with_client_cert_verifier(client_verifier(pem)?),
        None => builder.with_no_client_auth(),
    };
    let config = builder
        .with_single_cert(chain, key)
        .map_err(|error| format!("certificate and key do not fit: {error}"))?;
    Ok(Arc::new(config))
}

fn client_verifier(pem: &[u8]) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|error| format!("tls_required_client_ca: {error}"))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| format!("tls_required_client_ca: {error}"))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("certificate is not PEM: {error}"))?;
    if chain.is_empty() {
        return Err("no certificate found in the PEM text".into());
    }
    Ok(chain)
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound => "no private key found in the PEM text".into(),
        error => format!("private key is not PEM: {error}"),
    })
}

/// A server configuration with a fresh self-signed certificate for `hostname`: (certificate PEM,
/// key PEM).
///
/// # Errors
/// When no certificate can be made for that name.
pub fn self_signed(hostname: &str) -> Result<(String, String), String> {
    let made = rcgen::generate_simple_self_signed(vec![hostname.to_string()])
        .map_err(|error| format!("no self-signed certificate for {hostname}: {error}"))?;
    Ok((made.cert.pem(), made.signing_key.serialize_pem()))
}

/// The TLS of a listener as it is in force; another may be put in its place while connections are accepted.
pub struct ServerTls(RwLock<Arc<ServerConfig>>);

impl ServerTls {
    /// One that begins with `config`.
    pub fn new(config: Arc<ServerConfig>) -> ServerTls {
        ServerTls(RwLock::new(config))
    }

    /// What a new session uses.
    pub fn config(&self) -> Arc<ServerConfig> {
        // The lock is held for no longer than this takes, once per handshake.
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts `config` in force for new sessions.
    pub fn put(&self, config: Arc<ServerConfig>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
    }
}

/// What a client demands of a server.
pub type ClientTls = Arc<ClientConfig>;

/// A client configuration. With `roots`, a certificate must chain to one of these authorities and carry the host's
/// name; without them any certificate is taken (opportunistic TLS).
///
/// # Errors
/// When the provider refuses its own defaults (never in practice).
pub fn client_config(roots: Option<Arc<RootCertStore>>) -> Result<Arc<ClientConfig>, String> {
    client_config_of(roots, Vec::new(), None)
}

/// As [`client_config`], with these cipher suites only (none: all), and with a certificate and its key
/// (PEM) for a host that asks.
///
/// # Errors
/// A text that names what is wrong.
pub fn client_config_of(
    roots: Option<Arc<RootCertStore>>,
    suites: Vec<SupportedCipherSuite>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
) -> Result<Arc<ClientConfig>, String> {
    let mut crypto = rustls::crypto::aws_lc_rs::default_provider();
    if !suites.is_empty() {
        crypto.cipher_suites = suites;
    }
    // A version of which no suite is left would be refused.
    let versions: Vec<_> = rustls::DEFAULT_VERSIONS
        .iter()
        .copied()
        .filter(|version| crypto.cipher_suites.iter().any(|suite| suite.version() == *version))
        .collect();
    let builder = ClientConfig::builder_with_provider(Arc::new(crypto))
        .with_protocol_versions(&versions)
        .map_err(|error| error.to_string())?;
    let builder = match roots {
        Some(roots) => builder.with_root_certificates(roots),
        None => builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate)),
    };
    let config = match identity {
        Some((certificate, key)) => builder
            .with_client_auth_cert(certificates(&certificate)?, private_key(&key)?)
            .map_err(|error| format!("certificate and key do not fit: {error}"))?,
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// The server's side of a handshake.
///
/// # Errors
/// The handshake's failure, or `TimedOut`.
pub async fn accept(stream: Stream, config: Arc<ServerConfig>) -> io::Result<Conn> {
    let handshake = futures_rustls::TlsAcceptor::from(config).accept(stream);
    let tls = deadline(Duration::from_secs(TLS_HANDSHAKE_SECS), handshake).await??;
    Ok(Conn::Server(Box::new(tls)))
}

/// The client's side of a handshake with `host` within `limit`.
///
/// # Errors
/// The handshake's failure, or `TimedOut`.
pub async fn connect(
    stream: Stream,
    host: &str,
    config: Arc<ClientConfig>,
    limit: Duration,
) -> io::Result<Conn> {
    let name = ServerName::try_from(host.trim_end_matches('.').to_string())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let handshake = futures_rustls::TlsConnector::from(config).connect(name, stream);
    let tls = deadline(limit, handshake).await??;
    Ok(Conn::Client(Box::new(tls)))
}

/// Whether a handshake failed because the peer's certificate does not prove its name.
pub fn is_bad_certificate(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
}

/// Takes any certificate: opportunistic TLS protects against passive listeners only, and a
/// certificate that fails to verify must not make it fall to plaintext (RFC 7435).
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // Whoever is not asked for a name need not prove that the key is his: keys and certificates of forms
        // that the provider cannot read (X.509 v1, RSA-1024, P-521) still encrypt.
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = provider().signature_verification_algorithms.supported_schemes();
        schemes.extend([SignatureScheme::ECDSA_NISTP521_SHA512, SignatureScheme::RSA_PKCS1_SHA1]);
        schemes
    }
}

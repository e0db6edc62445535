//! rustls configurations: our certificates as a server, our demands as a client.

use super::stream::{Conn, Stream};
use super::time::deadline;
use crate::limits::TLS_HANDSHAKE_SECS;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};
use std::io;
use std::sync::Arc;
use std::time::Duration;

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A server configuration from PEM texts.
///
/// # Errors
/// A text that names what is wrong with the certificate or key.
pub fn server_config(certificate_pem: &[u8], key_pem: &[u8]) -> Result<Arc<ServerConfig>, String> {
    let chain: Vec<CertificateDer<'static>> = rustls_pemfile::certs(&mut &certificate_pem[..])
        .collect::<Result<_, _>>()
        .map_err(|error| format!("certificate is not PEM: {error}"))?;
    if chain.is_empty() {
        return Err("no certificate found in the PEM text".into());
    }
    let key: PrivateKeyDer<'static> = rustls_pemfile::private_key(&mut &key_pem[..])
        .map_err(|error| format!("private key is not PEM: {error}"))?
        .ok_or("no private key found in the PEM text")?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| format!("certificate and key do not fit: {error}"))?;
    Ok(Arc::new(config))
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

/// A client configuration. `verify` demands a certificate that chains to the public roots and
/// carries the host's name; without it any certificate is taken (opportunistic TLS).
///
/// # Errors
/// When the provider refuses its own defaults (never in practice).
pub fn client_config(verify: bool) -> Result<Arc<ClientConfig>, String> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let config = if verify {
        let mut roots = rustls::RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        builder.with_root_certificates(roots).with_no_client_auth()
    } else {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate))
            .with_no_client_auth()
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
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, &algorithms)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, &algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

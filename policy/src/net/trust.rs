//! Whose certificates our TLS connections believe: the authorities this system trusts (`SSL_CERT_FILE` and
//! `SSL_CERT_DIR` when they are set, else where the system keeps them), and those built in where it has none. Read
//! once per process: connections out, HTTP clients and the clients of policy go by the same.

use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::RootCertStore;

/// The variables that say where the authorities are.
const NAMED_BY: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// The authorities in force.
struct Trust {
    roots: Arc<RootCertStore>,
    http: ureq::tls::RootCerts,
    /// As PEM, for clients that take nothing else; `None`: those built in.
    pem: Option<Vec<u8>>,
    /// What there is, in one line.
    told: String,
}

static TRUST: OnceLock<Result<Trust, String>> = OnceLock::new();

fn trust() -> Result<&'static Trust, &'static String> {
    TRUST.get_or_init(load).as_ref()
}

/// What is trusted, in one line.
///
/// # Errors
/// What the environment names cannot be used. Nobody is believed then.
pub fn told() -> Result<&'static str, String> {
    trust().map(|trust| trust.told.as_str()).map_err(String::clone)
}

/// The authorities for rustls; none when what the environment names cannot be used.
pub fn roots() -> Arc<RootCertStore> {
    trust().map_or_else(|_| Arc::new(RootCertStore::empty()), |trust| trust.roots.clone())
}

/// The same for an HTTP client.
fn http_roots() -> ureq::tls::RootCerts {
    let none = || ureq::tls::RootCerts::Specific(Arc::default());
    trust().map_or_else(|_| none(), |trust| trust.http.clone())
}

/// The settings of an HTTP client that believes them.
pub fn http_tls() -> ureq::tls::TlsConfig {
    http_tls_with(false)
}

/// The same; with `any_certificate` a server may show whatever it likes.
pub(crate) fn http_tls_with(any_certificate: bool) -> ureq::tls::TlsConfig {
    ureq::tls::TlsConfig::builder()
        .root_certs(http_roots())
        .disable_verification(any_certificate)
        .unversioned_rustls_crypto_provider(crypto())
        .build()
}

/// The cryptography below TLS, for every client of policies.
pub(crate) fn crypto() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The same as PEM; `None`: those built in.
///
/// # Errors
/// What the environment names cannot be used.
pub(crate) fn pem() -> Result<Option<&'static [u8]>, String> {
    trust().map(|trust| trust.pem.as_deref()).map_err(String::clone)
}

fn load() -> Result<Trust, String> {
    let named = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let named: Vec<&str> = NAMED_BY.into_iter().filter(named).collect();
    let found = rustls_native_certs::load_native_certs();
    let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
    choose(&named.join(" and "), found.certs, &errors)
}

/// Decides what to trust: `named_by` are the variables that were set, `found` what they or the system gave.
fn choose(
    named_by: &str,
    found: Vec<CertificateDer<'static>>,
    errors: &[String],
) -> Result<Trust, String> {
    let mut roots = RootCertStore::empty();
    let good: Vec<_> = found.into_iter().filter(|cert| roots.add(cert.clone()).is_ok()).collect();
    let why = if errors.is_empty() { "no certificate found".into() } else { errors.join("; ") };
    if good.is_empty() && !named_by.is_empty() {
        // Whoever names authorities wants those and no others.
        return Err(format!("{named_by}: no authority for TLS can be read: {why}"));
    }
    if good.is_empty() {
        let built_in = webpki_roots::TLS_SERVER_ROOTS;
        roots.extend(built_in.iter().cloned());
        let told = format!(
            "TLS: the system names no authorities ({why}); the {} built in are trusted",
            built_in.len()
        );
        let http = ureq::tls::RootCerts::WebPki;
        return Ok(Trust { roots: Arc::new(roots), http, pem: None, told });
    }
    let of = if named_by.is_empty() { "the system" } else { named_by };
    let mut told = format!("TLS: {} authorities of {of} are trusted", good.len());
    if !errors.is_empty() {
        told += &format!(" ({why})");
    }
    let certificates = good.iter().map(|cert| ureq::tls::Certificate::from_der(cert).to_owned());
    Ok(Trust {
        http: ureq::tls::RootCerts::Specific(Arc::new(certificates.collect())),
        pem: Some(good.iter().flat_map(|cert| to_pem(cert).into_bytes()).collect()),
        roots: Arc::new(roots),
        told,
    })
}

fn to_pem(cert: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(cert);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    // Base64 is ASCII.
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem + "-----END CERTIFICATE-----\n"
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;

    use super::*;

    fn authority(name: &str) -> CertificateDer<'static> {
        rcgen::generate_simple_self_signed([name.to_owned()]).unwrap().cert.der().clone()
    }

    #[test]
    fn those_of_the_system_count_and_those_built_in_where_it_has_none() {
        let (one, two) = (authority("one.test"), authority("two.test"));
        let junk = CertificateDer::from(b"junk".to_vec());
        let trust = choose("", vec![one.clone(), junk.clone(), two.clone()], &[]).unwrap();
        assert_eq!(trust.roots.len(), 2);
        assert_eq!(trust.told, "TLS: 2 authorities of the system are trusted");
        let pem = trust.pem.unwrap();
        let read: Vec<_> = CertificateDer::pem_slice_iter(&pem).map(|cert| cert.unwrap()).collect();
        assert_eq!(read, [one.clone(), two]);
        for found in [vec![], vec![junk.clone()]] {
            let trust = choose("", found, &["no file".into()]).unwrap();
            assert_eq!(trust.roots.len(), webpki_roots::TLS_SERVER_ROOTS.len());
            assert!(trust.told.contains("(no file); the "), "{}", trust.told);
            assert!(trust.pem.is_none());
        }
        let trust = choose("SSL_CERT_FILE", vec![one], &["/d: gone".into()]).unwrap();
        assert_eq!(trust.told, "TLS: 1 authorities of SSL_CERT_FILE are trusted (/d: gone)");
    }

    #[test]
    fn what_is_named_and_cannot_be_used_is_not_replaced_by_others() {
        let why = choose("SSL_CERT_FILE", vec![], &["/x.pem: gone".into()]).err().unwrap();
        assert_eq!(why, "SSL_CERT_FILE: no authority for TLS can be read: /x.pem: gone");
    }
}

//! The public half of the DKIM key that the shipped policy signs with, so that the page can check signatures with it. The
//! private half is read and goes nowhere.

use crate::limits::SANDBOX_KEY_BYTES;
use crate::view;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RsaKeyPair};
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use ringmta_http::{Response, StatusCode};
use ringmta_io as io;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use std::fs::File;
use std::io::Read;

/// The environment of the shipped policy: a file, and where its public half is published.
const FILE: &str = "RINGMTA_DKIM_KEY";
const SELECTOR: &str = "RINGMTA_DKIM_SELECTOR";
const DOMAIN: &str = "RINGMTA_DKIM_DOMAIN";

/// The key as its TXT record; 404 when there is none at hand. The file is read each time: it may be made later, or anew.
pub async fn answer() -> Response {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let response = match set(FILE) {
        None => Response::text(StatusCode::NOT_FOUND, format!("{FILE} is not set\n")),
        Some(file) => match io::blocking(move || read(&file)).await {
            Ok(record) => Response::json(&json!({
                "Record": record,
                "Selector": set(SELECTOR).unwrap_or_else(|| "default".into()),
                "Domain": set(DOMAIN).unwrap_or_default(),
            })),
            Err(error) => Response::text(StatusCode::NOT_FOUND, format!("{FILE}: {error}\n")),
        },
    };
    view::contained(response, view::VIEW_POLICY)
}

fn read(file: &str) -> Result<String, String> {
    let mut pem = Vec::new();
    let opened = File::open(file).map_err(|error| error.to_string())?;
    opened.take(SANDBOX_KEY_BYTES).read_to_end(&mut pem).map_err(|error| error.to_string())?;
    record(&pem).ok_or_else(|| "no private key of RSA or Ed25519 in PEM".to_string())
}

/// The TXT record (RFC 6376 section 3.6.1, RFC 8463) of a private key.
fn record(pem: &[u8]) -> Option<String> {
    let key = PrivateKeyDer::from_pem_slice(pem).ok()?;
    let (kind, public) = match &key {
        PrivateKeyDer::Pkcs1(der) => {
            ("rsa", rsa(&RsaKeyPair::from_der(der.secret_pkcs1_der()).ok()?))
        }
        PrivateKeyDer::Pkcs8(der) => match RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()) {
            Ok(pair) => ("rsa", rsa(&pair)),
            Err(_) => {
                let pair =
                    Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).ok()?;
                ("ed25519", pair.public_key().as_ref().to_vec())
            }
        },
        _ => return None,
    };
    Some(format!("v=DKIM1; k={kind}; p={}", STANDARD.encode(public)))
}

/// An RSAPublicKey, which RFC 6376 names beside what most publish; both are read.
fn rsa(pair: &RsaKeyPair) -> Vec<u8> {
    pair.public_key().as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rsa::KeySize;

    fn pem(der: &[u8]) -> String {
        let text = STANDARD.encode(der);
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
    }

    #[test]
    fn public_halves() {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let private = pair.as_der().unwrap();
        let told = record(pem(private.as_ref()).as_bytes()).unwrap();
        assert_eq!(told, format!("v=DKIM1; k=rsa; p={}", STANDARD.encode(pair.public_key())));
        let pair = Ed25519KeyPair::generate().unwrap();
        let private = pair.to_pkcs8v1().unwrap();
        let told = record(pem(private.as_ref()).as_bytes()).unwrap();
        assert_eq!(told, format!("v=DKIM1; k=ed25519; p={}", STANDARD.encode(pair.public_key())));
        assert_eq!(record(b"no key"), None);
        assert_eq!(record(pem(b"no key").as_bytes()), None);
        assert!(read("/nonexistent").is_err());
    }
}

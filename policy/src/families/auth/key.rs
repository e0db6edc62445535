//! Public keys in the DNS (RFC 6376 section 3.6.1), and checking signatures with them.

use aws_lc_rs::digest::{digest, SHA256};
use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use data_encoding::BASE64;

use super::tags::Tags;
use crate::dns::question::{DnsFailure, DnsKind, DnsQuestion};
use crate::vm::asker::Asker;

/// Why a signature does not count.
pub(crate) struct Reason {
    /// Word of RFC 8601 section 2.7.1.
    pub result: &'static str,
    /// What is wrong.
    pub text: String,
}

impl Reason {
    pub fn perm(text: impl Into<String>) -> Reason {
        Reason { result: "permerror", text: text.into() }
    }

    pub fn fail(text: impl Into<String>) -> Reason {
        Reason { result: "fail", text: text.into() }
    }
}

/// What signs.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Algorithm {
    Rsa,
    Ed25519,
}

impl Algorithm {
    /// From the tag `a`.
    pub fn parse(name: &str) -> Result<Algorithm, Reason> {
        match name {
            "rsa-sha256" => Ok(Algorithm::Rsa),
            "ed25519-sha256" => Ok(Algorithm::Ed25519),
            other => Err(Reason::perm(format!("algorithm {other} is not accepted"))),
        }
    }
}

/// Fetches a key and checks that it may be used so. `user_domain` is the domain of the tag `i`.
pub(crate) async fn fetch(
    dns: &Asker<'_>,
    selector: &str,
    domain: &str,
    user_domain: &str,
    algorithm: Algorithm,
) -> Result<Vec<u8>, Reason> {
    let name = format!("{selector}._domainkey.{domain}");
    let found = dns.dns(DnsQuestion::new(name.clone(), DnsKind::Txt)).await;
    let texts = match found {
        Ok(answer) => answer.texts,
        Err(DnsFailure::NoSuchName | DnsFailure::NoData) => Vec::new(),
        Err(e) => return Err(Reason { result: "temperror", text: format!("{name}: {e}") }),
    };
    let record = texts.first().ok_or_else(|| Reason::perm(format!("there is no key at {name}")))?;
    let tags = Tags::parse(record).map_err(|e| Reason::perm(format!("key {name}: {e}")))?;
    let is = |tag: &str, allowed: &[&str], default: &str| {
        let value = tags.packed(tag).unwrap_or_else(|| default.to_owned());
        value.split(':').any(|v| allowed.contains(&v))
    };
    let kind = if algorithm == Algorithm::Rsa { "rsa" } else { "ed25519" };
    if !is("v", &["DKIM1"], "DKIM1") || !is("k", &[kind], "rsa") {
        return Err(Reason::perm(format!("key {name} is of another kind")));
    }
    if !is("h", &["sha256"], "sha256") || !is("s", &["*", "email"], "*") {
        return Err(Reason::perm(format!("key {name} is not for this use")));
    }
    let strict = tags.packed("t").is_some_and(|t| t.split(':').any(|f| f == "s"));
    if strict && !user_domain.eq_ignore_ascii_case(domain) {
        return Err(Reason::perm(format!("key {name} does not allow subdomains")));
    }
    let data = tags.packed("p").ok_or_else(|| Reason::perm(format!("key {name} is empty")))?;
    if data.is_empty() {
        return Err(Reason::fail(format!("key {name} was revoked")));
    }
    BASE64.decode(data.as_bytes()).map_err(|_| Reason::perm(format!("key {name} is not base64")))
}

/// Whether a signature over `input` holds. RSA keys may be bare (PKCS #1) or within a SubjectPublicKeyInfo.
pub(crate) fn verify(algorithm: Algorithm, key: &[u8], input: &[u8], signature: &[u8]) -> bool {
    let hashed;
    let (how, key, input): (&dyn VerificationAlgorithm, &[u8], &[u8]) = match algorithm {
        Algorithm::Rsa => (&signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, key, input),
        Algorithm::Ed25519 => {
            hashed = digest(&SHA256, input);
            (&signature::ED25519, key, hashed.as_ref())
        }
    };
    UnparsedPublicKey::new(how, key).verify(input, signature).is_ok()
}

//! `kumo.dkim.rsa_sha256_signer` and `kumo.dkim.ed25519_signer`.

use std::time::Duration;

use super::*;

option_table! {
    /// How messages are signed (RFC 6376).
    pub struct DkimSigner for "kumo.dkim signer" {
        /// Signing domain, `d=`.
        domain: String = String::new(); Support::Required,
        /// Selector, `s=`.
        selector: String = String::new(); Support::Required,
        /// Names of the headers to sign.
        headers: Vec<String> = Vec::new(); Support::Required,
        /// Private key: RSA as PEM (PKCS1 or PKCS8), Ed25519 as PKCS8.
        key: KeySource = KeySource::Data(Vec::new()); Support::Required,
        /// Header canonicalisation.
        header_canonicalization: Canonicalization = Canonicalization::Relaxed,
        /// Body canonicalisation.
        body_canonicalization: Canonicalization = Canonicalization::Relaxed,
        /// Life of the signature, `x=` (duration).
        expiration: Option<Duration> = None,
        /// Sign each header once more than it occurs, so that none can be added.
        over_sign: bool = false,
        /// How long the key is kept (duration).
        ttl: Duration = Duration::from_secs(300),
        /// RFC 6541.
        atps: Option<Plain> = None; Support::Refused,
        /// RFC 6541.
        atpsh: Option<Plain> = None; Support::Refused,
        /// `i=`.
        agent_user_identifier: Option<Plain> = None; Support::Refused,
        /// `l=`.
        body_length: Option<Plain> = None; Support::Refused,
        /// `r=`.
        reporting: Option<Plain> = None; Support::Refused,
    }
}

//! `kumo.dkim.rsa_sha256_signer` and `kumo.dkim.ed25519_signer`.

use std::time::Duration;

use crate::enums::Canonicalization;
use crate::key_source::KeySource;
use crate::option_table;
use crate::suggest;
use crate::table::{Notes, Support};

option_table! {
    /// How messages are signed (RFC 6376).
    pub struct DkimSigner for "kumo.dkim signer" check tags {
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
        /// Domain of the author, which has authorised `domain` to sign for it, `atps=` (RFC 6541).
        atps: Option<String> = None,
        /// Digest under which the author's domain has published that, `atpsh=`: `sha256` (the default when `atps` is set), `sha1` or `none`.
        atpsh: Option<String> = None,
        /// On whose behalf it is signed, `i=`: an address in `domain` or below it, of which the part before the `@` may be missing.
        agent_user_identifier: Option<String> = None,
        /// State how much of the body is signed, `l=`. Anybody can then add to the message without breaking the signature: only for readers that demand it.
        body_length: bool = false,
        /// Ask for reports of failed verifications, `r=y` (RFC 6651).
        reporting: bool = false,
    }
}

impl DkimSigner {
    fn tags(&mut self, _: &mut Notes) -> Result<(), String> {
        if let Some(identity) = &self.agent_user_identifier {
            let domain = identity.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase());
            let own = self.domain.to_ascii_lowercase();
            let inside = |d: &String| *d == own || d.ends_with(&format!(".{own}"));
            if !domain.as_ref().is_some_and(inside) {
                return Err(format!("option `agent_user_identifier`: `{identity}` is not an address in `{}` or below it (RFC 6376 section 3.5)", self.domain));
            }
        }
        if let Some(author) = &self.atps {
            if author.is_empty()
                || !author
                    .bytes()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_'))
            {
                return Err(format!("option `atps`: `{author}` is not a domain"));
            }
        }
        match self.atpsh.as_deref() {
            Some(_) if self.atps.is_none() => Err("option `atpsh` needs `atps`".into()),
            None | Some("sha256" | "sha1" | "none") => Ok(()),
            Some(other) => {
                Err(suggest::unknown("variant", other, ["sha256", "sha1", "none"].into_iter()))
            }
        }
    }
}

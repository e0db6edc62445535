//! DKIM signatures (RFC 6376; Ed25519 as in RFC 8463). Canonicalisation is ours, the cryptography aws-lc's.

use std::collections::HashMap;

use aws_lc_rs::digest::{digest, SHA256};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, RsaKeyPair, RSA_PKCS1_SHA256};
use data_encoding::BASE64;
use ringmta_mail::headers::{Field, HeaderBlock};
use ringmta_options::{Canonicalization, DkimSigner};

use super::body_hash::BodyHash;

/// The shortest RSA key that can be signed with.
const RSA_BITS_MIN: usize = 2048;

/// An Ed25519 key without any wrapping (RFC 8032 section 5.1.5).
const ED25519_SEED_BYTES: usize = 32;

/// The kind of key a signer uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `rsa-sha256`.
    RsaSha256,
    /// `ed25519-sha256`.
    Ed25519,
}

enum Key {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// A signer with its key at hand.
pub struct Signer {
    params: DkimSigner,
    key: Key,
}

impl Signer {
    /// Reads the key: PEM (PKCS1 or PKCS8) or the DER inside it. The error never shows key material.
    pub fn new(mut params: DkimSigner, algorithm: Algorithm, key: &[u8]) -> Result<Signer, String> {
        if params.headers.iter().all(|h| !h.eq_ignore_ascii_case("From")) {
            return Err("the `headers` to sign must include From (RFC 6376 section 5.4)".into());
        }
        // Tags carry A-labels (RFC 6376 section 3.5, RFC 8616 section 4).
        params.domain = a_label(&params.domain)?;
        params.selector = a_label(&params.selector)?;
        let key = read(algorithm, key)?;
        Ok(Signer { params, key })
    }

    /// The value of the DKIM-Signature header for a message, folded; `now` in Unix seconds.
    pub fn signature(&self, message: &[u8], now: u64) -> Result<String, String> {
        self.signature_named("DKIM-Signature", "v=1", message, now)
    }

    fn signature_named(
        &self,
        field_name: &str,
        first: &str,
        message: &[u8],
        now: u64,
    ) -> Result<String, String> {
        let block = HeaderBlock::new(message);
        let how = self.params.body_canonicalization;
        let (body_hash, length) = BodyHash::of(&message[block.body_start()..], how, None);
        let names = self.signed_names(&block);
        // The tag `i` of an ARC signature is its instance, and the others mean nothing there.
        let more = if first == "v=1" { self.further_tags(length) } else { String::new() };
        let unsigned = self.unsigned_value(first, &names, &body_hash, now, &more);
        let mut input = Vec::with_capacity(2048);
        for field in pick(&block, &names) {
            canonical_field(
                field.name,
                field.value,
                self.params.header_canonicalization,
                &mut input,
            );
            input.extend_from_slice(b"\r\n");
        }
        canonical_field(
            field_name.as_bytes(),
            unsigned.as_bytes(),
            self.params.header_canonicalization,
            &mut input,
        );
        let signature = self.sign(&input)?;
        Ok(format!("{unsigned}{}", fold(&BASE64.encode(&signature))))
    }

    /// The message with its signature in front.
    pub fn sign_message(&self, message: &[u8], now: u64) -> Result<Vec<u8>, String> {
        let value = self.signature(message, now)?;
        let mut out = Vec::with_capacity(message.len() + value.len() + 20);
        out.extend_from_slice(b"DKIM-Signature:");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(message);
        Ok(out)
    }

    /// Each listed header as often as it occurs, once more with over-signing.
    fn signed_names(&self, block: &HeaderBlock) -> Vec<String> {
        let mut names = Vec::new();
        for name in &self.params.headers {
            let present = block.named(name).count();
            let times = if self.params.over_sign { present + 1 } else { present };
            names.extend(std::iter::repeat_n(name.clone(), times));
        }
        names
    }

    fn algorithm(&self) -> &'static str {
        match self.key {
            Key::Rsa(_) => "rsa-sha256",
            Key::Ed25519(_) => "ed25519-sha256",
        }
    }

    /// The value of an ARC-Message-Signature (RFC 8617 section 4.1.2): as for DKIM, with an instance instead of a version.
    pub(crate) fn arc_message_signature(
        &self,
        message: &[u8],
        instance: u32,
        now: u64,
    ) -> Result<String, String> {
        self.signature_named("ARC-Message-Signature", &format!("i={instance}"), message, now)
    }

    /// The value of an ARC-Seal (section 4.1.3) without its signature.
    pub(crate) fn arc_seal(&self, instance: u32, cv: &str, now: u64) -> String {
        let p = &self.params;
        let algorithm = self.algorithm();
        format!(
            " i={instance}; a={algorithm}; t={now}; cv={cv};\r\n d={}; s={};\r\n b=",
            p.domain, p.selector
        )
    }

    /// The signature of a text, as base64 in lines.
    pub(crate) fn sign_text(&self, input: &[u8]) -> Result<String, String> {
        self.sign(input).map(|s| fold(&BASE64.encode(&s)))
    }

    /// The tags a signature has only when they are asked for, on a line of their own.
    fn further_tags(&self, body_length: u64) -> String {
        let p = &self.params;
        let mut tags = Vec::new();
        tags.extend(
            p.agent_user_identifier.as_ref().map(|i| format!("i={};", quoted_printable(i))),
        );
        tags.extend(p.body_length.then(|| format!("l={body_length};")));
        tags.extend(p.reporting.then(|| "r=y;".to_owned()));
        if let Some(author) = &p.atps {
            let digest = p.atpsh.as_deref().unwrap_or("sha256");
            tags.push(format!("atps={author}; atpsh={digest};"));
        }
        match tags.is_empty() {
            true => String::new(),
            false => format!("\r\n {}", tags.join(" ")),
        }
    }

    fn unsigned_value(
        &self,
        first: &str,
        names: &[String],
        body_hash: &[u8],
        now: u64,
        more: &str,
    ) -> String {
        let p = &self.params;
        let algorithm = self.algorithm();
        let word = |c| if c == Canonicalization::Relaxed { "relaxed" } else { "simple" };
        let expires =
            p.expiration.map(|e| format!(" x={};", now + e.as_secs())).unwrap_or_default();
        let (header, body) = (word(p.header_canonicalization), word(p.body_canonicalization));
        format!(
            " {first}; a={algorithm}; c={header}/{body};\r\n d={}; s={}; t={now};{expires}{more}\r\n h={};\r\n bh={};\r\n b=",
            p.domain,
            p.selector,
            fold_names(names),
            BASE64.encode(body_hash)
        )
    }

    fn sign(&self, input: &[u8]) -> Result<Vec<u8>, String> {
        match &self.key {
            Key::Rsa(pair) => {
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input, &mut out)
                    .map_err(|_| "signing failed".to_owned())?;
                Ok(out)
            }
            Key::Ed25519(pair) => {
                // RFC 8463 section 3: the hash is signed, not the text.
                let hash = digest(&SHA256, input);
                Ok(pair.sign(hash.as_ref()).as_ref().to_vec())
            }
        }
    }
}

/// The private key in a text: PEM (PKCS1 or PKCS8) or the DER inside it.
fn read(algorithm: Algorithm, key: &[u8]) -> Result<Key, String> {
    let der = unwrap_pem(key);
    Ok(match algorithm {
        Algorithm::RsaSha256 => {
            let pair = RsaKeyPair::from_pkcs8(&der).or_else(|_| RsaKeyPair::from_der(&der));
            Key::Rsa(Box::new(pair.map_err(|e| match short_rsa_bits(key) {
                Some(bits) => too_short(bits),
                None => format!("the key is not a usable RSA private key ({e}); at least 2048 bits, PKCS1 or PKCS8"),
            })?))
        }
        Algorithm::Ed25519 => {
            let pair =
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).or_else(|e| match der.len() {
                    // A longer text would be cut to a seed, whatever it is.
                    ED25519_SEED_BYTES => Ed25519KeyPair::from_seed_unchecked(&der),
                    _ => Err(e),
                });
            Key::Ed25519(Box::new(pair.map_err(|e| {
                format!("the key is not a usable Ed25519 private key ({e}); PKCS8 expected")
            })?))
        }
    })
}

/// Whether a signer could sign with a key; the error says why not.
pub(crate) fn check(algorithm: Algorithm, key: &[u8]) -> Result<(), String> {
    read(algorithm, key).map(drop)
}

/// A domain's name as tags carry it.
fn a_label(name: &str) -> Result<String, String> {
    if name.is_ascii() {
        return Ok(name.to_owned());
    }
    idna::domain_to_ascii(name).map_err(|_| format!("`{name}` is not a domain name"))
}

/// What to do about an RSA key that is too short to sign with.
pub(crate) fn too_short(bits: usize) -> String {
    format!(
        "the RSA key has {bits} bits, at least {RSA_BITS_MIN} are needed to sign (RFC 8301 section 3.2 wants as many): make \
         one (`openssl genrsa 2048`), publish it under a selector of its own, then name it here"
    )
}

/// The bits of an RSA private key that is too short to sign with; `None` for every other text.
pub(crate) fn short_rsa_bits(key: &[u8]) -> Option<usize> {
    let der = unwrap_pem(key);
    let mut outer = Der(Der(&der).next(0x30)?);
    outer.next(0x02)?;
    // PKCS8 wraps what PKCS1 begins with.
    let inner = outer.0;
    let modulus = match outer.next(0x02) {
        Some(modulus) => modulus,
        None => {
            let mut wrapped = Der(inner);
            wrapped.next(0x30)?;
            let mut pkcs1 = Der(Der(wrapped.next(0x04)?).next(0x30)?);
            pkcs1.next(0x02)?;
            pkcs1.next(0x02)?
        }
    };
    let first = modulus.iter().position(|byte| *byte != 0)?;
    let bits = (modulus.len() - first) * 8 - modulus[first].leading_zeros() as usize;
    // Less is no key that was ever in use.
    (256..RSA_BITS_MIN).contains(&bits).then_some(bits)
}

/// Values in DER, one after the other.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next value, when it has this tag.
    fn next(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_first_chunk::<2>()?;
        if head[0] != tag {
            return None;
        }
        let (length, rest) = match usize::from(head[1]) {
            short @ 0..=0x7f => (short, rest),
            long @ 0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(long - 0x80)?;
                (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }
}

/// The DER inside a PEM file; other input as it is.
fn unwrap_pem(key: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(key);
    let Some((_, rest)) = text.split_once("-----BEGIN ") else { return key.to_vec() };
    let inner = rest
        .split_once("-----")
        .and_then(|(_, rest)| rest.split_once("-----END"))
        .map(|(inner, _)| inner);
    let digits: String = inner.unwrap_or("").chars().filter(|c| !c.is_whitespace()).collect();
    BASE64.decode(digits.as_bytes()).unwrap_or_default()
}

/// The fields the names stand for: of several with one name the last first (RFC 6376 section 5.4.2); a name beyond those
/// present stands for nothing.
pub(crate) fn pick<'a>(block: &HeaderBlock<'a>, names: &[String]) -> Vec<Field<'a>> {
    // By name: a stranger's list may name as many as the header has.
    let lower = |name: &[u8]| name.to_ascii_lowercase();
    let mut wanted: HashMap<Vec<u8>, Vec<Field<'a>>> =
        names.iter().map(|name| (lower(name.as_bytes()), Vec::new())).collect();
    let mut key = Vec::new();
    for field in block.fields() {
        key.clear();
        key.extend(field.name.iter().map(u8::to_ascii_lowercase));
        if let Some(of_name) = wanted.get_mut(&key) {
            of_name.push(field);
        }
    }
    names.iter().filter_map(|name| wanted.get_mut(&lower(name.as_bytes()))?.pop()).collect()
}

/// Section 3.4.1 and 3.4.2, without the final CRLF.
pub(crate) fn canonical_field(name: &[u8], value: &[u8], how: Canonicalization, out: &mut Vec<u8>) {
    if how == Canonicalization::Simple {
        out.extend_from_slice(name);
        out.push(b':');
        out.extend_from_slice(value);
        return;
    }
    out.extend(name.iter().map(u8::to_ascii_lowercase));
    out.push(b':');
    let mut space = false;
    let mut written = false;
    for &c in value {
        match c {
            b' ' | b'\t' | b'\r' | b'\n' => space = true,
            c => {
                if space && written {
                    out.push(b' ');
                }
                out.push(c);
                (space, written) = (false, true);
            }
        }
    }
}

/// DKIM-Quoted-Printable (section 2.11): what a tag may not hold as it is.
fn quoted_printable(text: &str) -> String {
    let mut out = String::new();
    for c in text.bytes() {
        match c {
            b'!'..=b'~' if !matches!(c, b';' | b'=') => out.push(char::from(c)),
            c => out.push_str(&format!("={c:02X}")),
        }
    }
    out
}

/// Header names joined by colons, folded between them.
fn fold_names(names: &[String]) -> String {
    let mut out = String::new();
    let mut column = 3;
    for (i, name) in names.iter().enumerate() {
        if i > 0 {
            out.push(':');
            if column + name.len() > 70 {
                out.push_str("\r\n ");
                column = 1;
            }
        }
        out.push_str(name);
        column += name.len() + 1;
    }
    out
}

/// Base64 in lines.
fn fold(text: &str) -> String {
    let lines: Vec<&str> =
        text.as_bytes().chunks(72).filter_map(|c| std::str::from_utf8(c).ok()).collect();
    lines.join("\r\n ")
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

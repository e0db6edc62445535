//! Verifying DKIM signatures (RFC 6376 section 6).

use data_encoding::BASE64;
use ringmta_mail::headers::{unfold, Field, HeaderBlock};
use ringmta_options::Canonicalization;

use super::key::{self, Algorithm, Reason};
use super::results::AuthResult;
use super::tags::{without_b, Tags};
use crate::families::dkim::body_hash::BodyHash;
use crate::families::dkim::signer::{canonical_field, pick};
use crate::limits::MAX_DKIM_SIGNATURES;
use crate::vm::asker::Asker;

/// Both canonicalizations of the tag `c`.
pub(crate) fn canonicalizations(
    tag: Option<&str>,
) -> Result<(Canonicalization, Canonicalization), Reason> {
    let word = |w: &str| match w {
        "simple" => Ok(Canonicalization::Simple),
        "relaxed" => Ok(Canonicalization::Relaxed),
        other => Err(Reason::perm(format!("canonicalization {other} is not known"))),
    };
    let tag = tag.unwrap_or("simple/simple");
    let (header, body) = tag.split_once('/').unwrap_or((tag, "simple"));
    Ok((word(header.trim())?, word(body.trim())?))
}

/// Whether `domain` is `parent` or below it.
pub(crate) fn below(domain: &str, parent: &str) -> bool {
    let (domain, parent) = (domain.to_ascii_lowercase(), parent.to_ascii_lowercase());
    domain == parent || domain.strip_suffix(&parent).is_some_and(|rest| rest.ends_with('.'))
}

/// A signature field as it is checked, of DKIM or of an ARC message signature.
pub(crate) struct Signature<'a> {
    pub field: &'a Field<'a>,
    pub tags: &'a Tags,
    /// Domain that the tag `i` names.
    pub user_domain: &'a str,
}

/// Checks body hash, key and signature.
pub(crate) async fn check(
    dns: &Asker<'_>,
    message: &[u8],
    signature: &Signature<'_>,
) -> Result<(), Reason> {
    let tags = signature.tags;
    let need = |name: &str| tags.need(name).map_err(Reason::perm);
    let algorithm = Algorithm::parse(&need("a")?)?;
    let (header, body) = canonicalizations(tags.get("c"))?;
    let names: Vec<String> = need("h")?.split(':').map(str::to_owned).collect();
    if !names.iter().any(|n| n.eq_ignore_ascii_case("From")) {
        return Err(Reason::perm("From is not signed"));
    }
    let time = |tag: &str| {
        tags.packed(tag)
            .map(|v| v.parse::<u64>().map_err(|_| Reason::perm(format!("tag {tag} is not a time"))))
    };
    let expires = time("x").transpose()?;
    if expires.is_some_and(|x| x < dns.ctx.host.now_unix_nanos() / 1_000_000_000) {
        return Err(Reason::fail("the signature has expired"));
    }
    let limit =
        tags.packed("l").map(|l| l.parse().map_err(|_| Reason::perm("tag l is not a length")));
    let block = HeaderBlock::new(message);
    let content = &message[block.body_start()..];
    let claimed =
        BASE64.decode(need("bh")?.as_bytes()).map_err(|_| Reason::perm("tag bh is not base64"))?;
    let bytes =
        BASE64.decode(need("b")?.as_bytes()).map_err(|_| Reason::perm("tag b is not base64"))?;
    if BodyHash::of_any(content, body, limit.transpose()?).await != claimed {
        return Err(Reason::fail("the body hash does not match"));
    }
    let (selector, domain) = (need("s")?, need("d")?);
    let public = key::fetch(dns, &selector, &domain, signature.user_domain, algorithm).await?;
    let mut input = Vec::with_capacity(2048);
    for field in pick(&block, &names) {
        canonical_field(field.name, field.value, header, &mut input);
        input.extend_from_slice(b"\r\n");
    }
    let own = without_b(signature.field.value);
    canonical_field(signature.field.name, &own, header, &mut input);
    match key::verify(algorithm, &public, &input, &bytes) {
        true => Ok(()),
        false => Err(Reason::fail("the signature does not match")),
    }
}

async fn verify_one(dns: &Asker<'_>, message: &[u8], field: &Field<'_>) -> AuthResult {
    let tags = match Tags::parse(&unfold(field.value)) {
        Ok(tags) => tags,
        Err(e) => return AuthResult::new("dkim", "permerror", e),
    };
    let domain = tags.packed("d").unwrap_or_default();
    let user = tags.packed("i").unwrap_or_else(|| format!("@{domain}"));
    let user_domain = user.rsplit('@').next().unwrap_or("");
    let outcome = if tags.packed("v").as_deref() != Some("1") {
        Err(Reason::perm("tag v is not 1"))
    } else if !below(user_domain, &domain) {
        Err(Reason::perm("tag i is not within the domain"))
    } else {
        check(dns, message, &Signature { field, tags: &tags, user_domain }).await
    };
    let (result, reason) = match outcome {
        Ok(()) => ("pass", String::new()),
        Err(r) => (r.result, r.text),
    };
    let mut out = AuthResult::new("dkim", result, reason);
    for (name, value) in [
        ("header.d", Some(domain.clone())),
        ("header.i", Some(user.clone())),
        ("header.a", tags.packed("a")),
        ("header.s", tags.packed("s")),
        ("header.b", tags.packed("b").map(|b| b.chars().take(8).collect())),
    ] {
        if let Some(value) = value.filter(|v| !v.is_empty()) {
            out = out.with(name, value);
        }
    }
    out
}

/// One result per signature, of the first ten.
pub(crate) async fn verify(dns: &Asker<'_>, message: &[u8]) -> Vec<AuthResult> {
    let block = HeaderBlock::new(message);
    let mut out = Vec::new();
    for field in block.named("DKIM-Signature").take(MAX_DKIM_SIGNATURES) {
        out.push(verify_one(dns, message, &field).await);
    }
    out
}

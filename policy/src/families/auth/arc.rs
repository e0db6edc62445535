//! Authenticated Received Chain (RFC 8617): checking a chain and adding to it.

use data_encoding::BASE64;
use ringmta_mail::headers::{unfold, write_field, Field, HeaderBlock};
use ringmta_options::Canonicalization;

use super::dkim::{check, Signature};
use super::key::{self, Algorithm, Reason};
use super::results::format as format_results;
use super::results::AuthResult;
use super::tags::{without_b, Tags};
use crate::families::dkim::signer::{canonical_field, Signer};
use crate::limits::MAX_ARC_SETS;
use crate::vm::asker::Asker;

const RESULTS: &str = "ARC-Authentication-Results";
const MESSAGE: &str = "ARC-Message-Signature";
const SEAL: &str = "ARC-Seal";

/// The three fields one hop adds.
struct Set<'a> {
    results: Field<'a>,
    message: Field<'a>,
    seal: Field<'a>,
}

/// The instance of an ARC field.
fn instance(field: &Field<'_>) -> Result<u32, String> {
    let text = unfold(field.value);
    let first = text.split(';').find_map(|piece| {
        let (name, value) = piece.split_once('=')?;
        (name.trim() == "i").then(|| value.trim().to_owned())
    });
    let n = first.and_then(|v| v.parse().ok()).filter(|n| (1..=MAX_ARC_SETS).contains(n));
    n.ok_or_else(|| "an ARC field has no usable instance".to_owned())
}

/// The sets in order, complete and without gaps.
fn sets<'a>(block: &HeaderBlock<'a>) -> Result<Vec<Set<'a>>, String> {
    let mut found: Vec<[Option<Field<'a>>; 3]> = Vec::new();
    for field in block.fields() {
        let Some(kind) = [RESULTS, MESSAGE, SEAL].iter().position(|n| field.is(n)) else {
            continue;
        };
        let n = instance(&field)? as usize;
        if found.len() < n {
            found.resize_with(n, Default::default);
        }
        if found[n - 1][kind].replace(field).is_some() {
            return Err(format!("instance {n} has a field twice"));
        }
    }
    let whole = found.into_iter().enumerate().map(|(n, [results, message, seal])| {
        let set = || Some(Set { results: results?, message: message?, seal: seal? });
        set().ok_or_else(|| format!("instance {} is not complete", n + 1))
    });
    whole.collect()
}

fn canonical(field: &Field<'_>, out: &mut Vec<u8>) {
    canonical_field(field.name, field.value, Canonicalization::Relaxed, out);
    out.extend_from_slice(b"\r\n");
}

/// What the seal of the last set signs; the seal's own text comes last.
fn seal_input(sets: &[Set<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (n, set) in sets.iter().enumerate() {
        canonical(&set.results, &mut out);
        canonical(&set.message, &mut out);
        if n + 1 < sets.len() {
            canonical(&set.seal, &mut out);
        }
    }
    if let Some(last) = sets.last() {
        let own = without_b(last.seal.value);
        canonical_field(last.seal.name, &own, Canonicalization::Relaxed, &mut out);
    }
    out
}

async fn check_seal(dns: &Asker<'_>, sets: &[Set<'_>]) -> Result<(), Reason> {
    let Some(last) = sets.last() else { return Ok(()) };
    let n = sets.len();
    let tags = Tags::parse(&unfold(last.seal.value)).map_err(Reason::fail)?;
    let need = |name: &str| tags.need(name).map_err(Reason::fail);
    if tags.get("h").is_some() {
        return Err(Reason::fail(format!("seal {n} has a tag h")));
    }
    let said = need("cv")?;
    if said != if n == 1 { "none" } else { "pass" } {
        return Err(Reason::fail(format!("seal {n} says cv={said}")));
    }
    let algorithm = Algorithm::parse(&need("a")?)?;
    let (selector, domain) = (need("s")?, need("d")?);
    let public = key::fetch(dns, &selector, &domain, &domain, algorithm).await?;
    let bytes =
        BASE64.decode(need("b")?.as_bytes()).map_err(|_| Reason::fail("tag b is not base64"))?;
    match key::verify(algorithm, &public, &seal_input(sets), &bytes) {
        true => Ok(()),
        false => Err(Reason::fail(format!("seal {n} does not match"))),
    }
}

async fn check_chain(dns: &Asker<'_>, message: &[u8], sets: &[Set<'_>]) -> Result<(), Reason> {
    let Some(last) = sets.last() else { return Ok(()) };
    let tags = Tags::parse(&unfold(last.message.value)).map_err(Reason::fail)?;
    if tags.packed("h").is_some_and(|h| h.split(':').any(|n| n.eq_ignore_ascii_case(SEAL))) {
        return Err(Reason::fail("the message signature signs a seal"));
    }
    let domain = tags.packed("d").unwrap_or_default();
    let signature = Signature { field: &last.message, tags: &tags, user_domain: &domain };
    check(dns, message, &signature).await?;
    for n in (1..=sets.len()).rev() {
        check_seal(dns, &sets[..n]).await?;
    }
    Ok(())
}

/// The state of the chain (section 5.2): `none`, `pass` or `fail`; a DNS failure is `temperror`.
pub(crate) async fn verify(dns: &Asker<'_>, message: &[u8]) -> AuthResult {
    let block = HeaderBlock::new(message);
    let sets = match sets(&block) {
        Ok(sets) if sets.is_empty() => return AuthResult::new("arc", "none", ""),
        Ok(sets) => sets,
        Err(e) => return AuthResult::new("arc", "fail", e),
    };
    match check_chain(dns, message, &sets).await {
        Ok(()) => AuthResult::new("arc", "pass", ""),
        Err(r) if r.result == "temperror" => AuthResult::new("arc", "temperror", r.text),
        Err(r) => AuthResult::new("arc", "fail", r.text),
    }
}

/// The message with one more set in front; `None` when its chain is broken, which ends it.
pub(crate) async fn seal(
    dns: &Asker<'_>,
    message: &[u8],
    signer: &Signer,
    server_id: &str,
    results: &[AuthResult],
) -> Result<Option<Vec<u8>>, String> {
    let state = verify(dns, message).await;
    let cv = match state.result.as_str() {
        "none" => "none",
        "pass" => "pass",
        _ => return Ok(None),
    };
    let block = HeaderBlock::new(message);
    let n = sets(&block)?.len() as u32 + 1;
    if n > MAX_ARC_SETS {
        return Ok(None);
    }
    let now = dns.ctx.host.now_unix_nanos() / 1_000_000_000;
    let results = write_field(RESULTS, &format!("i={n}; {}", format_results(server_id, results)));
    let own = signer.arc_message_signature(message, n, now)?;
    let own = [MESSAGE.as_bytes(), b":", own.as_bytes(), b"\r\n"].concat();
    let unsigned = signer.arc_seal(n, cv, now);
    let draft = [SEAL.as_bytes(), b":", unsigned.as_bytes(), b"\r\n"].concat();
    let mut with_draft = [draft.as_slice(), &own, &results].concat();
    with_draft.extend_from_slice(message);
    let input = seal_input(&sets(&HeaderBlock::new(&with_draft))?);
    let signature = signer.sign_text(&input)?;
    let mut out =
        [SEAL.as_bytes(), b":", unsigned.as_bytes(), signature.as_bytes(), b"\r\n"].concat();
    out.extend_from_slice(&own);
    out.extend_from_slice(&results);
    out.extend_from_slice(message);
    Ok(Some(out))
}

//! DMARC (RFC 7489): does what was authenticated agree with the author's domain?

use super::results::AuthResult;
use super::tags::Tags;
use crate::dns::question::{DnsFailure, DnsKind, DnsQuestion};
use crate::vm::asker::Asker;

/// The outcome.
pub(crate) struct Verdict {
    /// As an authentication result.
    pub result: AuthResult,
    /// What the domain asks to be done with mail that fails; `none` when it asks for nothing.
    pub policy: String,
}

/// The registrable part of a domain.
fn organizational(domain: &str) -> &str {
    ringmta_suffixes::domain(domain).unwrap_or(domain)
}

/// The record at a name; `Ok(None)` when there is none.
async fn record(dns: &Asker<'_>, domain: &str) -> Result<Option<Tags>, String> {
    let name = format!("_dmarc.{domain}");
    let texts = match dns.dns(DnsQuestion::new(name, DnsKind::Txt)).await {
        Ok(answer) => answer.texts,
        Err(DnsFailure::NoSuchName | DnsFailure::NoData) => return Ok(None),
        Err(e) => return Err(e.to_string()),
    };
    let mut found = texts.iter().filter(|t| t.replace(' ', "").starts_with("v=DMARC1"));
    match (found.next(), found.next()) {
        // Several records are as none (section 6.6.3).
        (Some(one), None) => Ok(Tags::parse(one).ok()),
        _ => Ok(None),
    }
}

fn aligned(authenticated: &str, author: &str, strict: bool) -> bool {
    let (a, b) = (authenticated.to_ascii_lowercase(), author.to_ascii_lowercase());
    a == b || (!strict && organizational(&a) == organizational(&b))
}

/// Checks the author's domain against what DKIM and SPF found.
pub(crate) async fn check(
    dns: &Asker<'_>,
    author: &str,
    dkim: &[AuthResult],
    spf: Option<&AuthResult>,
) -> Verdict {
    let author = author.trim_end_matches('.').to_ascii_lowercase();
    let out = |result: &str, reason: String, policy: &str| Verdict {
        result: AuthResult::new("dmarc", result, reason).with("header.from", author.clone()),
        policy: policy.to_owned(),
    };
    let parent = organizational(&author).to_owned();
    let mut found = record(dns, &author).await;
    let mut inherited = false;
    if matches!(found, Ok(None)) && parent != author {
        found = record(dns, &parent).await;
        inherited = true;
    }
    let tags = match found {
        Ok(Some(tags)) => tags,
        Ok(None) => return out("none", "the domain has no policy".into(), "none"),
        Err(e) => return out("temperror", e, "none"),
    };
    let policy = tags.packed("p").unwrap_or_else(|| "none".into());
    let policy = if inherited { tags.packed("sp").unwrap_or(policy) } else { policy };
    let strict = |tag: &str| tags.packed(tag).as_deref() == Some("s");
    let prop = |r: &AuthResult, name: &str| {
        r.props.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone())
    };
    let by_dkim = dkim.iter().any(|r| {
        r.result == "pass"
            && prop(r, "header.d").is_some_and(|d| aligned(&d, &author, strict("adkim")))
    });
    let by_spf = spf.filter(|r| r.result == "pass").is_some_and(|r| {
        let from = prop(r, "smtp.mailfrom").or_else(|| prop(r, "smtp.helo")).unwrap_or_default();
        let domain = from.rsplit('@').next().unwrap_or("");
        aligned(domain, &author, strict("aspf"))
    });
    match (by_dkim, by_spf) {
        (true, _) => out("pass", "DKIM agrees with the author's domain".into(), &policy),
        (_, true) => out("pass", "SPF agrees with the author's domain".into(), &policy),
        _ => out(
            "fail",
            format!("nothing agrees with the author's domain; its policy is {policy}"),
            &policy,
        ),
    }
}

//! Links of a message tried one by one, where that is allowed: each gets a HEAD request, none that leads to a private address
//! unless that is allowed too. What a name resolves to is looked at for every connection, redirects included.

use crate::api::{bad, Api};
use crate::captured::Stored;
use crate::limits::{
    SANDBOX_LINKS, SANDBOX_LINKS_AT_ONCE, SANDBOX_LINK_SEARCH_BYTES, SANDBOX_LINK_SECS,
    SANDBOX_REDIRECTS,
};
use crate::start::start_of;
use crate::webhook::tls;
use html5gum::{Token, Tokenizer};
use regex::Regex;
use ringmta_http::{Request, Response};
use serde_json::{json, Value};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Error};

impl Api {
    /// `message/{id}/link-check`.
    pub(super) async fn link_check(
        &self,
        message: &Stored,
        request: &Request,
    ) -> Result<Response, Response> {
        if !self.settings.link_check {
            let text = "links are not tried here, for that tells their servers of the message: start with --enable-link-check \
                        (MP_ENABLE_LINK_CHECK)";
            return Err(bad(text));
        }
        let follow = ["1", "true", "yes"].contains(&request.query.get("follow").unwrap_or(""));
        let mail = message.mail.clone();
        let agent = agent(follow, self.settings.internal_requests, self.settings.untrusted_tls);
        let work = move || {
            let (html, text) = (searched(&mail.parsed.html), searched(&mail.parsed.text));
            try_all(&agent, &of(html, text))
        };
        let tried = self.helpers.run(work).await.map_err(bad)?;
        Ok(Response::json(&answer(tried)))
    }
}

/// The answer about links that were tried.
pub(super) fn answer(tried: Vec<Value>) -> Value {
    let errors = tried.iter().filter(|one| is_error(&one["StatusCode"])).count();
    json!({"Errors": errors, "Links": tried})
}

/// What is said of one link.
pub(super) fn told(link: &str, code: u16, status: &str) -> Value {
    json!({"URL": link, "StatusCode": code, "Status": status})
}

fn is_error(code: &Value) -> bool {
    !code.as_u64().is_some_and(|code| (100..400).contains(&code))
}

/// As much of a text as links are looked for in.
pub(super) fn searched(text: &str) -> &str {
    start_of(text, SANDBOX_LINK_SEARCH_BYTES)
}

/// The links of a message, each once: where its HTML leads to or loads something from, and addresses in its text.
fn of(html: &str, text: &str) -> Vec<String> {
    static ADDRESS: OnceLock<Option<Regex>> = OnceLock::new();
    let mut links = BTreeSet::new();
    for token in Tokenizer::new(html).flatten() {
        let Token::StartTag(tag) = token else { continue };
        for name in [b"href".as_slice(), b"src"] {
            if let Some(value) = tag.attributes.get(name) {
                links.insert(String::from_utf8_lossy(&value.value).trim().to_string());
            }
        }
    }
    let address = ADDRESS.get_or_init(|| Regex::new(r#"https?://[^\s<>"'\)\]]+"#).ok());
    if let Some(address) = address {
        let found = address.find_iter(text).map(|found| found.as_str());
        links
            .extend(found.map(|link| link.trim_end_matches(['.', ',', ';', ':', '!', '?']).into()));
    }
    let http = |link: &String| link.starts_with("http://") || link.starts_with("https://");
    links.into_iter().filter(http).take(SANDBOX_LINKS).collect()
}

/// What asks other servers: within a deadline, and no private address unless told.
pub(super) fn agent(follow: bool, internal: bool, untrusted_tls: bool) -> Agent {
    let config = Config::builder()
        .timeout_global(Some(Duration::from_secs(SANDBOX_LINK_SECS)))
        .http_status_as_error(false)
        .max_redirects(if follow { SANDBOX_REDIRECTS } else { 0 })
        .max_redirects_will_error(false)
        // A proxy would resolve names itself.
        .proxy(None)
        .user_agent(crate::json::VERSION)
        .tls_config(tls(untrusted_tls))
        .build();
    let resolver = Guarded { inner: DefaultResolver::default(), internal };
    Agent::with_parts(config, DefaultConnector::default(), resolver)
}

/// Tries links, a few at once; blocks.
fn try_all(agent: &Agent, links: &[String]) -> Vec<Value> {
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..SANDBOX_LINKS_AT_ONCE.min(links.len()) {
            scope.spawn(|| {
                while let Some(link) = links.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (code, status) = match agent.head(link).call() {
                        Ok(response) => {
                            let status = response.status();
                            (status.as_u16(), status.canonical_reason().unwrap_or("").to_string())
                        }
                        Err(error) => (0, error.to_string()),
                    };
                    if let Ok(mut answers) = answers.lock() {
                        answers.push((link, code, status));
                    }
                }
            });
        }
    });
    let mut answers = answers.into_inner().unwrap_or_default();
    answers.sort();
    answers.into_iter().map(|(link, code, status)| told(link, code, &status)).collect()
}

/// Resolves names, and gives back no private address.
#[derive(Debug)]
struct Guarded {
    inner: DefaultResolver,
    internal: bool,
}

impl Resolver for Guarded {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        if self.internal {
            return Ok(found);
        }
        let mut public = self.empty();
        found.iter().filter(|one| is_public(one.ip())).for_each(|one| public.push(*one));
        if public.is_empty() {
            return Err(Error::Io(std::io::Error::other(
                "it leads to a private address; --allow-internal-http-requests allows that",
            )));
        }
        Ok(public)
    }
}

/// Whether an address is of the public Internet (the registries of RFC 6890).
fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_documentation()
        || a == 0
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b)))
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    // What embeds an address of IPv4 (NAT64, 6to4) is where that one is.
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => embedded(high, low),
        [0x2001, 0x0db8, ..] | [0x2001, 0..=0x01ff, ..] => false,
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_html_and_text_each_once() {
        let html = "<a href=' http://a.test/x?a=1&amp;b=2 '>a</a><img src=https://b.test/i.png><a href='mailto:x@y'>";
        let text = "see https://b.test/i.png, and (http://c.test/).";
        assert_eq!(
            of(html, text),
            ["http://a.test/x?a=1&b=2", "http://c.test/", "https://b.test/i.png"]
        );
        assert_eq!(of(&"<a href=http://x.test/".repeat(3), ""), Vec::<String>::new());
    }

    #[test]
    fn private_addresses() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "ff02::1",
            "2001:db8::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }
}

//! MTA-STS (RFC 8461): finds the policy of a domain, and keeps it as long as the domain allows.
//!
//! The record in the DNS is asked for as often as the MX is; the policy itself is fetched over HTTPS,
//! by a helper thread, only when the record's id has changed. What cannot be had leaves the policy
//! that is known in force until it is too old (section 3.3).

use crate::io::{deadline, mono_nanos};
use crate::limits;
use crate::shard::Shard;
use hickory_proto::rr::RecordType;
use ringmta_policy::mta_sts::{record_id, StsPolicy};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

/// Policies known to a shard, by domain.
#[derive(Default)]
pub struct StsCache {
    known: RefCell<HashMap<String, Known>>,
}

#[derive(Clone)]
struct Known {
    /// The record's id it was fetched for.
    id: String,
    /// `None`: it could not be had.
    policy: Option<Rc<StsPolicy>>,
    /// It may be kept until then, monotonic nanoseconds.
    until_nanos: u64,
    /// Another is not fetched before, monotonic nanoseconds.
    try_after_nanos: u64,
}

impl StsCache {
    fn get(&self, domain: &str, now: u64) -> Option<Known> {
        self.known.borrow().get(domain).filter(|known| known.until_nanos > now).cloned()
    }

    fn put(&self, domain: &str, known: Known, now: u64) {
        let mut all = self.known.borrow_mut();
        if all.len() >= limits::STS_CACHE_POLICIES {
            all.retain(|_, known| known.until_nanos > now);
            if all.len() >= limits::STS_CACHE_POLICIES {
                all.clear();
            }
        }
        all.insert(domain.to_string(), known);
    }
}

/// The policy of `domain`, when it has one.
pub async fn find(shard: &Shard, domain: &str) -> Option<Rc<StsPolicy>> {
    if shard.process.init.mta_sts_enabled == Some(false) {
        return None;
    }
    let domain = domain.trim_end_matches('.').to_ascii_lowercase();
    if let Some(given) = shard.process.policy_shared.sts_policies() {
        return given.get(&domain).cloned().map(Rc::new);
    }
    let known = shard.sts.get(&domain, mono_nanos());
    let record = shard.resolver.lookup(&format!("_mta-sts.{domain}"), RecordType::TXT).await;
    let id = record.as_ref().ok().and_then(|answer| record_id(&answer.txt));
    let Some(id) = id else { return known.and_then(|known| known.policy) };
    if let Some(known) = known.as_ref() {
        if known.id == id || known.try_after_nanos > mono_nanos() {
            return known.policy.clone();
        }
    }
    let fetched = fetch(shard, &domain).await;
    let now = mono_nanos();
    let later = |secs: u64| now.saturating_add(secs.saturating_mul(1_000_000_000));
    let try_after_nanos = later(limits::STS_FAILURE_SECS);
    let found = match (fetched, known) {
        (Ok(policy), _) => {
            let until_nanos = later(policy.max_age_secs);
            let policy = Some(Rc::new(policy));
            Known { id: id.to_string(), policy, until_nanos, try_after_nanos: 0 }
        }
        (Err(why), known) => {
            tracing::warn!("MTA-STS policy of {domain}: {why}");
            let none = || Known {
                id: id.to_string(),
                policy: None,
                until_nanos: try_after_nanos,
                try_after_nanos,
            };
            // An older one stays in force.
            Known { try_after_nanos, ..known.unwrap_or_else(none) }
        }
    };
    let policy = found.policy.clone();
    shard.sts.put(&domain, found, now);
    policy
}

async fn fetch(shard: &Shard, domain: &str) -> Result<StsPolicy, String> {
    let url = format!("https://mta-sts.{domain}/.well-known/mta-sts.txt");
    let agent = shard.process.http_agent.clone();
    let job = shard.process.policy_shared.helpers().run(move || get(&agent, &url));
    // The helper gives up on its own; this holds when it does not come to it.
    let limit = Duration::from_millis(limits::STS_FETCH_MS * 2);
    let text = deadline(limit, job).await.map_err(|_| "no helper had the time to fetch it")??;
    StsPolicy::parse(&text)
}

/// Fetches the text as section 3.3 has it: 200 or nothing, no redirects, plain text.
fn get(agent: &ureq::Agent, url: &str) -> Result<String, String> {
    let request = agent.get(url).config();
    let request = request
        .timeout_global(Some(Duration::from_millis(limits::STS_FETCH_MS)))
        .max_redirects(0)
        .http_status_as_error(false)
        .build();
    let mut response = request.call().map_err(|error| format!("{url}: {error}"))?;
    if response.status() != 200 {
        return Err(format!("{url} answered {}", response.status()));
    }
    let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("text/plain") {
        return Err(format!("{url} is of type {kind:?}, not text/plain"));
    }
    let body = response.body_mut().with_config().limit(limits::STS_POLICY_BYTES);
    body.read_to_string().map_err(|error| format!("{url}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    /// Answers one request on a port of its own.
    fn serve(answer: String) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/.well-known/mta-sts.txt", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"\r\n\r\n") {
                let mut chunk = [0; 512];
                let count = stream.read(&mut chunk).unwrap();
                assert!(count > 0);
                seen.extend_from_slice(&chunk[..count]);
            }
            let _ = stream.write_all(answer.as_bytes());
        });
        url
    }

    fn answered(head: &str, body: &str) -> Result<String, String> {
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        get(&ureq::Agent::new_with_defaults(), &serve(answer))
    }

    #[test]
    fn only_a_plain_200_counts() {
        let text = "version: STSv1\nmode: none\nmax_age: 1\n";
        let plain = "Content-Type: text/plain; charset=utf-8";
        assert_eq!(answered(&format!("200 OK\r\n{plain}"), text).unwrap(), text);
        for (head, why) in [
            ("404 Not Found\r\nContent-Type: text/plain", "404"),
            ("302 Found\r\nLocation: /x\r\nContent-Type: text/plain", "302"),
            ("200 OK\r\nContent-Type: text/html", "text/html"),
            ("200 OK", "not text/plain"),
        ] {
            let error = answered(head, text).unwrap_err();
            assert!(error.contains(why), "{head}: {error}");
        }
        let large = "x".repeat(limits::STS_POLICY_BYTES as usize + 1);
        assert!(answered(&format!("200 OK\r\n{plain}"), &large).is_err());
    }
}

//! The policy text of a domain, over HTTPS from a helper thread (RFC 8461 section 3.3). The name of its host is looked
//! up by our own resolver, as the names of its MX hosts are.

use crate::limits::{HOST_LOOKUP_SECONDS, STS_FETCH_MS, STS_POLICY_BYTES};
use crate::stage::Egress;
use ringmta_io::deadline;
use ringmta_policy::{trust, IpLookupStrategy, StsPolicy};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// Addresses of one host that are tried.
const ADDRESSES_MAX: usize = 8;
const HTTPS_PORT: u16 = 443;

/// How the engine's own HTTP requests are made: 200 or nothing, no redirects (section 3.3).
pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_millis(STS_FETCH_MS)))
        .tls_config(trust::http_tls())
        .max_redirects(0)
        .http_status_as_error(false)
        .build()
        .new_agent()
}

/// Fetches the policy of `domain`.
///
/// # Errors
/// What stood in the way of it, or is wrong with it.
pub async fn policy(egress: &Egress, domain: &str) -> Result<StsPolicy, String> {
    let host = format!("mta-sts.{domain}");
    let limit = Duration::from_secs(HOST_LOOKUP_SECONDS);
    let asked = egress.resolver.addresses(&host, IpLookupStrategy::Ipv4AndIpv6);
    let found = deadline(limit, asked).await.map_err(|_| format!("{host}: no address in time"))?;
    let mut found: Vec<IpAddr> = found.map_err(|error| format!("{host}: {error}"))?;
    found.truncate(ADDRESSES_MAX);
    let Some(first) = found.first() else { return Err(format!("{host} has no address")) };
    // Many domains have their policies at one host: when it hangs, it holds up these alone.
    let target = format!("mta-sts {first}");
    let at = found.iter().map(|ip| SocketAddr::new(*ip, HTTPS_PORT)).collect();
    let agent = reaching(&egress.shard.process.http_agent, at);
    let url = format!("https://{host}/.well-known/mta-sts.txt");
    let job =
        egress.shard.process.policy_shared.helpers().run_for(&target, move || get(&agent, &url));
    // The helper gives up on its own; this holds when it does not come to it.
    let limit = Duration::from_millis(STS_FETCH_MS * 2);
    let text = deadline(limit, job).await.map_err(|_| "no helper had the time to fetch it")??;
    StsPolicy::parse(&text)
}

/// A client with the settings of `agent` that finds every host at `addresses`. Through a proxy it is the proxy that
/// looks up names.
fn reaching(agent: &ureq::Agent, addresses: Vec<SocketAddr>) -> ureq::Agent {
    if agent.config().proxy().is_some() {
        return agent.clone();
    }
    let connector = DefaultConnector::default();
    ureq::Agent::with_parts(agent.config().clone(), connector, Known(addresses))
}

/// What our resolver has found.
#[derive(Debug)]
struct Known(Vec<SocketAddr>);

impl Resolver for Known {
    fn resolve(
        &self,
        _uri: &ureq::http::Uri,
        _config: &ureq::config::Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut found = self.empty();
        for addr in self.0.iter().take(ADDRESSES_MAX) {
            found.push(*addr);
        }
        match found.is_empty() {
            true => Err(ureq::Error::HostNotFound),
            false => Ok(found),
        }
    }
}

/// Fetches the text: plain, and of no more than the allowed size.
fn get(agent: &ureq::Agent, url: &str) -> Result<String, String> {
    let mut response = agent.get(url).call().map_err(|error| format!("{url}: {error}"))?;
    if response.status() != 200 {
        return Err(format!("{url} answered {}", response.status()));
    }
    let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("text/plain") {
        return Err(format!("{url} is of type {kind:?}, not text/plain"));
    }
    let body = response.body_mut().with_config().limit(STS_POLICY_BYTES);
    body.read_to_string().map_err(|error| format!("{url}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    /// Answers one request on a port of its own.
    fn serve(answer: String) -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
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
        addr
    }

    fn answered(head: &str, body: &str) -> Result<String, String> {
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        // A name that no resolver of this machine knows.
        let agent = reaching(&agent(), vec![serve(answer)]);
        get(&agent, "http://mta-sts.domain.invalid/.well-known/mta-sts.txt")
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
        let large = "x".repeat(STS_POLICY_BYTES as usize + 1);
        assert!(answered(&format!("200 OK\r\n{plain}"), &large).is_err());
    }
}

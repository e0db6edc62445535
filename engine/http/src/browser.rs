//! Requests that a page makes a browser send. An address on loopback asks for no password, and a browser reaches it for any
//! page: what did not come from our own page is refused, and so is a Host that a stranger's name server may have pointed here.

use crate::types::{Request, Response};
use hyper::StatusCode;
use std::net::IpAddr;
use std::sync::OnceLock;

/// Environment variable with further names of ours, parted by commas.
const NAMES: &str = "RINGMTA_HTTP_HOSTS";

/// Lets a request pass that is not a browser's, or is one of our own page's.
///
/// # Errors
/// The response that refuses it.
pub fn check(request: &Request) -> Result<(), Response> {
    let one = |name: &str| request.headers.get_all(name).iter().count() <= 1;
    if !one("host") || !one("origin") {
        return Err(refused("one Host and one Origin at most\n"));
    }
    let host = request.header("host").unwrap_or("");
    let origin = request.headers.contains_key("origin");
    let site = request.header("sec-fetch-site");
    let browser =
        origin || request.headers.keys().any(|name| name.as_str().starts_with("sec-fetch-"));
    let anonymous_here =
        request.peer.ip().to_canonical().is_loopback() && request.header("authorization").is_none();
    if (browser || anonymous_here) && !is_ours(host) {
        return Err(refused(&format!(
            "the Host of the request is no name of this server; where it is, put it into {NAMES}\n"
        )));
    }
    let same = |origin: &str| {
        let (scheme, rest) = origin.split_once("://").unwrap_or(("", ""));
        ["http", "https"].contains(&scheme) && rest.eq_ignore_ascii_case(host)
    };
    // A link of another page may lead to ours, which it cannot read.
    let followed = request.method.is_safe()
        && request.header("sec-fetch-mode") == Some("navigate")
        && !request.headers.contains_key("upgrade");
    let fits = match (origin, site) {
        (true, _) => request.header("origin").is_some_and(same),
        (false, Some("same-origin" | "none") | None) => true,
        (false, Some(_)) => followed,
    };
    if fits {
        return Ok(());
    }
    Err(refused("requests from pages of another site are not answered\n"))
}

fn refused(text: &str) -> Response {
    Response::text(StatusCode::FORBIDDEN, text)
}

/// Whether `host` (with or without a port) can only be this server: an address, since only names can be pointed elsewhere; a
/// name of loopback; a name without a dot, which no public name server answers for (a compose network's are such); or one
/// that the operator has listed.
fn is_ours(host: &str) -> bool {
    static LISTED: OnceLock<Vec<String>> = OnceLock::new();
    let listed = LISTED.get_or_init(|| {
        let names = std::env::var(NAMES).unwrap_or_default();
        names.split(',').map(|name| name.trim().to_ascii_lowercase()).collect()
    });
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name.parse::<IpAddr>().is_ok()
        || (!name.contains('.') && !host.starts_with('['))
        || name.ends_with(".localhost")
        || name == "host.docker.internal"
        || listed.iter().any(|known| !known.is_empty() && *known == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bytes, HeaderMap, HeaderName, HeaderValue, Method, Query};

    fn answer(method: Method, peer: &str, headers: &[(&'static str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let request = Request {
            method,
            path: "/".into(),
            query: Query::parse(""),
            headers: map,
            body: Bytes::new(),
            peer: format!("{peer}:4000").parse().unwrap(),
            local: "127.0.0.1:8020".parse().unwrap(),
            caller: None,
            held: Default::default(),
        };
        check(&request).is_ok()
    }

    #[test]
    fn pages_of_other_sites() {
        let here = ("host", "localhost:8020");
        for peer in ["127.0.0.1", "192.0.2.1"] {
            let post = |headers: &[(&'static str, &str)]| answer(Method::POST, peer, headers);
            assert!(post(&[here]), "a plain client");
            assert!(post(&[here, ("origin", "http://localhost:8020")]));
            assert!(post(&[here, ("sec-fetch-site", "same-origin")]));
            for origin in ["http://evil.test", "null", "http://localhost:8021", "http://localhost"]
            {
                assert!(!post(&[here, ("origin", origin)]), "{origin}");
            }
            assert!(!post(&[here, ("sec-fetch-site", "cross-site")]));
            assert!(!post(&[here, ("sec-fetch-site", "same-site")]));
            assert!(!post(&[
                here,
                ("origin", "http://localhost:8020"),
                ("origin", "http://evil.test")
            ]));
            let evil = ("host", "evil.test:8020");
            assert!(!post(&[evil, ("origin", "http://evil.test:8020")]), "a name pointed here");
            assert!(!post(&[here, evil]));
        }
        let get = |headers: &[(&'static str, &str)]| answer(Method::GET, "127.0.0.1", headers);
        let link = [here, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        assert!(get(&link));
        assert!(!get(&[here, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")]));
        let socket = [link[0], link[1], link[2], ("upgrade", "websocket")];
        assert!(!get(&socket));
    }

    #[test]
    fn names() {
        let get = |peer: &str, host: &str| answer(Method::GET, peer, &[("host", host)]);
        for host in
            ["127.0.0.1:8020", "[::1]:8020", "localhost", "inbox.localhost:80", "kumomta-smtp:8020"]
        {
            assert!(get("127.0.0.1", host), "{host}");
        }
        for host in ["evil.test", "evil.test:8020", "localhost.evil.test"] {
            assert!(!get("127.0.0.1", host), "{host}");
            assert!(!get("127.0.0.2", host), "{host}");
            assert!(get("192.0.2.1", host), "a plain client elsewhere: {host}");
        }
        assert!(answer(Method::GET, "127.0.0.1", &[("host", "mail.test"), ("authorization", "x")]));
    }
}

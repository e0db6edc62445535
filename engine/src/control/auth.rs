//! Who may use the HTTP interface: a trusted host, or one whose credentials policy takes.

use super::http::{Request, Response, StatusCode};
use crate::io::mono_nanos;
use crate::shard::Shard;
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use ringmta_policy::{AuthInfo, HttpListener};
use std::rc::Rc;

/// What a path asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone.
    Open,
    /// A trusted host or authenticated.
    Inject,
    /// A trusted host.
    Trusted,
}

/// Decides for `request`.
///
/// # Errors
/// The response that refuses it.
pub async fn check(
    shard: &Rc<Shard>,
    listener: &HttpListener,
    access: Access,
    request: &Request,
) -> Result<AuthInfo, Response> {
    let mut info = AuthInfo { peer_address: Some(request.peer.ip()), ..AuthInfo::default() };
    let trusted = listener.trusted_hosts.contains(request.peer.ip());
    if trusted {
        info.groups.push("kumomta:http-listener-trusted-ip".into());
    }
    if access == Access::Open {
        return Ok(info);
    }
    let mut given = request.headers.get_all("authorization").iter();
    if let Some(header) = given.next() {
        // Of two, a proxy in front may have looked at the other.
        let header = header.to_str().ok().filter(|_| given.next().is_none());
        let Some(header) = header else {
            return Err(Response::text(
                StatusCode::BAD_REQUEST,
                "Malformed or unsupported Authorization header\n",
            ));
        };
        let peer = request.peer.ip();
        if let Some(wait) = shard.guesses.held(peer, mono_nanos()) {
            shard.metrics.auth_held.inc();
            let text = "too many wrong passwords from this address\n";
            let seconds = (wait.as_secs() + 1).to_string();
            return Err(Response::text(StatusCode::TOO_MANY_REQUESTS, text)
                .header(super::http::header::RETRY_AFTER, &seconds));
        }
        // Credentials that are given must be right, whoever gives them.
        return match authenticate(shard, header).await {
            Some(found) if trusted || access == Access::Inject => Ok(AuthInfo {
                peer_address: info.peer_address,
                groups: [info.groups, found.groups].concat(),
                ..found
            }),
            Some(_) => Err(Response::text(StatusCode::FORBIDDEN, "not allowed\n")),
            None => {
                shard.metrics.auth_failures_http.inc();
                shard.guesses.wrong(peer, mono_nanos());
                Err(unauthorized("bad credentials\n"))
            }
        };
    }
    if trusted {
        return Ok(info);
    }
    Err(match access {
        Access::Trusted => Response::text(
            StatusCode::FORBIDDEN,
            "this address is not in trusted_hosts of the listener\n",
        ),
        _ => unauthorized("credentials are required: this address is not in trusted_hosts\n"),
    })
}

fn unauthorized(text: &str) -> Response {
    let challenge = "Basic realm=\"ringmta\"";
    Response::text(StatusCode::UNAUTHORIZED, text)
        .header(super::http::header::WWW_AUTHENTICATE, challenge)
}

async fn authenticate(shard: &Rc<Shard>, header: &str) -> Option<AuthInfo> {
    let policy = shard.policy();
    let (scheme, value) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = STANDARD.decode(value.trim()).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        let (user, password) = text.split_once(':')?;
        return policy.http_auth_basic(user, password).await.ok()?;
    }
    if scheme.eq_ignore_ascii_case("bearer") {
        return policy.http_auth_bearer(value.trim()).await.ok()?;
    }
    None
}

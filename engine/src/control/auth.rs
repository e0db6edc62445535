//! Who may use the HTTP interface: a trusted host, or one whose credentials policy takes.

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use ringmta_http::{Request, Response, StatusCode};
use ringmta_io::mono_nanos;
use ringmta_policy::{AuthInfo, HttpDoor, HttpListener};
use ringmta_shard::state::Shard;
use std::rc::Rc;

/// What a path asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Open,
    /// That the door is opened to it: by its address, or by credentials.
    Door(HttpDoor),
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
    if listener.trusted_hosts.contains(request.peer.ip()) {
        info.groups.push("kumomta:http-listener-trusted-ip".into());
    }
    let Access::Door(door) = access else { return Ok(info) };
    if !listener.serves.contains(&door) {
        let text = format!("this listener does not serve {}\n", door.as_str());
        return Err(Response::text(StatusCode::NOT_FOUND, text));
    }
    let trusted = listener.hosts_of(door).contains(request.peer.ip());
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
                .header(ringmta_http::header::RETRY_AFTER, &seconds));
        }
        // Credentials that are given must be right, whoever gives them.
        return match authenticate(shard, header).await {
            Some(found) if trusted || listener.opens_to(door, &found.groups) => Ok(AuthInfo {
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
    Err(closed(listener, door))
}

/// What a stranger at a door is told who has shown no credentials.
fn closed(listener: &HttpListener, door: HttpDoor) -> Response {
    match door {
        HttpDoor::Injection => {
            unauthorized("credentials are required: this address is not in trusted_hosts\n")
        }
        HttpDoor::Administration if !listener.administration_groups.is_empty() => {
            unauthorized("credentials of an administrator are required\n")
        }
        HttpDoor::Metrics
            if !listener.metrics_groups.is_empty()
                || !listener.administration_groups.is_empty() =>
        {
            unauthorized("credentials are required\n")
        }
        HttpDoor::Administration | HttpDoor::Metrics => Response::text(
            StatusCode::FORBIDDEN,
            "this address is not in trusted_hosts of the listener\n",
        ),
    }
}

fn unauthorized(text: &str) -> Response {
    let challenge = "Basic realm=\"ringmta\"";
    Response::text(StatusCode::UNAUTHORIZED, text)
        .header(ringmta_http::header::WWW_AUTHENTICATE, challenge)
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

//! Who may use the HTTP interface: a trusted host, or one whose credentials policy takes.

use crate::console::login;
use crate::limits;
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use ringmta_http::{Request, Response, StatusCode};
use ringmta_io::deadline;
use ringmta_policy::access::{http_resources, TRUSTED_GROUP};
use ringmta_policy::{AuthInfo, HttpDoor, HttpListener, PolicyError};
use ringmta_shard::accounting::Attempt;
use ringmta_shard::state::Shard;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

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
    let decided = decide(shard, listener, access, request).await;
    decided.map_err(|refusal| without_challenge(refusal, request))
}

async fn decide(
    shard: &Rc<Shard>,
    listener: &HttpListener,
    access: Access,
    request: &Request,
) -> Result<AuthInfo, Response> {
    let by_rules = shard.policy().decides_access() || shard.accounting.is_some();
    let mut info = AuthInfo { peer_address: Some(request.peer.ip()), ..AuthInfo::default() };
    if listener.trusted_hosts.contains(request.peer.ip()) {
        info.groups.push(TRUSTED_GROUP.into());
    }
    let door = match access {
        Access::Door(door) => Some(door),
        Access::Open if by_rules => None,
        Access::Open => return Ok(info),
    };
    if let Some(door) = door.filter(|door| !listener.serves.contains(door)) {
        let text = format!("this listener does not serve {}\n", door.as_str());
        return Err(Response::text(StatusCode::NOT_FOUND, text));
    }
    // Credentials that are given must be right, whoever gives them.
    let found = credentials(shard, request).await?;
    let is_named = found.is_some();
    let found = found.unwrap_or_default();
    let is_open = door.is_some_and(|door| {
        let trusted = listener.hosts_of(door).contains(request.peer.ip());
        trusted || is_named && listener.opens_to(door, &found.groups)
    });
    info.identities = found.identities;
    info.groups.extend(found.groups);
    if by_rules {
        let asked = Asked { request, who: &info, is_open, is_free: door.is_none() };
        let answer = rules(shard, &asked).await?;
        if let Some(allowed) = answer {
            return if allowed { Ok(info) } else { Err(not_permitted(&asked)) };
        }
    }
    match door {
        None => Ok(info),
        Some(_) if is_open => Ok(info),
        Some(_) if is_named => Err(Response::text(StatusCode::FORBIDDEN, "not allowed\n")),
        Some(door) => Err(closed(listener, door)),
    }
}

/// A request that is to be decided about.
struct Asked<'a> {
    request: &'a Request,
    who: &'a AuthInfo,
    /// The listener opens its door.
    is_open: bool,
    /// There is no door.
    is_free: bool,
}

impl Asked<'_> {
    fn names(&self) -> Vec<String> {
        // As lists name it, also where the listener takes IPv4 on an IPv6 socket.
        let local = self.request.local;
        let local = SocketAddr::new(local.ip().to_canonical(), local.port());
        http_resources(&local.to_string(), &self.request.path)
    }
}

fn not_permitted(asked: &Asked<'_>) -> Response {
    let names = asked.names();
    let (name, ip) = (names.first().map_or("", String::as_str), asked.request.peer.ip());
    let id = match asked.who.identities.is_empty() {
        true => "<Unauthenticated>".to_string(),
        false => format!("id=[{}]", asked.who.identities.join(", ")),
    };
    let method = &asked.request.method;
    let text = format!("{id}@ ip={ip} not permitted {method} on {name}\n");
    match asked.who.identities.is_empty() {
        true => unauthorized(&text),
        false => Response::text(StatusCode::FORBIDDEN, text),
    }
}

/// What the policy's own rules say, when it has some; noted in the accounting log, when there is one. Rules that are built
/// in take whoever the listener opens the door to for trusted.
async fn rules(shard: &Rc<Shard>, asked: &Asked<'_>) -> Result<Option<bool>, Response> {
    let who = asked.who;
    let mut as_built_in = who.clone();
    as_built_in.groups.retain(|group| group != TRUSTED_GROUP);
    if asked.is_open {
        as_built_in.groups.push(TRUSTED_GROUP.into());
    }
    let names = asked.names();
    let method = asked.request.method.as_str();
    let policy = shard.policy();
    let decided = policy.access(&names, who, &as_built_in, method);
    let limit = Duration::from_secs(limits::ACCESS_RULES_SECS);
    let Ok(decided) = deadline(limit, decided).await else {
        tracing::error!("who may use {}: policy took over {limit:?}", asked.request.path);
        return Err(undecided());
    };
    // (A failure was logged where it happened.)
    let access = decided.map_err(|_| undecided())?;
    let decides = policy.decides_access();
    let allowed = if decides { access.allow } else { asked.is_open || asked.is_free };
    if let (Some(accounting), Some(target)) = (&shard.accounting, names.first()) {
        let context = context_of(asked.request);
        accounting.authorization(target, method, (&access, allowed), (who, context));
    }
    Ok(decides.then_some(allowed))
}

/// How a request's credentials are called in the accounting log.
fn context_of(request: &Request) -> &'static str {
    let scheme = request.header("authorization").and_then(|header| header.split(' ').next());
    match scheme {
        Some(scheme) if scheme.eq_ignore_ascii_case("bearer") => "BearerToken",
        _ => "HttpBasicAuth",
    }
}

/// Who the credentials of a request say it is of; `None` when it has none.
async fn credentials(shard: &Rc<Shard>, request: &Request) -> Result<Option<AuthInfo>, Response> {
    let mut given = request.headers.get_all("authorization").iter();
    let Some(header) = given.next() else { return Ok(login::of_cookie(shard, request)) };
    // Of two, a proxy in front may have looked at the other.
    let header = header.to_str().ok().filter(|_| given.next().is_none());
    let Some(header) = header else {
        return Err(Response::text(
            StatusCode::BAD_REQUEST,
            "Malformed or unsupported Authorization header\n",
        ));
    };
    let limit = Duration::from_secs(limits::LOGIN_SECS);
    let found = match deadline(limit, look(shard, request, header)).await {
        Ok(found) => found?,
        Err(_) => {
            tracing::error!("credentials from {}: policy took over {limit:?}", request.peer);
            return Err(undecided());
        }
    };
    found.map(Some).ok_or_else(|| unauthorized("bad credentials\n"))
}

/// Asks policy about the credentials in a header, once it is the peer's turn.
async fn look(
    shard: &Rc<Shard>,
    request: &Request,
    header: &str,
) -> Result<Option<AuthInfo>, Response> {
    let peer = request.peer.ip();
    let turn = shard.logins.turn(peer, &[header]).await.map_err(|wait| {
        shard.metrics.auth_held.inc();
        let text = "too many wrong passwords from this address\n";
        let seconds = (wait.as_secs() + 1).to_string();
        Response::text(StatusCode::TOO_MANY_REQUESTS, text)
            .header(ringmta_http::header::RETRY_AFTER, &seconds)
    })?;
    let found = authenticate(shard, header).await;
    // (A failure was logged where it happened.)
    let Some(is_right) = turn.said(&found) else { return Err(undecided()) };
    if !is_right {
        shard.metrics.auth_failures_http.inc();
    }
    let found = found.ok().flatten();
    if let Some(accounting) = &shard.accounting {
        let identity = name_of(header);
        let attempt = Attempt { identity: &identity, context: context_of(request) };
        let info = found.clone().unwrap_or_default();
        let info = AuthInfo { peer_address: Some(peer), ..info };
        accounting.authentication(&attempt, is_right, &info);
    }
    Ok(found)
}

/// Policy has failed, or taken too long.
fn undecided() -> Response {
    Response::text(StatusCode::INTERNAL_SERVER_ERROR, "try again later\n")
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

/// A page of ours shows a form of its own: to it no browser shall show another, as a challenge would make it.
fn without_challenge(refusal: Response, request: &Request) -> Response {
    let is_page = request.header("sec-fetch-dest") == Some("empty");
    let mut refusal = refusal;
    if is_page {
        refusal.headers.remove(ringmta_http::header::WWW_AUTHENTICATE);
    }
    refusal
}

fn unauthorized(text: &str) -> Response {
    let challenge = "Basic realm=\"ringmta\"";
    Response::text(StatusCode::UNAUTHORIZED, text)
        .header(ringmta_http::header::WWW_AUTHENTICATE, challenge)
}

/// The name in a header with credentials; a token has none.
fn name_of(header: &str) -> String {
    login_of(header).map_or_else(String::new, |(user, _)| user)
}

/// What policy says of a header; one that it is not asked about is of nobody.
async fn authenticate(shard: &Rc<Shard>, header: &str) -> Result<Option<AuthInfo>, PolicyError> {
    let policy = shard.policy();
    let Some((scheme, value)) = header.split_once(' ') else { return Ok(None) };
    if scheme.eq_ignore_ascii_case("bearer") {
        return policy.http_auth_bearer(value.trim()).await;
    }
    match login_of(header) {
        Some((user, password)) => policy.http_auth_basic(&user, &password).await,
        None => Ok(None),
    }
}

/// Name and password of basic authentication (RFC 7617).
fn login_of(header: &str) -> Option<(String, String)> {
    let (scheme, value) = header.split_once(' ')?;
    let value = Some(value.trim()).filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let text = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_string(), password.to_string()))
}

//! Logins of browsers. A page asks for its session with the credentials any other request would show, and has a cookie
//! from then on: a script cannot read it, another site's page cannot make a browser send it, and the engine forgets it
//! after a while, at a reload and at its end.

use ringmta_http::header::{COOKIE, SET_COOKIE};
use ringmta_http::{Request, Response, StatusCode};
use ringmta_policy::AuthInfo;
use ringmta_shard::console::SESSION_SECS;
use ringmta_shard::state::Shard;
use serde_json::json;

/// POST: a session for whoever the credentials are of. An address that is let in without any needs none.
pub fn log_in(shard: &Shard, request: &Request, caller: &AuthInfo) -> Response {
    if request.header("authorization").is_none() {
        return Response::text(
            StatusCode::BAD_REQUEST,
            "a session is for credentials; none are shown\n",
        );
    }
    let secret = shard.process.console.log_in(caller.clone());
    Response::json(&json!({"user": caller.identities.first()}))
        .header(SET_COOKIE, &cookie(shard, request, &secret, SESSION_SECS))
}

/// DELETE: the session is over.
pub fn log_out(shard: &Shard, request: &Request) -> Response {
    if let Some(secret) = secret(request) {
        shard.process.console.log_out(secret);
    }
    Response::json(&json!({"user": null})).header(SET_COOKIE, &cookie(shard, request, "", 0))
}

/// Whom the cookie of a request stands for.
pub fn of_cookie(shard: &Shard, request: &Request) -> Option<AuthInfo> {
    shard.process.console.logged_in(secret(request)?)
}

/// Browsers keep cookies by host, whatever the port: the name tells engines on one machine apart.
fn name(request: &Request) -> String {
    format!("ringmta_console_{}", request.local.port())
}

fn cookie(shard: &Shard, request: &Request, secret: &str, seconds: u64) -> String {
    let listeners = &shard.process.init.http_listeners;
    let port = format!(":{}", request.local.port());
    let of_port = listeners.iter().position(|listener| listener.listen.ends_with(&port));
    let is_tls = of_port.is_some_and(|at| shard.process.http_tls[at].is_some());
    let secure = if is_tls { "; Secure" } else { "" };
    format!(
        "{}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}",
        name(request)
    )
}

fn secret(request: &Request) -> Option<&str> {
    let name = name(request);
    let headers = request.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = headers.flat_map(|header| header.split(';'));
    pairs.find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name && !value.is_empty()).then_some(value)
    })
}

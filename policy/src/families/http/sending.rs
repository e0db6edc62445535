//! How a request is sent: on the shard's own sockets, which costs no thread and its memory; on a helper thread while the
//! policy is being loaded, for a proxy that the environment names, and for credentials in the URL.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use ringmta_mail::redact;
use ringmta_options::SecretText;
use ureq::http::{self, header, HeaderValue};
use url::Url;

use super::params::ClientParams;
use super::response::Response;
use crate::host::{HttpClient, HttpOptions};
use crate::limits::{
    HTTP_POOL_CONNECTIONS, HTTP_TIMEOUT, MAX_HTTP_REDIRECTS, MAX_HTTP_RESPONSE_BYTES,
};
use crate::vm::context::Phase;
use crate::vm::Ctx;

/// A client of the policy, with its connections.
pub(super) struct Client {
    params: ClientParams,
    /// On the shard, once it was needed; `None` where there is no such thing.
    on_shard: OnceCell<Option<Rc<dyn HttpClient>>>,
    /// On helper threads, once it was needed.
    agent: OnceCell<ureq::Agent>,
}

impl Client {
    pub fn new(params: ClientParams) -> Client {
        Client { params, on_shard: OnceCell::new(), agent: OnceCell::new() }
    }

    /// Headers of every request.
    pub fn headers(&self) -> &BTreeMap<String, SecretText> {
        &self.params.headers
    }

    fn takes_any_certificate(&self) -> bool {
        self.params.accept_invalid_certs || self.params.danger_accept_invalid_certs
    }

    fn user_agent(&self) -> &str {
        let ours = concat!("ringmta/", env!("CARGO_PKG_VERSION"));
        self.params.user_agent.as_deref().unwrap_or(ours)
    }

    /// Sends a request, within `timeout` or the client's own.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn send(
        &self,
        ctx: &Ctx,
        request: http::Request<Vec<u8>>,
        timeout: Option<Duration>,
    ) -> Result<Response, String> {
        let timeout = timeout.unwrap_or(self.params.timeout);
        let Some(client) = self.on_shard(ctx) else {
            return self.send_by_helper(ctx, request, timeout).await;
        };
        let now = || Duration::from_nanos(ctx.host.now_monotonic_nanos());
        let end = now() + timeout;
        let most = usize::try_from(MAX_HTTP_RESPONSE_BYTES).unwrap_or(usize::MAX);
        let mut request = self.with_own_headers(request);
        for _ in 0..=MAX_HTTP_REDIRECTS {
            let left = end.saturating_sub(now());
            if !is_plain(request.uri()) {
                return self.send_by_helper(ctx, request, left).await;
            }
            let answer = client.send(request.clone(), left, most).await;
            let answer =
                answer.map_err(|why| format!("{}: {}", shown(&request), redact::urls(&why)))?;
            if !redirect(&mut request, &answer)? {
                let (head, body) = answer.into_parts();
                return Ok(Response::new(head.status, &head.headers, body));
            }
        }
        Err(format!("{}: too many redirects", shown(&request)))
    }

    fn on_shard(&self, ctx: &Ctx) -> Option<&Rc<dyn HttpClient>> {
        // Before that nothing drives the shard's sockets.
        if ctx.phase.get() != Phase::Running {
            return None;
        }
        let make = || {
            let options = HttpOptions {
                any_certificate: self.takes_any_certificate(),
                idle: self.params.pool_idle_timeout,
                most_idle: HTTP_POOL_CONNECTIONS,
                ignores_bodies: false,
            };
            let has_proxy = ureq::Proxy::try_from_env().is_some();
            ctx.host.http_client(options).filter(|_| !has_proxy)
        };
        self.on_shard.get_or_init(make).as_ref()
    }

    /// What requests have unless the policy says otherwise; the same as those of a helper thread.
    fn with_own_headers(&self, mut request: http::Request<Vec<u8>>) -> http::Request<Vec<u8>> {
        let headers = request.headers_mut();
        headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        if let Ok(agent) = HeaderValue::from_str(self.user_agent()) {
            headers.entry(header::USER_AGENT).or_insert(agent);
        }
        request
    }

    async fn send_by_helper(
        &self,
        ctx: &Ctx,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<Response, String> {
        let agent = self.agent.get_or_init(|| self.make_agent()).clone();
        let target = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let shared = ctx.shared.clone();
        shared.helpers().run_for(&target, move || perform(&agent, request, timeout)).await
    }

    fn make_agent(&self) -> ureq::Agent {
        ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(HTTP_TIMEOUT))
            .max_idle_age(self.params.pool_idle_timeout)
            .max_idle_connections(HTTP_POOL_CONNECTIONS)
            .max_idle_connections_per_host(HTTP_POOL_CONNECTIONS)
            .tls_config(crate::net::trust::http_tls_with(self.takes_any_certificate()))
            .user_agent(self.user_agent())
            .build()
            .new_agent()
    }
}

/// Makes a request the one that its answer asks for, if it asks for another (RFC 9110, 15.4).
fn redirect(
    request: &mut http::Request<Vec<u8>>,
    answer: &http::Response<Vec<u8>>,
) -> Result<bool, String> {
    let keeps_method = match answer.status().as_u16() {
        301..=303 => false,
        307 | 308 => true,
        _ => return Ok(false),
    };
    let Some(location) = answer.headers().get(header::LOCATION) else { return Ok(false) };
    let location = String::from_utf8_lossy(location.as_bytes());
    let target = Url::parse(&request.uri().to_string()).and_then(|from| from.join(&location));
    let target = target.ok().and_then(|url| http::Uri::try_from(url.as_str()).ok());
    let target = target.ok_or_else(|| {
        format!("{}: redirected to what is no URL: {}", shown(request), redact::urls(&location))
    })?;
    let is_elsewhere = target.scheme() != request.uri().scheme()
        || target.authority() != request.uri().authority();
    *request.uri_mut() = target;
    if !keeps_method && !matches!(*request.method(), http::Method::GET | http::Method::HEAD) {
        *request.method_mut() = http::Method::GET;
        request.body_mut().clear();
        for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LENGTH] {
            request.headers_mut().remove(name);
        }
    }
    request.headers_mut().remove(header::HOST);
    if is_elsewhere {
        // They were meant for the server that was asked.
        for name in [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION] {
            request.headers_mut().remove(name);
        }
    }
    Ok(true)
}

/// Whether a URL is one of a web server without credentials of its own.
fn is_plain(uri: &http::Uri) -> bool {
    matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
}

/// Runs on a helper thread.
fn perform(
    agent: &ureq::Agent,
    request: http::Request<Vec<u8>>,
    timeout: Duration,
) -> Result<Response, String> {
    let target = shown(&request);
    let has_no_body = request.body().is_empty()
        && matches!(*request.method(), http::Method::GET | http::Method::DELETE);
    let fail = |e: ureq::Error| format!("{target}: {}", redact::urls(&e.to_string()));
    let answer = if has_no_body {
        let request = agent.configure_request(request.map(|_| ()));
        agent.run(request.timeout_global(Some(timeout)).build())
    } else {
        let request = agent.configure_request(request).timeout_global(Some(timeout));
        agent.run(request.allow_non_standard_methods(true).build())
    };
    let mut answer = answer.map_err(fail)?;
    let body = answer.body_mut().with_config().limit(MAX_HTTP_RESPONSE_BYTES);
    let body = body.read_to_vec().map_err(fail)?;
    Ok(Response::new(answer.status(), answer.headers(), body))
}

/// A request for error messages: its URL without user, password and query.
fn shown(request: &http::Request<Vec<u8>>) -> String {
    let uri = request.uri();
    let host = uri.authority().map(|a| a.as_str().rsplit('@').next().unwrap_or("")).unwrap_or("");
    let scheme = uri.scheme_str().unwrap_or("http");
    format!("{} {scheme}://{host}{}", request.method(), uri.path())
}

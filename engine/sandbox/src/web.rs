//! The sandbox's web: the page, the API, the direct views, the websocket.

use crate::api::{not_found, only_get, Api};
use crate::{dkim_key, peek, socket, view};
use futures::future::LocalBoxFuture;
use ringmta_http::{Bytes, Request, Response, StatusCode};
use std::rc::Rc;

/// The page's styles, in their order.
const STYLES: &[&str] = &[
    include_str!("page/base.css"),
    include_str!("page/list.css"),
    include_str!("page/message.css"),
    include_str!("page/panels.css"),
    include_str!("page/narrow.css"),
];

/// The page's scripts, in their order: one scope, each file one idea.
const SCRIPTS: &[&str] = &[
    include_str!("page/kit.js"),
    include_str!("page/settings.js"),
    include_str!("page/state.js"),
    include_str!("page/list.js"),
    include_str!("page/bulk.js"),
    include_str!("page/tokens.js"),
    include_str!("page/links.js"),
    include_str!("page/html.js"),
    include_str!("page/source.js"),
    include_str!("page/picture.js"),
    include_str!("page/calendar.js"),
    include_str!("page/files.js"),
    include_str!("page/dkim.js"),
    include_str!("page/checks.js"),
    include_str!("page/details.js"),
    include_str!("page/features.js"),
    include_str!("page/compare.js"),
    include_str!("page/message.js"),
    include_str!("page/live.js"),
    include_str!("page/keys.js"),
    include_str!("page/main.js"),
];

/// A page with the policy that lets it run its own script, talk to us, and nothing else.
pub struct Page {
    html: Bytes,
    policy: String,
}

impl Page {
    /// A page whose styles and scripts are files of their own for whoever edits them, and one answer for whoever reads them.
    pub fn of(html: &str, styles: &[&str], scripts: &[&str]) -> Page {
        let html = html.replace("/*styles*/", &styles.concat());
        Page::new(html.replace("/*scripts*/", &scripts.concat()))
    }

    /// A page of ours. Its one script and one style are allowed by their hashes, so that nothing
    /// that slips into the page at run time can run.
    pub fn new(html: impl Into<String>) -> Page {
        let html = html.into();
        let hash = |open: &str, close: &str| {
            let inner = html.split_once(open).and_then(|(_, rest)| rest.split_once(close));
            view::script_hash(inner.map_or("", |(inner, _)| inner))
        };
        let policy = format!(
            "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; \
             img-src 'self' data:; frame-src 'self'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
            hash("<script>", "</script>"),
            hash("<style>", "</style>"),
        );
        Page { html: html.into(), policy }
    }

    /// The page as an answer.
    pub fn answer(&self) -> Response {
        view::contained(
            Response::bytes("text/html; charset=utf-8", self.html.clone()),
            &self.policy,
        )
    }
}

/// What answers the requests of one listener.
pub struct Web {
    api: Api,
    page: Page,
}

impl Web {
    /// A web over this API.
    pub fn new(api: Api) -> Web {
        Web { api, page: Page::of(include_str!("page/index.html"), STYLES, SCRIPTS) }
    }

    /// The handler for `http::listen`.
    pub fn handler(self: Rc<Web>) -> impl Fn(Request) -> LocalBoxFuture<'static, Response> {
        move |request| {
            let web = self.clone();
            Box::pin(async move { web.answer(request).await })
        }
    }

    async fn answer(&self, request: Request) -> Response {
        if let Err(refusal) = same_origin(&request) {
            return refusal;
        }
        let segments = request.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        if let ["api", "v1", rest @ ..] = path.as_slice() {
            return self.api.answer(rest, &request).await;
        }
        match only_get(&request) {
            Ok(()) if path == ["dkim-key"] => dkim_key::answer().await,
            Ok(()) => self.view(&path, &request),
            Err(refusal) => refusal,
        }
    }

    fn view(&self, path: &[&str], request: &Request) -> Response {
        match path {
            [] | ["search"] => self.page.answer(),
            ["livez" | "readyz"] => Response::text(StatusCode::OK, "ok"),
            ["api", "events"] => socket::open(&self.api.store, request),
            ["view", name] => {
                let (id, kind) = match name.rsplit_once('.') {
                    Some((id, kind @ ("html" | "txt"))) => (id, kind),
                    _ => return self.page.answer(),
                };
                match self.api.lookup(id, request) {
                    Ok(message) if kind == "html" => {
                        view::html(&message, view::Form::asked(request))
                    }
                    Ok(message) => view::text(&message),
                    Err(refusal) => refusal,
                }
            }
            ["view", id, rest @ ..] => match self.api.lookup(id, request) {
                Ok(message) => peek::answer(&message, rest, request),
                Err(refusal) => refusal,
            },
            _ => not_found(),
        }
    }
}

/// Refuses what another site makes a browser send: websockets and plain POSTs are not held back
/// by the same-origin rule, and this server asks for no password.
fn same_origin(request: &Request) -> Result<(), Response> {
    let Some(origin) = request.header("origin") else { return Ok(()) };
    let host = request.header("host").unwrap_or("");
    let origin_host = origin.split_once("://").map_or(origin, |(_, host)| host);
    let reads = request.method.is_safe() && !request.headers.contains_key("upgrade");
    if reads || origin_host.eq_ignore_ascii_case(host) {
        return Ok(());
    }
    let text = "requests from pages of another site are not answered\n";
    Err(Response::text(StatusCode::FORBIDDEN, text))
}

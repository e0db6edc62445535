//! The sandbox's web: the page, the API, the direct views, the websocket.

use crate::api::{bad, not_found, only_get, Api};
use crate::captured::Captured;
use crate::openapi::Described;
use crate::settings::Prometheus;
use crate::{cors, dkim_key, metrics, openapi, peek, socket, view};
use futures::future::LocalBoxFuture;
use percent_encoding::percent_decode_str;
use ringmta_http::page::Page;
use ringmta_http::{header, Method, Request, Response, StatusCode};
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
    include_str!("page/tags.js"),
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

/// The page, which knows where it lies.
fn inbox(webroot: &str) -> Page {
    let root = webroot.trim_end_matches('/');
    let html = include_str!("page/index.html");
    let html = html.replace("data-root=\"\"", &format!("data-root=\"{root}\""));
    Page::of(&html, STYLES, SCRIPTS)
}

/// What answers the requests of one listener.
pub struct Web {
    api: Api,
    page: Page,
}

impl Web {
    /// A web over this API.
    pub fn new(api: Api) -> Web {
        let page = inbox(&api.settings.webroot);
        Web { api, page }
    }

    /// The handler for `http::listen`.
    pub fn handler(self: Rc<Web>) -> impl Fn(Request) -> LocalBoxFuture<'static, Response> {
        move |request| {
            let web = self.clone();
            Box::pin(async move { web.answer(request).await })
        }
    }

    async fn answer(&self, request: Request) -> Response {
        let response = self.route(&request).await;
        cors::allow(&self.api.settings, &request, response)
    }

    async fn route(&self, request: &Request) -> Response {
        let root = &self.api.settings.webroot;
        let below = request
            .path
            .strip_prefix(root.trim_end_matches('/'))
            .filter(|rest| rest.starts_with('/'));
        let Some(below) = below else {
            return match request.path == root.trim_end_matches('/') || request.path == "/" {
                true => Response::new(StatusCode::FOUND).header(header::LOCATION, root),
                false => not_found(),
            };
        };
        let segments = segments_of(below);
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["api", "v1"] | ["api", "v1", "" | "swagger.json"] => match only_get(request) {
                Ok(()) => self.described(path.last() == Some(&"swagger.json")).await,
                Err(refusal) => refusal,
            },
            ["api", "v1", ..] if request.method == Method::OPTIONS => cors::options(),
            ["api", "v1", rest @ ..] => self.api.answer(rest, request).await,
            path => match only_get(request) {
                Ok(()) if path == ["dkim-key"] => dkim_key::answer().await,
                Ok(()) => self.view(path, request).await.unwrap_or_else(|refusal| refusal),
                Err(refusal) => refusal,
            },
        }
    }

    /// The API's description, which is made beside the shard.
    async fn described(&self, for_programs: bool) -> Response {
        let root = self.api.settings.webroot.clone();
        let work = move || match for_programs {
            true => Described::Document(openapi::document(&root)),
            false => Described::Page(openapi::page(&root)),
        };
        self.api.helpers.run(work).await.map_or_else(bad, openapi::answer)
    }

    async fn view(&self, path: &[&str], request: &Request) -> Result<Response, Response> {
        Ok(match path {
            [] | ["" | "search"] => self.page.answer(),
            ["livez" | "readyz"] => Response::text(StatusCode::OK, "ok"),
            ["metrics"] if self.api.settings.prometheus == Prometheus::Here => {
                metrics::answer(&self.api).await?
            }
            ["proxy"] => self.api.proxy(request).await?,
            ["api", "events"] => socket::open(&self.api.store, request),
            ["view", "latest"] => {
                let message = self.api.lookup("latest", request).await?;
                let to = format!("{}view/{}", self.api.settings.webroot, message.id);
                Response::new(StatusCode::FOUND).header(header::LOCATION, &to)
            }
            ["view", name] => {
                let (id, kind) = match name.rsplit_once('.') {
                    Some((id, kind @ ("html" | "txt"))) => (id, kind),
                    _ => return Ok(self.page.answer()),
                };
                let message = self.api.lookup(id, request).await?;
                if kind == "html" {
                    let form = view::Form::asked(request);
                    self.as_allowed(
                        self.api.look(&message, move |mail| view::html(mail, form)).await,
                    )
                } else {
                    self.api.look(&message, view::text).await
                }
            }
            ["view", id, rest @ ..] => {
                let message = self.api.lookup(id, request).await?;
                let rest: Vec<String> = rest.iter().map(|part| part.to_string()).collect();
                let form = view::Form::asked(request);
                let look = move |mail: &Captured| peek::answer(mail, &rest, form);
                self.as_allowed(self.api.look(&message, look).await)
            }
            _ => not_found(),
        })
    }
}

impl Web {
    /// What of a message is shown, with no more from elsewhere than this inbox allows.
    fn as_allowed(&self, response: Response) -> Response {
        match self.api.settings.block_remote_css_and_fonts {
            true => without_remote_styles(response),
            false => response,
        }
    }
}

/// The answer with a policy that lets no styles and fonts of elsewhere in.
fn without_remote_styles(mut response: Response) -> Response {
    let policy = response.headers.get(header::CONTENT_SECURITY_POLICY);
    let policy = policy.and_then(|policy| policy.to_str().ok()).unwrap_or("");
    let local = |directive: &str| {
        let name = directive.trim_start();
        match name.starts_with("style-src") || name.starts_with("font-src") {
            true => directive.replace(" https:", "").replace(" http:", ""),
            false => directive.to_string(),
        }
    };
    let policy = policy.split(';').map(local).collect::<Vec<_>>().join(";");
    if let Ok(policy) = policy.parse() {
        response.headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// The segments of a path, decoded: `/a/b%20c` gives `a`, `b c`.
fn segments_of(path: &str) -> Vec<String> {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split('/').map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned()).collect()
}

//! The console: the engine's own page for operators, and what it asks.
//!
//! - [`login`] who has logged in with a browser
//! - [`sampler`] makes its history · [`now`] the engine at this moment · [`queues`] queues looked for by name
//! - `page.html`, `page.css`, `*.js` the page, served as one answer

pub mod login;
pub mod now;
pub mod queues;
pub mod sampler;

use ringmta_events::history;
use ringmta_events::recent::By;
use ringmta_http::page::Page;
use ringmta_http::{Method, Request, Response, StatusCode};
use ringmta_shard::state::Shard;
use std::sync::OnceLock;

/// The page. It shows nothing by itself: whoever may not ask gets a form to log in.
pub fn page() -> Response {
    static PAGE: OnceLock<Page> = OnceLock::new();
    let page = PAGE.get_or_init(|| {
        let scripts = [
            include_str!("draw.js"),
            include_str!("ask.js"),
            include_str!("views.js"),
            include_str!("page.js"),
        ];
        Page::of(include_str!("page.html"), &[include_str!("page.css")], &scripts)
    });
    page.answer()
}

/// Whether a browser asks for a page, rather than a program for a sign of life.
pub fn wants_page(request: &Request) -> bool {
    request.method == Method::GET
        && request.header("accept").is_some_and(|accept| accept.contains("text/html"))
}

/// A number of a query. One that is given without a value is a mistake.
fn number(request: &Request, name: &str) -> Result<Option<u64>, String> {
    match request.query.get(name).map(str::trim) {
        Some("") => Err(format!("`{name}` must be a whole number, not nothing")),
        _ => request.query.number(name),
    }
}

/// GET: `seconds` back from now in at most `points` bins; the numbers of single names are `by` provider, domain, tenant or
/// source.
pub fn history_of(shard: &Shard, request: &Request) -> Response {
    const HOUR: u64 = 3600;
    const POINTS: u64 = 360;
    let wanted = request.query.get("by").unwrap_or("provider");
    let by = By::ALL.into_iter().find(|by| by.as_str() == wanted);
    let numbers = (number(request, "seconds"), number(request, "points"));
    let (Some(by), (Ok(seconds), Ok(points))) = (by, numbers) else {
        let text = "`seconds` and `points` are whole numbers, `by` is provider, domain, tenant or source\n";
        return Response::text(StatusCode::BAD_REQUEST, text);
    };
    let now = sampler::now_secs();
    let question = history::bins(now, seconds.unwrap_or(HOUR), points.unwrap_or(POINTS), by);
    Response::json(&shard.process.console.history().answer(&question))
}

//! Direct views of one message: HTML, text, source, one part. Everything here came from a
//! stranger, so each answer carries a policy under which a browser runs nothing and asks
//! nobody anything.

use crate::captured::Captured;
use crate::limits::{SANDBOX_INLINE_BYTES, SANDBOX_INLINE_SEARCH_BYTES};
use crate::{links, mime};
use base64::Engine;
use ringmta_http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
pub use ringmta_http::page::contained;
use ringmta_http::page::script_hash;
use ringmta_http::{Request, Response, StatusCode};

/// The policy of a message's HTML: no scripts, no forms, no network; its own styles and the
/// images it carries. A link opens a page of its own, which is none of the message's any more.
pub const VIEW_POLICY: &str = "sandbox allow-popups allow-popups-to-escape-sandbox; \
     default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// The same for a message whose reader has asked for what it loads from elsewhere: pictures, styles, fonts. Still
/// nothing of it runs.
const REMOTE_POLICY: &str = "sandbox allow-popups allow-popups-to-escape-sandbox; \
     default-src 'none'; img-src data: http: https:; media-src http: https:; \
     style-src 'unsafe-inline' http: https:; font-src data: http: https:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// What a frame of the inbox's page has in front of a message's HTML: where its links lead is said at the foot, with whose
/// they are. A style, since no script may run there.
const STATUS_LINE: &str = "<style>a[href]:hover::after,a[href]:focus-visible::after,\
     area[href]:focus-visible::after{content:\"The message's own link: \" attr(href)!important;\
     all:initial;position:fixed!important;left:0!important;bottom:0!important;\
     z-index:2147483647!important;display:block!important;box-sizing:border-box!important;\
     max-width:100%!important;padding:4px 12px!important;border-top-right-radius:8px!important;\
     background:#16211f!important;color:#fff!important;font:12px/1.5 system-ui,sans-serif!important;\
     white-space:nowrap!important;overflow:hidden!important;text-overflow:ellipsis!important;\
     direction:ltr!important;text-align:left!important;pointer-events:none!important}\
     @media print{a[href]::after{content:none!important}}</style>";

/// The one script that a print of a message runs: ours.
const PRINT: &str = "addEventListener('load',()=>print())";

/// How the HTML of a message is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Form {
    /// It may load what it names.
    remote: bool,
    /// It stands in a frame of the inbox's page.
    framed: bool,
    /// It prints itself.
    print: bool,
}

impl Form {
    /// By the query of the request.
    pub fn asked(request: &Request) -> Form {
        let yes = |name: &str| request.query.get(name) == Some("1");
        // Where a script may run, be it ours alone, more may happen than elsewhere: the frame of our page holds it.
        let in_frame = request.header("sec-fetch-dest") == Some("iframe");
        Form { remote: yes("remote"), framed: yes("frame"), print: yes("print") && in_frame }
    }
}

/// The HTML of a message, its inline images put into it.
pub fn html(message: &Captured, form: Form) -> Response {
    if message.parsed.html.is_empty() {
        return Response::text(StatusCode::NOT_FOUND, "this message has no HTML part\n");
    }
    let html = links::outside(&with_inline_images(message), !form.remote);
    let policy = if form.remote { REMOTE_POLICY } else { VIEW_POLICY };
    if form.print {
        let html = links::prepend(&links::staying(&html), &format!("<script>{PRINT}</script>"));
        let policy = policy.replacen("sandbox", "sandbox allow-scripts allow-modals", 1);
        let policy = format!("{policy}; script-src {}", script_hash(PRINT));
        return contained(Response::html(html), &policy);
    }
    let html = if form.framed { links::prepend(&html, STATUS_LINE) } else { html };
    contained(Response::html(html), policy)
}

/// The text of a message.
pub fn text(message: &Captured) -> Response {
    contained(Response::text(StatusCode::OK, message.parsed.text.clone()), VIEW_POLICY)
}

/// The source of a message, byte for byte.
pub fn raw(message: &Captured, download: bool) -> Response {
    let mut response = Response::bytes("text/plain; charset=utf-8", message.source.clone());
    if download {
        response = response
            .header(CONTENT_DISPOSITION, &format!("attachment; filename=\"{}.eml\"", message.id));
    }
    contained(response, VIEW_POLICY)
}

/// Types that a browser would show as a page of ours: Mailpit gives them to be saved, as bytes.
const PAGES: [&str; 6] = [
    "text/html",
    "text/xml",
    "text/xsl",
    "application/xhtml+xml",
    "application/xml",
    "image/svg+xml",
];

/// One part's bytes, with the headers that Mailpit gives them.
pub fn part(message: &Captured, id: &str) -> Option<Response> {
    let (part, bytes) = mime::part(&message.source, id)?;
    let names = [&part.file_name, &part.content_id, &part.id];
    let name = names.into_iter().find(|name| !name.is_empty())?;
    let (kind, disposition) = match PAGES.contains(&part.content_type.as_str()) {
        true => ("application/octet-stream", "attachment"),
        false => (part.content_type.as_str(), "inline"),
    };
    let name = percent_encode(name);
    let named = format!("{disposition}; filename=\"{name}\"; filename*=UTF-8''{name}");
    let response = Response::bytes("application/octet-stream", bytes)
        .header(CONTENT_TYPE, kind)
        .header(CONTENT_DISPOSITION, &named);
    Some(contained(response, VIEW_POLICY))
}

/// Puts the images that the HTML names by `cid:` into it, since the policy allows no other way
/// to load them.
fn with_inline_images(message: &Captured) -> String {
    let mut html = message.parsed.html.clone();
    if !html.contains("cid:") {
        return html;
    }
    let mut budget = SANDBOX_INLINE_BYTES;
    // Each search goes over all of it: many parts and much HTML must not multiply.
    let mut searched = SANDBOX_INLINE_SEARCH_BYTES;
    mime::for_each_part(&message.source, |part, bytes| {
        let reference = format!("cid:{}", part.content_id);
        if searched < html.len() {
            return;
        }
        searched -= html.len();
        if part.content_id.is_empty()
            || !part.content_type.starts_with("image/")
            || !html.contains(&reference)
        {
            return;
        }
        let uses = html.matches(&reference).count();
        let cost = bytes.len().saturating_mul(2).saturating_mul(uses);
        if cost > budget {
            return;
        }
        budget -= cost;
        let data = base64::engine::general_purpose::STANDARD.encode(bytes);
        let kind: String = part
            .content_type
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || "/+-.".contains(*c))
            .collect();
        html = html.replace(&reference, &format!("data:{kind};base64,{data}"));
    });
    html
}

fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

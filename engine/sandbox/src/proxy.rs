//! What the HTML of a message loads from elsewhere, fetched in its reader's stead (Mailpit's `/proxy`): pictures, style sheets
//! and fonts that stand in the message, never from a private address unless that is allowed. What a style sheet names in its
//! turn is fetched by a link of our own making, which carries a code that only this process can write.

use crate::api::{Answer, Api};
use crate::codes::Codes;
use crate::limits::{SANDBOX_PROXY_BYTES, SANDBOX_PROXY_REFERENCES, SANDBOX_PROXY_URL_BYTES};
use crate::link_check::{agent, searched};
use crate::view;
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use html5gum::{Token, Tokenizer};
use percent_encoding::{utf8_percent_encode, NON_ALPHANUMERIC};
use regex::{Captures, Regex};
use ringmta_http::{header, Request, Response, StatusCode};
use std::io::Read;
use std::sync::OnceLock;
use ureq::Agent;
use url::Url;

/// Pictures that are handed on, as Mailpit has them.
const PICTURES: [&str; 9] = [
    "image/apng",
    "image/avif",
    "image/bmp",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/svg+xml",
    "image/tiff",
    "image/webp",
];
/// Fonts and styles that are.
const STYLES: [&str; 5] = ["font/otf", "font/ttf", "font/woff", "font/woff2", "text/css"];

/// What is to be fetched, and what for.
struct Wanted {
    id: String,
    url: Url,
    /// Styles and fonts may come as well.
    styles: bool,
    root: String,
    codes: Codes,
}

impl Api {
    /// `/proxy?data=…`, which is the id of a message, a colon and a URL in base64.
    pub(super) async fn proxy(&self, request: &Request) -> Answer {
        // A plus sign that was not escaped has become a space.
        let data = request.query.get("data").unwrap_or("").trim().replace(' ', "+");
        if data.is_empty() {
            return Err(refused("Data missing"));
        }
        let (id, address) = asked(&data).ok_or_else(|| refused("invalid request"))?;
        let code = request.query.get("code").unwrap_or("");
        let message = self.store.get(&id).await?.ok_or_else(|| refused("invalid request"))?;
        let is_ours = self.codes.are_of(&data, code);
        let mail = message.mail.clone();
        let settings = &self.settings;
        let agent = agent(true, settings.internal_requests, settings.untrusted_tls);
        let styles = !settings.block_remote_css_and_fonts;
        let (root, codes) = (settings.webroot.clone(), self.codes.clone());
        let work = move || {
            if !is_ours && !stands_in(searched(&mail.parsed.html), &address) {
                return Err("the message does not name this URL".to_string());
            }
            let url = Url::parse(&address).map_err(|error| error.to_string())?;
            fetch(&agent, &Wanted { id, url, styles, root, codes })
        };
        let fetched = self.helpers.run(work).await.and_then(|fetched| fetched);
        let (kind, bytes) = fetched.map_err(refused)?;
        let response =
            Response::bytes("application/octet-stream", bytes).header(header::CONTENT_TYPE, &kind);
        Ok(view::contained(response, view::VIEW_POLICY))
    }
}

fn refused(why: impl std::fmt::Display) -> Response {
    let response = Response::text(StatusCode::BAD_REQUEST, format!("Error: {why}"));
    view::contained(response, view::VIEW_POLICY)
}

/// Id and URL.
fn asked(data: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(data).ok()?).ok()?;
    let (id, url) = text.split_once(':')?;
    let is_http = url.starts_with("http://") || url.starts_with("https://");
    (is_http && url.len() <= SANDBOX_PROXY_URL_BYTES).then(|| (id.to_string(), url.to_string()))
}

/// Whether the HTML loads something from there: a `<link>`, a picture, a background, a `url()` of its styles.
fn stands_in(html: &str, url: &str) -> bool {
    let is_it = |value: &[u8]| value.trim_ascii() == url.as_bytes();
    let mut in_style = false;
    for token in Tokenizer::new(html).flatten() {
        match token {
            Token::StartTag(tag) => {
                let attribute = |name: &[u8]| tag.attributes.get(name).map(|value| &value.value);
                let loads = match &**tag.name {
                    b"link" => attribute(b"href"),
                    b"img" => attribute(b"src"),
                    _ => None,
                };
                let background = attribute(b"background");
                if loads.into_iter().chain(background).any(|value| is_it(value)) {
                    return true;
                }
                let styles = attribute(b"style");
                if styles.is_some_and(|style| names(&String::from_utf8_lossy(style), url)) {
                    return true;
                }
                in_style = &**tag.name == b"style";
            }
            Token::EndTag(_) => in_style = false,
            Token::String(text) if in_style && names(&String::from_utf8_lossy(&text), url) => {
                return true;
            }
            _ => {}
        }
    }
    false
}

/// `url(…)` in styles.
fn references() -> Option<&'static Regex> {
    static REFERENCES: OnceLock<Option<Regex>> = OnceLock::new();
    let made = || Regex::new(r#"(?i)url\(\s*(['"]?)([^)'"]{1,4096})['"]?\s*\)"#).ok();
    REFERENCES.get_or_init(made).as_ref()
}

fn names(styles: &str, url: &str) -> bool {
    let found = references().map(|references| references.captures_iter(styles));
    found.into_iter().flatten().any(|found| found[2].trim() == url)
}

/// Kind and bytes of what is there; blocks.
fn fetch(agent: &Agent, wanted: &Wanted) -> Result<(String, Vec<u8>), String> {
    let response = agent.get(wanted.url.as_str()).call().map_err(|error| error.to_string())?;
    if !response.status().is_success() {
        return Err(format!("its server answers {}", response.status()));
    }
    let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or("").to_ascii_lowercase();
    let plain = kind.split(';').next().unwrap_or("").trim().to_string();
    let is_style = STYLES.contains(&plain.as_str());
    if is_style && !wanted.styles {
        return Err("styles and fonts from elsewhere are blocked here".into());
    }
    if !is_style && !PICTURES.contains(&plain.as_str()) && plain != "image/jpg" {
        return Err("it is no picture, style sheet or font".into());
    }
    // Counted as it comes out of what it was packed in.
    let mut bytes = Vec::new();
    let mut body = response.into_body().into_reader().take(SANDBOX_PROXY_BYTES as u64 + 1);
    body.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() > SANDBOX_PROXY_BYTES {
        return Err("response too large".into());
    }
    if plain == "text/css" {
        bytes = through_us(&String::from_utf8_lossy(&bytes), wanted).into_bytes();
    }
    Ok((kind, bytes))
}

/// A style sheet whose references lead through us. Those beyond the bound stay as they are, and load nothing where only we
/// are asked.
fn through_us(styles: &str, wanted: &Wanted) -> String {
    let Some(references) = references() else { return styles.to_string() };
    let replaced = references.replacen(styles, SANDBOX_PROXY_REFERENCES, |found: &Captures<'_>| {
        let (whole, quote, target) = (&found[0], &found[1], found[2].trim());
        if target.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("data:")) {
            return whole.to_string();
        }
        let Ok(mut url) = wanted.url.join(target) else { return whole.to_string() };
        url.set_fragment(None);
        let data = STANDARD.encode(format!("{}:{url}", wanted.id));
        let code = wanted.codes.of(&data);
        let data = utf8_percent_encode(&data, NON_ALPHANUMERIC);
        format!("url({quote}{}proxy?data={data}&code={code}{quote})", wanted.root)
    });
    replaced.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_message_loads() {
        let html = "<link rel=stylesheet href='http://a.test/l.css?x=1&amp;y=2'><img src=\" http://a.test/i.png \"><td background=http://a.test/b.png>\
            <style>@font-face { src: URL( 'http://a.test/f.woff' ) }</style><p style='background:url(http://a.test/s.png)'>http://a.test/text <a href=http://a.test/link>x</a>";
        for named in ["l.css?x=1&y=2", "i.png", "b.png", "f.woff", "s.png"] {
            assert!(stands_in(html, &format!("http://a.test/{named}")), "{named}");
        }
        for other in ["text", "link", "I.png", "i.pn", ""] {
            assert!(!stands_in(html, &format!("http://a.test/{other}")), "{other}");
        }
    }

    #[test]
    fn references_of_style_sheets_lead_through_us() {
        let codes = Codes::new().unwrap();
        let url = Url::parse("https://a.test/css/x.css").unwrap();
        let wanted = Wanted {
            id: "one".into(),
            url,
            styles: true,
            root: "/in/".into(),
            codes: codes.clone(),
        };
        let styles =
            "a{b:url(\"../f.woff#x\")} c{d:url(data:font/woff;base64,AA==)} e{f:url(http://[)}";
        let led = through_us(styles, &wanted);
        let data = STANDARD.encode("one:https://a.test/f.woff");
        let code = codes.of(&data);
        let escaped = utf8_percent_encode(&data, NON_ALPHANUMERIC);
        assert_eq!(
            led,
            format!("a{{b:url(\"/in/proxy?data={escaped}&code={code}\")}} c{{d:url(data:font/woff;base64,AA==)}} e{{f:url(http://[)}}")
        );
        assert!(
            codes.are_of(&data, &code) && !codes.are_of("other", &code) && !codes.are_of(&data, "")
        );
        assert!(!Codes::new().unwrap().are_of(&data, &code));
        // Very many references grow by no more than the bound.
        let many = through_us(&"url(a)".repeat(100_000), &wanted);
        assert!(many.len() < 600_000 + SANDBOX_PROXY_REFERENCES * 300, "{}", many.len());
    }

    #[test]
    fn what_is_asked_for() {
        let data = |text: &str| STANDARD.encode(text);
        assert_eq!(asked(&data("id:http://x.test/")), Some(("id".into(), "http://x.test/".into())));
        for wrong in ["id:ftp://x.test/", "id", "", "id:file:///etc/passwd", "id: http://x.test/"] {
            assert_eq!(asked(&data(wrong)), None, "{wrong}");
        }
        assert_eq!(asked("no base64"), None);
        assert_eq!(asked(&data(&format!("id:http://x.test/{}", "x".repeat(9000)))), None);
    }
}

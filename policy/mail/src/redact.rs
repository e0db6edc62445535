//! Texts that are shown or kept, without the secrets that URLs carry.

use std::borrow::Cow;

/// What stands in the place of a secret.
pub const HIDDEN: &str = "(hidden)";

/// A URL for people: without user, password, query and fragment.
pub fn url(url: &str) -> String {
    let bare = url.split(['?', '#']).next().unwrap_or_default();
    match bare.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let host = rest[..end].rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{}", &rest[end..])
        }
        None => bare.to_string(),
    }
}

/// A text in which URLs may stand, without their users, passwords and queries: for what others have worded.
pub fn urls(text: &str) -> Cow<'_, str> {
    if !text.contains("://") || !text.contains(['@', '?']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, behind) = rest.split_at(at + 3);
        out.push_str(before);
        let ends = |c: char| c.is_whitespace() || c.is_control() || "\"'<>`\\,;(){}".contains(c);
        let (mut url, after) = behind.split_at(behind.find(ends).unwrap_or(behind.len()));
        let authority = url.find(['/', '?', '#']).unwrap_or(url.len());
        if let Some(at) = url[..authority].rfind('@') {
            out.push_str(HIDDEN);
            url = &url[at..];
        }
        match url.split_once('?') {
            Some((bare, query)) if !query.is_empty() => {
                out.push_str(bare);
                out.push('?');
                out.push_str(HIDDEN);
            }
            _ => out.push_str(url),
        }
        rest = after;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_for_people() {
        let shown = url("https://user:pass@hooks.test:8443/in/box?key=secret#x");
        assert_eq!(shown, "https://hooks.test:8443/in/box");
        assert_eq!(url("http://a@b.test?k=v"), "http://b.test");
        assert_eq!(url("not a url"), "not a url");
    }

    #[test]
    fn texts_with_urls() {
        for (text, shown) in [
            ("no url, a@b.test?", "no url, a@b.test?"),
            ("POST http://u:p@h.test/x: refused", "POST http://(hidden)@h.test/x: refused"),
            (
                "redis://:p@h, b amqp://u:p@@[::1]:5/",
                "redis://(hidden)@h, b amqp://(hidden)@[::1]:5/",
            ),
            ("http://h.test/a@b", "http://h.test/a@b"),
            ("mail of a@b.test to http://h.test", "mail of a@b.test to http://h.test"),
            ("<http://h.test/x?key=k#f> and more?", "<http://h.test/x?(hidden)> and more?"),
            ("http://h?a http://h?", "http://h?(hidden) http://h?"),
            ("://@", "://(hidden)@"),
        ] {
            assert_eq!(urls(text), shown);
        }
    }
}

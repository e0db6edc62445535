//! Pages of our own: one answer each, with a policy that lets a page run its own script, talk to us, and nothing else.

use crate::types::Response;
use hyper::body::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_DNS_PREFETCH_CONTROL,
};
use ringmta_io::sha256;

/// A page.
pub struct Page {
    html: Bytes,
    policy: String,
}

impl Page {
    /// A page whose styles and scripts are files of their own for whoever edits them, and one answer for whoever reads them:
    /// they come in place of `/*styles*/` and `/*scripts*/`.
    pub fn of(html: &str, styles: &[&str], scripts: &[&str]) -> Page {
        let html = html.replace("/*styles*/", &styles.concat());
        Page::new(html.replace("/*scripts*/", &scripts.concat()))
    }

    /// A page of this HTML. Its one `<script>` and its one `<style>` are allowed by their hashes, so that nothing that slips
    /// into the page at run time can run. Frames of ours may be in it.
    pub fn new(html: impl Into<String>) -> Page {
        let html = html.into();
        let hash = |open: &str, close: &str| {
            let inner = html.split_once(open).and_then(|(_, rest)| rest.split_once(close));
            script_hash(inner.map_or("", |(inner, _)| inner))
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
        contained(Response::bytes("text/html; charset=utf-8", self.html.clone()), &self.policy)
    }
}

/// A script or a style as a policy names it.
pub fn script_hash(inner: &str) -> String {
    use base64::Engine;
    format!(
        "'sha256-{}'",
        base64::engine::general_purpose::STANDARD.encode(sha256(inner.as_bytes()))
    )
}

/// Adds the headers that keep bytes from doing anything but what `policy` lets them.
pub fn contained(response: Response, policy: &str) -> Response {
    response
        .header(CONTENT_SECURITY_POLICY, policy)
        .header(X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(REFERRER_POLICY, "no-referrer")
        .header(X_DNS_PREFETCH_CONTROL, "off")
        .header(CACHE_CONTROL, "no-store")
}

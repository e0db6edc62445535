//! Pages of our own: one answer each, with a policy that lets a page run its own script, talk to us, and nothing else.

use crate::types::Response;
use hyper::body::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_DNS_PREFETCH_CONTROL,
};
use ringmta_io::sha256;

/// A page. Its one script and its one style are allowed by their hashes, so that nothing that slips into the page at run
/// time can run.
pub struct Page {
    html: Bytes,
    policy: String,
}

impl Page {
    /// A page of this HTML, with one `<script>` and one `<style>`.
    pub fn new(html: impl Into<String>) -> Page {
        use base64::Engine;
        let html = html.into();
        let hash = |open: &str, close: &str| {
            let inner = html.split_once(open).and_then(|(_, rest)| rest.split_once(close));
            let digest = sha256(inner.map_or("", |(inner, _)| inner).as_bytes());
            format!("'sha256-{}'", base64::engine::general_purpose::STANDARD.encode(digest))
        };
        let policy = format!(
            "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src 'self' data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            hash("<script>", "</script>"),
            hash("<style>", "</style>"),
        );
        Page { html: html.into(), policy }
    }

    /// The page as an answer.
    pub fn answer(&self) -> Response {
        Response::bytes("text/html; charset=utf-8", self.html.clone())
            .header(CONTENT_SECURITY_POLICY, &self.policy)
            .header(X_CONTENT_TYPE_OPTIONS, "nosniff")
            .header(REFERRER_POLICY, "no-referrer")
            .header(X_DNS_PREFETCH_CONTROL, "off")
            .header(CACHE_CONTROL, "no-store")
    }
}

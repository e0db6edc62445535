//! The handshake of a websocket (RFC 6455 section 4.2).

use crate::{Request, Response, StatusCode, Upgraded};
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use hyper::header::{SEC_WEBSOCKET_ACCEPT, UPGRADE};
use std::future::Future;

/// The key of a request that asks for a websocket.
pub fn key(request: &Request) -> Option<&str> {
    let says = |name: &str, word: &str| {
        request
            .header(name)
            .is_some_and(|value| value.split(',').any(|v| v.trim().eq_ignore_ascii_case(word)))
    };
    let version = says("sec-websocket-version", "13");
    (says("upgrade", "websocket") && says("connection", "upgrade") && version)
        .then(|| request.header("sec-websocket-key"))
        .flatten()
}

/// The proof that we read the key (RFC 6455 section 4.2.2).
pub fn proof(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let sha =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    STANDARD.encode(sha)
}

/// The answer after which `take_over` has the socket; that of a request for none is told with `status`.
pub fn open<F>(
    request: &Request,
    status: StatusCode,
    take_over: impl FnOnce(Upgraded) -> F + 'static,
) -> Response
where
    F: Future<Output = ()> + 'static,
{
    match key(request) {
        Some(key) => Response::upgrade(take_over)
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_ACCEPT, &proof(key)),
        None => {
            let text = "this is a websocket: connect with one (Connection header did not include 'upgrade')\n";
            Response::text(status, text).header(UPGRADE, "websocket")
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn proof_of_the_rfc() {
        assert_eq!(super::proof("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}

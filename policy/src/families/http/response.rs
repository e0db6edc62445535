//! The answer of a server, as a policy sees it.

use std::collections::BTreeMap;

use mlua::{UserData, UserDataMethods};
use ureq::http;

/// An answer with its whole body.
pub(super) struct Response {
    pub status: http::StatusCode,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn new(status: http::StatusCode, headers: &http::HeaderMap, body: Vec<u8>) -> Response {
        let text = |v: &http::HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
        let headers = headers.iter().map(|(k, v)| (k.as_str().to_owned(), text(v))).collect();
        Response { status, headers, body }
    }
}

/// An answer without content, to see what such an object has.
pub(crate) fn empty_response() -> impl UserData {
    Response { status: http::StatusCode::OK, headers: BTreeMap::new(), body: Vec::new() }
}

impl UserData for Response {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("status_code", |_, r, ()| Ok(r.status.as_u16()));
        methods.add_method("status_reason", |_, r, ()| Ok(r.status.canonical_reason()));
        methods.add_method("status_is_success", |_, r, ()| Ok(r.status.is_success()));
        methods.add_method("status_is_informational", |_, r, ()| Ok(r.status.is_informational()));
        methods.add_method("status_is_redirection", |_, r, ()| Ok(r.status.is_redirection()));
        methods.add_method("status_is_client_error", |_, r, ()| Ok(r.status.is_client_error()));
        methods.add_method("status_is_server_error", |_, r, ()| Ok(r.status.is_server_error()));
        methods.add_method("headers", |_, r, ()| Ok(r.headers.clone()));
        methods.add_method("content_length", |_, r, ()| {
            Ok(r.headers.get("content-length").and_then(|v| v.parse::<u64>().ok()))
        });
        methods.add_method("text", |_, r, ()| Ok(String::from_utf8_lossy(&r.body).into_owned()));
        methods.add_method("bytes", |lua, r, ()| lua.create_string(&r.body));
    }
}

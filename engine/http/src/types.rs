//! What a handler is given and what it gives back.

use crate::json_field;
use futures::future::LocalBoxFuture;
use futures::stream::LocalBoxStream;
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue, CONTENT_TYPE};
use hyper::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use ringmta_io::receiving::Held;
use ringmta_io::Conn;
use ringmta_mail::AuthInfo;
use std::future::Future;
use std::net::SocketAddr;

/// One request, its body complete.
#[derive(Debug)]
pub struct Request {
    /// GET, POST, ...
    pub method: Method,
    /// The path as sent, still percent-encoded, without the query.
    pub path: String,
    /// The query's pairs, decoded.
    pub query: Query,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// Who sent it.
    pub peer: SocketAddr,
    /// The address of ours it was sent to.
    pub local: SocketAddr,
    /// Who asks, when the listener's gate found out.
    pub caller: Option<AuthInfo>,
    /// What its body has of the memory for what is being received.
    pub held: Held,
}

impl Request {
    /// A header as text; `None` when absent or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The path's segments, decoded: `/a/b%20c` gives `a`, `b c`; `/` gives nothing.
    pub fn segments(&self) -> Vec<String> {
        let path = self.path.strip_prefix('/').unwrap_or(&self.path);
        if path.is_empty() {
            return Vec::new();
        }
        let decode = |part| percent_decode_str(part).decode_utf8_lossy().into_owned();
        path.split('/').map(decode).collect()
    }
}

/// The pairs of a query string, in order, decoded.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Parses `a=1&b=two+words`; a name without `=` has an empty value.
    pub fn parse(text: &str) -> Query {
        Query(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The first value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first value of `name` as a number: `Ok(None)` when absent or empty.
    ///
    /// # Errors
    /// A text that names the parameter, when it is no number.
    pub fn number(&self, name: &str) -> Result<Option<u64>, String> {
        match self.get(name).map(str::trim) {
            None | Some("") => Ok(None),
            Some(text) => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(format!("`{name}` must be a whole number, not `{text}`")),
            },
        }
    }

    /// A name that is given more than once, but for those that stand for lists (`name[]`).
    pub fn repeated(&self) -> Option<&str> {
        let mut seen = std::collections::HashSet::new();
        let names = self.0.iter().map(|(name, _)| name.as_str());
        names.filter(|name| !name.ends_with("[]")).find(|name| !seen.insert(*name))
    }

    /// All pairs.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// The socket after an upgrade, with what the client sent right behind its request.
pub struct Upgraded {
    /// The connection; deadlines are the new protocol's business.
    pub conn: Conn,
    /// Bytes already read.
    pub early: Bytes,
}

type UpgradeFn = Box<dyn FnOnce(Upgraded) -> LocalBoxFuture<'static, ()>>;

/// A response's body.
pub enum Body {
    /// All of it.
    Full(Bytes),
    /// Chunks as they come; an error cuts the connection, so that the client sees it.
    Stream(LocalBoxStream<'static, std::io::Result<Bytes>>),
    /// Another protocol takes over after the 101.
    Upgrade(UpgradeFn),
}

/// What a handler gives back.
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers; Date, Content-Length and Transfer-Encoding are added. Boxed, since a response
    /// is often the error of a `Result` and the map is large.
    pub headers: Box<HeaderMap>,
    /// The body.
    pub body: Body,
}

impl Response {
    /// What is wrong with a body, with field and place: 400 when it is no JSON, 422 when it is not what is wanted.
    pub fn json_error(error: &serde_json::Error, body: &[u8]) -> Response {
        let status = if error.is_data() {
            StatusCode::UNPROCESSABLE_ENTITY
        } else {
            StatusCode::BAD_REQUEST
        };
        let field = json_field::at(body, error.line(), error.column());
        let field = if field.is_empty() { field } else { format!("{field}: ") };
        Response::text(status, format!("{field}{error}\n"))
    }

    /// A response with this status and nothing else.
    pub fn new(status: StatusCode) -> Response {
        Response { status, headers: Box::default(), body: Body::Full(Bytes::new()) }
    }

    /// 200 with these bytes.
    pub fn bytes(content_type: &str, body: impl Into<Bytes>) -> Response {
        let mut response = Response::new(StatusCode::OK);
        response.body = Body::Full(body.into());
        response.header(CONTENT_TYPE, content_type)
    }

    /// A plain text.
    pub fn text(status: StatusCode, text: impl Into<String>) -> Response {
        let mut response = Response::bytes("text/plain; charset=utf-8", text.into());
        response.status = status;
        response
    }

    /// 200 with a page.
    pub fn html(page: impl Into<String>) -> Response {
        Response::bytes("text/html; charset=utf-8", page.into())
    }

    /// 200 with `value` as JSON.
    pub fn json(value: &impl serde::Serialize) -> Response {
        match serde_json::to_vec(value) {
            Ok(body) => Response::bytes("application/json", body),
            Err(error) => Response::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }

    /// 200 with chunks as they come.
    pub fn stream(
        content_type: &str,
        chunks: impl futures::Stream<Item = std::io::Result<Bytes>> + 'static,
    ) -> Response {
        let mut response = Response::new(StatusCode::OK);
        response.body = Body::Stream(Box::pin(chunks));
        response.header(CONTENT_TYPE, content_type)
    }

    /// 101, after which `take_over` owns the connection. The caller adds `Upgrade: <protocol>`.
    pub fn upgrade<F>(take_over: impl FnOnce(Upgraded) -> F + 'static) -> Response
    where
        F: Future<Output = ()> + 'static,
    {
        let mut response = Response::new(StatusCode::SWITCHING_PROTOCOLS);
        response.body = Body::Upgrade(Box::new(move |upgraded| Box::pin(take_over(upgraded))));
        response.header(hyper::header::CONNECTION, "Upgrade")
    }

    /// Sets a header. A value that may not stand in a header (control characters) is left out
    /// rather than let a caller's text split the response.
    pub fn header(mut self, name: HeaderName, value: &str) -> Response {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_twice_is_told() {
        assert_eq!(Query::parse("a=1&b=2&l[]=1&l[]=2").repeated(), None);
        assert_eq!(Query::parse("a=1&b=2&a=").repeated(), Some("a"));
    }

    #[test]
    fn what_is_not_valid_stays_and_bytes_that_are_no_text_are_replaced() {
        for (query, value) in [
            ("q=a%20b%C3%A9+c", "a bé c"),
            ("q=100%", "100%"),
            ("q=%zz%4", "%zz%4"),
            ("q=%é1", "%é1"),
            ("q=%ff", "\u{fffd}"),
            ("q=%+1", "% 1"),
        ] {
            assert_eq!(Query::parse(query).get("q"), Some(value), "{query}");
        }
    }

    #[test]
    fn query_pairs() {
        let query = Query::parse("query=to%3Aann&limit=5&&flag&limit=6&=x");
        assert_eq!(query.get("query"), Some("to:ann"));
        assert_eq!(query.number("limit"), Ok(Some(5)));
        assert_eq!(query.get("flag"), Some(""));
        assert_eq!(query.number("start"), Ok(None));
        assert!(query.number("query").is_err());
        assert_eq!(query.iter().count(), 5);
    }

    #[test]
    fn a_header_value_cannot_split_the_response() {
        let response = Response::text(StatusCode::OK, "x").header(CONTENT_TYPE, "a\r\nb: c");
        assert_eq!(response.headers[CONTENT_TYPE], "text/plain; charset=utf-8");
    }
}

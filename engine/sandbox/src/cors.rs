//! Who may ask the web: logins, and pages of other sites where they are allowed to (`--api-cors`).

use crate::passwords::{not_before, TOO_MANY};
use crate::settings::{SendLogins, Settings};
use ringmta_http::{header, Gate, HeaderName, Request, Response, StatusCode};
use std::rc::Rc;

const METHODS: &str = "GET, HEAD, POST, PUT, DELETE, OPTIONS";

/// Looks at each request before its body is read.
pub fn gate(settings: Rc<Settings>) -> Gate {
    let pages = ringmta_http::open_gate();
    Rc::new(move |request| {
        let (settings, pages) = (settings.clone(), pages.clone());
        Box::pin(async move {
            let request =
                if is_allowed(&settings, &request) { request } else { pages(request).await? };
            match allowed_by_login(&settings, &request).await? {
                true => Ok(request),
                false => Err(Response::text(StatusCode::UNAUTHORIZED, "Unauthorized\n")
                    .header(header::WWW_AUTHENTICATE, "Basic realm=\"ringmta\"")),
            }
        })
    })
}

async fn allowed_by_login(settings: &Settings, request: &Request) -> Result<bool, Response> {
    let path = request.path.strip_prefix(settings.webroot.trim_end_matches('/')).unwrap_or("");
    // Probes have no login, preflights of browsers carry none.
    let free = matches!(path, "/livez" | "/readyz") || request.method == "OPTIONS";
    // Who may send is looked at where it is done.
    let sending = path == "/api/v1/send" && !matches!(settings.send_logins, SendLogins::AsPage);
    match &settings.web_logins {
        Some(logins) if !free && !sending => match logins.caller(request).await {
            Ok(name) => Ok(name.is_some()),
            Err(wait) => {
                let text = format!("{TOO_MANY}\n");
                Err(not_before(wait, Response::text(StatusCode::TOO_MANY_REQUESTS, text)))
            }
        },
        _ => Ok(true),
    }
}

/// Whether the request is of a page that is allowed to ask.
fn is_allowed(settings: &Settings, request: &Request) -> bool {
    let Some(origin) = request.header("origin") else { return false };
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    settings.cors.iter().any(|one| one == "*" || one.eq_ignore_ascii_case(host))
}

/// Sites as they are given on the command line: hosts or origins, parted by commas or spaces.
///
/// # Errors
/// Which of them is none.
pub fn sites(text: &str) -> Result<Vec<String>, String> {
    let hosts = text.split([',', ' ']).map(str::trim).filter(|one| !one.is_empty());
    hosts
        .map(|one| {
            let host = one.split_once("://").map_or(one, |(_, host)| host).trim_end_matches('/');
            match host.is_empty()
                || host.contains(['/', '@'])
                || (host.contains('*') && host != "*")
            {
                true => Err(format!(
                    "`{one}` is no site; write example.com, http://localhost:3000 or *"
                )),
                false => Ok(host.to_string()),
            }
        })
        .collect()
}

/// The answer with the headers that let such a page read it.
pub fn allow(settings: &Settings, request: &Request, response: Response) -> Response {
    if settings.cors.is_empty() {
        return response;
    }
    let response = response.header(header::VARY, "Origin");
    if !is_allowed(settings, request) {
        return response;
    }
    let origin = request.header("origin").unwrap_or("");
    let asked = HeaderName::from_static("access-control-request-headers");
    let headers = request.headers.get(asked).and_then(|value| value.to_str().ok());
    response
        .header(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin)
        .header(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS)
        .header(header::ACCESS_CONTROL_ALLOW_HEADERS, headers.unwrap_or("*"))
}

/// The answer to OPTIONS.
pub fn options() -> Response {
    Response::new(StatusCode::OK).header(header::ALLOW, METHODS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_as_people_write_them() {
        assert_eq!(
            sites("example.com, http://localhost:3000/ *").unwrap(),
            ["example.com", "localhost:3000", "*"]
        );
        assert!(sites("").unwrap().is_empty());
        for wrong in ["http://", "*.example.com", "a/b", "user@host"] {
            assert!(sites(wrong).is_err(), "{wrong}");
        }
    }
}

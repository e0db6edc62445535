//! Questions to an engine over HTTP.

use crate::cli::args::ApiArgs;
use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// The HTTP API of an engine.
pub struct Api {
    agent: ureq::Agent,
    base: String,
    /// The header that says who asks, if anybody in particular does.
    authorization: Option<String>,
}

/// Where an engine is.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// Its name or address, as a certificate has it.
    pub host: String,
    /// Host and port.
    pub address: String,
    /// What stands before each path, where something else answers in front of it.
    pub prefix: String,
    /// Whether it is spoken to by TLS.
    pub secure: bool,
}

impl Api {
    /// # Errors
    /// The credentials cannot be read.
    pub fn new(args: &ApiArgs) -> Result<Api, String> {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(30)))
            .tls_config(ringmta_policy::trust::http_tls())
            .http_status_as_error(false)
            .build();
        let base = args.endpoint.trim_end_matches('/').to_string();
        Ok(Api { agent: config.into(), base, authorization: authorization(args)? })
    }

    /// Where the engine is, for what is no single request.
    ///
    /// # Errors
    /// The endpoint is no URL.
    pub fn place(&self) -> Result<Place, String> {
        let wrong = || format!("{}: not a URL of an HTTP listener", self.base);
        let (scheme, rest) = self.base.split_once("://").ok_or_else(wrong)?;
        let secure = scheme.eq_ignore_ascii_case("https");
        let (authority, prefix) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => (host, port),
            _ => (authority, if secure { "443" } else { "80" }),
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if bare.is_empty() {
            return Err(wrong());
        }
        let address = format!("{host}:{port}");
        Ok(Place { host: bare.to_string(), address, prefix: prefix.to_string(), secure })
    }

    /// The header that says who asks.
    pub fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<String, String> {
        let url = format!("{}{path}", self.base);
        let mut request = self.agent.get(&url).query_pairs(query.iter().copied());
        if let Some(who) = &self.authorization {
            request = request.header("authorization", who);
        }
        self.answer(request.call())
    }

    pub fn send(&self, method: &str, path: &str, body: &Value) -> Result<String, String> {
        let url = format!("{}{path}", self.base);
        let body = body.to_string();
        let request = match method {
            "DELETE" => self.agent.delete(&url).force_send_body(),
            _ => self.agent.post(&url),
        };
        let mut request = request.header("content-type", "application/json");
        if let Some(who) = &self.authorization {
            request = request.header("authorization", who);
        }
        let result = request.send(body);
        self.answer(result)
    }

    fn answer(
        &self,
        result: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<String, String> {
        let mut response = result.map_err(|error| unreachable(&self.base, &error.to_string()))?;
        let status = response.status();
        let text = response.body_mut().read_to_string().map_err(|error| error.to_string())?;
        match status.is_success() {
            true => Ok(text),
            false => Err(self.refused(status, &text)),
        }
    }

    /// What to say of an answer that is no success.
    pub fn refused(&self, status: ureq::http::StatusCode, text: &str) -> String {
        match status.as_u16() {
            401 if self.authorization.is_none() => format!(
                "{status}: the engine wants to know who asks: --user and --password-file, or --token-file"
            ),
            _ => format!("{status}: {}", text.trim_end()),
        }
    }
}

/// What to say where nobody answers at an address, or somebody who is not believed.
pub fn unreachable(address: &str, error: &str) -> String {
    let hint = match error.contains("certificate") {
        true => "the authorities of this host are believed, or those of SSL_CERT_FILE",
        false => "is the engine running, and is this its HTTP listener?",
    };
    format!("{address}: {error}; {hint}")
}

/// Who asks: a token, or a name and its password.
fn authorization(args: &ApiArgs) -> Result<Option<String>, String> {
    if let Some(file) = &args.token_file {
        return Ok(Some(format!("Bearer {}", secret(file)?)));
    }
    let Some(user) = &args.user else { return Ok(None) };
    let (user, password) = match (user.split_once(':'), &args.password_file) {
        (Some((user, password)), _) => (user, password.to_string()),
        (None, Some(file)) => (user.as_str(), secret(file)?),
        (None, None) => return Err("--user NAME needs --password-file FILE".into()),
    };
    Ok(Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))))
}

/// The first line of a file.
fn secret(file: &Path) -> Result<String, String> {
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let line = text.lines().next().unwrap_or_default().trim();
    match line.is_empty() {
        true => Err(format!("{}: the first line is empty", file.display())),
        false => Ok(line.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_taken_apart() {
        let place = |endpoint: &str| {
            let args = ApiArgs {
                endpoint: endpoint.into(),
                user: None,
                password_file: None,
                token_file: None,
            };
            Api::new(&args).unwrap().place()
        };
        let of = |host: &str, address: &str, prefix: &str, secure| {
            let (host, address, prefix) = (host.into(), address.into(), prefix.into());
            Ok(Place { host, address, prefix, secure })
        };
        assert_eq!(place("http://127.0.0.1:8000"), of("127.0.0.1", "127.0.0.1:8000", "", false));
        assert_eq!(place("https://mta.test"), of("mta.test", "mta.test:443", "", true));
        assert_eq!(place("HTTPS://[::1]/"), of("::1", "[::1]:443", "", true));
        assert_eq!(place("http://[::1]:1/a/b/"), of("::1", "[::1]:1", "/a/b", false));
        assert!(place("mta.test").is_err() && place("http://:80").is_err());
    }
}

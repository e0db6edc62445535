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

    /// Host and port of the engine, and whether it is spoken to by TLS.
    ///
    /// # Errors
    /// The endpoint is no URL.
    pub fn address(&self) -> Result<(String, bool), String> {
        let wrong = || format!("{}: not a URL of an HTTP listener", self.base);
        let (scheme, rest) = self.base.split_once("://").ok_or_else(wrong)?;
        let secure = scheme.eq_ignore_ascii_case("https");
        let host = rest.split('/').next().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let port = if secure { 443 } else { 80 };
        Ok((if has_port { host.to_string() } else { format!("{host}:{port}") }, secure))
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
        let mut response = result.map_err(|error| {
            format!("{}: {error}; is the engine running, and is this its HTTP listener?", self.base)
        })?;
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

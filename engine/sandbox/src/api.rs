//! The sandbox's HTTP API: Mailpit's paths, names and answers, and a `wait` of our own. Here is which path is whose; what
//! they do is in `api_messages`, `api_message` and `api_tags`.

use crate::chaos::Chaos;
use crate::choice::Failed;
use crate::codes::Codes;
use crate::json;
use crate::limits;
use crate::lists;
use crate::offload::Helpers;
use crate::search::{time_zone, Search};
use crate::settings::Settings;
use crate::store::Store;
use crate::view;
use ringmta_http::{header, Method, Query, Request, Response, StatusCode};
use ringmta_io as io;
use serde::Deserialize;
use serde_json::Value;
use std::rc::Rc;

/// The state behind the API.
pub struct Api {
    /// The messages.
    pub store: Rc<Store>,
    /// What the sandbox was told to be.
    pub settings: Rc<Settings>,
    /// Errors of SMTP on purpose.
    pub chaos: Rc<Chaos>,
    /// Threads for what takes a while.
    pub helpers: Helpers,
    /// Threads for pictures.
    pub pictures: Helpers,
    /// Threads for looks into long messages.
    pub looks: Helpers,
    /// Where mail is taken, as shown to people.
    pub smtp: String,
    /// Codes of the links that the proxy makes.
    pub codes: Codes,
    started: u64,
}

/// An answer, or the one that refuses.
pub(super) type Answer = Result<Response, Response>;

impl From<Failed> for Response {
    fn from(failed: Failed) -> Response {
        tracing::error!(error = failed.0, "the inbox's database");
        Response::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{}\n", failed.0))
    }
}

impl Api {
    /// An API over this store.
    pub fn new(
        store: Rc<Store>,
        settings: Rc<Settings>,
        chaos: Rc<Chaos>,
        helpers: Helpers,
        smtp: String,
        codes: Codes,
    ) -> Api {
        let pictures = Helpers::new(limits::SANDBOX_PICTURES);
        let looks = Helpers::new(limits::SANDBOX_LOOKS);
        let started = io::mono_nanos();
        Api { store, settings, chaos, helpers, pictures, looks, smtp, codes, started }
    }

    /// Seconds since the start.
    pub fn uptime_secs(&self) -> u64 {
        (io::mono_nanos() - self.started) / 1_000_000_000
    }

    /// Answers one request below `/api/v1`; `path` is what comes after it.
    pub async fn answer(&self, path: &[&str], request: &Request) -> Response {
        if path != ["send"] && request.body.len() > limits::SANDBOX_BODY_BYTES {
            let text = format!("the body is larger than {} bytes\n", limits::SANDBOX_BODY_BYTES);
            return Response::text(StatusCode::PAYLOAD_TOO_LARGE, text);
        }
        let answer = match path {
            ["messages"] => self.messages(request).await,
            ["search"] => self.search(request).await,
            ["wait"] => self.wait(request).await,
            ["message", id, rest @ ..] => self.message(id, rest, request).await,
            ["tags"] => self.tags(request).await,
            ["tags", tag] => self.tag(tag, request).await,
            ["send"] => self.send(request).await,
            ["info"] => self.info(request).await,
            ["webui"] => {
                only_get(request).map(|()| Response::json(&json::webui(&self.settings, &self.smtp)))
            }
            ["chaos"] => self.chaos(request),
            _ => Err(not_found()),
        };
        let response = answer.unwrap_or_else(|refusal| refusal);
        view::contained(response, view::VIEW_POLICY)
    }

    async fn info(&self, request: &Request) -> Answer {
        only_get(request)?;
        let tags = self.store.tags().await?;
        Ok(Response::json(&lists::info(&self.store, tags, self.uptime_secs())))
    }

    fn chaos(&self, request: &Request) -> Answer {
        only(request, &[Method::GET, Method::HEAD, Method::PUT])?;
        if !self.chaos.enabled() {
            return Err(bad("chaos is not enabled: start with --enable-chaos (MP_ENABLE_CHAOS)"));
        }
        if request.method == Method::PUT {
            self.chaos.set(body(request)?).map_err(bad)?;
        }
        Ok(Response::json(&self.chaos.triggers()))
    }
}

/// The body as JSON, or as a form where that is what it says it is; an empty one means the defaults.
pub(super) fn body<T: Default + for<'de> Deserialize<'de>>(
    request: &Request,
) -> Result<T, Response> {
    if request.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    let kind = request.header("content-type").unwrap_or("");
    let parsed = if kind.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded")
        && !request.body.trim_ascii_start().starts_with(b"{")
    {
        let text = String::from_utf8_lossy(&request.body);
        serde_json::from_value(form(&Query::parse(&text)))
    } else {
        serde_json::from_slice(&request.body)
    };
    parsed.map_err(|error| bad(format!("the body is not what is expected here: {error}")))
}

/// A form's pairs as the JSON they stand for.
fn form(pairs: &Query) -> Value {
    let mut fields = serde_json::Map::new();
    for (name, value) in pairs.iter() {
        let name = match name.to_ascii_lowercase().as_str() {
            "ids" | "ids[]" => "IDs",
            "tags" | "tags[]" => "Tags",
            "to" | "to[]" => "To",
            "read" => "Read",
            "search" => "Search",
            "name" => "Name",
            _ => continue,
        };
        match name {
            "IDs" | "Tags" | "To" => {
                let list = fields.entry(name).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = list {
                    list.push(value.into());
                }
            }
            "Read" => {
                let yes = ["1", "true", "yes", "on"].contains(&value.to_ascii_lowercase().as_str());
                fields.insert(name.into(), yes.into());
            }
            _ => {
                fields.insert(name.into(), value.into());
            }
        }
    }
    Value::Object(fields)
}

/// A search of the request's query, its dates of the request's time zone.
pub(super) fn search_of(text: &str, request: &Request) -> Result<Search, Response> {
    let zone = time_zone(request.query.get("tz")).map_err(bad)?;
    Search::parse_in(text, &zone).map_err(bad)
}

pub(super) fn only_get(request: &Request) -> Result<(), Response> {
    only(request, &[Method::GET, Method::HEAD])
}

pub(super) fn only(request: &Request, methods: &[Method]) -> Result<(), Response> {
    if methods.contains(&request.method) {
        return Ok(());
    }
    let allowed: Vec<&str> = methods.iter().map(Method::as_str).collect();
    Err(wrong_method(&allowed.join(", ")))
}

pub(super) fn ok() -> Response {
    Response::text(StatusCode::OK, "ok")
}

pub(super) fn bad(text: impl std::fmt::Display) -> Response {
    Response::text(StatusCode::BAD_REQUEST, format!("{text}\n"))
}

pub(super) fn wrong_method(allowed: &str) -> Response {
    let text = format!("this path takes {allowed}\n");
    Response::text(StatusCode::METHOD_NOT_ALLOWED, text).header(header::ALLOW, allowed)
}

/// What a client of Mailpit expects where nothing is.
pub(super) fn not_found() -> Response {
    Response::text(StatusCode::NOT_FOUND, "404 page not found\n")
}

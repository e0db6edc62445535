//! The sandbox's HTTP API: Mailpit's paths, names and answers, and a `wait` of our own.

use crate::captured::Stored;
use crate::json;
use crate::limits;
use crate::lists;
use crate::search::{date_ms, Search};
use crate::send;
use crate::store::Store;
use crate::view;
use ringmta_http::{header, Method, Request, Response, StatusCode};
use ringmta_io as io;
use serde::Deserialize;
use std::rc::Rc;
use std::time::Duration;

/// The state behind the API.
pub struct Api {
    /// The messages.
    pub store: Rc<Store>,
    /// Where mail is taken, as shown to people.
    pub smtp: String,
    started: u64,
}

type Answer = Result<Response, Response>;

impl Api {
    /// An API over this store.
    pub fn new(store: Rc<Store>, smtp: String) -> Api {
        Api { store, smtp, started: io::mono_nanos() }
    }

    /// Answers one request below `/api/v1`; `path` is what comes after it.
    pub async fn answer(&self, path: &[&str], request: &Request) -> Response {
        if path != ["send"] && request.body.len() > limits::SANDBOX_BODY_BYTES {
            let text = format!("the body is larger than {} bytes\n", limits::SANDBOX_BODY_BYTES);
            return Response::text(StatusCode::PAYLOAD_TOO_LARGE, text);
        }
        let answer = match path {
            ["messages"] => self.messages(request),
            ["search"] => self.search(request),
            ["wait"] => self.wait(request).await,
            ["message", id, rest @ ..] => self.message(id, rest, request),
            ["tags"] => self.tags(request),
            ["send"] => only(request, &[Method::POST]).map(|()| send::send(&self.store, request)),
            ["info"] => only_get(request).map(|()| {
                let uptime = (io::mono_nanos() - self.started) / 1_000_000_000;
                Response::json(&lists::info(&self.store, uptime))
            }),
            ["webui"] => only_get(request).map(|()| Response::json(&json::webui(&self.smtp))),
            ["chaos"] => Err(bad("chaos is not enabled in this sandbox")),
            ["swagger.json"] => Err(absent("the API description")),
            _ => Err(not_found()),
        };
        let response = answer.unwrap_or_else(|refusal| refusal);
        view::contained(response, view::VIEW_POLICY)
    }

    fn messages(&self, request: &Request) -> Answer {
        match request.method {
            Method::GET | Method::HEAD => {
                let mut search = Search::default();
                before(&mut search, request)?;
                self.list(&self.store.find(&search), request)
            }
            Method::PUT => self.set_read(request),
            Method::DELETE => {
                match body::<Ids>(request)?.ids.unwrap_or_default() {
                    ids if ids.is_empty() => self.store.clear(),
                    ids => self.store.delete(&ids),
                }
                Ok(ok())
            }
            _ => Err(wrong_method("GET, PUT, DELETE")),
        }
    }

    fn list(&self, matching: &[Rc<Stored>], request: &Request) -> Answer {
        let start = request.query.number("start").map_err(bad)?.unwrap_or(0);
        let limit = request.query.number("limit").map_err(bad)?;
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let limit = limit.map_or(limits::SANDBOX_LIST_DEFAULT, |n| n.try_into().unwrap_or(0));
        Ok(Response::json(&lists::list(&self.store, matching, start, limit)))
    }

    fn set_read(&self, request: &Request) -> Answer {
        let ReadState { read, ids, search } = body(request)?;
        let ids = ids.unwrap_or_default();
        let search = search.unwrap_or_default();
        let chosen = match (ids.is_empty(), search.trim().is_empty()) {
            (false, false) => return Err(bad("give IDs or Search, not both")),
            (false, true) => ids.iter().filter_map(|id| self.store.get(id)).collect(),
            (true, false) => self.store.find(&Search::parse(&search).map_err(bad)?),
            (true, true) => self.store.all(),
        };
        for message in chosen {
            self.store.set_read(&message, read);
        }
        Ok(ok())
    }

    fn search(&self, request: &Request) -> Answer {
        only(request, &[Method::GET, Method::HEAD, Method::DELETE])?;
        let mut search = required_query(request)?;
        if request.method == Method::DELETE {
            let ids: Vec<String> =
                self.store.find(&search).iter().map(|message| message.id.clone()).collect();
            self.store.delete(&ids);
            return Ok(ok());
        }
        before(&mut search, request)?;
        self.list(&self.store.find(&search), request)
    }

    /// Waits until enough messages match; answers like a search, or 408.
    async fn wait(&self, request: &Request) -> Answer {
        only_get(request)?;
        let search = Search::parse(request.query.get("query").unwrap_or("")).map_err(bad)?;
        let count = request.query.number("count").map_err(bad)?.unwrap_or(1);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let seconds = request.query.number("timeout").map_err(bad)?;
        let seconds =
            seconds.unwrap_or(limits::SANDBOX_WAIT_SECS).min(limits::SANDBOX_WAIT_MAX_SECS);
        let inbox = self.store.hub.listen();
        let enough = async {
            loop {
                let found = self.store.find(&search);
                if found.len() >= count {
                    return found;
                }
                inbox.changed().await;
                inbox.forget();
            }
        };
        match io::deadline(Duration::from_secs(seconds), enough).await {
            Ok(found) => self.list(&found, request),
            Err(_) => {
                let found = self.store.find(&search).len();
                let text = format!("{found} of {count} messages matched within {seconds} s\n");
                Err(Response::text(StatusCode::REQUEST_TIMEOUT, text))
            }
        }
    }

    fn message(&self, id: &str, rest: &[&str], request: &Request) -> Answer {
        match rest {
            ["html-check" | "link-check" | "sa-check" | "release"] | ["part", _, "thumb"] => {
                return Err(absent(&rest[rest.len() - 1..].concat()));
            }
            [] | ["headers" | "raw"] | ["part", _] => only_get(request)?,
            _ => return Err(not_found()),
        }
        let message = self.lookup(id, request)?;
        Ok(match rest {
            ["headers"] => Response::json(&message.parsed.headers),
            ["raw"] => view::raw(&message, request.query.get("dl") == Some("1")),
            ["part", part] => view::part(&message, part).ok_or_else(not_found)?,
            _ => {
                self.store.set_read(&message, true);
                Response::json(&json::message(&message))
            }
        })
    }

    /// The message of this id, or the newest one (that matches `query`) for `latest`.
    ///
    /// # Errors
    /// The answer to give when there is none.
    pub fn lookup(&self, id: &str, request: &Request) -> Result<Rc<Stored>, Response> {
        let found = if id == "latest" {
            let search = Search::parse(request.query.get("query").unwrap_or("")).map_err(bad)?;
            self.store.find(&search).into_iter().next()
        } else {
            self.store.get(id)
        };
        found.ok_or_else(not_found)
    }

    fn tags(&self, request: &Request) -> Answer {
        only(request, &[Method::GET, Method::HEAD, Method::PUT])?;
        if request.method != Method::PUT {
            return Ok(Response::json(&lists::tags(&self.store)));
        }
        let Tagging { tags, ids } = body(request)?;
        for message in ids.unwrap_or_default().iter().filter_map(|id| self.store.get(id)) {
            self.store.set_tags(&message, tags.as_deref().unwrap_or_default());
        }
        Ok(ok())
    }
}

#[derive(Default, Deserialize)]
struct Ids {
    #[serde(default, rename = "IDs", alias = "ids", alias = "Ids")]
    ids: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
struct ReadState {
    #[serde(default, rename = "Read", alias = "read")]
    read: bool,
    #[serde(default, rename = "IDs", alias = "ids", alias = "Ids")]
    ids: Option<Vec<String>>,
    #[serde(default, rename = "Search", alias = "search")]
    search: Option<String>,
}

#[derive(Default, Deserialize)]
struct Tagging {
    #[serde(default, rename = "Tags", alias = "tags")]
    tags: Option<Vec<String>>,
    #[serde(default, rename = "IDs", alias = "ids", alias = "Ids")]
    ids: Option<Vec<String>>,
}

/// The body as JSON; an empty one means the defaults.
fn body<T: Default + for<'de> Deserialize<'de>>(request: &Request) -> Result<T, Response> {
    if request.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    serde_json::from_slice(&request.body)
        .map_err(|error| bad(format!("the body is not the JSON expected here: {error}")))
}

fn required_query(request: &Request) -> Result<Search, Response> {
    let query = request.query.get("query").unwrap_or("").trim();
    if query.is_empty() {
        return Err(bad("`query` is required"));
    }
    let search = Search::parse(query).map_err(bad)?;
    // A half-written `to:` must not mean everything, least of all for a delete.
    if search.is_empty() && request.method == Method::DELETE {
        return Err(bad("the query asks for nothing"));
    }
    Ok(search)
}

fn before(search: &mut Search, request: &Request) -> Result<(), Response> {
    match request.query.get("before").map(str::trim) {
        None | Some("") => Ok(()),
        Some(text) => {
            search.and_before(date_ms(text).map_err(bad)?);
            Ok(())
        }
    }
}

pub(super) fn only_get(request: &Request) -> Result<(), Response> {
    only(request, &[Method::GET, Method::HEAD])
}

fn only(request: &Request, methods: &[Method]) -> Result<(), Response> {
    if methods.contains(&request.method) {
        return Ok(());
    }
    let allowed: Vec<&str> = methods.iter().map(Method::as_str).collect();
    Err(wrong_method(&allowed.join(", ")))
}

fn ok() -> Response {
    Response::text(StatusCode::OK, "ok")
}

fn bad(text: impl std::fmt::Display) -> Response {
    Response::text(StatusCode::BAD_REQUEST, format!("{text}\n"))
}

fn wrong_method(allowed: &str) -> Response {
    let text = format!("this path takes {allowed}\n");
    Response::text(StatusCode::METHOD_NOT_ALLOWED, text).header(header::ALLOW, allowed)
}

/// What a client of Mailpit expects where nothing is.
pub(super) fn not_found() -> Response {
    Response::text(StatusCode::NOT_FOUND, "404 page not found\n")
}

fn absent(what: &str) -> Response {
    let text = format!("{what} is not part of this sandbox\n");
    Response::text(StatusCode::NOT_FOUND, text)
}

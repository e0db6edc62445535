//! The API's answers about many messages: lists, searches, waiting, read state, deleting.

use crate::api::{bad, body, ok, only, only_get, search_of, wrong_method, Answer, Api};
use crate::choice::Which;
use crate::limits;
use crate::lists;
use crate::search::{date_ms, time_zone, Search};
use ringmta_http::{Method, Request, Response, StatusCode};
use ringmta_io as io;
use serde::{Deserialize, Serialize};
use std::time::Duration;

impl Api {
    /// `messages`.
    pub(super) async fn messages(&self, request: &Request) -> Answer {
        match request.method {
            Method::GET | Method::HEAD => {
                let mut search = Search::default();
                before(&mut search, request)?;
                self.list(&search, request).await
            }
            Method::PUT => self.set_read(request).await,
            Method::DELETE => {
                let which = match body::<Ids>(request)?.ids.unwrap_or_default() {
                    ids if ids.is_empty() => Which::Matching(Search::default()),
                    ids => Which::Ids(ids),
                };
                self.store.delete(&which).await?;
                Ok(ok())
            }
            _ => Err(wrong_method("GET, PUT, DELETE")),
        }
    }

    async fn list(&self, search: &Search, request: &Request) -> Answer {
        let start = request.query.number("start").map_err(bad)?.unwrap_or(0);
        let limit = request.query.number("limit").map_err(bad)?;
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let limit = match limit {
            None => limits::SANDBOX_LIST_DEFAULT,
            Some(0) => limits::SANDBOX_LIST_MAX,
            Some(some) => usize::try_from(some).unwrap_or(usize::MAX).min(limits::SANDBOX_LIST_MAX),
        };
        let page = self.store.page(search, start, limit).await?;
        let tags = self.store.tags().await?;
        Ok(Response::json(&lists::list(&self.store, page, start, tags)))
    }

    async fn set_read(&self, request: &Request) -> Answer {
        let ReadState { read, ids, search } = body(request)?;
        let ids = ids.unwrap_or_default();
        let search = search.unwrap_or_default();
        let which = match (ids.is_empty(), search.trim().is_empty()) {
            (false, false) => return Err(bad("give IDs or Search, not both")),
            (false, true) => Which::Ids(ids),
            (true, false) => Which::Matching(search_of(&search, request)?),
            (true, true) => Which::Matching(Search::default()),
        };
        self.store.set_read(&which, read).await?;
        Ok(ok())
    }

    /// `search`.
    pub(super) async fn search(&self, request: &Request) -> Answer {
        only(request, &[Method::GET, Method::HEAD, Method::DELETE])?;
        let mut search = required_query(request)?;
        if request.method == Method::DELETE {
            self.store.delete(&Which::Matching(search)).await?;
            return Ok(ok());
        }
        before(&mut search, request)?;
        self.list(&search, request).await
    }

    /// Waits until enough messages match; answers like a search, or 408.
    pub(super) async fn wait(&self, request: &Request) -> Answer {
        only_get(request)?;
        let search = search_of(request.query.get("query").unwrap_or(""), request)?;
        let count = request.query.number("count").map_err(bad)?.unwrap_or(1);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let seconds = request.query.number("timeout").map_err(bad)?;
        let seconds =
            seconds.unwrap_or(limits::SANDBOX_WAIT_SECS).min(limits::SANDBOX_WAIT_MAX_SECS);
        let inbox = self.store.hub.listen();
        let enough = async {
            loop {
                if self.store.page(&search, 0, 0).await?.matching >= count {
                    return self.list(&search, request).await;
                }
                inbox.changed().await;
                inbox.forget();
            }
        };
        match io::deadline(Duration::from_secs(seconds), enough).await {
            Ok(answer) => answer,
            Err(_) => {
                let found = self.store.page(&search, 0, 0).await?.matching;
                let text = format!("{found} of {count} messages matched within {seconds} s\n");
                Err(Response::text(StatusCode::REQUEST_TIMEOUT, text))
            }
        }
    }
}

/// Messages that something is done to.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Ids {
    #[serde(default, rename = "IDs", alias = "ids", alias = "Ids")]
    ids: Option<Vec<String>>,
}

impl Ids {
    /// One with everything, for the API's description.
    pub(super) fn example() -> Ids {
        Ids { ids: Some(vec![EXAMPLE_ID.into()]) }
    }
}

/// An id as messages have it.
pub(super) const EXAMPLE_ID: &str = "4oRBnPtCXgAqZniRhzLNmS";

impl ReadState {
    /// One with everything, for the API's description.
    pub(super) fn example() -> ReadState {
        ReadState {
            read: true,
            ids: Some(vec![EXAMPLE_ID.into()]),
            search: Some("tag:orders".into()),
        }
    }
}

/// Which messages are read from now on, or are not.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct ReadState {
    #[serde(default, rename = "Read", alias = "read")]
    read: bool,
    #[serde(default, rename = "IDs", alias = "ids", alias = "Ids")]
    ids: Option<Vec<String>>,
    #[serde(default, rename = "Search", alias = "search")]
    search: Option<String>,
}

fn required_query(request: &Request) -> Result<Search, Response> {
    let query = request.query.get("query").unwrap_or("").trim();
    if query.is_empty() {
        return Err(bad("`query` is required"));
    }
    let search = search_of(query, request)?;
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
            let zone = time_zone(request.query.get("tz")).map_err(bad)?;
            search.and_before(date_ms(text, &zone).map_err(bad)?);
            Ok(())
        }
    }
}

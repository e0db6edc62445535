//! The API's answers about one message.

use crate::api::{not_found, only, only_get, search_of, Answer, Api};
use crate::captured::Stored;
use crate::choice::Which;
use crate::json;
use crate::view;
use ringmta_http::{Method, Request, Response};
use std::rc::Rc;

impl Api {
    /// `message/{id}` and what is below it.
    pub(super) async fn message(&self, id: &str, rest: &[&str], request: &Request) -> Answer {
        match rest {
            ["release"] => only(request, &[Method::POST])?,
            []
            | ["headers" | "raw" | "html-check" | "link-check" | "sa-check"]
            | ["part", _]
            | ["part", _, "thumb"] => only_get(request)?,
            _ => return Err(not_found()),
        }
        let message = self.lookup(id, request).await?;
        Ok(match rest {
            ["headers"] => self.look(&message, |mail| Response::json(&mail.parsed.headers)).await,
            ["raw"] => view::raw(&message, request.query.get("dl") == Some("1")),
            ["part", part] => {
                let part = part.to_string();
                self.look(&message, move |mail| view::part(mail, &part).unwrap_or_else(not_found))
                    .await
            }
            ["part", part, _] => self.thumbnail(&message, part).await?,
            ["html-check"] => self.html_check(&message).await?,
            ["link-check"] => self.link_check(&message, request).await?,
            ["sa-check"] => self.spam_check(&message).await?,
            ["release"] => self.release(&message, request).await?,
            _ => {
                self.store.set_read(&Which::Ids(vec![message.id.clone()]), true).await?;
                let tags = message.tags.borrow().clone();
                self.look(&message, move |mail| Response::json(&json::message(mail, &tags))).await
            }
        })
    }

    /// The message of this id, or the newest one (that matches `query`) for `latest`.
    ///
    /// # Errors
    /// The answer to give when there is none.
    pub async fn lookup(&self, id: &str, request: &Request) -> Result<Rc<Stored>, Response> {
        let found = if id == "latest" {
            let search = search_of(request.query.get("query").unwrap_or(""), request)?;
            self.store.newest(&search).await?
        } else {
            self.store.get(id).await?
        };
        found.ok_or_else(not_found)
    }
}

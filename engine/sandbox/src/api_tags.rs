//! The API's answers about tags.

use crate::api::{bad, body, ok, only, Answer, Api};
use crate::api_messages::EXAMPLE_ID;
use crate::choice::Change;
use crate::tags::{spelled, tidy};
use ringmta_http::{Method, Request, Response};
use serde::{Deserialize, Serialize};

impl Api {
    /// `tags`: those in use, or those of some messages from now on.
    pub(super) async fn tags(&self, request: &Request) -> Answer {
        only(request, &[Method::GET, Method::HEAD, Method::PUT])?;
        if request.method != Method::PUT {
            let tags: Vec<String> = self.store.tags().await?.into_keys().collect();
            return Ok(Response::json(&tags));
        }
        let Tagging { tags, ids } = body(request)?;
        let ids = ids.unwrap_or_default();
        self.store.retag(&Change::Set(ids, tidy(tags.unwrap_or_default()))).await?;
        Ok(ok())
    }

    /// `tags/{tag}`: another name, or an end to it. The messages stay.
    pub(super) async fn tag(&self, tag: &str, request: &Request) -> Answer {
        only(request, &[Method::PUT, Method::DELETE])?;
        let known = self.store.tags().await?;
        if !known.keys().any(|one| one.to_lowercase() == tag.to_lowercase()) {
            return Err(bad(format!("tag not found: {tag}")));
        }
        let change = if request.method == Method::PUT {
            let name = spelled(&body::<Named>(request)?.name);
            if name.is_empty() {
                return Err(bad("the new name of the tag is empty"));
            }
            if known.keys().any(|one| *one == name) && tag != name {
                return Err(bad(format!("tag exists: {name}")));
            }
            Change::Rename(tag.into(), name)
        } else {
            Change::Delete(tag.into())
        };
        self.store.retag(&change).await?;
        Ok(ok())
    }
}

/// Tags for some messages.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Tagging {
    #[serde(default, rename = "Tags", alias = "tags")]
    tags: Option<Vec<String>>,
    #[serde(default, rename = "IDs", alias = "ids", alias = "Ids")]
    ids: Option<Vec<String>>,
}

impl Tagging {
    /// One with everything, for the API's description.
    pub(super) fn example() -> Tagging {
        Tagging { tags: Some(vec!["orders".into()]), ids: Some(vec![EXAMPLE_ID.into()]) }
    }
}

impl Named {
    /// One with everything, for the API's description.
    pub(super) fn example() -> Named {
        Named { name: "invoices".into() }
    }
}

/// A name for a tag.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Named {
    #[serde(default, rename = "Name", alias = "name")]
    name: String,
}

//! What an injection request says.

use ringmta_policy::template::Dialect;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::fmt;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Injection {
    pub(super) envelope_sender: String,
    pub(super) recipients: Vec<Recipient>,
    pub(super) content: Content,
    #[serde(default)]
    pub(super) substitutions: Map<String, Value>,
    #[serde(default)]
    pub(super) template_dialect: DialectName,
    /// Taken, and without effect: every message is on stable storage before it is counted as a success.
    #[serde(default, rename = "deferred_spool")]
    pub(super) _deferred_spool: bool,
    /// Taken, and without effect: the messages are made before the answer, which so can tell what became of each.
    #[serde(default, rename = "deferred_generation")]
    pub(super) _deferred_generation: bool,
    #[serde(default)]
    pub(super) trace_headers: Option<Trace>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trace {
    #[serde(default = "yes")]
    pub(super) received_header: bool,
    #[serde(default = "yes")]
    pub(super) supplemental_header: bool,
    #[serde(default)]
    pub(super) header_name: Option<String>,
    #[serde(default)]
    pub(super) include_meta_names: Vec<String>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `email`")]
pub(super) struct Recipient {
    pub(super) email: String,
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) substitutions: Map<String, Value>,
    #[serde(default)]
    pub(super) metadata: Map<String, Value>,
}

pub(super) enum Content {
    Raw(String),
    Parts(Box<Parts>),
}

/// By hand, so that what is wrong within the parts is told of its field, not of the whole.
impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Content, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the whole message as a string, or an object of its parts")
            }

            fn visit_str<E>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Raw(text.to_string()))
            }

            fn visit_string<E>(self, text: String) -> Result<Content, E> {
                Ok(Content::Raw(text))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Content, A::Error> {
                Box::deserialize(MapAccessDeserializer::new(map)).map(Content::Parts)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parts {
    #[serde(default)]
    pub(super) text_body: Option<String>,
    #[serde(default)]
    pub(super) html_body: Option<String>,
    #[serde(default)]
    pub(super) amp_html_body: Option<String>,
    #[serde(default)]
    pub(super) attachments: Vec<Attachment>,
    #[serde(default)]
    pub(super) headers: Map<String, Value>,
    #[serde(default)]
    pub(super) from: Option<Mailbox>,
    #[serde(default)]
    pub(super) reply_to: Option<Mailbox>,
    #[serde(default)]
    pub(super) subject: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `email` and perhaps `name`")]
pub(super) struct Mailbox {
    pub(super) email: String,
    #[serde(default)]
    pub(super) name: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `data` and `content_type`")]
pub(super) struct Attachment {
    pub(super) data: String,
    pub(super) content_type: String,
    #[serde(default)]
    pub(super) file_name: Option<String>,
    #[serde(default)]
    pub(super) content_id: Option<String>,
    #[serde(default)]
    pub(super) base64: bool,
}

#[derive(Deserialize, Clone, Copy, Default)]
pub(super) enum DialectName {
    #[default]
    Jinja,
    Handlebars,
    Static,
}

impl From<DialectName> for Dialect {
    fn from(name: DialectName) -> Dialect {
        match name {
            DialectName::Jinja => Dialect::Jinja,
            DialectName::Handlebars => Dialect::Handlebars,
            DialectName::Static => Dialect::Static,
        }
    }
}

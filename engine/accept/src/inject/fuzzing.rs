//! The way from a request's bytes to messages without a shard, for the fuzz targets.

use crate::inject::fill::Filler;
use crate::inject::parts;
use crate::inject::request::{Content, Injection};
use crate::inject::work::{too_long, trace_options};

/// Recipients of one request that are looked at.
const RECIPIENTS: usize = 3;

/// A message, before its trace header.
pub struct Made {
    /// Its bytes.
    pub body: Vec<u8>,
    /// Whether its header was made here.
    pub of_parts: bool,
}

/// The messages of a request that would be taken.
///
/// # Errors
/// What is wrong with the request as a whole.
pub fn made_of(request: &[u8]) -> Result<Vec<Made>, String> {
    let injection: Injection = serde_json::from_slice(request).map_err(|e| e.to_string())?;
    trace_options(injection.trace_headers.as_ref())?;
    let filler = Filler::compile(&injection)?;
    let about = || parts::About { id: "1".into(), hostname: "mx.test", created_secs: 1 };
    let one = |recipient| match &injection.content {
        Content::Raw(_) => filler.raw(recipient).map(Option::unwrap_or_default),
        Content::Parts(given) => parts::build(given, &filler, recipient, &about()),
    };
    let of_parts = matches!(injection.content, Content::Parts(_));
    let made = injection.recipients.iter().take(RECIPIENTS).filter_map(|to| one(to).ok());
    let taken = made.filter(|body| too_long(body).is_none());
    Ok(taken.map(|body| Made { body, of_parts }).collect())
}

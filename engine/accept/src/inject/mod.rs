//! Mail that comes over HTTP: `POST /api/inject/v1`. One message per recipient, from raw MIME or
//! from parts, each with its substitutions.
//!
//! Layout: [`work`] a request carried out · [`request`] what it says · [`fill`] its templates · [`parts`] a message of parts · [`header`] header fields, `lines` line ends ·
//! [`keyed`] requests that may be repeated · [`fuzzing`] the same without a shard.

mod fill;
#[doc(hidden)]
pub mod fuzzing;
mod header;
mod keyed;
mod lines;
mod parts;
mod request;
mod work;

use crate::inject::work::run_text;
use ringmta_http::{Request, Response, StatusCode};
use ringmta_policy::AuthInfo;
use ringmta_shard::state::Shard;
use std::rc::Rc;

pub use work::{build_value, inject_value};

/// Answers one request. A recipient that cannot be taken is reported; the others are taken. One that carries a key may
/// be repeated.
pub async fn inject(shard: &Rc<Shard>, caller: &AuthInfo, request: Request) -> Response {
    match keyed::key_of(&request) {
        Ok(Some(key)) => return keyed::answer(shard, caller, request, &key).await,
        Ok(None) => {}
        Err(text) => return Response::text(StatusCode::BAD_REQUEST, text),
    }
    match run_text(shard, caller, &request).await {
        Ok(done) => Response::bytes("application/json", done.text),
        Err(answer) => answer,
    }
}

//! Work on one message that grows with the message: done at once where it takes a moment, else on a thread beside the shard, which
//! serves others meanwhile.

use crate::api::Api;
use crate::captured::{Captured, Stored};
use crate::limits::SANDBOX_LOOK_SECS;
use crate::offload::is_long;
use ringmta_http::{Body, Bytes, HeaderMap, Response, StatusCode};
use ringmta_io::deadline;
use std::time::Duration;

/// An answer that is there as a whole, and so may come from another thread.
struct Whole {
    status: StatusCode,
    headers: Box<HeaderMap>,
    bytes: Bytes,
}

impl From<Response> for Whole {
    fn from(Response { status, headers, body }: Response) -> Whole {
        let bytes = match body {
            Body::Full(bytes) => bytes,
            // Of one message there is none that comes bit by bit.
            Body::Stream(_) | Body::Upgrade(_) => Bytes::new(),
        };
        Whole { status, headers, bytes }
    }
}

impl From<Whole> for Response {
    fn from(Whole { status, headers, bytes }: Whole) -> Response {
        Response { status, headers, body: Body::Full(bytes) }
    }
}

impl Api {
    /// The answer that `look` makes of a message. A long message is looked at on a thread of its own, so many at a time, and
    /// who asks is told when that takes too long.
    pub(super) async fn look(
        &self,
        message: &Stored,
        look: impl FnOnce(&Captured) -> Response + Send + 'static,
    ) -> Response {
        if !is_long(message.source.len()) {
            return look(message);
        }
        let mail = message.mail.clone();
        let work = self.looks.run(move || Whole::from(look(&mail)));
        match deadline(Duration::from_secs(SANDBOX_LOOK_SECS), work).await {
            Ok(Ok(whole)) => whole.into(),
            Ok(Err(error)) => busy(&error),
            Err(_) => busy("to look into this message takes too long; its source can be had"),
        }
    }
}

fn busy(why: &str) -> Response {
    Response::text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"))
}

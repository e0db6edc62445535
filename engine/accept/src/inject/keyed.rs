//! Requests that carry a key (`Idempotency-Key`): a repeat within a day is answered what the first was answered, and
//! sends nothing. Such a request is carried out to its end though its caller goes away: the repeat is what it goes for.

use crate::inject::work::{run_text, CarriedOut};
use crate::limits::IDEMPOTENCY_KEY_BYTES;
use futures::channel::oneshot;
use ringmta_http::{HeaderName, Request, Response, StatusCode};
use ringmta_io as io;
use ringmta_policy::AuthInfo;
use ringmta_shard::answers::{Answers, Digest, Standing};
use ringmta_shard::state::Shard;
use std::rc::Rc;
use std::sync::Arc;

const HEADER: &str = "idempotency-key";
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The key of a request, when it has one.
///
/// # Errors
/// It is no key.
pub(super) fn key_of(request: &Request) -> Result<Option<String>, String> {
    let mut values = request.headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    // As a string of a structured field (RFC 8941 section 3.3.3), or bare.
    let text = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let is_key = |text: &str| {
        (1..=IDEMPOTENCY_KEY_BYTES).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"')
    };
    if values.next().is_some() || !is_key(text) {
        return Err(format!(
            "Idempotency-Key: must be one text of 1 to {IDEMPOTENCY_KEY_BYTES} visible ASCII characters\n"
        ));
    }
    Ok(Some(text.to_string()))
}

/// Whose key it is: of a name, or where none was given, of an address.
fn digest_of(key: &str, caller: &AuthInfo, request: &Request) -> Digest {
    let who = match caller.identities.first() {
        Some(identity) => format!("id {identity}"),
        None => format!("ip {}", request.peer.ip()),
    };
    io::sha256(format!("{who}\0{key}").as_bytes())
}

/// Answers a request with a key.
pub(super) async fn answer(
    shard: &Rc<Shard>,
    caller: &AuthInfo,
    request: Request,
    key: &str,
) -> Response {
    let (key, content) = (digest_of(key, caller, &request), io::sha256(&request.body));
    match shard.process.answers.begin(key, &content, now_secs()).await {
        Standing::Answered(answer) => {
            let answer = Response::bytes("application/json", answer.as_bytes().to_vec());
            answer.header(REPLAYED, "true")
        }
        Standing::UnderWay => {
            let text =
                "Idempotency-Key: the first request with this key is still being carried out\n";
            let answer = Response::text(StatusCode::CONFLICT, text);
            answer.header(HeaderName::from_static("retry-after"), "1")
        }
        Standing::Another => Response::text(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Idempotency-Key: this key was used for another request within the last day\n",
        ),
        Standing::Fresh => {
            let under_way = UnderWay { answers: shard.process.answers.clone(), key };
            let (tell, told) = oneshot::channel();
            let (shard, caller) = (shard.clone(), caller.clone());
            io::spawn(async move {
                let answer = carry_out(&shard, &caller, request, content, under_way).await;
                let _ = tell.send(answer);
            });
            told.await.unwrap_or_else(|_| Response::new(StatusCode::SERVICE_UNAVAILABLE))
        }
    }
}

async fn carry_out(
    shard: &Rc<Shard>,
    caller: &AuthInfo,
    request: Request,
    content: Digest,
    under_way: UnderWay,
) -> Response {
    let CarriedOut { text, taken } = match run_text(shard, caller, &request).await {
        Ok(done) => done,
        // Nothing was sent: it may be tried again with the same key.
        Err(answer) => return answer,
    };
    if taken == 0 {
        // The same: what refused all of it may be over by then.
        return Response::bytes("application/json", text);
    }
    let answers = under_way.answers.clone();
    if let Err(error) = answers.keep(under_way.key, content, &text, now_secs()).await {
        tracing::error!("the answer of an injection is not kept over a restart: {error}");
    }
    Response::bytes("application/json", text)
}

fn now_secs() -> u64 {
    io::unix_nanos() / 1_000_000_000
}

/// A request that is being carried out; whatever ends it, its key is free again, or has its answer.
struct UnderWay {
    answers: Arc<Answers>,
    key: Digest,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.answers.forget(&self.key);
    }
}

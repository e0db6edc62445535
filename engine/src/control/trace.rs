//! `trace-smtp-server` and `trace-smtp-client`: a websocket whose first frame is a filter, and then sessions of all shards as
//! they happen. A viewer that does not read is dropped, never waited for.

use crate::limits::{
    TRACE_FILTER_BYTES, TRACE_FILTER_SECS, TRACE_PING_SECS, TRACE_VIEWERS_MAX, TRACE_WRITE_SECS,
};
use async_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use async_tungstenite::tungstenite::{Error, Message};
use async_tungstenite::WebSocketStream;
use futures::future::{select, Either};
use futures::StreamExt;
use ringmta_http::{websocket, Request, Response, StatusCode, Upgraded};
use ringmta_io::{deadline, Conn};
use ringmta_policy::CidrSet;
use ringmta_shard::mesh::Letter;
use ringmta_shard::process::Process;
use ringmta_shard::state::Shard;
use ringmta_shard::trace::{Filter, Viewer};
use serde::Deserialize;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

const WRITE: Duration = Duration::from_secs(TRACE_WRITE_SECS);
const PING: Duration = Duration::from_secs(TRACE_PING_SECS);

/// Viewers of the process.
static VIEWERS: AtomicUsize = AtomicUsize::new(0);

/// The first frame. An address set is a list of addresses and networks.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    terse: bool,
    source_addr: Option<Vec<String>>,
    mx_addr: Option<Vec<String>>,
    campaign: Vec<String>,
    tenant: Vec<String>,
    domain: Vec<String>,
    routing_domain: Vec<String>,
    egress_pool: Vec<String>,
    egress_source: Vec<String>,
    mail_from: Vec<String>,
    rcpt_to: Vec<String>,
    mx_host: Vec<String>,
    ready_queue: Vec<String>,
    message_id: Vec<String>,
}

impl Asked {
    fn filter(self, outgoing: bool) -> Result<Filter, String> {
        let set = |list: Option<Vec<String>>| {
            let list = list.filter(|list| !list.is_empty());
            list.map(CidrSet::parse_list).transpose()
        };
        let values = [
            ("campaign", self.campaign),
            ("tenant", self.tenant),
            ("domain", self.domain),
            ("routing_domain", self.routing_domain),
            ("egress_pool", self.egress_pool),
            ("egress_source", self.egress_source),
            ("sender", self.mail_from),
            ("recipient", self.rcpt_to),
            ("mx_host", self.mx_host),
            ("ready_queue_name", self.ready_queue),
            ("message_id", self.message_id),
        ];
        Ok(Filter {
            outgoing,
            terse: self.terse,
            source_addr: set(self.source_addr)?,
            mx_addr: set(self.mx_addr)?,
            values: values.into_iter().filter(|(_, values)| !values.is_empty()).collect(),
        })
    }
}

/// Counts a viewer while it lives.
struct Counted;

impl Counted {
    fn new() -> Option<Counted> {
        if VIEWERS.fetch_add(1, Ordering::AcqRel) >= TRACE_VIEWERS_MAX {
            VIEWERS.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        Some(Counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        VIEWERS.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Ends a viewer with whatever it was for.
struct Watching(Arc<Viewer>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Answers the request that opens the websocket.
pub fn open(shard: &Rc<Shard>, request: &Request, outgoing: bool) -> Response {
    let Some(counted) = Counted::new() else {
        let text = format!("{TRACE_VIEWERS_MAX} others watch already\n");
        return Response::text(StatusCode::SERVICE_UNAVAILABLE, text);
    };
    let process = shard.process.clone();
    websocket::open(request, StatusCode::BAD_REQUEST, move |upgraded| async move {
        let _counted = counted;
        if let Err(error) = talk(upgraded, &process, outgoing).await {
            tracing::debug!("a viewer of sessions has gone: {error}");
        }
    })
}

type Socket = WebSocketStream<Conn>;

async fn talk(upgraded: Upgraded, process: &Process, outgoing: bool) -> Result<(), Error> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(TRACE_FILTER_BYTES))
        .max_frame_size(Some(TRACE_FILTER_BYTES));
    let (early, role) = (upgraded.early.to_vec(), Role::Server);
    let mut socket: Socket =
        WebSocketStream::from_partially_read(upgraded.conn, early, role, Some(config)).await;
    let Some(filter) = filter(&mut socket, outgoing).await? else {
        return deadline(WRITE, socket.close(None)).await.unwrap_or(Ok(()));
    };
    let watching = Watching(Viewer::new(filter));
    for inbox in &process.inboxes {
        if inbox.send(Letter::Watch(watching.0.clone())).is_err() {
            tracing::warn!("a shard is too busy to be watched");
        }
    }
    loop {
        let heard = async {
            match socket.next().await {
                Some(Ok(Message::Close(_))) | None => false,
                Some(heard) => heard.is_ok(),
            }
        };
        let turn = {
            let (heard, frame) = (pin!(heard), pin!(watching.0.next()));
            match deadline(PING, select(heard, frame)).await {
                Ok(Either::Left((true, _))) => Turn::Heard,
                Ok(Either::Left((false, _))) => Turn::Gone,
                Ok(Either::Right((Some(frame), _))) => Turn::Frame(frame),
                Ok(Either::Right((None, _))) => Turn::TooSlow,
                Err(_) => Turn::Silence,
            }
        };
        match turn {
            Turn::Heard => {}
            Turn::Gone => return Ok(()),
            Turn::Frame(frame) => send(&mut socket, Message::text(frame)).await?,
            Turn::TooSlow => return deadline(WRITE, socket.close(None)).await.unwrap_or(Ok(())),
            Turn::Silence => send(&mut socket, Message::Ping(Default::default())).await?,
        }
    }
}

enum Turn {
    Heard,
    Gone,
    Frame(String),
    TooSlow,
    Silence,
}

/// The filter in the first frame; none when it is no filter.
async fn filter(socket: &mut Socket, outgoing: bool) -> Result<Option<Filter>, Error> {
    let first = deadline(Duration::from_secs(TRACE_FILTER_SECS), socket.next()).await;
    let text = match first {
        Ok(Some(Ok(Message::Text(text)))) => text.to_string(),
        Ok(Some(Err(error))) => return Err(error),
        _ => return Ok(None),
    };
    let asked = serde_json::from_str::<Asked>(&text).map_err(|error| error.to_string());
    match asked.and_then(|asked| asked.filter(outgoing)) {
        Ok(filter) => Ok(Some(filter)),
        Err(why) => {
            tracing::info!("a viewer of sessions sent no filter: {why}");
            Ok(None)
        }
    }
}

async fn send(socket: &mut Socket, message: Message) -> Result<(), Error> {
    match deadline(WRITE, socket.send(message)).await {
        Ok(result) => result,
        Err(late) => Err(Error::Io(late.into())),
    }
}

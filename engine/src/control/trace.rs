//! `trace-smtp-server`, `trace-smtp-client` and `tail`: a websocket whose first frame is a filter, and then sessions, or
//! records, of all shards as they happen. A viewer that does not read is dropped, never waited for.

use crate::limits::{
    TRACE_FILTER_BYTES, TRACE_FILTER_SECS, TRACE_PING_SECS, TRACE_VIEWERS_MAX, TRACE_WRITE_SECS,
};
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use async_tungstenite::tungstenite::protocol::frame::CloseFrame;
use async_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use async_tungstenite::tungstenite::{Error, Message};
use async_tungstenite::WebSocketStream;
use futures::future::{select, Either};
use futures::StreamExt;
use ringmta_events::watch::{Frames, Reader, RecordFilter};
use ringmta_http::{websocket, Request, Response, StatusCode, Upgraded};
use ringmta_io::{deadline, leave, Conn};
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

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// Sessions in.
    Incoming,
    /// Sessions out.
    Outgoing,
    /// Records of events.
    Records,
}

/// Somebody who watches.
enum Watcher {
    Sessions(Arc<Viewer>),
    Records(Arc<Reader>),
}

impl Watcher {
    /// By the filter in the first frame.
    fn new(watched: Watched, text: &str) -> Result<Watcher, String> {
        if watched == Watched::Records {
            return RecordFilter::parse(text).map(Reader::new).map(Watcher::Records);
        }
        let asked = serde_json::from_str::<Asked>(text).map_err(|error| error.to_string())?;
        let filter = asked.filter(watched == Watched::Outgoing)?;
        Ok(Watcher::Sessions(Viewer::new(filter)))
    }

    fn frames(&self) -> &Frames {
        match self {
            Watcher::Sessions(viewer) => &viewer.frames,
            Watcher::Records(reader) => &reader.frames,
        }
    }

    fn letter(&self) -> Letter {
        match self {
            Watcher::Sessions(viewer) => Letter::Watch(viewer.clone()),
            Watcher::Records(reader) => Letter::Read(reader.clone()),
        }
    }
}

/// Whatever ends the websocket, nothing more is kept for it.
impl Drop for Watcher {
    fn drop(&mut self) {
        self.frames().end();
    }
}

/// The first frame of those who watch sessions. An address set is a list of addresses and networks.
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
        let values: Vec<_> = values.into_iter().filter(|(_, values)| !values.is_empty()).collect();
        let mx_addr = set(self.mx_addr)?;
        let of_outgoing = values.first().map(|(name, _)| *name);
        if let Some(name) =
            of_outgoing.or(mx_addr.as_ref().map(|_| "mx_addr")).filter(|_| !outgoing)
        {
            return Err(format!("{name}: sessions of clients are told apart by source_addr alone"));
        }
        let source_addr = set(self.source_addr)?;
        Ok(Filter { outgoing, terse: self.terse, source_addr, mx_addr, values })
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

/// Answers the request that opens the websocket.
pub fn open(shard: &Rc<Shard>, request: &Request, watched: Watched) -> Response {
    let Some(counted) = Counted::new() else {
        let text = format!("{TRACE_VIEWERS_MAX} others watch already\n");
        return Response::text(StatusCode::SERVICE_UNAVAILABLE, text);
    };
    let process = shard.process.clone();
    websocket::open(request, StatusCode::BAD_REQUEST, move |upgraded| async move {
        let _counted = counted;
        if let Err(error) = talk(upgraded, &process, watched).await {
            tracing::debug!("a viewer has gone: {error}");
        }
    })
}

type Socket = WebSocketStream<Conn>;

async fn talk(upgraded: Upgraded, process: &Process, watched: Watched) -> Result<(), Error> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(TRACE_FILTER_BYTES))
        .max_frame_size(Some(TRACE_FILTER_BYTES));
    let (early, role) = (upgraded.early.to_vec(), Role::Server);
    let mut socket: Socket =
        WebSocketStream::from_partially_read(upgraded.conn, early, role, Some(config)).await;
    watch(&mut socket, process, watched).await?;
    leave(socket.into_inner());
    Ok(())
}

async fn watch(socket: &mut Socket, process: &Process, watched: Watched) -> Result<(), Error> {
    let watcher = match first(socket).await?.and_then(|text| Watcher::new(watched, &text)) {
        Ok(watcher) => watcher,
        Err(why) => return close(socket, CloseCode::Policy, &format!("no filter: {why}")).await,
    };
    for inbox in &process.inboxes {
        if inbox.send(watcher.letter()).is_err() {
            tracing::warn!("a shard is too busy to be watched");
        }
    }
    loop {
        let heard = async {
            match socket.next().await {
                Some(Ok(Message::Close(_))) => Turn::Closed,
                Some(Ok(_)) => Turn::Heard,
                Some(Err(_)) | None => Turn::Gone,
            }
        };
        let turn = {
            let (heard, frame) = (pin!(heard), pin!(watcher.frames().next()));
            match deadline(PING, select(heard, frame)).await {
                Ok(Either::Left((turn, _))) => turn,
                Ok(Either::Right((Some(frame), _))) => Turn::Frame(frame),
                Ok(Either::Right((None, _))) => Turn::TooSlow,
                Err(_) => Turn::Silence,
            }
        };
        match turn {
            Turn::Heard => {}
            Turn::Gone => return Ok(()),
            // The library answers when it is next asked to read, and refuses to send anything else.
            Turn::Closed => {
                let _ = deadline(WRITE, socket.next()).await;
                return Ok(());
            }
            Turn::Frame(frame) => send(socket, Message::text(frame)).await?,
            Turn::TooSlow => return close(socket, CloseCode::Again, TOO_SLOW).await,
            Turn::Silence => send(socket, Message::Ping(Default::default())).await?,
        }
    }
}

enum Turn {
    Heard,
    Closed,
    Gone,
    Frame(String),
    TooSlow,
    Silence,
}

const TOO_SLOW: &str = "more happened than was read here: narrow the filter, or read faster";

/// The first frame, which is to be a filter.
async fn first(socket: &mut Socket) -> Result<Result<String, String>, Error> {
    match deadline(Duration::from_secs(TRACE_FILTER_SECS), socket.next()).await {
        Ok(Some(Ok(Message::Text(text)))) => Ok(Ok(text.to_string())),
        Ok(Some(Err(error))) => Err(error),
        Ok(_) => Ok(Err("the first frame is to be a text".into())),
        Err(_) => Ok(Err(format!("none came within {TRACE_FILTER_SECS} seconds"))),
    }
}

/// Ends it and says why; RFC 6455 leaves 123 bytes for that.
async fn close(socket: &mut Socket, code: CloseCode, why: &str) -> Result<(), Error> {
    const REASON_BYTES: usize = 123;
    let mut end = why.len().min(REASON_BYTES);
    while !why.is_char_boundary(end) {
        end -= 1;
    }
    let frame = CloseFrame { code, reason: why[..end].to_string().into() };
    deadline(WRITE, socket.close(Some(frame))).await.unwrap_or(Ok(()))
}

async fn send(socket: &mut Socket, message: Message) -> Result<(), Error> {
    match deadline(WRITE, socket.send(message)).await {
        Ok(result) => result,
        Err(late) => Err(Error::Io(late.into())),
    }
}

//! The websocket of the events: we talk, the client listens.

use crate::events::{typed, Inbox};
use crate::limits;
use crate::lists;
use crate::store::Store;
use async_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use async_tungstenite::tungstenite::{Error, Message};
use async_tungstenite::WebSocketStream;
use futures::future::{select, Either};
use futures::StreamExt;
use ringmta_http::{websocket, Request, Response, StatusCode, Upgraded};
use ringmta_io::{deadline, leave, mono_nanos, Conn};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

const WRITE: Duration = Duration::from_secs(limits::SANDBOX_SOCKET_WRITE_SECS);
const SILENCE: Duration = Duration::from_secs(limits::SANDBOX_PING_SECS);
const PONG: Duration = Duration::from_secs(limits::SANDBOX_PONG_SECS);
const STATS: Duration = Duration::from_millis(limits::SANDBOX_STATS_MS);

/// Answers the request that opens the websocket.
pub fn open(store: &Rc<Store>, request: &Request) -> Response {
    let store = store.clone();
    // Listening begins before the client can know that it is connected, so that it misses nothing.
    let inbox = store.hub.listen();
    websocket::open(request, StatusCode::UPGRADE_REQUIRED, move |upgraded| async move {
        let _ = talk(upgraded, &store, &inbox).await;
    })
}

/// What a client may send: hardly anything, for it has nothing to say.
pub fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(limits::SANDBOX_SOCKET_MESSAGE_BYTES))
        .max_frame_size(Some(limits::SANDBOX_SOCKET_MESSAGE_BYTES))
}

type Socket = WebSocketStream<Conn>;

/// Sends what happens until one side ends it, or the client is too slow or gone.
async fn talk(upgraded: Upgraded, store: &Store, inbox: &Inbox) -> Result<(), Error> {
    let early = upgraded.early.to_vec();
    let role = Role::Server;
    let mut socket =
        WebSocketStream::from_partially_read(upgraded.conn, early, role, Some(config())).await;
    tell(&mut socket, store, inbox).await?;
    leave(socket.into_inner());
    Ok(())
}

async fn tell(socket: &mut Socket, store: &Store, inbox: &Inbox) -> Result<(), Error> {
    let mut heard = mono_nanos();
    let mut stats_sent = send_stats(socket, store).await?;
    let mut stats_due = false;
    loop {
        // Events go out at once; counters, which change with each of them, four times a second.
        let wait = if stats_due { STATS.saturating_sub(since(stats_sent)) } else { SILENCE };
        match next(socket, inbox, wait).await {
            Turn::Changed => {
                send_events(socket, inbox).await?;
                if inbox.overflowed() {
                    let _ = deadline(WRITE, socket.close(None)).await;
                    return Ok(());
                }
                stats_due = true;
            }
            Turn::Heard => heard = mono_nanos(),
            // The library answers when it is next asked to read, and refuses to send anything else.
            Turn::Closed => {
                let _ = deadline(WRITE, socket.next()).await;
                return Ok(());
            }
            Turn::Ended => return Ok(()),
            Turn::Nothing if stats_due => {}
            Turn::Nothing if since(heard) > PONG => return Ok(()),
            Turn::Nothing => send(socket, Message::Ping(Default::default())).await?,
        }
        if stats_due && since(stats_sent) >= STATS {
            stats_sent = send_stats(socket, store).await?;
            stats_due = false;
        }
    }
}

fn since(moment: u64) -> Duration {
    Duration::from_nanos(mono_nanos().saturating_sub(moment))
}

enum Turn {
    Changed,
    Heard,
    Closed,
    Ended,
    Nothing,
}

async fn next(socket: &mut Socket, inbox: &Inbox, wait: Duration) -> Turn {
    let heard = async {
        match socket.next().await {
            Some(Ok(Message::Close(_))) => Turn::Closed,
            // Pings are answered by the library, at its next turn; anything else has no meaning here.
            Some(Ok(_)) => Turn::Heard,
            _ => Turn::Ended,
        }
    };
    let (heard, changed) = (pin!(heard), pin!(inbox.changed()));
    match deadline(wait, select(heard, changed)).await {
        Ok(Either::Left((turn, _))) => turn,
        Ok(Either::Right(_)) => Turn::Changed,
        Err(_) => Turn::Nothing,
    }
}

async fn send_events(socket: &mut Socket, inbox: &Inbox) -> Result<(), Error> {
    if inbox.take_pruned() {
        let prune = typed("prune", serde_json::Value::Null).to_string();
        send(socket, Message::text(prune)).await?;
    }
    while let Some(text) = inbox.next() {
        send(socket, Message::text(text.as_ref())).await?;
    }
    Ok(())
}

/// Sends the counters; gives back when.
async fn send_stats(socket: &mut Socket, store: &Store) -> Result<u64, Error> {
    send(socket, Message::text(typed("stats", lists::stats(store)).to_string())).await?;
    Ok(mono_nanos())
}

async fn send(socket: &mut Socket, message: Message) -> Result<(), Error> {
    match deadline(WRITE, socket.send(message)).await {
        Ok(result) => result,
        Err(late) => Err(Error::Io(late.into())),
    }
}

//! `kumo.http.connect_websocket`: each socket is read by a thread of its own; handlers wait for its frames in a queue.

use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use futures::future::{select, Either};
use mlua::{Error, IntoLua, Lua, Result, Table, UserData, UserDataMethods, UserDataRef, Value};
use ringmta_options::plain::Plain;
use ringmta_options::{Notes, OptionValue};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};
use ureq::http;

use super::response::Response;
use crate::families::mpsc::queue::Queue;
use crate::limits::{
    CLIENT_TIMEOUT, MAX_WEBSOCKETS, MAX_WEBSOCKET_FRAME_BYTES, WEBSOCKET_QUEUE_FRAMES,
};
use crate::net::wire::TlsFiles;
use crate::vm;
use crate::vm::declared::FnDef;
use crate::vm::lua_value::{from_plain, to_plain};

static OPEN: AtomicUsize = AtomicUsize::new(0);

/// The Lua side. The socket closes when the object is collected.
struct Stream {
    frames: Arc<Queue>,
    tcp: TcpStream,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.frames.close();
        // Ends the thread's read; a socket that is closed already is as good.
        let _ = self.tcp.shutdown(Shutdown::Both);
    }
}

/// A connection with or without TLS.
enum Wire {
    Clear(TcpStream),
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
}

impl std::io::Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Wire::Clear(s) => s.read(buf),
            Wire::Tls(s) => s.read(buf),
        }
    }
}

impl std::io::Write for Wire {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        match self {
            Wire::Clear(s) => s.write(buf),
            Wire::Tls(s) => s.write(buf),
        }
    }
    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Wire::Clear(s) => s.flush(),
            Wire::Tls(s) => s.flush(),
        }
    }
}

type Failable<T> = std::result::Result<T, String>;

fn tcp(host: &str, port: u16) -> Failable<TcpStream> {
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let all = (name, port).to_socket_addrs().map_err(|e| e.to_string())?;
    let mut last = "the name has no address".to_owned();
    for address in all {
        match TcpStream::connect_timeout(&address, CLIENT_TIMEOUT) {
            Ok(s) => {
                s.set_read_timeout(Some(CLIENT_TIMEOUT)).map_err(|e| e.to_string())?;
                s.set_write_timeout(Some(CLIENT_TIMEOUT)).map_err(|e| e.to_string())?;
                return Ok(s);
            }
            Err(e) => last = e.to_string(),
        }
    }
    Err(last)
}

fn tls(host: &str, tcp: TcpStream) -> Failable<Wire> {
    let config = TlsFiles::default().config()?;
    let name = rustls::pki_types::ServerName::try_from(host.to_owned());
    let name = name.map_err(|_| format!("`{host}` is not a server name"))?;
    let conn = rustls::ClientConnection::new(config, name).map_err(|e| e.to_string())?;
    Ok(Wire::Tls(Box::new(rustls::StreamOwned::new(conn, tcp))))
}

type Opened = (WebSocket<Wire>, TcpStream, Response);

/// Connects and shakes hands. Blocks: for helper threads.
fn connect(url: &str) -> Failable<Opened> {
    let uri: http::Uri = url.parse().map_err(|_| "this is not a URL".to_owned())?;
    let secure = match uri.scheme_str() {
        Some("ws") => false,
        Some("wss") => true,
        _ => return Err("the URL must begin with ws:// or wss://".into()),
    };
    let host = uri.host().ok_or("the URL has no host")?;
    let tcp = tcp(host, uri.port_u16().unwrap_or(if secure { 443 } else { 80 }))?;
    let end = tcp.try_clone().map_err(|e| e.to_string())?;
    let wire = if secure { tls(host, tcp)? } else { Wire::Clear(tcp) };
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_WEBSOCKET_FRAME_BYTES))
        .max_frame_size(Some(MAX_WEBSOCKET_FRAME_BYTES));
    let (socket, answer) = tungstenite::client::client_with_config(url, wire, Some(config))
        .map_err(|e| e.to_string())?;
    let text = |v: &http::HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
    let headers = answer.headers().iter().map(|(k, v)| (k.as_str().to_owned(), text(v))).collect();
    let body = answer.body().clone().unwrap_or_default();
    Ok((socket, end, Response { status: answer.status(), headers, body }))
}

/// Reads frames until the socket or the queue closes. A silent peer is asked once per deadline whether it is there.
fn pump(mut socket: WebSocket<Wire>, frames: &Queue) {
    let mut asked = false;
    loop {
        let data = match socket.read() {
            Ok(Message::Text(t)) => Some(Plain::str(t.as_str())),
            Ok(Message::Binary(b)) => Some(Plain::str(&b)),
            Ok(Message::Close(_)) => return,
            Ok(_) => None,
            Err(tungstenite::Error::Io(e)) if !asked && is_timeout(&e) => {
                asked = true;
                if socket.send(Message::Ping(Vec::new().into())).is_err() {
                    return;
                }
                continue;
            }
            Err(_) => return,
        };
        asked = false;
        if data.is_some_and(|d| block_on(frames.send(d)).is_err()) {
            return;
        }
    }
}

fn is_timeout(e: &std::io::Error) -> bool {
    matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

fn start(socket: WebSocket<Wire>, tcp: TcpStream) -> Failable<Stream> {
    let frames = Arc::new(Queue::new(Some(WEBSOCKET_QUEUE_FRAMES)));
    let theirs = frames.clone();
    if OPEN.fetch_add(1, Ordering::AcqRel) >= MAX_WEBSOCKETS {
        OPEN.fetch_sub(1, Ordering::AcqRel);
        return Err(format!("{MAX_WEBSOCKETS} websockets are open already"));
    }
    let thread = std::thread::Builder::new().name("websocket".into()).spawn(move || {
        pump(socket, &theirs);
        theirs.close();
        OPEN.fetch_sub(1, Ordering::AcqRel);
    });
    match thread {
        Ok(_) => Ok(Stream { frames, tcp }),
        Err(e) => {
            OPEN.fetch_sub(1, Ordering::AcqRel);
            Err(e.to_string())
        }
    }
}

fn disconnected() -> Error {
    Error::runtime("the websocket is disconnected")
}

impl UserData for Stream {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_async_method("recv", |lua, s: UserDataRef<Self>, ()| async move {
            let got = s.frames.recv(1).await.map_err(Error::runtime)?;
            from_plain(&lua, got.first().ok_or_else(disconnected)?)
        });
        methods.add_async_method("recv_batch", |lua, s: UserDataRef<Self>, v: Value| async move {
            let span = Duration::parse(&to_plain(&v)?, &mut Notes::default());
            let span = span.map_err(Error::runtime)?;
            let ctx = vm::ctx(&lua)?;
            let until = Instant::now() + span;
            let mut batch: Vec<Plain> = Vec::new();
            let mut timer = std::pin::pin!(ctx.sleep(span));
            while Instant::now() < until && batch.len() < WEBSOCKET_QUEUE_FRAMES {
                let receiving = std::pin::pin!(s.frames.recv(WEBSOCKET_QUEUE_FRAMES - batch.len()));
                match select(receiving, timer.as_mut()).await {
                    Either::Left((got, _)) => match got.map_err(Error::runtime)? {
                        got if !got.is_empty() => batch.extend(got),
                        _ if batch.is_empty() => return Err(disconnected()),
                        _ => break,
                    },
                    Either::Right(_) => break,
                }
            }
            from_plain(&lua, &Plain::list(batch))
        });
    }
}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[FnDef::new(
    "kumo.http.connect_websocket",
    "url: string",
    "any",
    "Opens a websocket: the stream, and the answer as a second result.",
)];

pub(crate) fn register(lua: &Lua, http: &Table) -> Result<()> {
    let f = lua.create_async_function(|lua, url: String| async move {
        let shown = url.split('?').next().unwrap_or("").to_owned();
        let failed =
            |e: String| Error::runtime(format!("kumo.http.connect_websocket: {shown}: {e}"));
        let shared = vm::ctx(&lua)?.shared.clone();
        let (socket, tcp, answer) =
            shared.helpers().run_for(&shown, move || connect(&url)).await.map_err(failed)?;
        let stream = start(socket, tcp).map_err(failed)?;
        Ok((stream.into_lua(&lua)?, answer.into_lua(&lua)?))
    })?;
    http.set("connect_websocket", f)
}

/// A stream that is closed already, to see what such an object has.
pub(crate) fn sample() -> std::io::Result<impl UserData> {
    let here = std::net::TcpListener::bind("127.0.0.1:0")?;
    let tcp = TcpStream::connect(here.local_addr()?)?;
    Ok(Stream { frames: Arc::new(Queue::new(Some(1))), tcp })
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use serde_json::json;

    /// A server that sends three frames and hangs up.
    fn server() -> std::net::SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut ws = tungstenite::accept(stream).unwrap();
            for text in ["one", "two", "three"] {
                ws.send(tungstenite::Message::text(text)).unwrap();
            }
            let _ = ws.close(None);
            while ws.read().is_ok() {}
        });
        at
    }

    #[test]
    fn frames_arrive_then_the_end_is_an_error() {
        let at = server();
        let got = eval(&format!(
            "local s, r = kumo.http.connect_websocket 'ws://{at}/x'
             local all = {{ r:status_code(), s:recv() }}
             while #all < 4 do
               for _, frame in ipairs(s:recv_batch(30)) do table.insert(all, frame) end
             end
             local ok, e = pcall(s.recv, s)
             table.insert(all, ok)
             return all"
        ));
        assert_eq!(got, json!([101, "one", "two", "three", false]));
    }

    #[test]
    fn what_cannot_be_connected_is_an_error() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let e = eval_err(&format!("kumo.http.connect_websocket 'ws://{free}/?key=secret'"));
        assert!(e.contains("refused") && !e.contains("secret"), "{e}");
        assert!(eval_err("kumo.http.connect_websocket 'http://x/'").contains("ws://"));
    }
}

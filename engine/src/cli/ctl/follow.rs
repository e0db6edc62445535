//! What happens in the engine as it happens, over a websocket: sessions and records.

use super::api::{unreachable, Api, Place};
use ringmta_io::tls::client_config;
use ringmta_policy::trust;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

/// Prints what `shown` makes of each frame until it is interrupted, or nobody reads.
///
/// # Errors
/// The engine cannot be reached, or has ended it.
pub fn follow(
    api: &Api,
    path: &str,
    filter: &Value,
    shown: impl Fn(String) -> Option<String>,
) -> Result<(), String> {
    let place = api.place()?;
    let mut socket = open(api, &place, path)?;
    socket.send(Message::text(filter.to_string())).map_err(|error| error.to_string())?;
    loop {
        let text = match socket.read() {
            Ok(Message::Text(text)) => text.to_string(),
            Ok(Message::Close(frame)) => {
                let why = frame.map(|frame| frame.reason.to_string()).filter(|why| !why.is_empty());
                let why = why.unwrap_or_else(|| "it stops".into());
                return Err(format!("the engine has ended it: {why}"));
            }
            Err(Error::ConnectionClosed) => return Err("the engine has ended it".into()),
            Ok(_) => continue,
            Err(error) => return Err(format!("{}: {error}", place.address)),
        };
        let Some(line) = shown(text) else { continue };
        let mut out = std::io::stdout();
        if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
            return Ok(());
        }
    }
}

/// Bytes to the engine and back, in the clear or by TLS.
trait Bytes: Read + Write {}
impl<T: Read + Write> Bytes for T {}

/// Opens the websocket. A certificate is believed as by all other requests.
fn open(api: &Api, place: &Place, path: &str) -> Result<WebSocket<Box<dyn Bytes>>, String> {
    let Place { host, address, prefix, secure } = place;
    let unreachable = |error: std::io::Error| unreachable(address, &error.to_string());
    let stream = TcpStream::connect(address).map_err(unreachable)?;
    let stream: Box<dyn Bytes> = match secure {
        false => Box::new(stream),
        true => {
            let name = ServerName::try_from(host.clone());
            let name = name.map_err(|error| format!("{host}: {error}"))?;
            let config = client_config(Some(trust::roots()))?;
            let tls = ClientConnection::new(config, name).map_err(|error| error.to_string())?;
            let mut tls = StreamOwned::new(tls, stream);
            // The handshake by itself, so that what is wrong with a certificate is not told as something of the websocket.
            tls.conn.complete_io(&mut tls.sock).map_err(unreachable)?;
            Box::new(tls)
        }
    };
    let scheme = if *secure { "wss" } else { "ws" };
    let url = format!("{scheme}://{address}{prefix}{path}");
    let mut request = url.into_client_request().map_err(|error| error.to_string())?;
    if let Some(who) = api.authorization() {
        let value = HeaderValue::from_str(who).map_err(|error| error.to_string())?;
        request.headers_mut().insert("authorization", value);
    }
    let opened = tungstenite::client(request, stream);
    opened.map(|(socket, _)| socket).map_err(|error| refused(api, error))
}

/// Why the engine did not open it.
fn refused<R: tungstenite::handshake::HandshakeRole>(
    api: &Api,
    error: HandshakeError<R>,
) -> String {
    let HandshakeError::Failure(Error::Http(response)) = error else {
        return format!("{error}; is this the engine's HTTP listener?");
    };
    let text = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    api.refused(response.status(), &text)
}

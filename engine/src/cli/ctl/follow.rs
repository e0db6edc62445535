//! What happens in the engine as it happens, over a websocket: sessions and records.

use super::api::Api;
use serde_json::Value;
use std::io::Write;
use std::net::TcpStream;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::{Error, HandshakeError, Message};

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
    let (address, secure) = api.address()?;
    if secure {
        return Err("what happens is followed over http:// only".into());
    }
    let stream = TcpStream::connect(&address).map_err(|error| {
        format!("{address}: {error}; is the engine running, and is this its HTTP listener?")
    })?;
    let url = format!("ws://{address}{path}");
    let mut request = url.into_client_request().map_err(|error| error.to_string())?;
    if let Some(who) = api.authorization() {
        let value = HeaderValue::from_str(who).map_err(|error| error.to_string())?;
        request.headers_mut().insert("authorization", value);
    }
    let (mut socket, _) =
        tungstenite::client(request, stream).map_err(|error| refused(api, error))?;
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
            Err(error) => return Err(format!("{address}: {error}")),
        };
        let Some(line) = shown(text) else { continue };
        let mut out = std::io::stdout();
        if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
            return Ok(());
        }
    }
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

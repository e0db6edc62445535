//! One connection to a next hop: bytes over it, each wait with its deadline.

use super::reply::{ReplyReader, Response};
use crate::io::{deadline, Conn};
use std::time::Duration;

/// A failure of the connection itself; its words end up in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// The peer has gone, or the network failed.
    Lost(String),
    /// The peer is there but did not do its part in time.
    Late(String),
    /// The peer does not speak SMTP, or said it is closing.
    Wrong(String),
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Broken::Lost(why) | Broken::Late(why) | Broken::Wrong(why) => f.write_str(why),
        }
    }
}

/// A connection and what has been received over it.
pub struct Wire {
    /// The socket, plain or TLS.
    pub conn: Conn,
    reader: ReplyReader,
    chunk: Vec<u8>,
}

impl Wire {
    /// A fresh connection.
    pub fn new(conn: Conn) -> Wire {
        Wire { conn, reader: ReplyReader::default(), chunk: vec![0; 4096] }
    }

    /// Sends `data` within `limit`.
    ///
    /// # Errors
    /// What broke, naming `phase`.
    pub async fn send(&mut self, data: &[u8], limit: Duration, phase: &str) -> Result<(), Broken> {
        match deadline(limit, self.conn.write_all(data)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Broken::Lost(format!("{phase}: {error}"))),
            Err(_) => Err(Broken::Late(format!("{phase}: could not send within {limit:?}"))),
        }
    }

    /// The next reply, all of it within `limit`, however slowly its bytes come.
    ///
    /// # Errors
    /// What broke, naming `phase`.
    pub async fn reply(&mut self, limit: Duration, phase: &str) -> Result<Response, Broken> {
        match deadline(limit, self.read_reply()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(Broken::Wrong(why))) => Err(Broken::Wrong(format!("{phase}: {why}"))),
            Ok(Err(broken)) => Err(Broken::Lost(format!("{phase}: {broken}"))),
            Err(_) => Err(Broken::Late(format!("{phase}: no whole reply within {limit:?}"))),
        }
    }

    async fn read_reply(&mut self) -> Result<Response, Broken> {
        loop {
            let reply = self.reader.next_reply();
            if let Some(response) = reply.map_err(|fault| Broken::Wrong(fault.to_string()))? {
                return Ok(response);
            }
            match self.conn.read(&mut self.chunk).await {
                Ok(0) => return Err(Broken::Lost("connection closed by the peer".into())),
                Ok(count) => self.reader.push(&self.chunk[..count]),
                Err(error) => return Err(Broken::Lost(error.to_string())),
            }
        }
    }

    /// Sends one command and waits for its reply; each within `limit`.
    ///
    /// # Errors
    /// What broke, naming the command.
    pub async fn command(&mut self, command: &str, limit: Duration) -> Result<Response, Broken> {
        let phase = command.trim_end();
        self.send(command.as_bytes(), limit, phase).await?;
        let mut response = self.reply(limit, phase).await?;
        response.command = Some(command.to_string());
        Ok(response)
    }

    /// Takes the socket out for a handshake. What the peer said ahead of it is dropped with the
    /// reader: it must not count as said under TLS (CVE-2021-38371).
    pub fn into_conn(self) -> Conn {
        self.conn
    }

    /// Whether the peer has said something unasked, such as 421 before it closes.
    pub fn unasked(&self) -> bool {
        !self.reader.is_empty()
    }
}

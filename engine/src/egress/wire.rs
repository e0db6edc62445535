//! One connection to a next hop: bytes over it, each wait with its deadline.

use super::reply::{ReplyReader, Response};
use crate::io::{deadline, Conn};
use std::time::Duration;

/// A failure of the connection itself, in words that end up in a record.
pub type Broken = String;

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
            Ok(Err(error)) => Err(format!("{phase}: {error}")),
            Err(_) => Err(format!("{phase}: could not send within {limit:?}")),
        }
    }

    /// The next reply, all of it within `limit`, however slowly its bytes come.
    ///
    /// # Errors
    /// What broke, naming `phase`.
    pub async fn reply(&mut self, limit: Duration, phase: &str) -> Result<Response, Broken> {
        match deadline(limit, self.read_reply()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(why)) => Err(format!("{phase}: {why}")),
            Err(_) => Err(format!("{phase}: no whole reply within {limit:?}")),
        }
    }

    async fn read_reply(&mut self) -> Result<Response, Broken> {
        loop {
            if let Some(response) = self.reader.next_reply().map_err(|fault| fault.to_string())? {
                return Ok(response);
            }
            match self.conn.read(&mut self.chunk).await {
                Ok(0) => return Err("connection closed by the peer".into()),
                Ok(count) => self.reader.push(&self.chunk[..count]),
                Err(error) => return Err(error.to_string()),
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

//! One connection to a next hop: bytes over it, each wait with its deadline.

use crate::limits;
use crate::tap::Tap;
use futures::io::AsyncRead;
use ringmta_io::sim::planted::{is_planted, Bug};
use ringmta_io::{deadline, mono_nanos, Conn};
use ringmta_shard::trace::Seen;
use ringmta_smtp::client::broken::Broken;
use ringmta_smtp::response::{ReplyReader, Response};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

/// A connection and what has been received over it.
pub struct Wire {
    /// The socket, plain or TLS.
    pub conn: Conn,
    reader: ReplyReader,
    chunk: Vec<u8>,
    tap: Tap,
}

impl Wire {
    /// A fresh connection.
    pub fn new(conn: Conn, tap: Tap) -> Wire {
        Wire { conn, reader: ReplyReader::default(), chunk: vec![0; 4096], tap }
    }

    /// Sends `data`. `limit` is for each step forward (RFC 5321 section 4.5.3.2.5), so that a slow peer gets a
    /// large message; one that takes less than [`limits::EGRESS_BYTES_PER_SECOND_MIN`] on the whole does not.
    ///
    /// # Errors
    /// What broke, naming `phase`.
    pub async fn send(&mut self, data: &[u8], limit: Duration, phase: &str) -> Result<(), Broken> {
        self.tap.wrote(data, phase);
        let least = data.len() as u64 / limits::EGRESS_BYTES_PER_SECOND_MIN;
        let end =
            mono_nanos().saturating_add((limit + Duration::from_secs(least)).as_nanos() as u64);
        // The first step ends before `end` in any case.
        let (mut rest, mut step_limit) = (data, limit);
        loop {
            let step = match rest.is_empty() {
                true => deadline(step_limit, self.conn.flush()).await.map(|done| done.map(|()| 0)),
                false => deadline(step_limit, self.conn.write(rest)).await,
            };
            match step {
                Ok(Ok(_)) if rest.is_empty() => return Ok(()),
                Ok(Ok(0)) => {
                    return Err(Broken::Lost(format!("{phase}: the connection takes nothing")))
                }
                Ok(Ok(sent)) => rest = &rest[sent..],
                Ok(Err(error)) => return Err(Broken::Lost(format!("{phase}: {error}"))),
                Err(_) => {
                    let (sent, all) = (data.len() - rest.len(), data.len());
                    let what = format!("{phase}: the peer took {sent} of {all} bytes in time");
                    return Err(Broken::Late(what));
                }
            }
            // Without TLS what was written is with the system: there is nothing to flush, and no clock to ask.
            if rest.is_empty() && matches!(self.conn, Conn::Plain(_)) {
                return Ok(());
            }
            step_limit = limit.min(Duration::from_nanos(end.saturating_sub(mono_nanos())));
        }
    }

    /// The next reply, all of it within `limit`, however slowly its bytes come.
    ///
    /// # Errors
    /// What broke.
    pub async fn reply(&mut self, limit: Duration) -> Result<Response, Broken> {
        match deadline(limit, self.read_reply()).await {
            Ok(result) => result,
            Err(_) => Err(Broken::Late(format!("no whole reply within {limit:?}"))),
        }
    }

    async fn read_reply(&mut self) -> Result<Response, Broken> {
        loop {
            let reply = self.reader.next_reply();
            if let Some(response) = reply.map_err(|fault| Broken::Wrong(fault.to_string()))? {
                self.told(&response);
                return Ok(response);
            }
            match self.conn.read(&mut self.chunk).await {
                Ok(0) => return Err(Broken::Lost("Connection closed by peer".into())),
                Ok(count) => self.reader.push(&self.chunk[..count]),
                Err(error) => return Err(Broken::Lost(error.to_string())),
            }
        }
    }

    /// Tells those who watch of a reply.
    fn told(&self, response: &Response) {
        if self.tap.is_watched() {
            self.tap.tell(&Seen::Read(&format!("{}\r\n", response.to_text())));
        }
    }

    /// Sends one command and waits for its reply; each within `limit`.
    ///
    /// # Errors
    /// What broke, naming the command.
    pub async fn command(&mut self, command: &str, limit: Duration) -> Result<Response, Broken> {
        let phase = command.trim_end();
        self.send(command.as_bytes(), limit, phase).await?;
        let mut response = self.reply(limit).await?;
        response.command = Some(command.to_string());
        Ok(response)
    }

    /// Takes the socket out for a handshake. What the peer said ahead of it is dropped with the
    /// reader: it must not count as said under TLS (CVE-2021-38371).
    pub fn into_conn(self) -> (Conn, Tap) {
        (self.conn, self.tap)
    }

    /// What the peer has said, or done, that nothing asked for: looked for without waiting.
    pub async fn unasked(&mut self) -> Option<Unasked> {
        if is_planted(Bug::OutOfStepGoesOn) {
            return None;
        }
        if let Some(said) = self.said() {
            return Some(said);
        }
        let (conn, chunk) = (&mut self.conn, &mut self.chunk);
        let read = std::future::poll_fn(|cx| {
            Poll::Ready(match Pin::new(&mut *conn).poll_read(cx, chunk) {
                Poll::Ready(read) => Some(read),
                Poll::Pending => None,
            })
        });
        match read.await? {
            Ok(0) => Some(Unasked::Closed),
            Ok(count) => {
                self.reader.push(&self.chunk[..count]);
                self.said()
            }
            Err(_) => Some(Unasked::Closed),
        }
    }

    fn said(&mut self) -> Option<Unasked> {
        if self.reader.is_empty() {
            return None;
        }
        Some(match self.reader.next_reply() {
            Ok(Some(reply)) if reply.code == 421 => Unasked::Closing(reply),
            Ok(Some(reply)) => Unasked::Said(format!("{} {}", reply.code, reply.joined())),
            _ => Unasked::Said("a part of a reply".into()),
        })
    }
}

/// What a peer said or did without being asked.
#[derive(Debug)]
pub enum Unasked {
    /// It has closed the connection.
    Closed,
    /// It is about to (RFC 5321 section 3.8).
    Closing(Response),
    /// Something else.
    Said(String),
}

//! Lines over a connection, for those who talk to the engine.

use ringmta_io::limits::DISK_TIMEOUT_SECS;
use ringmta_io::sim::exec::Node;
use ringmta_io::{deadline, Conn, Stream};
use std::net::SocketAddr;
use std::time::Duration;

/// Longest anyone waits for the engine: longer than its disk deadline and its clients' patience.
const PATIENCE: Duration = Duration::from_secs(3 * DISK_TIMEOUT_SECS);

/// A connection, and what came over it.
pub struct Wire {
    conn: Conn,
    buffer: Vec<u8>,
}

impl Wire {
    /// Over an accepted connection.
    pub fn new(stream: Stream) -> Wire {
        Wire { conn: Conn::Plain(stream), buffer: Vec::new() }
    }

    /// Connects to `to`.
    ///
    /// # Errors
    /// As connect(2).
    pub async fn connect(to: SocketAddr) -> std::io::Result<Wire> {
        Ok(Wire::new(deadline(PATIENCE, Stream::connect(to, None)).await??))
    }

    /// The machine at the other end, while it holds its end.
    pub fn peer(&self) -> Option<Node> {
        match &self.conn {
            Conn::Plain(Stream::Sim(stream)) => stream.peer_node(),
            _ => None,
        }
    }

    async fn more(&mut self) -> std::io::Result<()> {
        let mut chunk = [0; 4096];
        let count = deadline(PATIENCE, self.conn.read(&mut chunk)).await??;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.buffer.extend_from_slice(&chunk[..count]);
        Ok(())
    }

    /// The next line, without its end.
    ///
    /// # Errors
    /// As recv(2); at the end of the stream.
    pub async fn line(&mut self) -> std::io::Result<String> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            self.more().await?;
        }
    }

    /// The next reply: its code, and the text of its last line.
    ///
    /// # Errors
    /// As recv(2); at the end of the stream.
    pub async fn reply(&mut self) -> std::io::Result<(u16, String)> {
        loop {
            let line = self.line().await?;
            if line.as_bytes().get(3) != Some(&b'-') {
                let code = line.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0);
                return Ok((code, line.get(4..).unwrap_or("").to_string()));
            }
        }
    }

    /// Message data up to the final dot, dots unstuffed.
    ///
    /// # Errors
    /// As recv(2); at the end of the stream.
    pub async fn data(&mut self) -> std::io::Result<Vec<u8>> {
        let mut data = Vec::new();
        loop {
            let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n") else {
                self.more().await?;
                continue;
            };
            let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
            match line.as_slice() {
                b".\r\n" => return Ok(data),
                [b'.', rest @ ..] => data.extend_from_slice(rest),
                whole => data.extend_from_slice(whole),
            }
        }
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// As recv(2); at the end of the stream.
    pub async fn bytes(&mut self, count: usize) -> std::io::Result<Vec<u8>> {
        while self.buffer.len() < count {
            self.more().await?;
        }
        Ok(self.buffer.drain(..count).collect())
    }

    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// As send(2).
    pub async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        deadline(PATIENCE, self.conn.write_all(bytes)).await?
    }

    /// Ends our half.
    ///
    /// # Errors
    /// As shutdown(2).
    pub async fn end_half(&mut self) -> std::io::Result<()> {
        deadline(PATIENCE, self.conn.close()).await?
    }
}

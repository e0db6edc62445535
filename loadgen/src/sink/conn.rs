//! One connection of a sink: socket, dialogue, replies on their way.

use super::desk::Desk;
use super::session::{Next, Session};
use crate::limits;
use crate::wire::Wire;
use rustls::ServerConnection;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Instant;

/// What became of a connection after some input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It goes on.
    Open,
    /// A reply is to be held back from now on.
    Paused,
    /// It is over.
    Closed,
}

/// Why a connection cannot go on.
#[derive(Debug)]
pub enum Trouble {
    /// The peer or the network.
    Connection,
    /// Ours: ledger or message cannot be written.
    Fatal(io::Error),
}

/// A connection.
#[derive(Debug)]
pub struct Conn {
    /// The socket.
    pub wire: Wire,
    /// Tells this connection from others that have had the same place.
    pub serial: u64,
    /// When the client was last heard of.
    pub heard: Instant,
    session: Session,
    out: Vec<u8>,
    sent: usize,
    /// Input that came while a reply was held back.
    held: Vec<u8>,
    paused: bool,
    /// The replies are out, then the connection ends.
    closing: bool,
}

impl Conn {
    /// Takes an accepted connection and greets it.
    #[must_use]
    pub fn new(wire: Wire, serial: u64, desk: &Desk) -> Self {
        let mut conn = Self {
            wire,
            serial,
            heard: desk.now,
            session: Session::default(),
            out: Vec::new(),
            sent: 0,
            held: Vec::new(),
            paused: false,
            closing: false,
        };
        conn.session.greet(desk, &mut conn.out);
        conn
    }

    /// Whether the client may be read from: no reply is held back, and it reads its replies.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        !self.paused && !self.closing && self.out.len() - self.sent < limits::UNREAD_REPLY_BYTES
    }

    /// Whether an end of the connection now breaks something.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.session.is_busy()
    }

    /// Takes input.
    ///
    /// # Errors
    /// When the connection cannot go on.
    pub fn feed(&mut self, mut input: &[u8], desk: &mut Desk) -> Result<After, Trouble> {
        self.heard = desk.now;
        while !input.is_empty() {
            let (used, next) =
                self.session.feed(input, desk, &mut self.out).map_err(Trouble::Fatal)?;
            input = &input[used..];
            match next {
                Next::More => {}
                Next::StartTls => {
                    self.start_tls(desk)?;
                    // What was sent along in plain is not to be trusted (RFC 3207, 4.2).
                    break;
                }
                Next::Pause => {
                    self.paused = true;
                    self.held.extend_from_slice(input);
                    return self.flush().map(|_| After::Paused);
                }
                Next::Close => {
                    self.closing = true;
                    break;
                }
                Next::Drop => return Ok(After::Closed),
            }
        }
        self.flush()
    }

    /// The delay is over: answers, and goes on with what came in the meantime.
    ///
    /// # Errors
    /// When the connection cannot go on.
    pub fn resume(&mut self, desk: &mut Desk) -> Result<After, Trouble> {
        self.paused = false;
        let next = self.session.resume(desk, &mut self.out).map_err(Trouble::Fatal)?;
        self.closing |= next == Next::Close;
        let held = std::mem::take(&mut self.held);
        match self.closing {
            true => self.flush(),
            false => self.feed(&held, desk),
        }
    }

    /// Sends the replies that wait.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn flush(&mut self) -> Result<After, Trouble> {
        while self.sent < self.out.len() {
            match self.wire.write(&[IoSlice::new(&self.out[self.sent..])]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(After::Open),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Trouble::Connection),
            }
        }
        self.out.clear();
        self.sent = 0;
        self.wire.flush().map_err(|_| Trouble::Connection)?;
        if self.closing {
            self.wire.say_goodbye();
            return Ok(After::Closed);
        }
        Ok(After::Open)
    }

    fn start_tls(&mut self, desk: &Desk) -> Result<(), Trouble> {
        self.flush()?;
        let config = desk.tls.as_ref().ok_or(Trouble::Connection)?;
        let connection =
            ServerConnection::new(Arc::clone(config)).map_err(|_| Trouble::Connection)?;
        self.wire.start_tls(connection.into()).map_err(|_| Trouble::Connection)?;
        self.session.after_tls();
        Ok(())
    }
}

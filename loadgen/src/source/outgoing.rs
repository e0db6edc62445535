//! What a connection still has to send: commands, then perhaps a shared message body, then more commands, so that one
//! write can carry them all without copying the body.

use crate::wire::Wire;
use std::io::{self, IoSlice};
use std::sync::Arc;

/// Bytes to send, in order: `head`, `body`, `tail`.
#[derive(Debug, Default)]
pub struct Outgoing {
    head: Vec<u8>,
    body: Option<Arc<[u8]>>,
    tail: Vec<u8>,
    /// Bytes already sent, counted over the three parts.
    sent: usize,
}

impl Outgoing {
    /// Where to append text.
    pub fn text(&mut self) -> &mut Vec<u8> {
        match self.body {
            Some(_) => &mut self.tail,
            None => &mut self.head,
        }
    }

    /// Appends a body. Only one can wait at a time, which the protocol ensures: the reply to one comes before the next.
    pub fn push_body(&mut self, body: Arc<[u8]>) {
        debug_assert!(self.body.is_none());
        self.body = Some(body);
    }

    /// Whether everything was sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.is_empty() && self.body.is_none()
    }

    /// A copy of all that waits, for tests of what is sent.
    #[cfg(test)]
    pub fn everything(&self) -> Vec<u8> {
        [&self.head[..], self.body.as_deref().unwrap_or_default(), &self.tail].concat()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.head.clear();
        self.body = None;
        self.tail.clear();
        self.sent = 0;
    }

    /// Sends as much as the connection takes; `true` when that was all.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn send(&mut self, wire: &mut Wire) -> io::Result<bool> {
        while !self.is_empty() {
            match self.write(wire) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            let body = self.body.as_ref().map_or(0, |body| body.len());
            if self.sent >= self.head.len() + body + self.tail.len() {
                self.clear();
            }
        }
        Ok(true)
    }

    fn write(&self, wire: &mut Wire) -> io::Result<usize> {
        let mut skip = self.sent;
        let mut rest = |part: &[u8]| {
            let from = skip.min(part.len());
            skip -= from;
            from
        };
        let head = &self.head[rest(&self.head)..];
        let Some(body) = &self.body else {
            return wire.write(&[IoSlice::new(head)]);
        };
        let body = &body[rest(body)..];
        let tail = &self.tail[rest(&self.tail)..];
        wire.write(&[IoSlice::new(head), IoSlice::new(body), IoSlice::new(tail)])
    }
}

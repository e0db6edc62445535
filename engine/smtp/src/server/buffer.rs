//! The receive buffer of one connection.

use crate::limits::{COMMAND_BUFFER_BYTES, QUIET_BUFFER_BYTES};

/// Bytes received and not yet taken. Small while a session idles, larger while data flows.
#[derive(Debug, Default)]
pub struct RecvBuf {
    data: Vec<u8>,
    start: usize,
    end: usize,
}

impl RecvBuf {
    /// An empty buffer; memory is taken at the first [`RecvBuf::space`].
    pub fn new() -> RecvBuf {
        RecvBuf::default()
    }

    /// What has been received and not yet consumed.
    pub fn bytes(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    /// Takes `count` bytes from the front.
    pub fn consume(&mut self, count: usize) {
        self.start += count.min(self.end - self.start);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Drops everything received: what came in the clear with STARTTLS must not be read as if it
    /// had come under TLS (RFC 3207 section 4.2).
    pub fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// Room to receive into: at least a command buffer, `want` bytes when data is expected.
    pub fn space(&mut self, want: usize) -> &mut [u8] {
        self.room(want.max(COMMAND_BUFFER_BYTES))
    }

    /// Room for the first bytes of a session that has gone quiet. The rest of the buffer is given back, if nothing
    /// is in it: what an idle session holds is what bounds how many there may be.
    pub fn quiet_space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            *self = RecvBuf::default();
        }
        self.room(QUIET_BUFFER_BYTES)
    }

    fn room(&mut self, want: usize) -> &mut [u8] {
        if self.data.len() - self.end < want / 2 {
            self.data.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.data.len() - self.end < want / 2 {
                self.data.resize(self.end + want, 0);
            }
        }
        &mut self.data[self.end..]
    }

    /// Says how many bytes of the space were filled.
    pub fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.data.len());
    }

    /// Puts bytes in directly, as a socket would (tests, fuzzing).
    pub fn push(&mut self, bytes: &[u8]) {
        self.space(bytes.len() * 2)[..bytes.len()].copy_from_slice(bytes);
        self.filled(bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_over_growth_and_consumption() {
        let mut buf = RecvBuf::new();
        let mut expected = Vec::new();
        for round in 0..200u32 {
            let chunk: Vec<u8> = (0..(round * 37) % 5000).map(|i| (i % 251) as u8).collect();
            buf.push(&chunk);
            expected.extend_from_slice(&chunk);
            let take = expected.len() / 3;
            assert_eq!(&buf.bytes()[..take], &expected[..take]);
            buf.consume(take);
            expected.drain(..take);
        }
        assert_eq!(buf.bytes(), &expected[..]);
    }

    #[test]
    fn a_quiet_session_gives_its_memory_back_and_goes_on() {
        let mut buf = RecvBuf::new();
        buf.push(&vec![1; 200_000]);
        buf.consume(200_000);
        assert_eq!(buf.quiet_space().len(), QUIET_BUFFER_BYTES);
        assert_eq!(buf.data.capacity(), QUIET_BUFFER_BYTES);
        buf.push(b"NOOP\r\n");
        assert_eq!(buf.bytes(), b"NOOP\r\n");
        assert!(buf.space(0).len() >= COMMAND_BUFFER_BYTES / 2);
    }

    #[test]
    fn what_a_quiet_session_has_sent_of_a_line_stays() {
        let mut buf = RecvBuf::new();
        buf.push(b"NO");
        assert!(buf.quiet_space().len() >= QUIET_BUFFER_BYTES / 2);
        assert_eq!(buf.bytes(), b"NO");
    }
}

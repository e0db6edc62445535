//! One non-blocking connection, plain or encrypted. TLS is driven by hand: bytes in, bytes out, no runtime.

use crate::limits;
use mio::net::TcpStream;
use rustls::Connection;
use std::io::{self, IoSlice, Read, Write};

/// A TCP stream that may turn into TLS once.
#[derive(Debug)]
pub struct Wire {
    tcp: TcpStream,
    tls: Option<Box<Connection>>,
}

impl Wire {
    /// A plain connection.
    #[must_use]
    pub fn plain(tcp: TcpStream) -> Self {
        Self { tcp, tls: None }
    }

    /// The socket, to register it with a poll.
    pub fn socket(&mut self) -> &mut TcpStream {
        &mut self.tcp
    }

    /// Whether TLS was started.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// From here on everything is encrypted. The handshake runs along with the reads and writes that follow;
    /// what is written before it is over waits in rustls.
    ///
    /// # Errors
    /// When the connection fails while the first flight is sent.
    pub fn start_tls(&mut self, mut connection: Connection) -> io::Result<()> {
        connection.set_buffer_limit(Some(limits::TLS_BUFFER_BYTES));
        self.tls = Some(Box::new(connection));
        self.flush()
    }

    /// Whether a read of `count` bytes into a buffer of `capacity` shows that nothing more is waiting. (A short
    /// read from a socket does, see epoll(7); TLS hands out record by record.)
    #[must_use]
    pub fn drained(&self, count: usize, capacity: usize) -> bool {
        self.tls.is_none() && count < capacity
    }

    /// Reads what is there; `Ok(0)` is the end of the stream.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there yet; otherwise the connection is broken.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.tcp.read(buffer);
        };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Many mail servers close without TLS's own goodbye: that is an end like any other here.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                done => return done,
            }
            if tls.read_tls(&mut self.tcp)? == 0 {
                return Ok(0);
            }
            let processed = tls.process_new_packets();
            flush(tls, &mut self.tcp)?;
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }

    /// Writes as much as the connection takes now, and tells how much that was.
    ///
    /// # Errors
    /// `WouldBlock` when it takes nothing; otherwise the connection is broken.
    pub fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return match slices {
                // The common case, spared the vector.
                [one] => self.tcp.write(one),
                many => self.tcp.write_vectored(many),
            };
        };
        // Makes room first, so that a full buffer is found full only when the socket is.
        flush(tls, &mut self.tcp)?;
        let mut written = 0;
        for slice in slices {
            let count = tls.writer().write(slice)?;
            written += count;
            if count < slice.len() {
                break;
            }
        }
        flush(tls, &mut self.tcp)?;
        if written == 0 && slices.iter().any(|slice| !slice.is_empty()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(written)
    }

    /// Sends encrypted bytes that were held back.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => flush(tls, &mut self.tcp),
            None => Ok(()),
        }
    }

    /// Says goodbye in TLS's way, as far as the socket takes it now.
    pub fn say_goodbye(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            // The connection ends either way.
            let _ = flush(tls, &mut self.tcp);
        }
    }
}

/// Sends what rustls holds until the socket takes no more.
fn flush(tls: &mut Connection, tcp: &mut TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        match tls.write_tls(tcp) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

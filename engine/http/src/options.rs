//! Limits and deadlines of a server.

use crate::limits;
use ringmta_io::tls::ServerTls;
use std::sync::Arc;
use std::time::Duration;

/// Limits and deadlines of a server's connections.
#[derive(Clone)]
pub struct Options {
    /// Bytes of a request body; more is answered 413.
    pub body_limit: usize,
    /// Open connections of one listener; a further one is answered 503.
    pub connections: usize,
    /// Longest a kept-alive connection may rest between two requests.
    pub idle: Duration,
    /// Longest a request head may take from its first byte.
    pub head: Duration,
    /// Longest a request body may take.
    pub body: Duration,
    /// Longest a client may leave our bytes unread.
    pub write: Duration,
    /// TLS, when the listener speaks HTTPS.
    pub tls: Option<Arc<ServerTls>>,
}

impl Options {
    /// The limits of `limits.rs` with this body limit and number of connections.
    pub fn new(body_limit: usize, connections: usize) -> Options {
        Options {
            body_limit,
            connections,
            idle: Duration::from_secs(limits::HTTP_IDLE_SECS),
            head: Duration::from_secs(limits::HTTP_HEAD_SECS),
            body: Duration::from_secs(limits::HTTP_BODY_SECS),
            write: Duration::from_secs(limits::HTTP_WRITE_SECS),
            tls: None,
        }
    }
}

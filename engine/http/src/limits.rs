//! Numeric limits of the HTTP server: each with its unit in its name and its reason beside it. A limit an operator
//! may set has its default in the option tables; what is here cannot be exceeded by any policy.

/// When a client may try again that was told that memory is used up, seconds.
pub const RETRY_AFTER_SECS: u64 = 10;
/// HTTP request head and idle deadline.
pub const HTTP_IDLE_SECS: u64 = 60;
/// Longest a client may take over one request head, counted from its first byte.
pub const HTTP_HEAD_SECS: u64 = 15;
/// Longest a client may take over one request body.
pub const HTTP_BODY_SECS: u64 = 120;
/// Longest a client may leave our answer unread before it is cut off.
pub const HTTP_WRITE_SECS: u64 = 30;
/// Bytes of one request head; more is answered 431. Also the receive buffer of a connection.
pub const HTTP_HEAD_BYTES: usize = 64 * 1024;
/// Bytes read from the socket at once.
pub const HTTP_READ_BYTES: usize = 16 * 1024;
/// The same for a client's connection: answers to what policies ask are short.
pub const HTTP_CLIENT_READ_BYTES: usize = 4 * 1024;
/// Bytes around one byte of an answer's content: a chunk of one byte with the longest line of its size that is taken (20), and
/// two ends of lines.
pub const HTTP_CHUNK_OVERHEAD_BYTES: usize = 24;
/// Longest one address of a server may take to accept a connection, seconds; then the next is tried.
pub const HTTP_CONNECT_SECS: u64 = 20;
/// Longest a connection that is refused may take to receive why, milliseconds.
pub const HTTP_LAST_WORDS_MS: u64 = 1000;
/// Pause after a failed accept (usually: out of file descriptors).
pub const ACCEPT_PAUSE_MS: u64 = 100;

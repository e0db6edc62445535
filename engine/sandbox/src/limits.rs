//! Numeric limits of the sandbox inbox and the webhook receiver: each with its unit in its name and its reason beside it. A limit an operator
//! may set has its default in the option tables; what is here cannot be exceeded by any policy.

/// Messages the sandbox keeps when it is not told otherwise (what Mailpit keeps).
pub const SANDBOX_MESSAGES: usize = 500;
/// Bytes of all messages the sandbox keeps; the newest message stays whatever its size.
pub const SANDBOX_BYTES: usize = 256 * 1024 * 1024;
/// Text of one message that can be searched; what comes later in a message is not found.
pub const SANDBOX_SEARCH_TEXT_BYTES: usize = 256 * 1024;
/// Characters of a message's snippet in lists.
pub const SANDBOX_SNIPPET_CHARS: usize = 250;
/// Terms of one search; more is answered 400.
pub const SANDBOX_SEARCH_TERMS: usize = 64;
/// Depth of nested MIME parts that are listed.
pub const SANDBOX_PART_DEPTH: usize = 32;
/// Bytes of a file with a private key that are read.
pub const SANDBOX_KEY_BYTES: u64 = 64 * 1024;
/// Envelope recipients of a message in lists.
pub const SANDBOX_LISTED_RECIPIENTS: usize = 5;
/// Depth of messages within messages that the page opens.
pub const SANDBOX_NESTED_MESSAGES: usize = 8;
/// Bytes of HTML that are searched for the names of inline images, over all images of a message.
pub const SANDBOX_INLINE_SEARCH_BYTES: usize = 1 << 28;
/// Parts of one message that are listed, hashed and shown; those behind them are in its source.
pub const SANDBOX_PARTS: usize = 1000;
/// Messages of a list when no `limit` is given (what Mailpit gives).
pub const SANDBOX_LIST_DEFAULT: usize = 50;
/// Bytes of a request body, `send` excepted (what Mailpit takes).
pub const SANDBOX_BODY_BYTES: usize = 5 * 1024 * 1024;
/// Bytes of a `send` request: a message of the largest size, its attachments in base64.
pub const SANDBOX_SEND_BYTES: usize = 70 * 1024 * 1024;
/// Bytes of inline images that are put into one HTML view.
pub const SANDBOX_INLINE_BYTES: usize = 20 * 1024 * 1024;
/// Open HTTP connections of the sandbox's web or of the webhook receiver.
pub const SANDBOX_CONNECTIONS: usize = 512;
/// Open SMTP sessions of the sandbox.
pub const SANDBOX_SESSIONS: usize = 1024;
/// Messages of one sandbox session: as good as no limit.
pub const SANDBOX_SESSION_MESSAGES: usize = 1_000_000;
/// Longest line of data the sandbox takes. Long lines are the sender's fault to find, so they
/// are shown rather than refused.
pub const SANDBOX_LINE_BYTES: usize = 1024 * 1024;
/// Longest silence of a client in a sandbox session (RFC 5321 section 4.5.3.2 asks for 300).
pub const SANDBOX_SESSION_IDLE_SECS: u64 = 300;
/// Longest a `wait` request may wait.
pub const SANDBOX_WAIT_MAX_SECS: u64 = 120;
/// How long a `wait` request waits when it does not say.
pub const SANDBOX_WAIT_SECS: u64 = 10;
/// Events that may wait for one websocket; a reader slower than that is dropped.
pub const SANDBOX_EVENTS_QUEUED: usize = 4096;
/// Shortest time between two `stats` events (four per second, as Mailpit).
pub const SANDBOX_STATS_MS: u64 = 250;
/// Ping interval of a websocket, below the usual 60 s of proxies.
pub const SANDBOX_PING_SECS: u64 = 54;
/// A websocket from which nothing came for this long is dead.
pub const SANDBOX_PONG_SECS: u64 = 120;
/// Longest one websocket message may take to be written.
pub const SANDBOX_SOCKET_WRITE_SECS: u64 = 10;
/// Largest message a websocket client may send; it has nothing to say.
pub const SANDBOX_SOCKET_MESSAGE_BYTES: usize = 4096;
/// Bytes of one POST to the webhook receiver.
pub const RECEIVER_BODY_BYTES: usize = 32 * 1024 * 1024;
/// Events the webhook receiver keeps.
pub const RECEIVER_EVENTS: usize = 2000;
/// Bytes of the events the webhook receiver keeps.
pub const RECEIVER_BYTES: usize = 64 * 1024 * 1024;
/// Longest that telling an event again may take, seconds.
pub const RECEIVER_REPLAY_SECS: u64 = 10;
/// Bytes of the answer to it that are read for its first line.
pub const RECEIVER_REPLAY_ANSWER_BYTES: usize = 16 * 1024;
/// Event types counted one by one; further ones are counted together.
pub const RECEIVER_TYPES: usize = 64;
/// Recipients of one message.
pub const SANDBOX_RECIPIENTS: usize = 16_384;

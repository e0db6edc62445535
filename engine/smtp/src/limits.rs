//! Numeric limits of SMTP, both ways: each with its unit in its name and its reason beside it. A limit an operator
//! may set has its default in the option tables; what is here cannot be exceeded by any policy.

/// A session's receive buffer until its first message: an envelope fits, and 10,000 sessions that have said nothing stay
/// small.
pub const COMMAND_BUFFER_BYTES: usize = 1024;
/// A session's receive buffer while it is quiet: a command line fits (RFC 5321 section 4.5.3.1.4).
pub const QUIET_BUFFER_BYTES: usize = 512;
/// Longest command line that a policy may allow, CRLF not counted.
pub const COMMAND_LINE_BYTES: usize = 2048;
/// Length of a command line that is taken whatever a policy says (RFC 5321 section 4.5.3.1.4, with what extensions add).
pub const COMMAND_LINE_BYTES_MIN: usize = 600;
/// Longest AUTH response line (RFC 4954 section 4 asks for 12,288).
pub const AUTH_LINE_BYTES: usize = 12_288;
/// Protocol errors in one session before it is closed with 421: a scanner or an HTTP client is
/// not a mail client.
pub const SESSION_ERRORS_MAX: u32 = 20;
/// Refusals of policy, since a message was last accepted, before a session is closed with 421: a list of recipients may have
/// many that are suppressed; a client that tries what it finds has nothing else.
pub const SESSION_REFUSALS_MAX: u32 = 100;
/// Refusals of policy whose replies do not wait.
pub const SESSION_REFUSALS_FREE: u32 = 20;
/// How long the replies of further ones wait, milliseconds.
pub const REFUSAL_DELAY_MS: u64 = 50;
/// Wrong passwords of one session before it is closed with 421.
pub const SESSION_GUESSES_MAX: u32 = 5;
/// How long the reply to the first wrong password of a session waits, milliseconds; to the second twice as long, and so on.
pub const AUTH_DELAY_MS: u64 = 250;
/// Wrong passwords of one peer, over all its connections, before it is not listened to: a person's slips and a
/// misconfigured application's first minute fit.
pub const AUTH_GUESSES_PER_PEER: usize = 20;
/// Time in which one wrong password of a peer is forgiven, seconds: a guess every 15 s is 5,760 a day.
pub const AUTH_GUESS_REFILL_SECS: u64 = 15;
/// Peers whose wrong passwords a shard remembers: 65,536 take some megabytes.
pub const AUTH_GUESS_PEERS_MAX: usize = 65_536;
/// Counts of peers that are known at once, for limits per peer: 2 MB.
pub const PEERS_TABLE: usize = 65_536;
/// Places of the table in which a count may lie.
pub const PEERS_NEAR: usize = 8;
/// Largest message a segment can hold with its envelope and metadata.
pub const MESSAGE_BYTES_MAX: usize = 50 * 1024 * 1024;
/// Reply lines a next hop may send for one command.
pub const REPLY_LINES_MAX: usize = 128;
/// Bytes of one reply of a next hop, all lines.
pub const REPLY_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a line that is no reply which are quoted in a record.
pub const REPLY_QUOTE_BYTES_MAX: usize = 200;
/// Longest PROXY header taken: addresses take 232 bytes at most, the rest is what proxies add to them.
pub const PROXY_HEADER_BYTES: usize = 2048;
/// How long a proxy may take for it, seconds: it sends the header at once.
pub const PROXY_HEADER_SECS: u64 = 5;

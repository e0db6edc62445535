//! Numeric limits of the sandbox inbox and the webhook receiver: each with its unit in its name and its reason beside it. A limit an operator
//! may set has its default in the option tables; what is here cannot be exceeded by any policy.

/// Messages the sandbox keeps when it is not told otherwise (what Mailpit keeps).
pub const SANDBOX_MESSAGES: usize = 500;
/// Messages the sandbox keeps at most: of each a few dozen bytes are in memory even where the messages are in a database.
pub const SANDBOX_MESSAGES_MAX: usize = 1_000_000;
/// Messages of one list, where the client asks for more.
pub const SANDBOX_LIST_MAX: usize = 10_000;
/// Bytes of one source in the database, as it is read back: what a message may have.
pub const SANDBOX_PACKED_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Longest a request may wait for the database.
pub const SANDBOX_DATABASE_SECS: u64 = 60;
/// Messages that are written to the database at once.
pub const SANDBOX_ADD_BATCH: usize = 128;
/// Bytes of a page of the database. Several texts of messages of usual size fit into one, so that a look at all of them
/// reads little besides.
pub const SANDBOX_PAGE_BYTES: usize = 16 * 1024;
/// Pages of the database's log before they are copied into the file.
pub const SANDBOX_LOG_PAGES: usize = 2000;
/// Bytes of the index that are gathered in memory before they are written.
pub const SANDBOX_INDEX_BYTES: usize = 16 * 1024 * 1024;
/// Messages whose words go into the index of searches at once.
pub const SANDBOX_INDEX_BATCH: usize = 500;
/// Rest of the database after which they do.
pub const SANDBOX_INDEX_MS: u64 = 200;
/// Messages that tell a search which of its texts most messages have.
pub const SANDBOX_SEARCH_SAMPLE: usize = 64;
/// Bytes of each of their texts that are looked at for it.
pub const SANDBOX_SEARCH_SAMPLE_BYTES: usize = 32 * 1024;
/// Groups of characters, over all texts of a search, that are counted for it.
pub const SANDBOX_SEARCH_GROUPS: usize = 256;
/// Bytes of the database's pages in memory.
pub const SANDBOX_DATABASE_CACHE_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of a message beyond which whatever goes over all of it is done beside the shard: of fewer it takes a millisecond or two.
pub const SANDBOX_BESIDE_BYTES: usize = 256 * 1024;
/// Threads that take long messages apart, at a time: each works with several times what its message has.
pub const SANDBOX_READS: usize = 2;
/// Threads for looks into long messages, at a time; as before.
pub const SANDBOX_LOOKS: usize = 2;
/// Longest who asks for such a look waits for it.
pub const SANDBOX_LOOK_SECS: u64 = 120;
/// Bytes of all messages the sandbox keeps; the newest message stays whatever its size.
pub const SANDBOX_BYTES: usize = 256 * 1024 * 1024;
/// Text of one message that can be searched; what comes later in a message is not found.
pub const SANDBOX_SEARCH_TEXT_BYTES: usize = 256 * 1024;
/// Bytes of one text of a header that is told by itself: a subject, a name, an address. All of it is in the source.
pub const SANDBOX_HEADER_TEXT_BYTES: usize = 64 * 1024;
/// Bytes of such a text in lists.
pub const SANDBOX_LISTED_TEXT_BYTES: usize = 4096;
/// Addresses of one header in lists.
pub const SANDBOX_LISTED_ADDRESSES: usize = 500;
/// Fields of a message's header that are told by name; those behind them are in its source.
pub const SANDBOX_HEADER_FIELDS: usize = 10_000;
/// Fields of a message's header and of all of its parts together that are looked at: some for each part there may be.
pub const SANDBOX_ALL_FIELDS: usize = 500_000;
/// Links of a List-Unsubscribe header.
pub const SANDBOX_UNSUBSCRIBE_LINKS: usize = 100;
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
/// Errors that may wait for one websocket with what else there is; those beyond are not told, lest a client that is wrong all
/// the time cost others their events.
pub const SANDBOX_ERRORS_QUEUED: usize = 64;
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
/// Threads for requests to other servers and for checks, at a time.
pub const SANDBOX_HELPERS: usize = 16;
/// Threads for pictures at a time: each may take [`SANDBOX_PICTURE_BYTES`].
pub const SANDBOX_PICTURES: usize = 2;
/// Longest that work waits for a thread.
pub const SANDBOX_HELPER_WAIT_SECS: u64 = 60;
/// How often it looks for one.
pub const SANDBOX_HELPER_LOOK_MS: u64 = 10;
/// Messages on their way to a relay or a mailbox that nobody waits for; the next one's sender waits.
pub const SANDBOX_RELAYS_WAITING: usize = 64;
/// Longest a mail server may be silent that a message is released to.
pub const SANDBOX_RELAY_SECS: u64 = 30;
/// Longest a webhook's receiver may take.
pub const SANDBOX_WEBHOOK_SECS: u64 = 20;
/// Webhooks on their way or waiting out their delay; those beyond are not sent.
pub const SANDBOX_WEBHOOK_WAITING: usize = 100;
/// Bytes of HTML that are checked.
pub const SANDBOX_HTML_CHECK_BYTES: usize = 5 * 1024 * 1024;
/// Links of one message that are tried.
pub const SANDBOX_LINKS: usize = 200;
/// Bytes of a message's HTML, and of its text, in which links are looked for.
pub const SANDBOX_LINK_SEARCH_BYTES: usize = 5 * 1024 * 1024;
/// Bytes of what is fetched in a reader's stead.
pub const SANDBOX_PROXY_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of its URL.
pub const SANDBOX_PROXY_URL_BYTES: usize = 8192;
/// References of a style sheet that lead through the inbox: each of them grows.
pub const SANDBOX_PROXY_REFERENCES: usize = 1000;
/// How many of them at once.
pub const SANDBOX_LINKS_AT_ONCE: usize = 5;
/// Longest one of them may take, redirects included.
pub const SANDBOX_LINK_SECS: u64 = 10;
/// Redirects that are followed.
pub const SANDBOX_REDIRECTS: u32 = 5;
/// Longest spamd may be silent.
pub const SANDBOX_SPAM_SECS: u64 = 30;
/// Bytes of its answer.
pub const SANDBOX_SPAM_ANSWER_BYTES: u64 = 1024 * 1024;
/// Pixels along one side of a picture that is shown in small.
pub const SANDBOX_PICTURE_SIDE: u32 = 12_000;
/// Bytes such a picture may take while it is read.
pub const SANDBOX_PICTURE_BYTES: u64 = 64 * 1024 * 1024;
/// Longest silence that may be ordered of a session.
pub const SANDBOX_CHAOS_DELAY_MS_MAX: u64 = 600_000;
/// How often old messages are looked for.
pub const SANDBOX_EXPIRE_SECS: u64 = 30;
/// How long a start waits for a Unix socket that somebody listens on, and how often it asks.
pub const SANDBOX_SOCKET_FREE_MS: u64 = 2000;
/// See [`SANDBOX_SOCKET_FREE_MS`].
pub const SANDBOX_SOCKET_ASK_MS: u64 = 20;
/// POP3 sessions at a time.
pub const SANDBOX_POP3_SESSIONS: usize = 64;
/// Bytes of a command line of POP3.
pub const SANDBOX_POP3_LINE_BYTES: usize = 1024;
/// Bytes of a message that are written to a POP3 client before others have their turn.
pub const SANDBOX_POP3_WRITE_BYTES: usize = 64 * 1024;
/// Wrong passwords after which a POP3 session is ended.
pub const SANDBOX_POP3_TRIES: usize = 3;

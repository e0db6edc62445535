//! Every numeric limit of the engine, its unit in its name and its reason beside it.
//! A limit an operator may set has its default in the policy crate's option tables; what is
//! here cannot be exceeded by any policy.

/// Threads that the pool for blocking clients (HTTP hooks, key fetches) keeps when there is nothing to do; it grows
/// while they wait.
pub const HELPER_THREADS: usize = 8;

// ---- io -------------------------------------------------------------------------------------

/// Entries of a shard's submission ring. Deep enough for every open session to have one poll
/// armed between two submissions without forcing an early `io_uring_enter`.
pub const RING_DEPTH: usize = 1024;
/// How long a shard waits on its own ring before its executor goes to sleep, microseconds: the latest that
/// what comes by the executor (timers, files but for the spool's writes, other threads) is seen meanwhile.
pub const RING_WAIT_MICROS: u64 = 1000;
/// How long a shard waits for further events while they come thick, microseconds.
pub const RING_GATHER_MICROS: u64 = 200;
/// Events it waits for so at most.
pub const RING_GATHER_MAX: usize = 32;
/// Rounds of ready tasks before a shard looks at its ring though more are ready.
pub const RING_LAPS: u32 = 8;
/// How often a busy executor looks at its own rings and timers, milliseconds. A look costs a bell and turns of the
/// executor's rings; what waits for one is timers, letters and opened files.
pub const EXECUTOR_TURN_MILLIS: u64 = 4;
/// The executor's own preemption timer, seconds: so long that it never fires, for what it does when it fires at
/// the wrong instant is to sleep with ready tasks (see `io/pump.rs`).
pub const EXECUTOR_PREEMPT_SECONDS: u64 = 10;
/// How often a shard's backstop wakes it, milliseconds: the longest it can sleep with ready tasks.
pub const BACKSTOP_MILLIS: u64 = 1000;
/// How long a shard must have stood still for the backstop to call it a stall, milliseconds.
pub const BACKSTOP_STALL_MILLIS: u64 = 100;
/// How late the backstop may wake and still be what woke the shard, milliseconds.
pub const BACKSTOP_SLACK_MILLIS: u64 = 5;
/// How long a shard's executor may take to run its first task before the start is given up, seconds.
pub const SHARD_BEGIN_SECONDS: u64 = 10;
/// Reads and writes of a socket that did not wait, in a row, before the shard's other tasks get a turn.
pub const SOCKET_CALLS_PER_TURN: u32 = 32;
/// Connections the kernel holds for a listener that has not yet accepted them; net.core.somaxconn caps it.
pub const LISTEN_BACKLOG: i32 = 4096;
/// Size of a disk block: the unit of O_DIRECT writes and of the torn-write argument.
pub const BLOCK_BYTES: usize = 4096;
/// Longest a shard waits for any one disk operation before the callers are told it failed. Longer than the
/// kernel tries one command again (30 s each time) and than a disk of a busy cloud host stalls, shorter than the
/// ten minutes a client waits for the reply to its message (RFC 5321 section 4.5.3.2.6).
pub const DISK_TIMEOUT_SECS: u64 = 120;
/// Most shards a process may run.
pub const SHARDS_MAX: usize = 256;

/// Longest a start waits for a port that someone listens on: it may be an engine that was killed a
/// moment ago.
pub const PORT_FREE_MS: u64 = 3000;
/// How often it asks.
pub const PORT_ASK_MS: u64 = 50;

// ---- accept ---------------------------------------------------------------------------------

/// A session's receive buffer while it only exchanges commands: 10,000 idle sessions must stay
/// small.
pub const COMMAND_BUFFER_BYTES: usize = 4 * 1024;
/// Longest command line, CRLF included (RFC 5321 4.5.3.1.4 asks for 512; extensions add to it).
pub const COMMAND_LINE_BYTES: usize = 2048;
/// Longest AUTH response line (RFC 4954 section 4 asks for 12,288).
pub const AUTH_LINE_BYTES: usize = 12_288;
/// A receive buffer grown for DATA is given back when it is larger than this and idle.
pub const DATA_BUFFER_KEEP_BYTES: usize = 16 * 1024;
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
/// Reply bytes that may wait in memory for a client that does not read.
pub const REPLY_BACKLOG_BYTES: usize = 64 * 1024;
/// A session that says nothing for this long gives its receive buffer back.
pub const SESSION_QUIET_SECS: u64 = 5;
/// Longest a whole session may last.
pub const SESSION_TOTAL_SECS: u64 = 24 * 3600;
/// Longest a client may take to send one message.
pub const DATA_TOTAL_SECS: u64 = 3600;
/// Longest a listener's certificate and key may take to be read anew.
pub const CERTIFICATE_LOAD_SECS: u64 = 60;
/// TLS handshake deadline, both directions.
pub const TLS_HANDSHAKE_SECS: u64 = 30;
/// The part of the process's memory that what is being received may take when the operator does not say.
pub const RECEIVING_SHARE: usize = 4;
/// Bytes of a message being received that are not counted: what each session may have anyway.
pub const RECEIVING_FREE_BYTES: usize = 16 * 1024;
/// Bytes counted at once, so that few steps touch what all shards share.
pub const RECEIVING_STEP_BYTES: usize = 64 * 1024;
/// When a client may try again that was told that memory is used up, seconds.
pub const RETRY_AFTER_SECS: u64 = 10;
/// Bytes of a transaction's messages in memory before some are stored while the others are made.
pub const STAGE_BYTES: usize = 8 * 1024 * 1024;
/// Received headers in a message before it is taken for a loop (RFC 5321 6.3 asks for >= 100).
pub const RECEIVED_HEADERS_MAX: usize = 100;
/// A shard with this many more sessions than the emptiest one hands new sockets over.
pub const ACCEPT_IMBALANCE_MAX: u64 = 8;
/// Recipients of one HTTP injection request.
pub const INJECT_RECIPIENTS_MAX: usize = 10_000;
/// Messages of an HTTP injection that are stored together: enough that one write serves hundreds.
pub const INJECT_BATCH_MESSAGES: usize = 500;
/// Their bytes at most: they are in memory twice until they are written.
pub const INJECT_BATCH_BYTES: usize = 8 * 1024 * 1024;
/// How long an HTTP injection makes messages before the shard's other tasks get a turn, milliseconds.
pub const INJECT_SLICE_MS: u64 = 5;
/// Longest name of the header that traces reports: it leaves room on its line.
pub const TRACE_HEADER_NAME_BYTES: usize = 64;
/// Longest a recipient of an HTTP injection waits for the policy's rate limit; beyond it the recipient is refused.
pub const INJECT_RATE_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(60);

// ---- spool ----------------------------------------------------------------------------------

/// A data segment file. A record never spans two.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Largest message a segment can hold with its envelope and metadata.
pub const MESSAGE_BYTES_MAX: usize = 50 * 1024 * 1024;
/// First size of a commit batch's buffer.
pub const BATCH_START_BYTES: usize = 128 * 1024;
/// A batch larger than this is sealed; what comes later goes to the next.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Metadata of one message, encoded.
pub const META_BYTES_MAX: usize = 256 * 1024;
/// Recipients in one record.
pub const RECORD_RECIPIENTS_MAX: usize = 16_384;
/// Empty segments kept for reuse per shard; more are deleted.
pub const SEGMENTS_SPARE_MAX: usize = 2;
/// Highest number a segment or journal file may have: far beyond what a partition lives to see, so a
/// higher one is damage, and counting on from any valid one cannot overflow.
pub const SEQUENCE_MAX: u32 = u32::MAX / 2;
/// A journal file is checkpointed when it passes this size.
pub const JOURNAL_BYTES: u64 = 16 * 1024 * 1024;
/// Longest a journal entry waits for its flush. A crash can repeat at most the deliveries of
/// this window.
pub const JOURNAL_DELAY_MS: u64 = 10;
/// Journal bytes that may wait for a flush before one is forced.
pub const JOURNAL_PENDING_BYTES: usize = 256 * 1024;
/// How often free disk space is looked at.
pub const DISK_FREE_CHECK_SECS: u64 = 1;
/// Segments whose live bytes fall below this share are compacted, percent.
pub const COMPACT_BELOW_PERCENT: u64 = 25;
/// A partition of fewer segments is not compacted: there is little to win.
pub const COMPACT_FROM_SEGMENTS: usize = 4;
/// How often segments worth compacting are looked for.
pub const COMPACT_EVERY_SECS: u64 = 5;
/// Segments compacted before compaction rests until the next look.
pub const COMPACT_ROUND_MAX: usize = 256;
/// Bytes moved with one write.
pub const COMPACT_BATCH_BYTES: usize = 1024 * 1024;

// ---- queue ----------------------------------------------------------------------------------

/// Resolution of the timer wheel that holds deferred messages.
pub const TIMER_TICK_MS: u64 = 100;
/// Messages woken from the wheel in one turn, so that a herd does not hold the shard.
pub const WAKE_BATCH: usize = 256;
/// Bodies a shard keeps in memory for messages awaiting their first attempt.
pub const RESIDENT_BODY_BYTES: usize = 256 * 1024 * 1024;
/// Past this many bytes of resident bodies, new mail gets 451 until egress catches up.
pub const RESIDENT_BODY_HARD_BYTES: usize = 1024 * 1024 * 1024;
/// Messages that are failed, expired or held at a time on each shard: each is read from disk for its record.
pub const WORK_TASKS: usize = 64;
/// Messages of one queue that `throttle_insert_ready_queue` is asked about at a time.
pub const THROTTLE_TASKS: usize = 64;
/// Longest a queue waits for its rate before it looks again: by then the policy may have allowed more.
pub const PACE_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(600);
/// Time until a message that the disk cannot give back now is looked at again: the disk may answer later.
pub const UNREADABLE_RETRY_MS: u64 = 60_000;
/// A ready queue that has been empty for this long is forgotten.
pub const READY_REAP_SECS: u64 = 600;
/// Time between two looks at limits and throttles that nobody uses any more.
pub const REGISTRY_SWEEP_SECS: u64 = 60;
/// Size of the file of operators' orders above which a start writes it anew with those in force.
pub const ORDER_LOG_BYTES: u64 = 64 * 1024;
/// Time between two writes of what bounces have failed, seconds; a crash forgets what was counted since.
pub const ORDER_COUNT_SECS: u64 = 5;
/// Bytes of a shard's file of these counts: some 100,000 queues.
pub const ORDER_COUNT_BYTES: usize = 8 * 1024 * 1024;
/// Delay before a message that could not be routed (DNS, policy error) is looked at again is the
/// queue's own retry interval, never below this.
pub const RETRY_FLOOR_MS: u64 = 100;

// ---- egress ---------------------------------------------------------------------------------

/// How long a start waits for helper threads that still do what `init` has begun, milliseconds.
pub const HELPERS_RETIRE_MS: u64 = 5_000;

/// Messages waiting in a ready queue per connection that is already open before another
/// connection is opened.
pub const READY_PER_CONNECTION: usize = 4;
/// Reply lines a next hop may send for one command.
pub const REPLY_LINES_MAX: usize = 128;
/// Bytes of one reply of a next hop, all lines.
pub const REPLY_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a line that is no reply which are quoted in a record.
pub const REPLY_QUOTE_BYTES_MAX: usize = 200;
/// Least bytes per second a next hop must take of a message on the whole; Postfix has the same.
pub const EGRESS_BYTES_PER_SECOND_MIN: u64 = 500;
/// How long answers are read that a peer may have given before it broke the connection, seconds.
pub const LAST_WORDS_SECONDS: u64 = 5;
/// Longest pause of a ready queue whose peer answers out of step, seconds; it begins at 1 and doubles.
pub const OUT_OF_STEP_PAUSE_SECONDS_MAX: u64 = 60;
/// How long a host that could not be reached is tried last, seconds.
pub const DEAD_HOST_SECONDS: u64 = 60;
/// MX hosts of a domain that count, by preference: more are of no use, and each costs DNS questions.
pub const MX_HOSTS_MAX: usize = 32;
/// How long the addresses of a site's hosts are waited for together, seconds.
pub const HOST_LOOKUP_SECONDS: u64 = 20;
/// Hosts tried for one connection attempt.
pub const CANDIDATE_HOSTS_MAX: usize = 32;
/// Messages after which a connection looks whether others wait for its lease: a batch that is worth a
/// connection of its own.
pub const LEASE_TURN_MESSAGES: usize = 50;
/// Time after which it looks in any case, so that a slow site makes nobody wait for long.
pub const LEASE_TURN_MS: u64 = 5000;
/// Pause after a connection that no host of a site has taken, doubled with each further one.
pub const CONNECT_PAUSE_MIN_MS: u64 = 10;
/// Longest such pause while there is still mail to be tried.
pub const CONNECT_PAUSE_MAX_MS: u64 = 1000;
/// Pause between two connections to a site whose mail was delayed as a whole.
pub const SITE_DOWN_PAUSE_SECS: u64 = 16;
/// Longest a handler of policy may take over one message on its way to delivery; then it goes on without.
pub const DELIVERY_HANDLER_SECS: u64 = 120;
/// Longest finding a queue's route may take: several events of policy, DNS, an MTA-STS policy.
pub const ROUTE_SECS: u64 = 120;
/// Routes found under a configuration that was replaced meanwhile, in a row, before one is taken all the same.
pub const ROUTE_TRIES: u32 = 3;
/// Longest a policy's own connection may take to be made, or over one message: as long as a peer over SMTP
/// may take for the reply to a message (RFC 5321 section 4.5.3.2.6).
pub const LUA_DELIVERY_SECS: u64 = 600;
/// Graceful end of all deliveries in flight at stop.
pub const STOP_GRACE_MS: u64 = 4000;
/// Longest an ending shard waits for what its helper thread has begun.
pub const STOP_SETTLE_MS: u64 = 500;
/// How long a stop waits for all shards together, milliseconds: the two times above and a rest.
pub const STOP_JOIN_MS: u64 = 6000;
/// How often a stop looks whether shards have ended, milliseconds.
pub const STOP_ASK_MS: u64 = 2;
/// DNS: one query's time-out, tries, and the longest whole lookup.
pub const DNS_QUERY_TIMEOUT_MS: u64 = 1500;
/// Tries per lookup over the configured servers.
pub const DNS_TRIES: usize = 3;
/// The longest a cached answer is kept, whatever its TTL.
pub const DNS_TTL_MAX_SECS: u32 = 3600;
/// Names kept in a shard's resolver cache.
pub const DNS_CACHE_ENTRIES: usize = 100_000;
/// How long "no such name" is kept when the answer carries no SOA.
pub const DNS_NEGATIVE_SECS: u32 = 60;
/// How long a failed lookup (time-out, SERVFAIL) is kept.
pub const DNS_FAILURE_SECS: u32 = 10;
/// How long what `/etc/hosts` says is kept.
pub const HOSTS_KEEP_SECS: u64 = 30;
/// Bytes of `/etc/hosts` that are read: lists of blocked names may be long.
pub const HOSTS_FILE_BYTES: u64 = 8 * 1024 * 1024;
/// CNAME steps followed.
pub const DNS_CNAME_MAX: usize = 8;

// ---- events ---------------------------------------------------------------------------------

/// An event segment file (feeds hooks) is closed at this size.
pub const EVENT_SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
/// zstd level of log files whose policy leaves the choice to us: log lines compress at 1.4 GB/s, to a
/// little less than zstd's own choice (3) at 0.9 GB/s makes of them.
pub const LOG_COMPRESSION_LEVEL: i32 = 1;
/// Headers a record carries at most, whatever the policy's patterns match: senders choose how many there are.
pub const RECORD_HEADERS_MAX: usize = 256;
/// Bytes of the headers a record carries, names and values; those that do not fit are left out.
pub const RECORD_HEADER_BYTES: usize = 64 * 1024;
/// Bytes of a report's own header that its records are made of: each of a thousand records reads it.
pub const REPORT_HEADER_BYTES: usize = 16 * 1024;
/// Bytes of a report that are parsed: a thousand recipients fit.
pub const REPORT_BYTES_MAX: usize = 1024 * 1024;
/// Recipients of one report that records are made of.
pub const REPORT_RECIPIENTS_MAX: usize = 1000;
/// How long a client certificate and its key are used before they are read again, seconds.
pub const TLS_KEY_KEEP_SECS: u64 = 300;
/// Messages of the deferred queue that a shard asks policy about at once.
pub const DEFERRED_INJECT_TASKS: usize = 64;
/// Time until a message of the deferred queue is asked about again when its handler has failed, milliseconds.
pub const DEFERRED_INJECT_RETRY_MS: u64 = 10_000;
/// Longest PROXY header taken: addresses take 232 bytes at most, the rest is what proxies add to them.
pub const PROXY_HEADER_BYTES: usize = 2048;
/// How long a proxy may take for it, seconds: it sends the header at once.
pub const PROXY_HEADER_SECS: u64 = 5;
/// Failures of a source that are remembered at once, whatever its threshold.
pub const HEALTH_FAILURES_MAX: usize = 1000;
/// Log lines that wait for a `filter_event` at once; further ones are written unasked.
pub const LOG_FILTERS_MAX: usize = 10_000;
/// How long freed memory is kept for what comes next before the system gets it back.
pub const MEMORY_KEEP_MS: std::ffi::c_long = 10_000;
/// Open log segments are cut at least this often when the policy sets no duration.
pub const LOG_SEGMENT_SECS: u64 = 60;
/// Hook retry: first pause.
pub const HOOK_RETRY_MIN_MS: u64 = 500;
/// Hook retry: longest pause.
pub const HOOK_RETRY_MAX_MS: u64 = 30_000;
/// Longest pause a receiver may ask for with Retry-After, milliseconds: it may have its clock wrong.
pub const HOOK_RETRY_AFTER_MAX_MS: u64 = 3_600_000;
/// Requests of a hook that fail one after the other until it pauses as a whole: one that fails among others is the
/// fault of what is in it.
pub const HOOK_FAILURES_TO_PAUSE: u32 = 2;
/// Tries of an event that a receiver refuses for good before it is set aside: what is being deployed refuses a few.
pub const HOOK_REFUSED_TRIES: u32 = 3;
/// Tries of an event that fails while others are taken before it is set aside (about 15 seconds).
pub const HOOK_TRIES_MAX: u32 = 6;
/// Event bytes a hook reads at once.
pub const HOOK_READ_BYTES: usize = 1024 * 1024;
/// Event bytes a hook holds in memory, per shard.
pub const HOOK_WINDOW_BYTES: usize = 16 * 1024 * 1024;
/// Events between the oldest that is not taken and the newest that is read, per shard.
pub const HOOK_WINDOW_EVENTS: usize = 262_144;
/// Requests a hook has under way at once, over all shards, while its receiver answers at once.
pub const HOOK_REQUESTS_MIN: usize = 8;
/// The same for a slow receiver: one more for each millisecond it takes, up to this. So one that takes 200 ms is told
/// of 1,000 a second, with one event each.
pub const HOOK_REQUESTS_MAX: usize = 224;
/// Shortest time between two flushes of the event log that a hook asks for, milliseconds: what comes meanwhile goes
/// with the next.
pub const HOOK_FLUSH_GAP_MS: u64 = 5;
/// How often the place up to which a hook's events are taken is written down, milliseconds. A crash repeats what was
/// taken since.
pub const HOOK_COMMIT_MS: u64 = 50;
/// Longest one call of a policy's `send` may take, seconds.
pub const HOOK_SEND_SECS: u64 = 300;
/// Longest a stop waits for requests that are under way, milliseconds; they are told again by the next start.
pub const HOOK_SETTLE_MS: u64 = 500;
/// Queues of log records whose constructor a hook remembers, per shard; further ones are asked about each time.
pub const HOOK_QUEUES_MAX: usize = 1000;
/// Bytes of a receiver's answer that are read, to keep the connection.
pub const HOOK_ANSWER_BYTES: u64 = 64 * 1024;
/// How long an idle connection to a receiver is kept, seconds: receivers close theirs after some more.
pub const HOOK_CONNECTION_IDLE_SECS: u64 = 15;
/// Age at which an event is not worth telling any more, seconds: what a queue keeps mail for by default.
pub const HOOK_EVENT_AGE_SECS: u64 = 7 * 86_400;
/// Bytes of a hook's event log per shard; beyond it the oldest events are given up.
pub const HOOK_BACKLOG_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Segments of an event log before its bytes are counted.
pub const HOOK_SEGMENTS_LOOK: u64 = 32;
/// Bytes of disk a hook's event log holds back per shard for when the disk is full: events of the mail whose delivery
/// makes room.
pub const HOOK_BALLAST_BYTES: u64 = 4 * 1024 * 1024;
/// How long the disk may be full before events are given up for room, milliseconds: until they are written no
/// delivered message can be let go of.
pub const HOOK_FULL_MS: u64 = 60_000;
/// Size at which a file of events that were set aside is ended; the one before it is removed then.
pub const HOOK_DEAD_LETTER_BYTES: u64 = 256 * 1024 * 1024;
/// How often it is said at the most that events are given up, seconds.
pub const HOOK_TELL_SECS: u64 = 10;

// ---- control --------------------------------------------------------------------------------

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
/// Longest we keep reading from a client whose request was refused, so that the refusal is not
/// destroyed by a reset.
pub const HTTP_LINGER_MS: u64 = 1000;
/// Pause after a failed accept (usually: out of file descriptors).
pub const ACCEPT_PAUSE_MS: u64 = 100;
/// Entries a control answer lists at the most.
pub const LIST_MAX: usize = 10_000;
/// Waiting requests in a shard's mesh inbox before senders are refused.
pub const MESH_INBOX_MAX: usize = 65_536;
/// Longest a control request waits for another shard's answer.
pub const MESH_ANSWER_SECS: u64 = 5;
/// Longest a reload waits for a shard to load the policy: it does nothing else meanwhile.
pub const RELOAD_SECS: u64 = 60;
/// Pause before a letter is sent again to a shard whose box is full.
pub const MESH_RETRY_MS: u64 = 10;
/// Findings of one kind that the self check of a shard tells.
pub const SELF_CHECK_TOLD_MAX: usize = 20;
/// How often the self check looks again at what may be about to change.
pub const SELF_CHECK_LOOKS: usize = 4;
/// Time between two such looks.
pub const SELF_CHECK_PAUSE_MS: u64 = 250;

// ---- sandbox --------------------------------------------------------------------------------

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
/// Event types counted one by one; further ones are counted together.
pub const RECEIVER_TYPES: usize = 64;

/// Time one MTA-STS policy may take to come, milliseconds (RFC 8461 section 3.3 asks for a limit).
pub const STS_FETCH_MS: u64 = 10_000;
/// Size of an MTA-STS policy, bytes (RFC 8461 section 3.3).
pub const STS_POLICY_BYTES: u64 = 64 * 1024;
/// MTA-STS policies a shard knows.
pub const STS_CACHE_POLICIES: usize = 10_000;
/// An MTA-STS policy that could not be had is asked for again after this, seconds (RFC 8461 section
/// 3.3: five minutes or more between tries).
pub const STS_FAILURE_SECS: u64 = 300;
/// Age at which an MTA-STS policy is fetched again though its record has not changed, seconds (RFC 8461 section 10.2 asks
/// for once a day).
pub const STS_REFRESH_SECS: u64 = 86_400;
/// Time between two looks at which policies have that age, seconds.
pub const STS_WATCH_SECS: u64 = 600;
/// Size of the file of kept MTA-STS policies above which it is written anew: the policies of 10,000 domains, of a few hosts each.
pub const STS_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// Least time between two questions to policy for one queue, whatever its refresh_interval says.
pub const REFRESH_INTERVAL_MIN: std::time::Duration = std::time::Duration::from_millis(100);
/// Longest a message waits for a source whose selection rate is used up before it looks again,
/// milliseconds: by then the policy may have allowed more.
pub const SELECTION_WAIT_MAX_MS: u64 = 600_000;
/// How long a message waits where no source can be chosen at all.
pub const NO_SOURCE_PAUSE: std::time::Duration = std::time::Duration::from_secs(60);
/// Time between two looks at the files of the policy, milliseconds.
pub const MONITOR_MS: u64 = 5000;
/// Once they have changed: time until they are looked at again, milliseconds.
pub const MONITOR_SETTLE_MS: u64 = 500;
/// How often they are looked at until they stay as they are.
pub const MONITOR_SETTLE_TRIES: usize = 20;

/// Wait for the disk to take a message before its client is told 451, seconds: as long as clients wait
/// for the reply to the final dot (RFC 5321 section 4.5.3.2.6).
pub const STORE_WAIT_SECS: u64 = 600;

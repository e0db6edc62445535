//! Every numeric limit of the policy host, with its unit in the name and its reason beside it.

use std::time::Duration;

pub use ringmta_mail::limits::*;
pub use ringmta_options::limits::*;

/// A handler is looked at each time it has run this many VM instructions: rare enough to cost nothing, often enough (tens of
/// microseconds) to notice a loop.
pub const HOOK_EVERY_INSTRUCTIONS: u32 = 10_000;
/// Instructions one handler may run without waiting for anything; far above any real policy.
pub const MAX_SLICE_INSTRUCTIONS: u64 = 1_000_000_000;
/// Wall time one handler may run without waiting: every other session of the shard stands still meanwhile.
pub const MAX_SLICE_TIME: Duration = Duration::from_secs(2);
/// Steps that a Lua pattern may take at worst to be given to Lua's own matcher, which nothing interrupts: about 20 ms.
pub const PATTERN_STEPS_UNWATCHED: u64 = 1 << 22;
/// Turns in a row in which a handler may yield without waiting for anything; none has a reason to.
pub const MAX_SPINS: u32 = 10_000;
/// Memory one VM may take. Beyond it the handler that asks for more gets an error; without a limit the process would end where
/// the machine has no more. Tables of some millions of addresses fit.
pub const MAX_VM_BYTES: usize = 2 * 1024 * 1024 * 1024;
/// Longest text of an error that is logged and handed on; an error may repeat what it was given.
pub const MAX_ERROR_BYTES: usize = 8 * 1024;
/// Coroutines kept for reuse per VM; a session in a handler holds one.
pub const COROUTINE_POOL_SIZE: usize = 256;
/// Nesting allowed when a Lua value is turned into plain data: deeper means a cycle or an attack.
pub const MAX_VALUE_DEPTH: usize = 64;
/// Helper threads allowed at most. A thread that waits costs some tens of kilobytes; ten targets that never answer leave
/// room for others.
pub const MAX_HELPER_THREADS: usize = 2560;
/// Helper threads that may wait for one target (a host, a server) at once: enough for 1,000 requests a second to one that
/// takes 200 ms, and no more than a server would take from one client.
pub const MAX_HELPERS_PER_TARGET: usize = 256;
/// A helper thread that has had nothing to do for this long ends.
pub const HELPER_IDLE: Duration = Duration::from_secs(10);
/// Entries a memoized function keeps when the policy names no capacity.
pub const MEMOIZE_DEFAULT_CAPACITY: usize = 1024;
/// How long one fill of a memoized function may take before a waiter gives up.
pub const MEMOIZE_FILL_TIMEOUT: Duration = Duration::from_secs(120);
/// Response body kept from an HTTP call made by a policy.
pub const MAX_HTTP_RESPONSE_BYTES: u64 = 64 * 1024 * 1024;
/// Redirects that an HTTP call follows; one more is an error.
pub const MAX_HTTP_REDIRECTS: usize = 10;
/// Deadline of an HTTP call when the policy names none.
pub const HTTP_TIMEOUT: Duration = Duration::from_secs(60);
/// Idle pooled HTTP connections are closed after this.
pub const HTTP_POOL_IDLE: Duration = Duration::from_secs(90);
/// Idle connections an HTTP client keeps: as many as it may have requests under way.
pub const HTTP_POOL_CONNECTIONS: usize = MAX_HELPERS_PER_TARGET;
/// Test files run by one `ringmta test`.
pub const MAX_TEST_FILES: usize = 10_000;
/// Nesting of folders searched for test files.
pub const MAX_TEST_DEPTH: usize = 32;
/// How long a connection to NATS may take to be made when the policy says nothing.
pub const NATS_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long NATS may take to answer when the policy says nothing.
pub const NATS_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest line taken from a NATS server; its INFO is the longest there is.
pub const MAX_NATS_LINE_BYTES: usize = 1024 * 1024;
/// Bytes of a segment of `kumo.jsonl` when the policy says nothing.
pub const JSONL_FILE_BYTES: u64 = 128 * 1024 * 1024;
/// Longest line `kumo.jsonl` reads or writes.
pub const MAX_JSONL_LINE_BYTES: usize = 128 * 1024 * 1024;
/// Records of one batch of `kumo.jsonl`.
pub const MAX_JSONL_BATCH: usize = 10_000;
/// How often `kumo.jsonl` looks for more when the policy says nothing.
pub const JSONL_POLL: Duration = Duration::from_millis(250);
/// Largest file read for a policy (keys, TOML, JSON).
pub const MAX_POLICY_FILE_BYTES: u64 = 256 * 1024 * 1024;
/// Values in one tree of plain data; more is refused before memory is.
pub const MAX_VALUE_NODES: usize = 2_000_000;
/// Domains looked up at once while shaping rules are loaded.
pub const SHAPING_LOOKUPS: usize = 32;
/// Lines that a policy says while it is validated and that are told.
pub const MAX_SAID_LINES: usize = 1000;
/// Labels of `kumo.time.start_timer` that get a histogram of their own.
pub const MAX_LATENCY_LABELS: usize = 256;
/// Websockets a process keeps open for its policy; each has a thread of its own.
pub const MAX_WEBSOCKETS: usize = 64;
/// Frames of a websocket that wait for the policy; the peer waits when it is behind.
pub const WEBSOCKET_QUEUE_FRAMES: usize = 1024;
/// Longest frame taken from a websocket.
pub const MAX_WEBSOCKET_FRAME_BYTES: usize = 16 * 1024 * 1024;
/// How long a blocking client waits for a connection, a free place in its pool or an answer when the policy says nothing.
pub const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server is given to answer a good-bye: nothing hangs on it.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections to an AMQP server kept when the policy says nothing.
pub const AMQP_POOL_SIZE: usize = 8;
/// How long the confirmation of a Kafka record is waited for when the policy says nothing.
pub const KAFKA_SEND_TIMEOUT: Duration = Duration::from_secs(60);
/// How soon a record is offered again to a Kafka producer whose queue is full: a batch takes about that long.
pub const KAFKA_QUEUE_RETRY: Duration = Duration::from_millis(10);
/// Kafka producers a process keeps open for its policy; each has threads and connections of its own.
pub const MAX_KAFKA_PRODUCERS: usize = 256;
/// Largest file of certificates or keys a client reads; the bundle of all public authorities has a quarter of it.
pub const MAX_PEM_FILE_BYTES: u64 = 1024 * 1024;
/// Largest AMQP frame taken or sent.
pub const MAX_AMQP_FRAME_BYTES: usize = 1024 * 1024;
/// Connections a Redis handle keeps when the policy says nothing.
pub const REDIS_POOL_SIZE: usize = 10;
/// Rows one SQLite statement may return.
pub const MAX_SQLITE_ROWS: usize = 1_000_000;
/// How long SQLite waits for another writer when the policy says nothing.
pub const SQLITE_BUSY: Duration = Duration::from_millis(500);
/// Parts of one named resolver: each may be asked in turn, with its own deadline.
pub const MAX_RESOLVER_PARTS: usize = 16;
/// Named things (queues, counters) a policy may define.
pub const MAX_NAMED_OBJECTS: usize = 4096;
/// Values a `kumo.mpsc` queue without a limit may hold: beyond it senders get an error before the memory is gone.
pub const MAX_QUEUE_VALUES: usize = 1_000_000;
/// Buckets of a `kumo.counter_series`.
pub const MAX_COUNTER_BUCKETS: usize = 100_000;
/// Nesting of blocks and brackets in a Handlebars template.
pub const MAX_TEMPLATE_DEPTH: usize = 64;
/// Open statements of a Jinja template with their `elif` branches, each of which is a level of the parser's recursion.
pub const MAX_TEMPLATE_BLOCKS: usize = 200;
/// Operators, brackets and filters of one tag of a Jinja template: each may be a level of recursion, about half a kilobyte
/// of a stack of two megabytes.
pub const MAX_TEMPLATE_TAG_OPERATORS: usize = 250;
/// Words and operators in all tags of a template: compiled, each takes some hundred bytes.
pub const MAX_TEMPLATE_TOKENS: usize = 200_000;
/// Steps of one rendering, well below a tenth of a second: the shard stands still meanwhile.
pub const TEMPLATE_STEPS: u64 = 500_000;
/// Bytes that one rendering may move from value to value: some tens of milliseconds, and what it can hold of memory.
pub const MAX_TEMPLATE_WORK_BYTES: usize = 64 * 1024 * 1024;
/// Text between tags that the steps of a loop may write, bytes.
pub const MAX_TEMPLATE_REPEATED_BYTES: usize = 256 * 1024 * 1024;
/// Largest value in a template, all it holds counted: an attachment fits.
pub const MAX_TEMPLATE_VALUE_BYTES: usize = 16 * 1024 * 1024;
/// Nesting of lists and maps in a value of a template.
pub const MAX_TEMPLATE_VALUE_DEPTH: usize = 64;
/// Levels of macros that call macros: minijinja's own measure, of which a macro takes four.
pub const MAX_TEMPLATE_RECURSION: usize = 100;
/// What a template may make: the largest message that is taken.
pub const MAX_TEMPLATE_OUTPUT_BYTES: usize = 50 * 1024 * 1024;
/// Brackets open at once in a YAML text: far more than values may be nested, few enough for its scanner.
pub const MAX_YAML_OPEN: usize = 500;
/// Tags of a DKIM signature, key or DMARC record, of which a dozen are known: each is compared with those before it.
pub const MAX_TAGS: usize = 100;
/// Properties of one method in Authentication-Results.
pub const MAX_RESULT_PROPERTIES: usize = 200;
/// DKIM signatures of one message that are looked at.
pub const MAX_DKIM_SIGNATURES: usize = 10;
/// ARC sets of one message (RFC 8617 section 4.2.1).
pub const MAX_ARC_SETS: u32 = 50;
/// Bytes of the reason in an authentication result. It may quote what stands in somebody else's DNS or mail, and goes into
/// the header of a message.
pub const RESULT_REASON_BYTES: usize = 512;
/// Bytes of a body that are hashed for a signature before others have a turn: a hundred microseconds, of short lines. A message of
/// 20 MB with ten signatures takes two seconds.
pub const DKIM_SLICE_BYTES: usize = 16 * 1024;
/// Turns that are made of a body at the most: with so many for each of ten signatures a handler does not yet count as one that
/// yields without end ([`MAX_SPINS`]).
pub const DKIM_SLICES: usize = 1024;
/// DNS questions of one SPF evaluation (RFC 7208 section 4.6.4).
pub const SPF_LOOKUPS: usize = 10;
/// Of them, such that find nothing (RFC 7208 section 4.6.4).
pub const SPF_VOID_LOOKUPS: usize = 2;
/// Bytes that the macros of one name of SPF may come to. Of more than 253 the left labels are dropped (RFC 7208 section 7.3),
/// so what is longer by far is of no use, and a record of 64 KB of macros would be made into megabytes.
pub const SPF_EXPANDED_BYTES: usize = 4096;
/// Hosts looked at per `mx` or `ptr` term of SPF (RFC 7208 section 4.6.4).
pub const SPF_HOSTS: usize = 10;

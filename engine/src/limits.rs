//! Numeric limits of the assembly: starts, stops, control requests. Each has its unit in its name and its reason beside
//! it; those of a stage are in its own crate.

/// Threads that the pool for blocking clients (HTTP hooks, key fetches) keeps when there is nothing to do; it grows
/// while they wait.
pub const HELPER_THREADS: usize = 8;
/// How long a start waits for helper threads that still do what `init` has begun, milliseconds.
pub const HELPERS_RETIRE_MS: u64 = 5_000;
/// How long a stop waits for all shards together, milliseconds: the two times above and a rest.
pub const STOP_JOIN_MS: u64 = 6000;
/// How often a stop looks whether shards have ended, milliseconds.
pub const STOP_ASK_MS: u64 = 2;
/// Messages of the timer that an order looks at before other tasks have their turn: some hundred microseconds.
pub const SWEEP_ITEMS: usize = 1024;
/// Longest an order may take until every shard has looked through what waits there, seconds: ten million messages, and a rest.
pub const ORDER_ANSWER_SECS: u64 = 15;
/// Messages or queues that a question looks at before other tasks have their turn: some tens of microseconds.
pub const SLICE_ITEMS: usize = 1_000;
/// How often a message that is not found is looked for again: it may have moved to where was looked before.
pub const FIND_LOOKS: usize = 2;
/// Entries a control answer lists at the most.
pub const LIST_MAX: usize = 10_000;
/// Messages, queues and connections that an answer to "why" looks at in each list.
pub const WHY_LISTED_MAX: usize = 1000;
/// Messages of a shard's timer that such an answer looks at: some milliseconds of work.
pub const WHY_LOOKS_MAX: usize = 200_000;
/// Longest a control request waits for another shard's answer.
pub const MESH_ANSWER_SECS: u64 = 5;
/// Longest a reload waits for a shard to load the policy: it does nothing else meanwhile.
pub const RELOAD_SECS: u64 = 60;
/// How often, within the time a service manager's watchdog waits, it is told that all shards answer.
pub const WATCHDOG_TIMES: u32 = 3;
/// Pause before a letter is sent again to a shard whose box is full.
pub const MESH_RETRY_MS: u64 = 10;
/// How often the self check looks again at what may be about to change.
pub const SELF_CHECK_LOOKS: usize = 4;
/// Time between two such looks.
pub const SELF_CHECK_PAUSE_MS: u64 = 250;
/// Time between two looks at the files of the policy, milliseconds.
pub const MONITOR_MS: u64 = 5000;
/// Once they have changed: time until they are looked at again, milliseconds.
pub const MONITOR_SETTLE_MS: u64 = 500;
/// How often they are looked at until they stay as they are.
pub const MONITOR_SETTLE_TRIES: usize = 20;
/// Longest policy may take over a message found in the spool; a start that waits longer would wait so for each of them.
pub const SPOOL_HANDLER_SECS: u64 = 120;
/// Longest credentials of a request wait for their turn and for what policy says of them.
pub const LOGIN_SECS: u64 = 30;
/// Longest a policy may take over who may use a path of the HTTP interface.
pub const ACCESS_RULES_SECS: u64 = 30;
/// Longest an answer waits for the dead letters of a hook to be sent on their way anew, seconds; it goes on after that.
pub const REPLAY_ANSWER_SECS: u64 = 20;
/// Longest a shard reads messages to find those with a header, seconds.
pub const HEADER_SEARCH_SECS: u64 = 20;
/// Messages a shard reads for that at the most.
pub const HEADER_SEARCH_MAX: usize = 500_000;
/// Longest an operator's act may take on all shards, seconds: the time above and a rest.
pub const ACT_ANSWER_SECS: u64 = 25;
/// Messages that may be held one by one at a time: each is looked for when a message becomes due.
pub const HOLDS_MAX: usize = 1000;
/// Longest a shard reads messages of a queue for a sample, seconds: less than the answer is waited for.
pub const SAMPLE_READ_SECS: u64 = 3;
/// Longest an answer waits for policy and DNS to say how mail would leave, seconds.
pub const PATH_ANSWER_SECS: u64 = 30;
/// Those who watch sessions at once: each costs every session a frame per line.
pub const TRACE_VIEWERS_MAX: usize = 16;
/// Bytes of a filter.
pub const TRACE_FILTER_BYTES: usize = 256 * 1024;
/// Longest a viewer may take to say what it wants to see, seconds.
pub const TRACE_FILTER_SECS: u64 = 10;
/// Longest a viewer may take to read a frame before it is dropped, seconds.
pub const TRACE_WRITE_SECS: u64 = 5;
/// Silence after which a viewer is asked whether it is there, seconds.
pub const TRACE_PING_SECS: u64 = 20;
/// Records that a search of the log files gives at the most.
pub const FIND_RECORDS_MAX: u64 = 10_000;
/// Longest such a search goes on in one folder, seconds.
pub const FIND_SECS: u64 = 10;
/// Messages found there that the queues are asked about.
pub const FIND_IDS_MAX: usize = 20;
/// Longest an operator's order may hold, seconds: a hundred years. What is longer is a mistake.
pub const ORDER_SECS_MAX: u64 = 3_155_760_000;

//! Numeric limits of mail that goes out: each with its unit in its name and its reason beside it. A limit an operator
//! may set has its default in the option tables; what is here cannot be exceeded by any policy.

/// Messages waiting in a ready queue per connection that is already open before another
/// connection is opened.
pub const READY_PER_CONNECTION: usize = 4;
/// Least bytes per second a next hop must take of a message on the whole; Postfix has the same.
pub const EGRESS_BYTES_PER_SECOND_MIN: u64 = 500;
/// How long answers are read that a peer may have given before it broke the connection, seconds.
pub const LAST_WORDS_SECONDS: u64 = 5;
/// Longest pause of a ready queue whose peer answers out of step, seconds; it begins at 1 and doubles.
pub const OUT_OF_STEP_PAUSE_SECONDS_MAX: u64 = 60;
/// MX hosts of a domain that count, by preference: more are of no use, and each costs DNS questions.
pub const MX_HOSTS_MAX: usize = 32;
/// How long the addresses of a site's hosts are waited for together, seconds.
pub const HOST_LOOKUP_SECONDS: u64 = 20;
/// Longest a key or password of a path may take to be read, seconds: as long as an HTTP call of a policy.
pub const KEY_LOAD_SECS: u64 = 60;
/// Longest finding a queue's route may take: several events of policy, DNS, an MTA-STS policy.
pub const ROUTE_SECS: u64 = 120;
/// Routes found under a configuration that was replaced meanwhile, in a row, before one is taken all the same.
pub const ROUTE_TRIES: u32 = 3;
/// Longest a policy's own connection may take to be made, or over one message: as long as a peer over SMTP
/// may take for the reply to a message (RFC 5321 section 4.5.3.2.6).
pub const LUA_DELIVERY_SECS: u64 = 600;
/// DNS: one query's time-out, tries, and the longest whole lookup.
pub const DNS_QUERY_TIMEOUT_MS: u64 = 1500;
/// Tries per lookup over the configured servers.
pub const DNS_TRIES: usize = 3;
/// Longest wait for one server that /etc/resolv.conf may ask for, seconds.
pub const DNS_SYSTEM_TIMEOUT_SECS: u64 = 5;
/// Most tries per question that it may ask for, over all servers.
pub const DNS_SYSTEM_TRIES: usize = 10;
/// The longest a cached answer is kept, whatever its TTL.
pub const DNS_TTL_MAX_SECS: u32 = 3600;
/// Bytes of the answers and names kept in a shard's resolver cache, estimated: a hundred thousand of them as they usually are.
/// An answer may have 64 KB.
pub const DNS_CACHE_BYTES: usize = 32 * 1024 * 1024;
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
/// How long a client certificate and its key are used before they are read again, seconds.
pub const TLS_KEY_KEEP_SECS: u64 = 300;
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
/// Pause after a connection that no host of a site has taken, doubled with each further one.
pub const CONNECT_PAUSE_MIN_MS: u64 = 10;
/// Longest such pause while there is still mail to be tried.
pub const CONNECT_PAUSE_MAX_MS: u64 = 1000;
/// Pause between two connections to a site whose mail was delayed as a whole.
pub const SITE_DOWN_PAUSE_SECS: u64 = 16;
/// Longest a helper thread may take to write a message into a Maildir.
pub const MAILDIR_WRITE_SECS: u64 = 60;
/// Time until a message whose Maildir could not be written is tried again.
pub const MAILDIR_RETRY_SECS: u64 = 60;

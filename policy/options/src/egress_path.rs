//! `kumo.make_egress_path`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cidr::CidrSet;
use crate::cipher::cipher_suites;
use crate::ehlo;
use crate::enums::{EnableTls, IpLookupStrategy, ReconnectStrategy, RefreshStrategy};
use crate::key_source::KeySource;
use crate::option_table;
use crate::rate::{Limit, Throttle};
use crate::table::{Notes, Support};

const PER_SHARD: &str = "ringmta runs one shard per core and wakes queues itself";
const MEMORY: &str = "memory is governed by one budget per shard";
const SECS: fn(u64) -> Duration = Duration::from_secs;

/// What only OpenSSL goes by.
const ONE_TLS: &str = "all TLS is by one implementation, rustls";

option_table! {
    /// How connections to one site from one source behave.
    pub struct EgressPath for "kumo.make_egress_path" check check {
        /// Connections open at once.
        connection_limit: Limit = Limit::new(32),
        /// Further connection limits by name, shared by all paths that name them.
        additional_connection_limits: BTreeMap<String, Limit> = BTreeMap::new(),
        /// Rate of new connections.
        max_connection_rate: Option<Throttle> = None,
        /// Rate of messages.
        max_message_rate: Option<Throttle> = None,
        /// Further message rates by name, shared by all paths that name them.
        additional_message_rate_throttles: BTreeMap<String, Throttle> = BTreeMap::new(),
        /// Rate at which this source may be chosen for a message to this site. When it is used up another source of the pool is taken; when none is left, the message waits.
        source_selection_rate: Option<Throttle> = None,
        /// Further selection rates by name, shared by all paths that name them.
        additional_source_selection_rates: BTreeMap<String, Throttle> = BTreeMap::new(),
        /// Messages sent over one connection before it is closed.
        max_deliveries_per_connection: usize = 1024,
        /// Recipients in one transaction.
        max_recipients_per_batch: usize = 100,
        /// Messages waiting for a connection.
        max_ready: usize = 1024,
        /// Each connection that no host of the site takes delays one message; after more of them in a row than this, all that wait for a connection are delayed.
        consecutive_connection_failures_before_delay: usize = 100,
        /// Open as many connections as the limit allows at once.
        aggressive_connection_opening: bool = false,
        /// What to do when a connection ends in the middle of its work.
        reconnect_strategy: ReconnectStrategy = ReconnectStrategy::ConnectNextHost; Support::NoEffect("each connection tries the hosts in order until one takes it"),
        /// Go on with the next host after a transport error.
        try_next_host_on_transport_error: bool = false; Support::NoEffect("each connection tries the hosts in order until one takes it"),
        /// A connection that has been at one step for this long is cut (duration), and what it had in hand is tried again; by default only the deadline of each step holds.
        dispatcher_progress_watchdog_timeout: Option<Duration> = None,
        /// Time a connection may take to finish at shutdown (duration).
        system_shutdown_timeout: Option<Duration> = None; Support::NoEffect("a stop takes five seconds at most"),
        /// Wake-ups of dispatchers.
        dispatcher_wakeup_strategy: Option<String> = None; Support::NoEffect(PER_SHARD),
        /// Wake-ups of queue maintenance.
        maintainer_wakeup_strategy: Option<String> = None; Support::NoEffect(PER_SHARD),
        /// Thread pool.
        readyq_pool_name: Option<String> = None; Support::NoEffect(PER_SHARD),
        /// What is dropped when memory is low.
        low_memory_reduction_policy: Option<String> = None; Support::NoEffect(MEMORY),
        /// What is dropped when memory is out.
        no_memory_reduction_policy: Option<String> = None; Support::NoEffect(MEMORY),
        /// The event is asked again after this (duration).
        refresh_interval: Duration = SECS(60),
        /// What makes the event be asked again.
        refresh_strategy: RefreshStrategy = RefreshStrategy::Ttl,
        /// Name of the mailbox provider, for limits and metrics.
        provider_name: Option<String> = None,
        /// Port of the next hop.
        smtp_port: u16 = 25,
        /// Name given in EHLO; the source's, else the host's.
        ehlo_domain: Option<String> = None,
        /// Speak LMTP.
        use_lmtp: bool = false,
        /// Use PIPELINING when offered.
        enable_pipelining: bool = true,
        /// Send RSET between transactions where it is useful.
        enable_rset: bool = true,
        /// Send 8-bit mail even when the host does not offer it.
        ignore_8bit_checks: bool = false,
        /// Addresses that are never connected to; a message whose hosts are all here is bounced.
        prohibited_hosts: CidrSet = CidrSet::of(&["127.0.0.0/8", "::1", "0.0.0.0", "::"]),
        /// Addresses that are left out of the plan.
        skip_hosts: CidrSet = CidrSet::default(),
        /// Address families used.
        ip_lookup_strategy: IpLookupStrategy = IpLookupStrategy::Ipv4AndIpv6,
        /// User for AUTH PLAIN.
        smtp_auth_plain_username: Option<String> = None,
        /// Password for AUTH PLAIN.
        smtp_auth_plain_password: Option<KeySource> = None,
        /// Send credentials in the clear.
        allow_smtp_auth_plain_without_tls: bool = false,
        /// Send credentials to a host whose certificate is not valid.
        allow_smtp_auth_plain_without_valid_certificate: bool = false,
        /// Use of TLS.
        enable_tls: EnableTls = EnableTls::Opportunistic,
        /// Honour MTA-STS policies (RFC 8461).
        enable_mta_sts: bool = true,
        /// Honour TLSA records (RFC 7672).
        enable_dane: bool = false; Support::Refused,
        /// Use OpenSSL.
        tls_prefer_openssl: bool = false; Support::NoEffect(ONE_TLS),
        /// Client certificate chain (PEM), shown to hosts that ask for one. Kept for five minutes.
        tls_certificate: Option<KeySource> = None,
        /// Private key (PEM) of the client certificate.
        tls_private_key: Option<KeySource> = None,
        /// OpenSSL ciphers.
        openssl_cipher_list: Option<String> = None; Support::NoEffect(ONE_TLS),
        /// OpenSSL TLS 1.3 suites.
        openssl_cipher_suites: Option<String> = None; Support::NoEffect(ONE_TLS),
        /// OpenSSL flags.
        openssl_options: Option<String> = None; Support::NoEffect(ONE_TLS),
        /// Cipher suites to offer, such as `TLS13_AES_256_GCM_SHA384`; empty = all.
        rustls_cipher_suites: Vec<String> = Vec::new(),
        /// Hosts whose TLS failed are spoken to in the clear for this long (duration); only for opportunistic TLS.
        remember_broken_tls: Option<Duration> = None,
        /// Reconnect without TLS at once when an opportunistic handshake fails.
        opportunistic_tls_reconnect_on_failed_handshake: bool = false,
        /// TCP connect (duration).
        connect_timeout: Duration = SECS(60),
        /// Greeting (duration).
        banner_timeout: Duration = SECS(60),
        /// EHLO (duration).
        ehlo_timeout: Duration = SECS(300),
        /// MAIL FROM (duration).
        mail_from_timeout: Duration = SECS(300),
        /// RCPT TO (duration).
        rcpt_to_timeout: Duration = SECS(300),
        /// DATA until 354 (duration).
        data_timeout: Duration = SECS(300),
        /// The final dot (duration).
        data_dot_timeout: Duration = SECS(300),
        /// RSET (duration).
        rset_timeout: Duration = SECS(5),
        /// An unused connection is kept this long (duration).
        idle_timeout: Duration = SECS(5),
        /// STARTTLS (duration).
        starttls_timeout: Duration = SECS(5),
        /// AUTH (duration).
        auth_timeout: Duration = SECS(60),
    }
}
impl EgressPath {
    fn check(&mut self, notes: &mut Notes) -> Result<(), String> {
        ehlo::note(self.ehlo_domain.as_deref(), notes);
        if self.tls_certificate.is_some() != self.tls_private_key.is_some() {
            return Err("`tls_certificate` and `tls_private_key` are needed together".into());
        }
        let suites = cipher_suites(&self.rustls_cipher_suites);
        suites.map(drop).map_err(|e| format!("option `rustls_cipher_suites`: {e}"))
    }
}

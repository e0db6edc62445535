//! What a seed chooses before anything runs: the policy's limits and retries, the moods of next
//! hops and clients, the faults of disk and network.

use ringmta_io::limits::DISK_TIMEOUT_SECS;
use ringmta_io::sim::rng::{Rng, MILLION};
use ringmta_io::sim::{disk, net};
use std::fmt::Write as _;
use std::time::Duration;

/// Next hops, at the most.
const HOPS_MAX: u64 = 2;
/// Recipient domains, at the most.
const DOMAINS_MAX: u64 = 5;
/// Messages of a run, at the most.
const MESSAGES_MAX: u64 = 24;
/// Where the engine listens.
pub const PORT: u16 = 2525;
/// Where its HTTP interface listens.
pub const HTTP_PORT: u16 = 8000;
/// Where next hops listen.
pub const HOP_PORT: u16 = 25;

/// A rate: so many per period, of which a burst may come at once.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Events per period.
    pub limit: u64,
    /// The period, milliseconds.
    pub period_ms: u64,
    /// Events at once.
    pub burst: u64,
}

impl Rate {
    fn choose(rng: &Rng) -> Option<Rate> {
        rng.chance(MILLION / 3).then(|| Rate {
            limit: rng.between(1, 20),
            period_ms: 1000 * rng.between(1, 3),
            burst: rng.between(1, 4),
        })
    }

    fn text(self) -> String {
        format!("'{}/{}ms,max_burst={}'", self.limit, self.period_ms, self.burst)
    }

    /// The most that may have come `nanos` after the limiter was made.
    pub fn most(self, nanos: u64) -> u64 {
        self.burst + nanos / (self.period_ms * 1_000_000 / self.limit) + 1
    }
}

/// What the policy says of one next hop.
#[derive(Debug, Clone)]
pub struct HopLimits {
    /// Connections at once.
    pub connections: u64,
    /// Messages per connection.
    pub per_connection: u64,
    /// Rate of messages.
    pub messages: Option<Rate>,
    /// Rate of connections.
    pub connects: Option<Rate>,
    /// Recipients in one transaction.
    pub batch: u64,
    /// Messages that wait for a connection.
    pub ready: u64,
    pipelining: bool,
    aggressive: bool,
    timeout_ms: u64,
    idle_ms: u64,
}

/// What the policy says of one recipient domain.
#[derive(Debug, Clone)]
pub struct DomainLimits {
    /// Number of its next hop.
    pub hop: usize,
    /// First retry, milliseconds.
    pub retry_ms: u64,
    /// Longest retry.
    pub retry_max_ms: Option<u64>,
    /// End of life.
    pub age_ms: u64,
    rate: Option<Rate>,
}

impl DomainLimits {
    /// The wait after `attempts` failed attempts, milliseconds.
    pub fn delay_ms(&self, attempts: u16) -> u64 {
        let doubled = self.retry_ms << u32::from(attempts.max(1) - 1).min(20);
        self.retry_max_ms.map_or(doubled, |most| doubled.min(most))
    }
}

/// How often a next hop misbehaves, in parts of a million.
#[derive(Debug, Clone, Default)]
pub struct Mood {
    /// Replies 4xx.
    pub later: u64,
    /// Replies 5xx.
    pub never: u64,
    /// Waits long before a reply.
    pub stall: u64,
    /// Sends a reply byte by byte.
    pub trickle: u64,
    /// Goes away instead of replying.
    pub leave: u64,
    /// Ends its half, then goes on reading.
    pub half_close: u64,
    /// Sends what is no reply.
    pub nonsense: u64,
    /// Says 421 and closes.
    pub closing: u64,
    /// Answers 3yz where only 2yz completes the command.
    pub intermediate: u64,
    /// Says one line more than it was asked for.
    pub extra: u64,
    /// Answers, and closes at once.
    pub answer_and_close: u64,
}

/// A run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Next hops.
    pub hops: Vec<HopLimits>,
    /// Recipient domains.
    pub domains: Vec<DomainLimits>,
    /// The mood of next hops.
    pub mood: Mood,
    /// Next hops offer PIPELINING.
    pub offer_pipelining: bool,
    /// Next hops offer 8BITMIME.
    pub offer_eight_bit: bool,
    /// Disk faults.
    pub disk: disk::Faults,
    /// Network faults.
    pub net: net::Faults,
    /// The disk is full now and then.
    pub fills: bool,
    /// Clients at work at once.
    pub clients: u64,
    /// Messages all clients send, tries included.
    pub messages: u64,
    /// Sessions at once.
    pub sessions: u64,
    per_session: u64,
    by_domain: bool,
    handlers: bool,
    /// How the policy's handlers fail and dawdle.
    weather: Weather,
    /// Handlers refuse a message now and then.
    refuses: bool,
    /// A hook reads the events: so many at once.
    pub hook: Option<u64>,
    /// An operator suspends and bounces.
    pub orders: bool,
    /// An operator changes the policy.
    pub reloads: bool,
    /// The wall clock jumps an hour.
    pub jumps: bool,
    /// Some mail comes by HTTP.
    pub http: bool,
}

/// How the policy's handlers behave: of a thousand calls so many.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// Wait for milliseconds.
    short: u64,
    /// Wait for seconds.
    long: u64,
    /// Never come back.
    never: u64,
    /// Raise an error.
    fail: u64,
    /// What makes one seed's calls differ from another's.
    salt: u64,
}

impl Weather {
    fn choose(rng: &Rng) -> Weather {
        if rng.flip() {
            return Weather::default();
        }
        let some = |most: u64| if rng.flip() { rng.below(most) } else { 0 };
        let (short, long) = (some(500), some(100));
        let (never, fail) = (some(20), some(100));
        Weather { short, long, never, fail, salt: rng.below(1000) }
    }

    /// The Lua function `weather(all)`: without `all` it neither fails nor stays away.
    fn lua(self) -> String {
        let Weather { short, long, never, fail, salt } = self;
        let (long, never) = (short + long, short + long + never);
        let fail = never + fail;
        format!(
            "local calls = {salt}\nlocal function weather(all)\n  \
               calls = calls + 1\n  local at = calls * 7919 % 1000\n  \
               if at < {short} then kumo.sleep(0.02)\n  \
               elseif at < {long} then kumo.sleep(7)\n  \
               elseif all and at < {never} then kumo.sleep(1000000)\n  \
               elseif all and at < {fail} then error('a mistake of the policy') end\nend\n"
        )
    }
}

impl Plan {
    /// What the seed says.
    pub fn choose(rng: &Rng) -> Plan {
        let hops: Vec<HopLimits> = (0..rng.between(1, HOPS_MAX)).map(|_| hop(rng)).collect();
        let domains = (0..rng.between(1, DOMAINS_MAX)).map(|_| domain(rng, hops.len())).collect();
        Plan {
            hops,
            domains,
            mood: mood(rng),
            offer_pipelining: rng.chance(MILLION * 3 / 4),
            offer_eight_bit: rng.chance(MILLION * 3 / 4),
            disk: crate::spool::stage::choose_faults(rng),
            net: network(rng),
            fills: rng.chance(MILLION / 10),
            clients: rng.between(1, 5),
            messages: rng.between(1, MESSAGES_MAX),
            sessions: rng.between(1, 8),
            per_session: rng.between(1, 6),
            by_domain: rng.flip(),
            handlers: rng.flip(),
            weather: Weather::choose(rng),
            refuses: rng.chance(MILLION / 4),
            hook: rng.flip().then(|| rng.between(1, 5)),
            orders: rng.chance(MILLION / 3),
            reloads: rng.chance(MILLION / 3),
            jumps: rng.chance(MILLION / 5),
            http: rng.chance(MILLION / 2),
        }
    }

    /// Nothing of the network or of the next hops is late or lost: what they say arrives.
    pub fn peers_are_heard(&self) -> bool {
        let net::Faults { refuse, ignore, reset, silence, .. } = self.net;
        refuse + ignore + reset + silence + self.mood.stall + self.mood.trickle == 0
    }

    /// Whether mail for `domain` that is due goes out at once, where next hops are well and no operator holds it.
    pub fn goes_at_once(&self, domain: usize) -> bool {
        let domain = &self.domains[domain];
        let hop = &self.hops[domain.hop];
        domain.rate.is_none() && hop.messages.is_none() && hop.connects.is_none()
    }

    /// Nothing on the disk fails: what was written anew is there.
    pub fn disk_is_well(&self) -> bool {
        let disk::Faults { write_error, write_short, read_error, sync_error, hang, .. } = self.disk;
        write_error + write_short + read_error + sync_error + hang == 0 && !self.fills
    }

    /// Longest time from the last look at a message's age to its envelope at the next hop.
    pub fn flight_ms(&self, hop: usize) -> u64 {
        let hangs = if self.disk.hang > 0 { 3500 * DISK_TIMEOUT_SECS } else { 0 };
        self.hops[hop].timeout_ms * 8 + 2000 + hangs
    }

    /// The policy, in Lua. Next hop `n` has address `address(n)`. With `calm` its handlers neither fail nor dawdle.
    pub fn policy(&self, calm: bool, address: impl Fn(usize) -> String) -> String {
        let mut text = self.init_text();
        text += &if calm { Weather::default() } else { self.weather }.lua();
        let mut hops = String::new();
        for (number, hop) in self.hops.iter().enumerate() {
            let _ = writeln!(hops, "  ['mx_list:{}'] = {},", address(number), hop.options());
        }
        let mut domains = String::new();
        for (number, domain) in self.domains.iter().enumerate() {
            let hop = address(domain.hop);
            let _ = writeln!(domains, "  ['d{number}.test'] = {},", domain.options(&hop));
        }
        // A hook's own queue: its events are tried again as soon as mail is.
        domains += "  ['told.log_hook'] = { retry_interval = '2s', max_retry_interval = '20s' },\n";
        let _ = write!(
            text,
            "local hops = {{\n{hops}}}\nlocal domains = {{\n{domains}}}\n\
             kumo.on('get_queue_config', function(domain)\n  \
               weather(false)\n  return kumo.make_queue_config(domains[domain])\nend)\n\
             kumo.on('get_egress_path_config', function(domain, source, site)\n  \
               weather(true)\n  return kumo.make_egress_path(hops[site] or {{}})\nend)\n"
        );
        if self.handlers {
            let refusal = match self.refuses && !calm {
                true => "if calls % 9 == 0 then kumo.reject(550, 'not this one') end\n  ",
                false => "",
            };
            let _ = write!(
                text,
                "local function received(msg)\n  calls = calls + 1\n  weather(true)\n  {refusal}\
                   msg:prepend_header('X-Seen', 'yes')\n  msg:set_meta('seen', 'yes')\nend\n\
                 kumo.on('smtp_server_message_received', received)\n\
                 kumo.on('http_message_generated', received)\n"
            );
        }
        if self.hook.is_some() {
            let never =
                if calm { "" } else { "  if told % 23 == 0 then kumo.sleep(1000000) end\n" };
            let _ = write!(
                text,
                "local told = 0\nlocal function busy()\n  told = told + 1\n{never}  \
                   if told % 7 == 0 then kumo.reject(451, 'later') end\nend\n\
                 kumo.on('make.told', function()\n  local receiver = {{}}\n  \
                   function receiver:send() busy() return '250 OK' end\n  \
                   function receiver:send_batch() busy() return '250 OK' end\n  \
                   return receiver\nend)\n"
            );
        }
        text
    }

    fn init_text(&self) -> String {
        let hook = self.hook.map_or(String::new(), |batch| {
            format!(
                "  kumo.configure_log_hook {{\n    \
                   name = 'told', constructor = 'make.told', batch_size = {batch},\n  }}\n"
            )
        });
        let http = match self.http || self.orders || self.reloads {
            true => format!(
                "  kumo.start_http_listener {{\n    \
                   listen = '0.0.0.0:{HTTP_PORT}', trusted_hosts = {{ '10.0.0.0/8' }},\n  }}\n"
            ),
            false => String::new(),
        };
        let batching = if self.by_domain { "BatchByDomain" } else { "BifurcateAlways" };
        format!(
            "local kumo = require 'kumo'\n\
             kumo.on('init', function()\n  \
               kumo.define_spool {{ name = 'data', path = '/spool/data' }}\n  \
               kumo.define_spool {{ name = 'meta', path = '/spool/meta' }}\n  \
               kumo.start_esmtp_listener {{\n    \
                 listen = '0.0.0.0:{PORT}', hostname = 'engine.test', relay_hosts = {{ '10.0.0.0/8' }},\n    \
                 batch_handling = '{batching}', client_timeout = '20s',\n    \
                 max_connections = {}, max_messages_per_connection = {},\n  \
               }}\n{http}{hook}end)\n",
            self.sessions, self.per_session
        )
    }
}

impl HopLimits {
    fn options(&self) -> String {
        let mut text = format!(
            "{{ enable_tls = 'Disabled', enable_mta_sts = false, connection_limit = {}, \
             max_deliveries_per_connection = {}, max_recipients_per_batch = {}, max_ready = {}, \
             enable_pipelining = {}, aggressive_connection_opening = {}, \
             idle_timeout = '{}ms', connect_timeout = '{t}ms', ",
            self.connections,
            self.per_connection,
            self.batch,
            self.ready,
            self.pipelining,
            self.aggressive,
            self.idle_ms,
            t = self.timeout_ms,
        );
        for phase in ["banner", "ehlo", "mail_from", "rcpt_to", "data", "data_dot", "rset"] {
            let _ = write!(text, "{phase}_timeout = '{}ms', ", self.timeout_ms);
        }
        if let Some(rate) = self.messages {
            let _ = write!(text, "max_message_rate = {}, ", rate.text());
        }
        if let Some(rate) = self.connects {
            let _ = write!(text, "max_connection_rate = {}, ", rate.text());
        }
        text + "}"
    }
}

impl DomainLimits {
    fn options(&self, hop: &str) -> String {
        let mut text = format!(
            "{{ retry_interval = '{}ms', max_age = '{}ms', \
             protocol = {{ smtp = {{ mx_list = {{ '{hop}' }} }} }}, ",
            self.retry_ms, self.age_ms
        );
        if let Some(most) = self.retry_max_ms {
            let _ = write!(text, "max_retry_interval = '{most}ms', ");
        }
        if let Some(rate) = self.rate {
            let _ = write!(text, "max_message_rate = {}, ", rate.text());
        }
        text + "}"
    }
}

fn hop(rng: &Rng) -> HopLimits {
    HopLimits {
        connections: if rng.chance(MILLION / 3) { 1 } else { rng.between(1, 4) },
        per_connection: rng.between(1, 6),
        messages: Rate::choose(rng),
        connects: Rate::choose(rng),
        batch: rng.between(1, 4),
        ready: rng.between(1, 8),
        pipelining: rng.chance(MILLION * 3 / 4),
        aggressive: rng.flip(),
        timeout_ms: rng.between(500, 4000),
        idle_ms: if rng.chance(MILLION / 4) { 60_000 } else { rng.between(100, 3000) },
    }
}

fn domain(rng: &Rng, hops: usize) -> DomainLimits {
    let retry_ms = 100 << rng.below(6);
    DomainLimits {
        hop: rng.below(hops as u64) as usize,
        retry_ms,
        retry_max_ms: rng.flip().then(|| retry_ms * rng.between(1, 4)),
        age_ms: 2000 << rng.below(6),
        rate: Rate::choose(rng),
    }
}

fn mood(rng: &Rng) -> Mood {
    if rng.chance(MILLION / 5) {
        return Mood::default();
    }
    let some = || if rng.flip() { 1 << rng.between(12, 18) } else { 0 };
    Mood {
        later: some(),
        never: some(),
        stall: some() / 4,
        trickle: some(),
        leave: some() / 4,
        half_close: some() / 4,
        nonsense: some() / 4,
        closing: some() / 4,
        intermediate: some() / 4,
        extra: some() / 8,
        answer_and_close: some() / 2,
    }
}

fn network(rng: &Rng) -> net::Faults {
    let mut faults = net::Faults::default();
    faults.latency_nanos.1 = 1 << rng.between(15, 26);
    if rng.flip() {
        return faults;
    }
    let some = || if rng.flip() { 1 << rng.between(12, 18) } else { 0 };
    faults.refuse = some();
    faults.ignore = some() / 4;
    faults.reset = some();
    faults.silence = some() / 2;
    faults
}

/// Longest virtual time in which all that waits must have come to its end on a healthy machine.
pub fn drain_limit(plan: &Plan) -> Duration {
    let age = plan.domains.iter().map(|domain| domain.age_ms).max().unwrap_or(0);
    Duration::from_millis(age + 1_000_000)
}

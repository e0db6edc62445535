//! DNS for one shard: questions to the configured servers over UDP, then TCP when cut (RFC 1035),
//! answers cached for their TTL, absences for their SOA's (RFC 2308), failures for a moment.
//! Messages are made and read by hickory-proto; the exchange and the cache are ours.

use crate::dns_cache::DnsCache;
use crate::hosts::Hosts;
use crate::limits;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use ringmta_events::spans::{trail, SpanKind};
use ringmta_io::timing::Timing;
use ringmta_io::{self as io, deadline, mono_nanos, Conn, Stream, UdpSocket};
use ringmta_policy::{
    interface_number, is_name, DnsFailure, DnsKind, DnsQuestion, IpLookupStrategy, ResolvConf,
    ResolverOptions, Zones,
};
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Why a name could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsError {
    /// The name does not exist.
    NoSuchName,
    /// The name exists, but not with this type.
    NoData,
    /// No usable answer; the text says why. Worth another try later.
    Failed(String),
}

impl std::fmt::Display for DnsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DnsError::NoSuchName => f.write_str("no such domain"),
            DnsError::NoData => f.write_str("no such record"),
            DnsError::Failed(why) => write!(f, "DNS failed: {why}"),
        }
    }
}

/// Records of one answer, in the forms we use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// MX: (preference, host without the last dot).
    pub mx: Vec<(u16, String)>,
    /// A and AAAA.
    pub addresses: Vec<IpAddr>,
    /// TXT, strings joined; names of PTR.
    pub txt: Vec<String>,
}

impl Answer {
    /// Bytes it takes, about.
    fn bytes(&self) -> usize {
        const OF_ONE: usize = 32;
        let texts = self.txt.iter().chain(self.mx.iter().map(|(_, host)| host));
        texts.map(|text| text.len() + OF_ONE).sum::<usize>() + self.addresses.len() * OF_ONE
    }
}

/// How a resolver asks, and what it keeps.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long one server may take.
    pub timeout: Duration,
    /// Tries per question over all servers.
    pub tries: usize,
    /// Questions are shared out over the servers.
    rotates: bool,
    /// The server may look further.
    recursion: bool,
    cache_entries: usize,
    /// Seconds an answer is kept, at least and at most.
    positive_secs: (u32, u32),
    /// The same of absences.
    negative_secs: (u32, u32),
}

impl Settings {
    /// What a policy asks for, within the limits there are.
    pub fn new(options: &ResolverOptions) -> Settings {
        let span = |least: Option<Duration>, most: Option<Duration>| {
            let secs = |d: Duration| u32::try_from(d.as_secs()).unwrap_or(u32::MAX);
            let most = most.map_or(limits::DNS_TTL_MAX_SECS, secs).min(limits::DNS_TTL_MAX_SECS);
            (least.map_or(0, secs).min(most), most)
        };
        let timeout = Duration::from_millis(limits::DNS_QUERY_TIMEOUT_MS);
        Settings {
            timeout: options.timeout.unwrap_or(timeout),
            tries: options.attempts.unwrap_or(limits::DNS_TRIES),
            rotates: false,
            recursion: options.recursion_desired,
            cache_entries: options
                .cache_size
                .map_or(limits::DNS_CACHE_ENTRIES, |n| n.min(limits::DNS_CACHE_ENTRIES)),
            positive_secs: span(options.positive_min_ttl, options.positive_max_ttl),
            negative_secs: span(options.negative_min_ttl, options.negative_max_ttl),
        }
    }

    /// The servers of the system, asked as long and as often as it says.
    pub fn of_the_system(&mut self) -> Vec<SocketAddr> {
        let (servers, conf) = system_servers();
        let secs = |secs: u64| Duration::from_secs(secs.min(limits::DNS_SYSTEM_TIMEOUT_SECS));
        self.timeout = conf.timeout_secs.map_or(self.timeout, secs);
        let rounds = |rounds: usize| (rounds * servers.len()).min(limits::DNS_SYSTEM_TRIES);
        self.tries = conf.attempts.map_or(self.tries, rounds);
        self.rotates = conf.rotate;
        servers
    }

    /// Which of `count` servers a question is asked first: any of them where they share the questions.
    pub fn first_of(&self, count: usize) -> usize {
        match self.rotates {
            true => (io::random_u64() % count.max(1) as u64) as usize,
            false => 0,
        }
    }

    /// How long an outcome is kept whose records say `ttl` seconds.
    fn keep_secs(&self, result: &Result<Answer, DnsError>, ttl: u32) -> u32 {
        let (least, most) = match result {
            Ok(_) => self.positive_secs,
            Err(DnsError::NoSuchName | DnsError::NoData) => self.negative_secs,
            Err(DnsError::Failed(_)) => (0, limits::DNS_TTL_MAX_SECS),
        };
        ttl.clamp(least, most)
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings::new(&ResolverOptions::default())
    }
}

/// A shard's resolver.
pub struct Resolver {
    servers: Vec<SocketAddr>,
    settings: Settings,
    /// Answers of a test instead of those of servers.
    zones: Option<Arc<Zones>>,
    /// Names known without asking.
    hosts: Hosts,
    cache: RefCell<DnsCache<Result<Rc<Answer>, DnsError>>>,
    /// Questions answered from the cache.
    pub hits: Cell<u64>,
    /// Questions asked.
    pub misses: Cell<u64>,
    /// Questions that failed.
    pub failures: Cell<u64>,
    /// How long questions took that were asked.
    pub micros: RefCell<Timing>,
}

impl Resolver {
    /// Asks `servers`, or those of `/etc/resolv.conf` when empty.
    pub fn new(servers: Vec<SocketAddr>) -> Resolver {
        let mut settings = Settings::default();
        let servers = match servers.is_empty() {
            true => settings.of_the_system(),
            false => servers,
        };
        Resolver {
            servers,
            settings,
            zones: None,
            hosts: Hosts::default(),
            cache: RefCell::new(DnsCache::new(settings.cache_entries)),
            hits: Cell::new(0),
            misses: Cell::new(0),
            failures: Cell::new(0),
            micros: RefCell::default(),
        }
    }

    /// Asks and keeps as these settings say.
    pub fn with_settings(self, settings: Settings) -> Resolver {
        let cache = RefCell::new(DnsCache::new(settings.cache_entries));
        Resolver { settings, cache, ..self }
    }

    /// Answers from these zones, when there are some, and asks nobody.
    pub fn with_zones(self, zones: Option<Arc<Zones>>) -> Resolver {
        Resolver { zones, ..self }
    }

    /// The MX records of `domain`, best preference first. An empty list is never returned: without
    /// MX the domain itself is the host (RFC 5321 section 5.1), which the caller decides on
    /// [`DnsError::NoData`].
    ///
    /// # Errors
    /// See [`DnsError`].
    pub async fn mx(&self, domain: &str) -> Result<Vec<(u16, String)>, DnsError> {
        let mut hosts = self.lookup(domain, RecordType::MX).await?.mx.clone();
        if hosts.is_empty() {
            return Err(DnsError::NoData);
        }
        hosts.sort();
        Ok(hosts)
    }

    /// The addresses of `host` that `strategy` allows, in its order.
    ///
    /// # Errors
    /// See [`DnsError`]; one family failing while the other answers is no error.
    pub async fn addresses(
        &self,
        host: &str,
        strategy: IpLookupStrategy,
    ) -> Result<Vec<IpAddr>, DnsError> {
        if let Ok(literal) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok(vec![literal]);
        }
        let (first, second, only_if_none) = match strategy {
            IpLookupStrategy::Ipv4Only => (RecordType::A, None, false),
            IpLookupStrategy::Ipv6Only => (RecordType::AAAA, None, false),
            IpLookupStrategy::Ipv4AndIpv6 => (RecordType::A, Some(RecordType::AAAA), false),
            IpLookupStrategy::Ipv4ThenIpv6 => (RecordType::A, Some(RecordType::AAAA), true),
            IpLookupStrategy::Ipv6ThenIpv4 => (RecordType::AAAA, Some(RecordType::A), true),
        };
        let mut result = self.lookup(host, first).await.map(|answer| answer.addresses.clone());
        let found = result.as_ref().is_ok_and(|list| !list.is_empty());
        if let Some(second) = second.filter(|_| !(found && only_if_none)) {
            let more = self.lookup(host, second).await.map(|answer| answer.addresses.clone());
            result = match (result, more) {
                (Ok(mut list), Ok(more)) => {
                    list.extend(more);
                    Ok(list)
                }
                (Ok(list), Err(_)) | (Err(_), Ok(list)) => Ok(list),
                (Err(failed @ DnsError::Failed(_)), Err(_)) => Err(failed),
                (Err(_), Err(error)) => Err(error),
            };
        }
        match result {
            Ok(list) if list.is_empty() => Err(DnsError::NoData),
            other => other,
        }
    }

    /// One question, from the cache when it is there.
    ///
    /// # Errors
    /// See [`DnsError`].
    pub async fn lookup(&self, name: &str, kind: RecordType) -> Result<Rc<Answer>, DnsError> {
        let name = name.trim_end_matches('.');
        // Names come out of mail, too: what cannot be one is nowhere, and is no key of the cache.
        if !name.is_empty() && !is_name(name) {
            return Err(DnsError::NoSuchName);
        }
        let key = (name.to_ascii_lowercase(), kind);
        if let Some(known) = self.cache.borrow().get(&key, mono_nanos()) {
            self.hits.set(self.hits.get() + 1);
            return known;
        }
        self.misses.set(self.misses.get() + 1);
        let (began, part) = (mono_nanos(), trail::begin());
        let (result, ttl_secs) = self.ask(&key.0, kind).await;
        if let Some(part) = part {
            let attributes =
                vec![("dns.question.name", name.into()), ("type", kind.to_string().into())];
            let failure = result.as_ref().err().map(ToString::to_string);
            part.end(("dns", SpanKind::Client), attributes, failure);
        }
        self.micros.borrow_mut().note((mono_nanos() - began) / 1000);
        if matches!(result, Err(DnsError::Failed(_))) {
            self.failures.set(self.failures.get() + 1);
        }
        let keep_secs = self.settings.keep_secs(&result, ttl_secs);
        let bytes = match &result {
            Ok(answer) => answer.bytes(),
            Err(DnsError::Failed(why)) => why.len(),
            Err(DnsError::NoSuchName | DnsError::NoData) => 0,
        };
        let (result, now) = (result.map(Rc::new), mono_nanos());
        let until = now + u64::from(keep_secs) * 1_000_000_000;
        self.cache.borrow_mut().put(key, (result.clone(), bytes), (now, until));
        result
    }

    async fn ask(&self, name: &str, kind: RecordType) -> (Result<Answer, DnsError>, u32) {
        if let Some(zones) = &self.zones {
            return (from_zones(zones, name, kind), 1);
        }
        let Some(mut addresses) = self.hosts.find(name).await else {
            return self.ask_servers(name, kind).await;
        };
        let keep_secs = limits::HOSTS_KEEP_SECS as u32;
        match kind {
            RecordType::A => addresses.retain(IpAddr::is_ipv4),
            RecordType::AAAA => addresses.retain(IpAddr::is_ipv6),
            // It may have records in the DNS too; but it is a name that exists.
            _ => {
                let is_local = addresses.iter().all(IpAddr::is_loopback);
                return match is_local {
                    true => (Err(DnsError::NoData), keep_secs),
                    false => match self.ask_servers(name, kind).await {
                        (Err(DnsError::NoSuchName), ttl) => (Err(DnsError::NoData), ttl),
                        found => found,
                    },
                };
            }
        }
        match addresses.is_empty() {
            true => (Err(DnsError::NoData), keep_secs),
            false => (Ok(Answer { addresses, ..Answer::default() }), keep_secs),
        }
    }

    async fn ask_servers(&self, name: &str, kind: RecordType) -> (Result<Answer, DnsError>, u32) {
        let Ok(parsed) = Name::from_str(&format!("{name}.")) else {
            return (Err(DnsError::NoSuchName), limits::DNS_NEGATIVE_SECS);
        };
        let mut why = "no name servers are configured".to_string();
        let first = self.settings.first_of(self.servers.len());
        for attempt in first..first + self.settings.tries {
            let Some(server) = self.servers.get(attempt % self.servers.len().max(1)) else { break };
            match exchange(*server, &parsed, kind, &self.settings).await {
                Ok(reply) => match read_answer(&reply, &parsed, kind) {
                    (Err(DnsError::Failed(text)), _) => why = format!("{server}: {text}"),
                    usable => return usable,
                },
                Err(error) => why = format!("{server}: {error}"),
            }
        }
        (Err(DnsError::Failed(why)), limits::DNS_FAILURE_SECS)
    }
}

fn from_zones(zones: &Zones, name: &str, kind: RecordType) -> Result<Answer, DnsError> {
    let kind = match kind {
        RecordType::A => DnsKind::Addresses(IpLookupStrategy::Ipv4Only),
        RecordType::AAAA => DnsKind::Addresses(IpLookupStrategy::Ipv6Only),
        RecordType::MX => DnsKind::Mx,
        RecordType::PTR => DnsKind::Ptr,
        _ => DnsKind::Txt,
    };
    match zones.answer(&DnsQuestion::new(name, kind)) {
        Ok(found) => Ok(Answer { mx: found.mx, addresses: found.addresses, txt: found.texts }),
        Err(DnsFailure::NoSuchName) => Err(DnsError::NoSuchName),
        Err(DnsFailure::NoData) => Err(DnsError::NoData),
        Err(DnsFailure::Failed(why)) => Err(DnsError::Failed(why)),
    }
}

/// A question ready to be sent, for whoever brings a socket of another kind.
pub struct Question {
    id: u16,
    name: Name,
    kind: RecordType,
    /// The message.
    pub wire: Vec<u8>,
}

impl Question {
    /// Asks for `kind` of `name`.
    ///
    /// # Errors
    /// The name cannot be one.
    pub fn new(name: &str, kind: RecordType, settings: &Settings) -> std::io::Result<Question> {
        let name = Name::from_str(&format!("{}.", name.trim_end_matches('.')))
            .map_err(std::io::Error::other)?;
        let id = io::unguessable_u64() as u16;
        let wire = question(id, &name, kind, settings)?;
        Ok(Question { id, name, kind, wire })
    }

    /// Reads what came back; none when it was cut, and is to be asked for over TCP.
    ///
    /// # Errors
    /// It is no answer to this question.
    pub fn read(&self, wire: &[u8]) -> std::io::Result<Option<Result<Answer, DnsError>>> {
        let reply = parse(wire)?;
        if !answers(&reply, self.id, &self.name, self.kind) {
            return Err(std::io::Error::other("the answer is not to our question"));
        }
        let whole = !reply.truncated();
        Ok(whole.then(|| read_answer(&reply, &self.name, self.kind).0))
    }
}

fn question(
    id: u16,
    name: &Name,
    kind: RecordType,
    settings: &Settings,
) -> std::io::Result<Vec<u8>> {
    let mut question = Message::new();
    question
        .set_id(id)
        .set_message_type(MessageType::Query)
        .set_op_code(OpCode::Query)
        .set_recursion_desired(settings.recursion)
        .add_query(Query::query(name.clone(), kind));
    question.to_vec().map_err(std::io::Error::other)
}

async fn exchange(
    server: SocketAddr,
    name: &Name,
    kind: RecordType,
    settings: &Settings,
) -> std::io::Result<Message> {
    let id = io::unguessable_u64() as u16;
    let wire = question(id, name, kind, settings)?;
    let limit = settings.timeout;
    let reply = deadline(limit, over_udp(server, &wire, id, name, kind)).await??;
    if !reply.truncated() {
        return Ok(reply);
    }
    let reply = deadline(limit, over_tcp(server, &wire)).await??;
    if answers(&reply, id, name, kind) {
        Ok(reply)
    } else {
        Err(std::io::Error::other("the answer is not to our question"))
    }
}

async fn over_udp(
    server: SocketAddr,
    wire: &[u8],
    id: u16,
    name: &Name,
    kind: RecordType,
) -> std::io::Result<Message> {
    let any: SocketAddr =
        if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.send_to(wire, server).await?;
    let mut buffer = vec![0; 4096];
    loop {
        let (size, from) = socket.recv_from(&mut buffer).await?;
        // What others throw at the port is stepped over, not taken (RFC 5452).
        if from != server {
            continue;
        }
        if let Ok(reply) = parse(&buffer[..size]) {
            if answers(&reply, id, name, kind) {
                return Ok(reply);
            }
        }
    }
}

async fn over_tcp(server: SocketAddr, wire: &[u8]) -> std::io::Result<Message> {
    let mut conn = Conn::Plain(Stream::connect(server, None).await?);
    let mut framed = (wire.len() as u16).to_be_bytes().to_vec();
    framed.extend_from_slice(wire);
    conn.write_all(&framed).await?;
    let mut received = Vec::new();
    let mut chunk = vec![0; 4096];
    loop {
        let count = conn.read(&mut chunk).await?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        received.extend_from_slice(&chunk[..count]);
        if let [a, b, rest @ ..] = received.as_slice() {
            let size = usize::from(u16::from_be_bytes([*a, *b]));
            if rest.len() >= size {
                return parse(&rest[..size]);
            }
        }
    }
}

/// Reads a message. One whose header counts more records than its bytes could hold is refused before: the library makes
/// room for as many as the header says, megabytes for a hundred bytes.
fn parse(wire: &[u8]) -> std::io::Result<Message> {
    /// A root name, type, class, TTL and length (RFC 1035 section 3.2.1); a question is shorter, and there is one.
    const RECORD_BYTES: usize = 11;
    const HEADER_BYTES: usize = 12;
    let counts = wire.get(6..HEADER_BYTES).unwrap_or_default().chunks_exact(2);
    let records: usize =
        counts.map(|count| usize::from(u16::from_be_bytes([count[0], count[1]]))).sum();
    let questions = wire.get(4..6).is_none_or(|count| count[0] == 0 && count[1] <= 1);
    if !questions || records * RECORD_BYTES > wire.len().saturating_sub(HEADER_BYTES) {
        return Err(std::io::Error::other("the message is shorter than it says"));
    }
    Message::from_vec(wire).map_err(std::io::Error::other)
}

fn answers(reply: &Message, id: u16, name: &Name, kind: RecordType) -> bool {
    reply.id() == id
        && reply.message_type() == MessageType::Response
        && reply.queries().first().is_some_and(|q| q.name() == name && q.query_type() == kind)
}

/// Follows CNAMEs from the asked name and collects the records of the asked type.
fn read_answer(reply: &Message, name: &Name, kind: RecordType) -> (Result<Answer, DnsError>, u32) {
    let negative = reply
        .name_servers()
        .iter()
        .find_map(|record| match record.data() {
            RData::SOA(soa) => Some(record.ttl().min(soa.minimum())),
            _ => None,
        })
        .unwrap_or(limits::DNS_NEGATIVE_SECS);
    match reply.response_code() {
        ResponseCode::NoError => {}
        ResponseCode::NXDomain => return (Err(DnsError::NoSuchName), negative),
        code => return (Err(DnsError::Failed(code.to_string())), limits::DNS_FAILURE_SECS),
    }
    let mut owner = name.clone();
    let mut ttl = u32::MAX;
    for _ in 0..limits::DNS_CNAME_MAX {
        let next = reply.answers().iter().find_map(|record| match record.data() {
            RData::CNAME(target) if record.name() == &owner => {
                ttl = ttl.min(record.ttl());
                Some(target.0.clone())
            }
            _ => None,
        });
        match next {
            Some(target) => owner = target,
            None => break,
        }
    }
    let mut answer = Answer::default();
    let mut found = false;
    for record in reply.answers().iter().filter(|record| record.name() == &owner) {
        if record.record_type() != kind {
            continue;
        }
        found = true;
        ttl = ttl.min(record.ttl());
        match record.data() {
            RData::MX(mx) => answer.mx.push((mx.preference(), host_text(mx.exchange()))),
            RData::A(a) => answer.addresses.push(IpAddr::V4(a.0)),
            RData::AAAA(a) => answer.addresses.push(IpAddr::V6(a.0)),
            RData::TXT(txt) => {
                let bytes = txt.txt_data().concat();
                answer.txt.push(String::from_utf8_lossy(&bytes).into_owned());
            }
            RData::PTR(ptr) => answer.txt.push(host_text(&ptr.0)),
            _ => {}
        }
    }
    if found {
        (Ok(answer), ttl.max(1))
    } else {
        (Err(DnsError::NoData), negative)
    }
}

/// A name as hosts go by: its A-labels stay (RFC 5890), for that is how TLS, MTA-STS and site names know it.
fn host_text(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

/// The servers of `/etc/resolv.conf`, never none, and what else it says.
pub fn system_servers() -> (Vec<SocketAddr>, ResolvConf) {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let mut conf = ResolvConf::parse(&text, interface_number);
    let mut servers = std::mem::take(&mut conf.servers);
    if servers.is_empty() {
        servers.push(([127, 0, 0, 1], 53).into());
    }
    (servers, conf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;

    #[test]
    fn what_can_be_no_name_is_not_asked_for_and_not_kept() {
        let resolver = Resolver::new(vec![([127, 0, 0, 1], 1).into()]);
        for name in ["x".repeat(900_000), "a..b".to_string(), ["x"; 200].join(".")] {
            let found = block_on(resolver.lookup(&name, RecordType::TXT));
            assert_eq!(found, Err(DnsError::NoSuchName));
        }
        assert_eq!((resolver.misses.get(), resolver.hits.get()), (0, 0));
    }
}

//! DNS questions of the policy, answered by the shard's resolver; or, before there is a shard, by a
//! plain socket on a thread that may wait.

use crate::hosts;
use crate::resolve;
use crate::resolve::{Answer, DnsError, Resolver, Settings};
use hickory_proto::rr::RecordType;
use ringmta_policy::{
    DnsAnswer, DnsFailure, DnsKind, DnsQuestion, DnsResult, IpLookupStrategy, NameServers,
};
use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn failure(error: DnsError) -> DnsFailure {
    match error {
        DnsError::NoSuchName => DnsFailure::NoSuchName,
        DnsError::NoData => DnsFailure::NoData,
        DnsError::Failed(why) => DnsFailure::Failed(why),
    }
}

/// What the records say, best MX first.
fn told(answer: &Answer) -> DnsAnswer {
    let mut mx = answer.mx.clone();
    mx.sort();
    let (addresses, texts) = (answer.addresses.clone(), answer.txt.clone());
    DnsAnswer { mx, addresses, texts, secure: false }
}

/// Asks the shard's resolver.
pub async fn ask(resolver: &Resolver, question: &DnsQuestion) -> DnsResult {
    let name = question.name.as_str();
    let kind = match question.kind {
        DnsKind::Addresses(strategy) => {
            let found = resolver.addresses(name, strategy).await.map_err(failure)?;
            return Ok(DnsAnswer { addresses: found, ..DnsAnswer::default() });
        }
        DnsKind::Mx => RecordType::MX,
        DnsKind::Txt => RecordType::TXT,
        DnsKind::Ptr => RecordType::PTR,
    };
    resolver.lookup(name, kind).await.map(|answer| told(&answer)).map_err(failure)
}

/// The resolvers a policy gave names to, as far as this shard was asked to use them.
#[derive(Default)]
pub struct NamedResolvers(RefCell<HashMap<String, Known>>);

/// What the name stood for when it was asked, and the resolver made of it.
type Known = (Arc<NameServers>, Rc<Resolver>);

impl NamedResolvers {
    /// The resolver of these servers, with its cache. One that was defined anew begins with an empty one.
    pub fn get(&self, servers: &Arc<NameServers>) -> Rc<Resolver> {
        let mut known = self.0.borrow_mut();
        if let Some((of, resolver)) = known.get(&servers.name) {
            if Arc::ptr_eq(of, servers) {
                return resolver.clone();
            }
        }
        let resolver =
            Resolver::new(servers.servers.clone()).with_settings(Settings::new(&servers.options));
        let resolver = Rc::new(resolver);
        known.insert(servers.name.clone(), (servers.clone(), resolver.clone()));
        resolver
    }
}

/// Asks the servers of a question, or the system's, and waits for the answer.
pub fn ask_blocking(question: &DnsQuestion) -> DnsResult {
    let kinds: &[RecordType] = match question.kind {
        DnsKind::Mx => &[RecordType::MX],
        DnsKind::Txt => &[RecordType::TXT],
        DnsKind::Ptr => &[RecordType::PTR],
        DnsKind::Addresses(IpLookupStrategy::Ipv4Only) => &[RecordType::A],
        DnsKind::Addresses(IpLookupStrategy::Ipv6Only) => &[RecordType::AAAA],
        DnsKind::Addresses(_) => &[RecordType::A, RecordType::AAAA],
    };
    let mut sum = DnsAnswer::default();
    if let (DnsKind::Addresses(_), None, Some(known)) =
        (question.kind, &question.servers, hosts::known(&question.name))
    {
        let v4 = kinds.contains(&RecordType::A);
        let v6 = kinds.contains(&RecordType::AAAA);
        sum.addresses = known;
        sum.addresses.retain(|ip| if ip.is_ipv4() { v4 } else { v6 });
        return Ok(sum);
    }
    let mut error = DnsFailure::NoData;
    for kind in kinds {
        match one(question, *kind) {
            Ok(answer) => {
                let answer = told(&answer);
                sum.mx.extend(answer.mx);
                sum.addresses.extend(answer.addresses);
                sum.texts.extend(answer.texts);
            }
            Err(e) => error = failure(e),
        }
    }
    if sum == DnsAnswer::default() {
        return Err(error);
    }
    Ok(sum)
}

fn one(question: &DnsQuestion, kind: RecordType) -> Result<Answer, DnsError> {
    let named = question.servers.as_deref();
    let mut settings = named.map(|n| Settings::new(&n.options)).unwrap_or_default();
    let servers = match named {
        Some(named) if !named.servers.is_empty() => named.servers.clone(),
        Some(_) => resolve::system_servers().0,
        None => settings.of_the_system(),
    };
    let mut why = "no name servers are configured".to_string();
    let first = settings.first_of(servers.len());
    for attempt in first..first + settings.tries {
        let server = servers[attempt % servers.len().max(1)];
        match exchange(server, &question.name, kind, &settings) {
            Ok(Err(DnsError::Failed(text))) => why = format!("{server}: {text}"),
            Ok(usable) => return usable,
            Err(error) => why = format!("{server}: {error}"),
        }
    }
    Err(DnsError::Failed(why))
}

/// One question over UDP, and over TCP when its answer was cut, each within the deadline of one server.
fn exchange(
    server: SocketAddr,
    name: &str,
    kind: RecordType,
    settings: &Settings,
) -> io::Result<Result<Answer, DnsError>> {
    let question = resolve::Question::new(name, kind, settings)?;
    if let Some(whole) = over_udp(server, &question, settings.timeout)? {
        return Ok(whole);
    }
    let stream = TcpStream::connect_timeout(&server, settings.timeout)?;
    let reply = over_tcp(stream, &question.wire, settings.timeout)?;
    question.read(&reply)?.ok_or_else(|| io::Error::other("cut over TCP as well"))
}

fn over_udp(
    server: SocketAddr,
    question: &resolve::Question,
    timeout: Duration,
) -> io::Result<Option<Result<Answer, DnsError>>> {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    // Connected: what others throw at the port does not reach us.
    socket.connect(server)?;
    socket.send(&question.wire)?;
    let end = Instant::now() + timeout;
    let mut buffer = vec![0; 4096];
    loop {
        socket.set_read_timeout(Some(left_until(end)?))?;
        let size = socket.recv(&mut buffer).map_err(no_answer)?;
        // What is no answer to this question is stepped over, not taken (RFC 5452).
        if let Ok(answer) = question.read(&buffer[..size]) {
            return Ok(answer);
        }
    }
}

fn over_tcp(mut stream: TcpStream, wire: &[u8], timeout: Duration) -> io::Result<Vec<u8>> {
    let end = Instant::now() + timeout;
    stream.set_write_timeout(Some(timeout))?;
    let mut framed = (wire.len() as u16).to_be_bytes().to_vec();
    framed.extend_from_slice(wire);
    stream.write_all(&framed)?;
    let mut reply = Vec::new();
    let mut chunk = vec![0; 4096];
    loop {
        if let [a, b, rest @ ..] = reply.as_slice() {
            let size = usize::from(u16::from_be_bytes([*a, *b]));
            if rest.len() >= size {
                return Ok(rest[..size].to_vec());
            }
        }
        stream.set_read_timeout(Some(left_until(end)?))?;
        match stream.read(&mut chunk).map_err(no_answer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => reply.extend_from_slice(&chunk[..count]),
        }
    }
}

fn left_until(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(no_answer(io::ErrorKind::TimedOut.into()));
    }
    Ok(left)
}

/// A socket whose deadline has come says that it would block.
fn no_answer(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
        }
        _ => error,
    }
}

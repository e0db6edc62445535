//! DNS questions of the policy, answered by the shard's resolver; or, before there is a shard, by a
//! plain socket on a thread that may wait.

use super::resolve::{self, Answer, DnsError, Resolver};
use crate::limits;
use hickory_proto::rr::RecordType;
use ringmta_policy::{DnsAnswer, DnsFailure, DnsKind, DnsQuestion, DnsResult, IpLookupStrategy};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

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
    DnsAnswer { mx, addresses: answer.addresses.clone(), texts: answer.txt.clone() }
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

/// Asks the system's servers and waits for the answer.
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
    let mut error = DnsFailure::NoData;
    for kind in kinds {
        match one(&question.name, *kind) {
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

fn one(name: &str, kind: RecordType) -> Result<Answer, DnsError> {
    let servers = resolve::system_servers();
    let mut why = "no name servers are configured".to_string();
    for attempt in 0..limits::DNS_TRIES {
        let server = servers[attempt % servers.len().max(1)];
        match exchange(server, name, kind) {
            Ok(Err(DnsError::Failed(text))) => why = format!("{server}: {text}"),
            Ok(usable) => return usable,
            Err(error) => why = format!("{server}: {error}"),
        }
    }
    Err(DnsError::Failed(why))
}

/// One question over UDP. A cut answer is used as far as it goes: this serves start-up only.
fn exchange(
    server: SocketAddr,
    name: &str,
    kind: RecordType,
) -> std::io::Result<Result<Answer, DnsError>> {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.set_read_timeout(Some(Duration::from_millis(limits::DNS_QUERY_TIMEOUT_MS)))?;
    // Connected: what others throw at the port does not reach us.
    socket.connect(server)?;
    let question = resolve::Question::new(name, kind)?;
    socket.send(&question.wire)?;
    let mut buffer = vec![0; 4096];
    let size = socket.recv(&mut buffer)?;
    question.read(&buffer[..size])
}

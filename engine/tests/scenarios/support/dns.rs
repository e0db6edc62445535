//! A name server on UDP and TCP whose zones are a function.

use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, MX, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What a zone says to a question.
#[derive(Default)]
pub struct Zone {
    /// Records of the name that was asked for.
    pub data: Vec<RData>,
    /// Records of other names.
    pub others: Vec<(String, RData)>,
    /// Another code than NoError.
    pub code: Option<ResponseCode>,
}

impl Zone {
    /// These records.
    pub fn of(data: Vec<RData>) -> Zone {
        Zone { data, ..Zone::default() }
    }

    /// No answer but this code.
    pub fn code(code: ResponseCode) -> Zone {
        Zone { code: Some(code), ..Zone::default() }
    }
}

pub fn mx(preference: u16, host: &str) -> RData {
    RData::MX(MX::new(preference, Name::from_str(host).unwrap()))
}

pub fn a(ip: impl Into<Ipv4Addr>) -> RData {
    RData::A(A(ip.into()))
}

pub fn txt(text: &str) -> RData {
    RData::TXT(TXT::new(vec![text.into()]))
}

pub fn cname(target: &str) -> RData {
    RData::CNAME(CNAME(Name::from_str(target).unwrap()))
}

/// A name server. It ends with the process.
pub struct NameServer {
    pub addr: SocketAddr,
    asked: Arc<Mutex<BTreeMap<(String, RecordType), usize>>>,
    held: Arc<AtomicUsize>,
}

impl NameServer {
    /// Answers as `zones` says for a name (with its last dot) and a type.
    pub fn start(
        zones: impl Fn(&str, RecordType) -> Zone + Send + Sync + Clone + 'static,
    ) -> NameServer {
        // One port for both: what is free for TCP is tried for UDP.
        let (tcp, udp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
                break (tcp, udp);
            }
        };
        let addr = tcp.local_addr().unwrap();
        let server =
            NameServer { addr, asked: Arc::default(), held: Arc::new(AtomicUsize::new(1)) };
        let (asked, held) = (server.asked.clone(), server.held.clone());
        let for_udp = zones.clone();
        std::thread::spawn(move || over_udp(&udp, &asked, &held, for_udp));
        std::thread::spawn(move || {
            // One who goes away before the answer costs the others nothing.
            tcp.incoming().flatten().for_each(|stream| drop(over_tcp(stream, &zones)));
        });
        server
    }

    /// Answers questions for addresses only when `count` different ones wait for it.
    pub fn hold_addresses(&self, count: usize) {
        self.held.store(count, Ordering::Relaxed);
    }

    /// How many questions it got over UDP.
    pub fn questions(&self) -> usize {
        self.asked.lock().unwrap().values().sum()
    }

    /// The names that this type was asked for.
    pub fn names(&self, kind: RecordType) -> BTreeSet<String> {
        let asked = self.asked.lock().unwrap();
        asked.keys().filter(|(_, of)| *of == kind).map(|(name, _)| name.clone()).collect()
    }
}

fn over_tcp(
    mut stream: TcpStream,
    zones: &impl Fn(&str, RecordType) -> Zone,
) -> std::io::Result<()> {
    let mut size = [0; 2];
    stream.read_exact(&mut size)?;
    let mut question = vec![0; usize::from(u16::from_be_bytes(size))];
    stream.read_exact(&mut question)?;
    let (_, reply) = answer(&question, zones);
    stream.write_all(&(reply.len() as u16).to_be_bytes())?;
    stream.write_all(&reply)
}

fn over_udp(
    udp: &UdpSocket,
    asked: &Mutex<BTreeMap<(String, RecordType), usize>>,
    held: &AtomicUsize,
    zones: impl Fn(&str, RecordType) -> Zone,
) {
    let mut buffer = [0; 4096];
    let mut waiting = Vec::new();
    let mut names = BTreeSet::new();
    while let Ok((size, from)) = udp.recv_from(&mut buffer) {
        let (query, mut reply) = answer(&buffer[..size], &zones);
        let key = (query.name().to_ascii(), query.query_type());
        *asked.lock().unwrap().entry(key.clone()).or_default() += 1;
        if reply.len() > 4096 {
            let mut cut = Message::new();
            cut.set_id(u16::from_be_bytes([buffer[0], buffer[1]]))
                .set_message_type(MessageType::Response)
                .set_truncated(true)
                .add_query(query);
            reply = cut.to_vec().unwrap();
        }
        if key.1 == RecordType::A {
            names.insert(key.0);
            waiting.push((reply, from));
            if names.len() < held.load(Ordering::Relaxed) {
                continue;
            }
        } else {
            waiting.push((reply, from));
        }
        for (reply, from) in waiting.drain(..) {
            // What someone else might throw at the port: it must be stepped over.
            let _ = udp.send_to(b"noise", from);
            let _ = udp.send_to(&reply, from);
        }
    }
}

fn answer(question: &[u8], zones: impl Fn(&str, RecordType) -> Zone) -> (Query, Vec<u8>) {
    let question = Message::from_vec(question).unwrap();
    let query = question.queries()[0].clone();
    let mut reply = Message::new();
    reply.set_id(question.id()).set_message_type(MessageType::Response).add_query(query.clone());
    let zone = zones(&query.name().to_ascii(), query.query_type());
    if let Some(code) = zone.code {
        reply.set_response_code(code);
    }
    for data in zone.data {
        reply.add_answer(Record::from_rdata(query.name().clone(), 60, data));
    }
    for (name, data) in zone.others {
        reply.add_answer(Record::from_rdata(Name::from_str(&name).unwrap(), 60, data));
    }
    (query, reply.to_vec().unwrap())
}

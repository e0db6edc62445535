//! Next hops and name servers that stall, trickle, babble or lie: each connection is ended by its
//! deadline, each message is tried again and expires on time, and other destinations do not notice.

use crate::support::{message, wait, Sink, Site};
use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, MX};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a next hop does instead of its part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    NoBanner,
    TricklingBanner,
    EndlessBanner,
    NotSmtp,
    NoEhlo,
    EndlessEhlo,
    NoStartTls,
    NoHandshake,
    HalfHandshake,
    NoMail,
    NoRcpt,
    NoData,
    /// Reads nothing of the message.
    NoReading,
    NoDot,
    TricklingDot,
    TwoCodes,
    /// Takes the message, and then never answers QUIT nor closes.
    NoQuit,
}

const FAULTS: [Fault; 17] = [
    Fault::NoBanner,
    Fault::TricklingBanner,
    Fault::EndlessBanner,
    Fault::NotSmtp,
    Fault::NoEhlo,
    Fault::EndlessEhlo,
    Fault::NoStartTls,
    Fault::NoHandshake,
    Fault::HalfHandshake,
    Fault::NoMail,
    Fault::NoRcpt,
    Fault::NoData,
    Fault::NoReading,
    Fault::NoDot,
    Fault::TricklingDot,
    Fault::TwoCodes,
    Fault::NoQuit,
];

impl Fault {
    fn domain(self) -> String {
        let tls = matches!(self, Fault::NoStartTls | Fault::NoHandshake | Fault::HalfHandshake);
        format!("{self:?}.{}", if tls { "tls.test" } else { "plain.test" }).to_lowercase()
    }
}

/// A next hop with a fault.
struct Hop {
    addr: SocketAddr,
    opened: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
}

impl Hop {
    fn start(fault: Fault) -> Hop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (opened, closed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counts = (opened.clone(), closed.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (opened, closed) = counts.clone();
                opened.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    // It ends when the engine ends the connection, and not before.
                    let _ = serve(fault, &stream);
                    let _ = std::io::copy(&mut (&stream), &mut std::io::sink());
                    closed.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Hop { addr, opened, closed }
    }

    fn counts(&self) -> (usize, usize) {
        (self.opened.load(Ordering::SeqCst), self.closed.load(Ordering::SeqCst))
    }
}

/// Sends `text` over and over until the connection ends.
fn repeat(mut stream: &TcpStream, text: &[u8], pause: Duration) -> std::io::Result<()> {
    loop {
        stream.write_all(text)?;
        std::thread::sleep(pause);
    }
}

/// Reads a message to its final dot; `false` when the connection ended before.
fn read_to_dot(reader: &mut impl BufRead) -> std::io::Result<bool> {
    let mut text = String::new();
    while text != ".\r\n" {
        text.clear();
        if reader.read_line(&mut text)? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

fn serve(fault: Fault, mut stream: &TcpStream) -> std::io::Result<()> {
    let quick = Duration::ZERO;
    let slow = Duration::from_millis(50);
    match fault {
        Fault::NoBanner => return Ok(()),
        Fault::TricklingBanner => return repeat(stream, b"220-", slow),
        Fault::EndlessBanner => return repeat(stream, b"220-more\r\n", quick),
        Fault::NotSmtp => stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")?,
        _ => stream.write_all(b"220 hop.test ESMTP\r\n")?,
    }
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let verb = line.split([' ', '\r']).next().unwrap().to_ascii_uppercase();
        let reply: &[u8] = match (verb.as_str(), fault) {
            ("EHLO", Fault::NoEhlo) => return Ok(()),
            ("EHLO", Fault::EndlessEhlo) => return repeat(stream, b"250-X\r\n", quick),
            ("EHLO", _) => b"250-hop.test\r\n250 STARTTLS\r\n",
            ("STARTTLS", Fault::NoStartTls) => return Ok(()),
            ("STARTTLS", Fault::HalfHandshake) => {
                stream.write_all(b"220 go ahead\r\n")?;
                // The beginning of a server's hello that never goes on.
                let mut hello = [0; 5];
                reader.read_exact(&mut hello)?;
                stream.write_all(&[22, 3, 3, 0, 122, 2, 0])?;
                return Ok(());
            }
            ("STARTTLS", _) => {
                stream.write_all(b"220 go ahead\r\n")?;
                return Ok(());
            }
            ("MAIL", Fault::NoMail) | ("RCPT", Fault::NoRcpt) | ("DATA", Fault::NoData) => {
                return Ok(());
            }
            ("MAIL", Fault::TwoCodes) => b"250-fine\r\n550 or not\r\n",
            ("DATA", Fault::NoReading) => {
                stream.write_all(b"354 go ahead\r\n")?;
                // Until the other side gives up; then what has come can be read away.
                while !is_closed(stream) {
                    std::thread::sleep(slow);
                }
                return Ok(());
            }
            ("DATA", _) => {
                stream.write_all(b"354 go ahead\r\n")?;
                if !read_to_dot(&mut reader)? {
                    return Ok(());
                }
                match fault {
                    Fault::NoDot => return Ok(()),
                    Fault::TricklingDot => return repeat(stream, b"2", slow),
                    _ => b"250 taken\r\n",
                }
            }
            ("QUIT", Fault::NoQuit) => return Ok(()),
            ("QUIT", _) => {
                stream.write_all(b"221 bye\r\n")?;
                return Ok(());
            }
            _ => b"250 fine\r\n",
        };
        stream.write_all(reply)?;
    }
}

/// Whether the peer has closed, though what it sent before has not been read, and stands before its
/// end: seen from the peer's side, on the same machine.
fn is_closed(stream: &TcpStream) -> bool {
    let port = format!(":{:04X}", stream.peer_addr().unwrap().port());
    let local = format!(":{:04X}", stream.local_addr().unwrap().port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let established = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.len() > 3
            && fields[1].ends_with(&port)
            && fields[2].ends_with(&local)
            && fields[3] == "01"
    };
    !table.lines().any(established)
}

const SHORT: &str = "enable_tls = routing_domain:find('tls.test', 1, true)
        and 'RequiredInsecure' or 'Disabled',
    connect_timeout = '500ms', banner_timeout = '500ms', ehlo_timeout = '500ms',
    starttls_timeout = '500ms', mail_from_timeout = '500ms', rcpt_to_timeout = '500ms',
    data_timeout = '500ms', data_dot_timeout = '500ms', rset_timeout = '500ms',
    idle_timeout = '300ms',";

/// A handler that never lets go of its thread (a call into Lua's own library that takes years) keeps its shard, not the
/// engine.
#[test]
fn sigterm_ends_an_engine_whose_shard_is_busy_for_ever() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.queue = "retry_interval = '1s', max_age = '1 hour',".into();
    site.extra = "
kumo.on('smtp_server_mail_from', function(sender)
  if tostring(sender):find 'burn@' then
    table.move({}, 1, 1 << 60, 2)
  end
end)"
        .into();
    sink.refuse("u@", "450 4.2.0 later");
    let engine = site.start(2);
    engine.accept("a@src.test", &["u@dst.test"], &message("waits"));
    site.wait_record("TransientFailure", |_| true);
    let mut busy = engine.greeted();
    let before = cpu_millis(engine.pid());
    busy.send("MAIL FROM:<burn@src.test>\r\n");
    wait("the shard at work", || cpu_millis(engine.pid()) > before + 1000);
    let mut engine = engine;
    engine.signal("TERM");
    engine.wait_exit();
    assert!(engine.says("does not end: it is left behind"), "{:?}", engine.stderr());
    sink.set(|behaviour| behaviour.recipients.clear());
    let engine = site.start(2);
    sink.wait_messages(1);
    engine.wait_empty();
}

/// CPU time of a process.
fn cpu_millis(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // User and system time, in hundredths of a second on every Linux.
    fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap() * 10).sum()
}

#[test]
fn no_next_hop_holds_a_message_a_connection_or_another_destination() {
    let healthy = Sink::start();
    let mut site = Site::to(healthy.addr);
    site.queue = "retry_interval = '500ms', max_retry_interval = '1s', max_age = '4s',".into();
    site.path = SHORT.into();
    let hops: Vec<(Fault, Hop)> = FAULTS.iter().map(|fault| (*fault, Hop::start(*fault))).collect();
    for (fault, hop) in &hops {
        site.routes.push((fault.domain(), hop.addr));
    }
    let engine = site.start(2);
    // More than the sockets' buffers hold, for a hop that does not read.
    let large = [message("large"), b"line of text, again and again\r\n".repeat(500_000)].concat();
    for (fault, _) in &hops {
        let to = format!("u@{}", fault.domain());
        let body = if *fault == Fault::NoReading { large.clone() } else { message("stuck") };
        engine.accept("a@src.test", &[&to], &body);
    }
    for (fault, hop) in &hops {
        wait(&format!("a connection to {fault:?}"), || hop.counts().0 > 0);
    }
    // Meanwhile others get their mail at the first attempt.
    for n in 0..50 {
        engine.accept("a@src.test", &[&format!("u{n}@healthy.test")], &message("healthy"));
    }
    healthy.wait_messages(50);
    let others = |record: &serde_json::Value| record["queue"] == "healthy.test";
    assert!(!site.records_of("TransientFailure").iter().any(others), "others have noticed");

    for (fault, _) in &hops {
        let (domain, kind) =
            (fault.domain(), if *fault == Fault::NoQuit { "Delivery" } else { "Expiration" });
        site.wait_record(kind, |record| record["queue"] == domain.as_str());
        let tried = site.records_of("TransientFailure");
        let tried = tried.iter().filter(|record| record["queue"] == domain.as_str()).count();
        assert_eq!(tried == 0, *fault == Fault::NoQuit, "{fault:?}: {tried} failed attempts");
    }
    engine.wait_empty();
    for (fault, hop) in &hops {
        wait(&format!("the end of every connection to {fault:?}: {:?}", hop.counts()), || {
            let (opened, closed) = hop.counts();
            opened == closed
        });
    }
    assert!(engine.terminate().success());
}

/// How a name server behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Silent,
    /// Answers to other questions, with other ids, and no DNS at all.
    Lying,
    Failing,
    Right,
}

struct NameServer {
    addr: SocketAddr,
    mood: Arc<Mutex<Mood>>,
    questions: Arc<AtomicUsize>,
}

impl NameServer {
    fn start(mood: Mood) -> NameServer {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = udp.local_addr().unwrap();
        let (mood, questions) = (Arc::new(Mutex::new(mood)), Arc::new(AtomicUsize::new(0)));
        let (now, count) = (mood.clone(), questions.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((size, from)) = udp.recv_from(&mut buffer) {
                count.fetch_add(1, Ordering::SeqCst);
                let mood = *now.lock().unwrap();
                for reply in replies(&buffer[..size], mood) {
                    let _ = udp.send_to(&reply, from);
                }
            }
        });
        NameServer { addr, mood, questions }
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

fn replies(question: &[u8], mood: Mood) -> Vec<Vec<u8>> {
    let question = Message::from_vec(question).unwrap();
    let query = question.queries()[0].clone();
    let mut reply = Message::new();
    reply.set_id(question.id()).set_message_type(MessageType::Response).add_query(query.clone());
    let data = match query.query_type() {
        RecordType::MX => Some(RData::MX(MX::new(10, Name::from_str("mx.dns.test.").unwrap()))),
        RecordType::A => Some(RData::A(A(Ipv4Addr::LOCALHOST))),
        _ => None,
    };
    match mood {
        Mood::Silent => return vec![],
        Mood::Failing => {
            reply.set_response_code(ResponseCode::ServFail);
        }
        Mood::Lying => {
            let other = Name::from_str("other.test.").unwrap();
            let forged = RData::A(A(Ipv4Addr::new(127, 0, 0, 99)));
            reply.add_answer(Record::from_rdata(other, 60, forged));
            reply.set_id(question.id().wrapping_add(1));
            return vec![b"no DNS".to_vec(), reply.to_vec().unwrap()];
        }
        Mood::Right => {
            if let Some(data) = data {
                reply.add_answer(Record::from_rdata(query.name().clone(), 1, data));
            }
        }
    }
    vec![reply.to_vec().unwrap()]
}

fn dns_site(server: &NameServer, sink: &Sink, max_age: &str) -> Site {
    let mut site = Site::new();
    site.init = format!("kumo.dns.configure_resolver {{ name_servers = {{ '{}' }} }}", server.addr);
    site.path = format!("smtp_port = {}, ip_lookup_strategy = 'Ipv4Only',", sink.addr.port());
    site.queue =
        format!("retry_interval = '1s', max_retry_interval = '1s', max_age = '{max_age}',");
    site.routes.push(("routed.test".into(), sink.addr));
    site
}

#[test]
fn a_name_server_that_never_answers_holds_nothing_but_its_own() {
    for mood in [Mood::Silent, Mood::Lying] {
        let (server, sink) = (NameServer::start(mood), Sink::start());
        let site = dns_site(&server, &sink, "6s");
        let engine = site.start(1);
        for n in 0..20 {
            engine.accept("a@src.test", &[&format!("u@d{n}.test")], &message("lost"));
        }
        wait("a question", || server.questions.load(Ordering::SeqCst) > 0);
        engine.accept("a@src.test", &["u@routed.test"], &message("routed"));
        sink.wait_messages(1);
        wait("the end of all that cannot be routed", || site.records_of("Expiration").len() == 20);
        engine.wait_empty();
        assert_eq!(sink.count(), 1, "an answer to another question was believed");
    }
}

#[test]
fn a_name_server_that_flaps_delays_mail_and_loses_none() {
    let (server, sink) = (NameServer::start(Mood::Failing), Sink::start());
    let site = dns_site(&server, &sink, "1 hour");
    let engine = site.start(1);
    for n in 0..10 {
        engine.accept("a@src.test", &[&format!("u@d{n}.test")], &message("flap"));
    }
    wait("questions", || server.questions.load(Ordering::SeqCst) > 3);
    server.set(Mood::Silent);
    engine.accept("a@src.test", &["u@later.test"], &message("flap"));
    let before = server.questions.load(Ordering::SeqCst);
    wait("more questions", || server.questions.load(Ordering::SeqCst) > before);
    server.set(Mood::Right);
    sink.wait_messages(11);
    engine.wait_empty();
}

#[test]
fn a_watchdog_ends_what_comes_to_nothing() {
    // The SMTP deadlines are minutes: only the watchdog ends these.
    for (fault, phase) in
        [(Fault::NoBanner, "AttemptingConnection"), (Fault::NoMail, "DeliveringMessage")]
    {
        let hop = Hop::start(fault);
        let mut site = Site::to(hop.addr);
        site.path += "dispatcher_progress_watchdog_timeout = '1s',";
        site.queue += "retry_interval = '1 hour',";
        watched(&site, phase);
    }
    let mut site = Site::new();
    site.path += "dispatcher_progress_watchdog_timeout = '1s',";
    site.queue =
        "retry_interval = '1 hour', protocol = { custom_lua = { constructor = 'make.slow' } },"
            .into();
    site.extra = "kumo.on('make.slow', function()
        local c = {} function c:send(msg) kumo.sleep(3600) end return c
    end)"
        .into();
    watched(&site, "DeliveringMessage detail=\"lua: send\"");
}

/// Mail of this site is put off by the watchdog, which says so.
fn watched(site: &Site, phase: &str) {
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("hung"));
    let record = site.wait_record("TransientFailure", |_| true);
    let (response, content) = (&record["response"], record["response"]["content"].as_str());
    assert_eq!(response["code"], 451, "{record}");
    assert_eq!(response["enhanced_code"]["detail"], 1, "{record}");
    let start = format!("dispatcher watchdog aborted task; phase={phase}");
    assert!(content.is_some_and(|text| text.starts_with(&start)), "{record}");
    assert!(engine.metric("dispatcher_watchdog_aborted_total") >= 1.0);
    assert_eq!(engine.metric("message_count"), 1.0);
}

/// A handler whose time is over in the middle of what it injects: what was stored is either queued or let go, and the next
/// start finds nothing that this life did not know of.
#[test]
fn what_a_handler_injects_as_its_time_ends_belongs_to_somebody() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.listener = "data_processing_timeout = '20ms', relay_hosts = { '127.0.0.1' },".into();
    site.extra = "
kumo.on('smtp_server_message_received', function(msg)
  local name = msg:recipient().user
  for n = 1, 100000 do
    local to = name .. '-' .. n .. '@dst.test'
    local text = 'Subject: injected\\r\\n\\r\\nx\\r\\n'
    kumo.inject_message(kumo.make_message('i@src.test', to, text))
  end
end)"
        .into();
    let engine = site.start(1);
    let mut client = engine.greeted();
    for n in 0..1000 {
        let to = format!("u{n}@dst.test");
        let reply = client.transaction("a@src.test", &[&to], &message("times out"));
        assert_eq!(reply.code, 451, "{reply:?}");
        // On a slow disk it takes more of them until something was stored in time.
        if n >= 30 && sink.count() > 1 {
            break;
        }
    }
    let received = || {
        let mut to: Vec<_> = sink.messages().into_iter().flat_map(|m| m.to).collect();
        to.sort();
        to
    };
    engine.wait_empty();
    let found = engine.get("/api/admin/self-check/v1").expect(200).json();
    assert_eq!(found["ok"], true, "{found}");
    let before = received();
    assert!(before.len() > 1, "{before:?}");
    let mut once = before.clone();
    once.dedup();
    assert_eq!(once, before);
    assert!(before.iter().all(|to| to.contains('-')), "{before:?}");
    // No journal says of it what the file does not: it ends in order.
    assert!(engine.terminate().success());
    let engine = site.start(1);
    engine.wait_empty();
    assert_eq!(received(), before);
}

//! Which of a domain's hosts get its mail: how many count, whose turn it is, how they are called.

use crate::support::dns::{a, mx, NameServer, Zone};
use crate::support::tls::Ca;
use crate::support::{message, wait, Phase, Sink, Site};
use hickory_proto::rr::RecordType;
use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

const HERE: [u8; 4] = [127, 0, 0, 1];

fn site(server: &NameServer, port: u16) -> Site {
    let mut site = Site::new();
    site.init = format!("kumo.dns.configure_resolver {{ name_servers = {{ '{}' }} }}", server.addr);
    site.path = format!("smtp_port = {port}, ip_lookup_strategy = 'Ipv4Only',");
    site.queue = "retry_interval = '1s', max_age = '1 hour',".into();
    site
}

#[test]
fn of_a_thousand_hosts_the_best_count_and_they_are_asked_for_together() {
    let server = NameServer::start(|name, kind| match (name, kind) {
        ("many.test.", RecordType::MX) => {
            Zone::of((0..1000).rev().map(|at| mx(at, &format!("m{at}.test."))).collect())
        }
        (_, RecordType::A) => Zone::of(vec![a(HERE)]),
        _ => Zone::default(),
    });
    // Whoever asks for one after the other never gets an answer.
    server.hold_addresses(32);
    let sink = Sink::start();
    let site = site(&server, sink.addr.port());
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@many.test"], &message("many"));
    sink.wait_messages(1);
    let record = site.wait_record("Delivery", |_| true);
    assert_eq!(record["peer_address"]["name"], "m0.test", "{record}");
    let best: BTreeSet<String> = (0..32).map(|at| format!("m{at}.test.")).collect();
    assert_eq!(server.names(RecordType::A), best);
    assert!(site.records_of("TransientFailure").is_empty());
}

#[test]
fn equal_hosts_and_the_addresses_of_one_take_turns() {
    let server = NameServer::start(|name, kind| match (name, kind) {
        // Preference 0 is one like any other.
        ("equal.test.", RecordType::MX) => {
            let equal = (1..5).map(|at| mx(0, &format!("h{at}.equal.test.")));
            Zone::of(equal.chain([mx(5, "worse.equal.test.")]).collect())
        }
        ("one.test.", RecordType::MX) => Zone::of(vec![mx(10, "four.test.")]),
        ("four.test.", RecordType::A) => {
            Zone::of((1..5).map(|last| a([127, 0, 0, last])).collect())
        }
        (name, RecordType::A) if name.ends_with(".equal.test.") => Zone::of(vec![a(HERE)]),
        _ => Zone::default(),
    });
    let sink = Sink::on("0.0.0.0:0".parse().unwrap());
    let mut site = site(&server, sink.addr.port());
    site.path += "max_deliveries_per_connection = 1,";
    let engine = site.start(1);
    // Of 40 the chance that all are the same is one in 4^39.
    for domain in ["equal.test", "one.test"] {
        for _ in 0..40 {
            engine.accept("a@src.test", &[&format!("u@{domain}")], &message(domain));
        }
    }
    sink.wait_messages(80);
    engine.wait_empty();
    assert!(engine.terminate().success());
    let records = site.records_of("Delivery");
    let peers = |domain: &str, field: &str| -> BTreeSet<String> {
        let of = records.iter().filter(|record| record["queue"] == domain);
        of.map(|record| record["peer_address"][field].as_str().unwrap().to_string()).collect()
    };
    let hosts = peers("equal.test", "name");
    assert!(hosts.len() > 1 && !hosts.contains("worse.equal.test"), "{hosts:?}");
    let addresses = peers("one.test", "addr");
    assert!(addresses.len() > 1, "{addresses:?}");
}

/// TLS and records go by the name that stands in the DNS.
#[test]
fn a_host_with_an_international_name_proves_it_by_its_a_label() {
    const HOST: &str = "mx.xn--mnchen-3ya.test";
    let server = NameServer::start(|name, kind| match (name, kind) {
        ("idn.test.", RecordType::MX) => Zone::of(vec![mx(10, &format!("{HOST}."))]),
        ("mx.xn--mnchen-3ya.test.", RecordType::A) => Zone::of(vec![a(HERE)]),
        _ => Zone::default(),
    });
    let (ca, sink) = (Ca::new(), Sink::start());
    let mut far_site = Site::to(sink.addr);
    ca.write_issued(far_site.dir(), "mx", HOST);
    let dir = far_site.dir().display();
    far_site.listener =
        format!("tls_certificate = '{dir}/mx.pem', tls_private_key = '{dir}/mx.key',");
    let far = far_site.start(1);
    let mut site = site(&server, far.smtp.port());
    ca.write(&site.dir().join("ca.pem"));
    let file = site.dir().join("ca.pem").display().to_string();
    site.env.push(("SSL_CERT_FILE".into(), file));
    site.path += "enable_tls = 'Required',";
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@idn.test"], &message("idn"));
    sink.wait_messages(1);
    let record = site.wait_record("Delivery", |_| true);
    assert_eq!(record["peer_address"]["name"], HOST, "{record}");
    assert_eq!(record["site"], format!("unspecified->{HOST}@smtp_client"));
    assert!(record["tls_cipher"].is_string(), "{record}");
    assert!(engine.says("TLS: 1 authorities of SSL_CERT_FILE are trusted"));
}

#[test]
fn authorities_that_are_named_and_cannot_be_read_end_the_start() {
    let mut site = Site::new();
    let file = site.dir().join("none.pem").display().to_string();
    site.env.push(("SSL_CERT_FILE".into(), file.clone()));
    site.write_policy();
    let mut engine = site.spawn(1);
    assert!(!engine.wait_exit().success());
    assert!(engine.says("SSL_CERT_FILE: no authority for TLS can be read: "));
    assert!(engine.says(&file));
}

/// A connection to this machine that takes so long is not taken.
const HANGS: Duration = Duration::from_millis(500);

/// Accepts all that waits; how many.
fn drain(listener: &TcpListener) -> usize {
    listener.set_nonblocking(true).unwrap();
    std::iter::from_fn(|| listener.accept().ok()).count()
}

/// What takes no connection, or never greets, costs one connection its timeout, not each.
#[test]
fn a_first_host_that_hangs_is_tried_last_from_then_on() {
    let good = Sink::start();
    let port = good.addr.port();
    let at = |last: u8| SocketAddr::from(([127, 0, 0, last], port));
    let silent = Sink::on(at(3));
    // One more than the backlog holds is a connection that hangs.
    let to = at(2);
    let full = crate::support::listen(to);
    let fill = (0..5000).map_while(|_| TcpStream::connect_timeout(&to, HANGS).ok());
    let held: Vec<TcpStream> = fill.collect();
    silent.set(|behaviour| behaviour.stall = Some(Phase::Banner));
    let server = NameServer::start(|name, kind| match (name, kind) {
        ("full.test.", RecordType::MX) => {
            Zone::of(vec![mx(10, "full-mx.test."), mx(20, "good.test.")])
        }
        ("silent.test.", RecordType::MX) => {
            Zone::of(vec![mx(10, "silent-mx.test."), mx(20, "good.test.")])
        }
        ("full-mx.test.", RecordType::A) => Zone::of(vec![a([127, 0, 0, 2])]),
        ("silent-mx.test.", RecordType::A) => Zone::of(vec![a([127, 0, 0, 3])]),
        ("good.test.", RecordType::A) => Zone::of(vec![a(HERE)]),
        _ => Zone::default(),
    });
    let mut site = site(&server, port);
    site.path +=
        "max_deliveries_per_connection = 1, connect_timeout = '1s', banner_timeout = '1s',";
    let engine = site.start(1);
    for round in 1..=4 {
        for domain in ["full.test", "silent.test"] {
            engine.accept("a@src.test", &[&format!("u@{domain}")], &message(domain));
        }
        // One after the other: each has a connection of its own.
        good.wait_messages(2 * round);
        engine.wait_empty();
        if round == 1 {
            // From now on a connection to it would be seen.
            drain(&full);
        }
    }
    assert_eq!((good.connections(), silent.connections(), drain(&full)), (8, 1, 0));
    drop(held);
    assert_eq!(site.records_of("TransientFailure").len(), 0);
}

/// `u@[192.0.2.1]` is mail for the host with that address, whatever it proves its name by.
#[test]
fn an_address_literal_is_spoken_to_under_tls() {
    let (ca, sink) = (Ca::new(), Sink::start());
    let mut far_site = Site::to(sink.addr);
    ca.write_issued(far_site.dir(), "four", "127.0.0.1");
    ca.write_issued(far_site.dir(), "six", "::1");
    let dir = far_site.dir().display().to_string();
    let shows = |name: &str| {
        format!("tls_certificate = '{dir}/{name}.pem', tls_private_key = '{dir}/{name}.key',")
    };
    far_site.listener = shows("four");
    let has_six = TcpListener::bind("[::1]:0").is_ok();
    if has_six {
        far_site.init =
            format!("kumo.start_esmtp_listener {{ listen = '[::1]:0', {} }}", shows("six"));
    } else {
        println!("skipped in part: this machine has no IPv6");
    }
    let far = far_site.start(1);
    let six = far.stderr().into_iter().find(|line| line.starts_with("smtp listener on [::1]:"));
    let six = six.and_then(|line| line.rsplit(':').next()?.parse::<u16>().ok()).unwrap_or(0);
    assert_eq!(six > 0, has_six, "{:?}", far.stderr());
    let mut site = Site::new();
    ca.write(&site.dir().join("ca.pem"));
    let file = site.dir().join("ca.pem").display().to_string();
    site.env.push(("SSL_CERT_FILE".into(), file));
    site.path = format!(
        "smtp_port = site:find '::' and {six} or {}, enable_tls = 'Required',",
        far.smtp.port()
    );
    let engine = site.start(1);
    let mut to = vec!["u@[127.0.0.1]"];
    to.extend(has_six.then_some("u@[IPv6:::1]"));
    for to in &to {
        engine.accept("a@src.test", &[to], &message("literal"));
    }
    let mut got: Vec<_> = sink.wait_messages(to.len()).into_iter().flat_map(|m| m.to).collect();
    got.sort_by_key(String::len);
    to.sort_by_key(|to| to.len());
    assert_eq!(got.len(), to.len(), "{got:?}");
    assert!(got.iter().zip(&to).all(|(got, to)| got.eq_ignore_ascii_case(to)), "{got:?}");
    wait("their records", || site.records_of("Delivery").len() == to.len());
    for record in site.records_of("Delivery") {
        assert!(record["tls_cipher"].is_string(), "{record}");
        let of = |field: &str| record["peer_address"][field].as_str().unwrap();
        assert!(of("addr").contains(of("name")) && !of("name").contains(['[', ']']), "{record}");
    }
    assert_eq!(site.records_of("TransientFailure").len(), 0);
}

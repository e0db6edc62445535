//! Limits per client address and network at a listener.

use crate::support::{wait, Site, Smtp, PATIENCE};
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

fn site(limits: &str) -> Site {
    let mut site = Site::new();
    site.listener = limits.into();
    site
}

#[test]
fn connections_of_one_address() {
    // Two shards: the limit is one over both.
    let engine = site("per_peer = { max_connections = 2 },").start(2);
    let (first, _second) = (engine.greeted(), engine.greeted());
    for _ in 0..4 {
        let mut third = Smtp::connect(engine.smtp);
        assert_eq!(third.reply().codes(), "421 4.7.0");
        third.expect_closed();
    }
    drop(first);
    wait("room again", || Smtp::connect(engine.smtp).reply().code == 220);
    assert!(engine.metric("peer_limit_refusals{service=\"esmtp_listener\"}") >= 4.0);
}

#[test]
fn connections_of_one_network_begun() {
    let engine = site("per_network = { max_connection_rate = '3/day' },").start(2);
    let codes: Vec<u16> = (0..5).map(|_| Smtp::connect(engine.smtp).reply().code).collect();
    assert_eq!(codes, [220, 220, 220, 421, 421]);
}

#[test]
fn messages_begun_on_several_connections() {
    let engine = site("per_peer = { max_message_rate = '2/day' },").start(2);
    let mail = |client: &mut Smtp| client.command("MAIL FROM:<a@src.test>").codes();
    let (mut one, mut other) = (engine.greeted(), engine.greeted());
    assert_eq!(mail(&mut one), "250 2.1.0");
    assert_eq!(mail(&mut other), "250 2.1.0");
    one.expect(250, "RSET");
    assert_eq!(mail(&mut one), "450 4.7.1");
    // The session goes on.
    one.expect(250, "NOOP");
}

#[test]
fn who_is_refused_too_much_is_turned_away() {
    let engine = site("relay_hosts = {}, per_peer = { max_rejection_rate = '3/day' },").start(2);
    let mut client = engine.greeted();
    client.expect(250, "MAIL FROM:<a@src.test>");
    for _ in 0..4 {
        assert_eq!(client.command("RCPT TO:<u@dst.test>").codes(), "550 5.7.1");
    }
    assert_eq!(client.reply().codes(), "421 4.7.0");
    client.expect_closed();
    assert_eq!(Smtp::connect(engine.smtp).reply().codes(), "421 4.7.0");
}

fn http_site(limits: &str) -> Site {
    let mut site = Site::new();
    site.http = limits.into();
    site
}

/// A connection over which requests go one after the other.
struct Kept(BufReader<TcpStream>);

impl Kept {
    fn open(to: SocketAddr) -> Kept {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Kept(BufReader::new(stream))
    }

    /// Status and text of the answer. A connection that is refused may be closed before all was sent.
    fn get(&mut self, path: &str) -> (u16, String) {
        let head = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        let _ = self.0.get_mut().write_all(head.as_bytes());
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            } else if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            } else if line.starts_with("http/1.1 ") {
                status = line[9..12].parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (status, String::from_utf8(body).unwrap())
    }
}

const ALIVE: &str = "/api/check-liveness/v1";

#[test]
fn http_connections_of_one_address() {
    let engine = http_site("per_peer = { max_connections = 2 },").start(2);
    let mut first = Kept::open(engine.http);
    // Who asked whether the engine is up may not be gone yet.
    let mut second = None;
    wait("room for two", || {
        let mut connection = Kept::open(engine.http);
        let is_taken = connection.get(ALIVE).0 == 200;
        second = is_taken.then_some(connection);
        is_taken && first.get(ALIVE).0 == 200
    });
    let (status, text) = Kept::open(engine.http).get(ALIVE);
    assert_eq!(
        (status, &*text),
        (429, "Too many connections from your address, try again later\n")
    );
    let (_, metrics) = second.unwrap().get("/metrics?prefix=peer_limit_refusals");
    let metric = "peer_limit_refusals{service=\"http_listener\"}";
    let value = metrics.lines().find_map(|line| line.strip_prefix(metric)).unwrap();
    assert!(value.trim().parse::<f64>().unwrap() >= 1.0, "{metrics}");
    wait("room again", || Kept::open(engine.http).get(ALIVE).0 == 200);
}

#[test]
fn http_injections_that_come_too_fast() {
    let engine = http_site("per_network = { max_message_rate = '2/day' },").start(2);
    let body = json!({
        "envelope_sender": "a@src.test", "recipients": [{"email": "u@dst.test"}],
        "content": "Subject: x\r\n\r\nx",
    });
    let inject = || engine.post("/api/inject/v1", &body);
    assert_eq!([inject().status, inject().status], [200, 200]);
    let late = inject();
    assert_eq!((late.status, late.header("retry-after")), (429, Some("10")));
    assert_eq!(late.text(), "Too much mail from your address, try again later\n");
    assert_eq!(Kept::open(engine.http).get("/metrics").0, 200, "the rest is served");
}

#[test]
fn who_is_refused_too_much_over_http_is_turned_away() {
    let engine = http_site("per_peer = { max_rejection_rate = '3/day' },").start(2);
    let mut client = Kept::open(engine.http);
    for _ in 0..3 {
        assert_eq!(client.get("/no/such/path").0, 404);
    }
    let refused = (429, "Too much from your address was refused, try again later\n".to_string());
    assert_eq!(client.get(ALIVE), refused);
    assert_eq!(Kept::open(engine.http).get(ALIVE), refused);
}

#[test]
fn some_peers_have_limits_of_their_own() {
    let own = "per_peer = { max_connections = 1 },
      peer = { ['127.0.0.0/8'] = { per_peer = { max_connections = 2 } } },";
    let engine = site(own).start(1);
    let _open = (engine.greeted(), engine.greeted());
    assert_eq!(Smtp::connect(engine.smtp).reply().code, 421);
}

#[test]
fn a_policy_sets_them_for_a_connection() {
    let mut site = Site::new();
    site.extra = "kumo.on('smtp_server_get_dynamic_parameters', function(listener, conn_meta)
      return { per_peer = { max_connections = 1 } }
    end)"
        .into();
    let engine = site.start(1);
    let _open = engine.greeted();
    assert_eq!(Smtp::connect(engine.smtp).reply().code, 421);
}

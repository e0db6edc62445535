//! Sessions watched as they happen.

use crate::support::tls::Ca;
use crate::support::{message, wait, Engine, Phase, Sink, Site};
use base64::Engine as _;
use serde_json::{json, Value};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A websocket client that keeps what it is sent; small on purpose: frames of a server have no mask.
struct Viewer {
    _stream: TcpStream,
    frames: Arc<Mutex<Vec<Value>>>,
}

fn send(stream: &mut TcpStream, text: &str) {
    let bytes = text.as_bytes();
    assert!(bytes.len() < 126);
    let mut frame = vec![0x81, 0x80 | bytes.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(bytes);
    stream.write_all(&frame).unwrap();
}

fn read_frame(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).ok()?;
    let length = match head[1] & 0x7f {
        126 => {
            let mut more = [0; 2];
            stream.read_exact(&mut more).ok()?;
            u64::from(u16::from_be_bytes(more))
        }
        127 => {
            let mut more = [0; 8];
            stream.read_exact(&mut more).ok()?;
            u64::from_be_bytes(more)
        }
        short => u64::from(short),
    };
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).ok()?;
    Some((head[0] & 0x0f, payload))
}

fn open(engine: &Engine, which: &str) -> TcpStream {
    let path = match which {
        "records" => "tail".to_string(),
        which => format!("trace-smtp-{which}"),
    };
    let mut stream = TcpStream::connect(engine.http).unwrap();
    let request = format!(
        "GET /api/admin/{path}/v1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    stream
}

impl Viewer {
    fn watch(engine: &Engine, which: &str, filter: &Value) -> Viewer {
        let mut stream = open(engine, which);
        send(&mut stream, &filter.to_string());
        let frames = Arc::new(Mutex::new(Vec::new()));
        let (kept, mut reader) = (frames.clone(), stream.try_clone().unwrap());
        std::thread::spawn(move || {
            while let Some((kind, payload)) = read_frame(&mut reader) {
                if kind == 1 {
                    kept.lock().unwrap().push(serde_json::from_slice(&payload).unwrap());
                }
            }
        });
        Viewer { _stream: stream, frames }
    }

    fn frames(&self) -> Vec<Value> {
        self.frames.lock().unwrap().clone()
    }

    fn payloads(&self) -> Vec<Value> {
        self.frames().into_iter().map(|frame| frame["payload"].clone()).collect()
    }

    fn has(&self, payload: &Value) -> bool {
        self.payloads().contains(payload)
    }
}

/// `ringmta ctl` that follows, and what it has printed. It ends with this.
struct Terminal {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Terminal {
    fn follow(endpoint: &str, authorities: Option<&Path>, args: &[&str]) -> Terminal {
        let mut command = ctl(endpoint, authorities, args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (kept, out) = (lines.clone(), BufReader::new(child.stdout.take().unwrap()));
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        Terminal { child, lines }
    }

    fn text(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn ctl(endpoint: &str, authorities: Option<&Path>, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmta"));
    command.args(["ctl", "--endpoint", endpoint]).args(args).env_remove("SSL_CERT_DIR");
    match authorities {
        Some(file) => command.env("SSL_CERT_FILE", file),
        None => command.env_remove("SSL_CERT_FILE"),
    };
    command
}

/// Waits until a watched session is seen: a viewer begins to see with the letters to all shards.
fn wait_watching(engine: &Engine, viewer: &Viewer) {
    wait("the first frame", || {
        engine.greeted().expect(221, "QUIT");
        !viewer.frames().is_empty()
    });
}

#[test]
fn sessions_in() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.extra = "kumo.on('smtp_server_auth_plain', function(authz, authc, password) return password == 'hunter2hunter2' end)".into();
    let engine = site.start(2);
    let viewer = Viewer::watch(&engine, "server", &json!({"terse": false}));
    wait_watching(&engine, &viewer);
    let mut client = engine.greeted();
    let secret = base64::engine::general_purpose::STANDARD.encode("\0me\0hunter2hunter2");
    client.expect(235, &format!("AUTH PLAIN {secret}"));
    let id = client.transaction("a@src.test", &["u@dst.test"], &message("watched"));
    assert_eq!(id.code, 250);
    client.expect(221, "QUIT");
    wait("the good-bye", || {
        let all = viewer.frames();
        all.iter()
            .any(|frame| frame["payload"] == "Closed" && frame["conn_meta"]["authn_id"] == "me")
    });
    for payload in [
        json!("Connected"),
        json!({"Read": "EHLO client.test\r\n"}),
        json!({"Read": "MAIL FROM:<a@src.test>\r\n"}),
        json!({"Callback": {"name": "smtp_server_rcpt_to", "result": null, "error": null}}),
    ] {
        assert!(viewer.has(&payload), "{payload}: {:?}", viewer.payloads());
    }
    let all = viewer.payloads();
    let body = all.iter().filter_map(|payload| payload["Read"].as_str());
    assert!(body.clone().any(|text| text.contains("Subject: watched")), "{all:?}");
    assert!(all
        .iter()
        .any(|payload| payload["Write"].as_str().is_some_and(|said| said.starts_with("354"))));
    let disposition = all.iter().find(|payload| payload["MessageDisposition"].is_object()).unwrap();
    assert_eq!(disposition["MessageDisposition"]["queue"], "dst.test");
    let text = format!("{all:?}");
    assert!(!text.contains(&secret) && !text.contains("hunter2"), "{text}");
    assert!(text.contains("AUTH"), "{text}");
}

#[test]
fn sessions_out_by_a_filter() {
    let sink = Sink::start();
    let engine = Site::to(sink.addr).start(2);
    let viewer = Viewer::watch(&engine, "client", &json!({"domain": ["seen.test"], "terse": true}));
    // A connection whose message is not known yet is seen.
    wait("the first frame", || {
        engine.accept("a@src.test", &["u@seen.test"], &message("first"));
        !viewer.frames().is_empty()
    });
    engine.wait_empty();
    engine.accept("a@src.test", &["u@other.test"], &message("other"));
    engine.wait_empty();
    engine.accept("a@src.test", &["v@seen.test"], &message("seen"));
    let mine = |frame: &Value| frame["conn_meta"]["recipient"] == json!(["v@seen.test"]);
    wait("the delivery", || {
        let all = viewer.frames();
        let said = |frame: &Value| {
            frame["payload"]["Read"].as_str().is_some_and(|said| said.starts_with("250"))
        };
        all.iter().any(|frame| mine(frame) && said(frame))
    });
    let all = viewer.frames();
    assert!(
        all.iter().any(|frame| mine(frame) && frame["payload"] == "MessageObtained"),
        "{all:?}"
    );
    assert!(all.iter().all(|frame| frame["conn_meta"]["domain"] != "other.test"), "{all:?}");
    let one = all.iter().find(|frame| mine(frame)).unwrap();
    for field in [
        "id",
        "ready_queue_name",
        "egress_pool",
        "egress_source",
        "mx_host",
        "mx_address",
        "message_id",
        "queue_name",
        "sender",
    ] {
        assert!(one["conn_meta"][field].is_string(), "{field}: {one}");
    }
    assert!(one["when"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn the_hosts_that_a_connection_tries_share_its_session_id() {
    let (busy, sink) = (Sink::start(), Sink::start());
    busy.reply_at(Phase::Banner, "421 4.3.2 busy (close)", 100);
    let mut site = Site::new();
    site.queue =
        format!("protocol = {{ smtp = {{ mx_list = {{ '{}', '{}' }} }} }},", busy.addr, sink.addr);
    let engine = site.start(1);
    let viewer = Viewer::watch(&engine, "client", &json!({}));
    let said = |frame: &Value, words: &str| {
        frame["payload"]["Read"].as_str().is_some_and(|said| said.contains(words))
    };
    // The hosts take turns: sooner or later the busy one is asked first.
    wait("an answer of each", || {
        engine.accept("a@src.test", &["u@dst.test"], &message("turns"));
        engine.wait_empty();
        viewer.frames().iter().any(|frame| said(frame, "4.3.2 busy"))
    });
    engine.wait_empty();
    let all = viewer.frames();
    let refused = all.iter().find(|frame| said(frame, "4.3.2 busy")).unwrap();
    let id = &refused["conn_meta"]["id"];
    wait("the other host's answer in the same session", || {
        viewer.frames().iter().any(|f| f["conn_meta"]["id"] == *id && said(f, "250"))
    });
    site.wait_record("Delivery", |record| record["session_id"] == *id);
}

#[test]
fn no_filter_and_no_websocket() {
    let engine = Site::new().start(1);
    let text = engine.get("/api/admin/trace-smtp-server/v1").expect(400).text();
    assert!(text.contains("Connection header did not include 'upgrade'"), "{text}");
    for (which, filter, words) in [
        ("server", "nonsense", "no filter: expected ident at line 1 column 2"),
        ("server", "{\"tenant\":[\"t\"]}", "tenant: sessions of clients are told apart by"),
        ("server", "{\"mx_addr\":[\"::1\"]}", "mx_addr: sessions of clients are told apart by"),
        ("client", "{\"source_addr\":[\"x\"]}", "no filter: invalid value: string \"x\""),
        ("records", "{\"sendr\":\"x\"}", "no filter: unknown field `sendr`"),
        ("records", "{\"type\":[\"Delivry\"]}", "no filter: unknown type `Delivry`"),
    ] {
        let mut stream = open(&engine, which);
        send(&mut stream, filter);
        let (kind, text) = read_frame(&mut stream).unwrap();
        assert_eq!(kind, 8, "closed");
        let (code, why) =
            (u16::from_be_bytes([text[0], text[1]]), String::from_utf8_lossy(&text[2..]));
        assert_eq!(code, 1008);
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn records_as_they_happen() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.logs.clear();
    let engine = site.start(2);
    let filter = json!({"type": ["delivery"], "domain": "SEEN.test"});
    let viewer = Viewer::watch(&engine, "records", &filter);
    let terminal =
        Terminal::follow(&engine.url(""), None, &["tail", "--live", "--domain", "seen.test"]);
    // They begin to see with the letters to all shards.
    wait("the first records", || {
        engine.accept("a@src.test", &["u@seen.test"], &message("first"));
        !viewer.frames().is_empty() && !terminal.text().is_empty()
    });
    engine.accept("a@src.test", &["u@other.test"], &message("other"));
    engine.accept("a@src.test", &["last@seen.test"], &message("last"));
    let is_last = |frame: &Value| frame["recipient"] == "last@seen.test";
    wait("the last", || {
        let text = terminal.text();
        viewer.frames().iter().any(is_last)
            && text
                .lines()
                .any(|line| line.contains("Reception") && line.contains("last@seen.test"))
            && text.lines().any(|line| line.contains("Delivery") && line.contains("last@seen.test"))
    });
    let all = viewer.frames();
    assert!(all.iter().all(|frame| frame["type"] == "Delivery"), "{all:?}");
    assert!(all.iter().all(|frame| frame["recipient"] != "u@other.test"), "{all:?}");
    assert!(!terminal.text().contains("other.test"));
}

#[test]
fn sessions_and_records_are_followed_over_https() {
    let (sink, ca) = (Sink::start(), Ca::new());
    let mut site = Site::to(sink.addr);
    let authority = site.dir().join("ca.pem");
    ca.write(&authority);
    ca.write_issued(site.dir(), "http", "127.0.0.1");
    let dir = site.dir().display().to_string();
    site.init = format!(
        "kumo.start_http_listener {{ listen = '127.0.0.1:0', use_tls = true,
           tls_certificate = '{dir}/http.pem', tls_private_key = '{dir}/http.key' }}"
    );
    let engine = site.start(2);
    let mut listeners = engine.stderr().into_iter().filter(|l| l.starts_with("http listener on "));
    let endpoint =
        format!("https://{}", listeners.next_back().unwrap().rsplit(' ').next().unwrap());
    let follow = |args: &[&str]| Terminal::follow(&endpoint, Some(&authority), args);
    let (tail, trace) = (follow(&["tail", "--live"]), follow(&["trace"]));
    wait("records and sessions", || {
        engine.accept("a@src.test", &["u@seen.test"], &message("first"));
        tail.text().contains("u@seen.test") && trace.text().contains("RCPT TO:<u@seen.test>")
    });
    for args in [&["queues"][..], &["trace"], &["tail", "--live"]] {
        let out = ctl(&endpoint, None, args).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(
            !out.status.success() && said.contains("UnknownIssuer; the authorities of this host"),
            "{args:?}: {said}"
        );
    }
}

#[test]
fn a_viewer_that_does_not_read_holds_up_nobody() {
    let sink = Sink::start();
    let engine = Site::to(sink.addr).start(1);
    let mut lazy = open(&engine, "server");
    send(&mut lazy, "{}");
    let eager = Viewer::watch(&engine, "server", &json!({}));
    wait_watching(&engine, &eager);
    // More than its socket and its queue take.
    let large = [message("large"), vec![b'x'; 60_000], b"\r\n".to_vec()].concat();
    let large: Vec<u8> = large.chunks(70).flat_map(|line| [line, b"\r\n"].concat()).collect();
    let mut client = engine.greeted();
    for _ in 0..400 {
        assert_eq!(client.transaction("a@src.test", &["u@dst.test"], &large).code, 250);
    }
    sink.wait_messages(400);
    // It was dropped: what it has not read ends.
    lazy.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut frames = 0;
    while read_frame(&mut lazy).is_some() {
        frames += 1;
    }
    assert!(frames < 400 * 8, "{frames}");
    drop(eager);
}

//! The real source against the real sink: what one says it sent, the other must have got.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest any single step may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(180);

fn loadgen() -> Command {
    Command::new(env!("CARGO_BIN_EXE_loadgen"))
}

/// A running sink, its folder, its port.
struct Sink {
    child: Child,
    folder: TempDir,
    port: u16,
}

impl Sink {
    fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let child = loadgen()
            .args(["sink", "--listen", "127.0.0.1:0", "--quiet", "--json", "-"])
            .arg("--ledger")
            .arg(folder.path().join("got"))
            .arg("--port-file")
            .arg(folder.path().join("port"))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut sink = Self { child, folder, port: 0 };
        let port_file = sink.path("port");
        wait_for("the port file", || port_file.exists());
        sink.port = std::fs::read_to_string(port_file).unwrap().trim().parse().unwrap();
        sink
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Sends messages; the result is the report.
    fn send(&self, arguments: &[&str]) -> Value {
        let output = self.source(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn source(&self, arguments: &[&str]) -> Output {
        source(self.port).arg("--ledger").arg(self.path("ack")).args(arguments).output().unwrap()
    }

    /// Ends the sink as an operator would; the result is its summary.
    fn stop(&mut self) -> Value {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let mut text = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(self.child.wait().unwrap().success());
        serde_json::from_str(&text[text.find('{').unwrap()..]).unwrap()
    }

    fn verify(&self, arguments: &[&str]) -> (bool, Value) {
        let mut command = loadgen();
        command.args(["verify", "--json", "--acked"]).arg(self.path("ack"));
        let output =
            command.arg("--delivered").arg(self.path("got")).args(arguments).output().unwrap();
        (output.status.success(), serde_json::from_slice(&output.stdout).unwrap())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn source(port: u16) -> Command {
    let mut command = loadgen();
    command.args(["source", "--target", &format!("127.0.0.1:{port}"), "--quiet", "--json", "-"]);
    command
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "no {what} in time");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn number(value: &Value, key: &str) -> u64 {
    value.pointer(key).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {key} in {value}"))
}

/// Sends 2,000 messages and checks that source, sink and ledgers agree.
fn round_trip(sink_arguments: &[&str], source_arguments: &[&str], recipients: u64) -> Value {
    let mut sink = Sink::start(sink_arguments);
    let report =
        sink.send(&[&["-n", "2000", "-c", "20", "--size", "3k"], source_arguments].concat());
    let summary = sink.stop();
    let (complete, books) = sink.verify(&[]);
    assert!(complete, "{books}");
    let acknowledged = number(&report, "/acknowledged");
    assert_eq!(acknowledged + number(&report, "/refused"), 2000, "{report}");
    assert_eq!(number(&report, "/unanswered"), 0);
    assert_eq!(number(&summary, "/messages"), acknowledged);
    assert_eq!(number(&summary, "/recipients"), acknowledged * recipients);
    if number(&report, "/refused") == 0 {
        // What is pipelined behind a refusal makes no sense to the server, and rightly so.
        assert_eq!(number(&summary, "/bad_commands"), 0);
    }
    assert_eq!(number(&books, "/acknowledged/messages"), acknowledged);
    assert_eq!(number(&books, "/delivered/recipients"), acknowledged * recipients);
    assert_eq!(number(&books, "/duplicates/messages"), 0);
    assert_eq!(number(&books, "/unknown/messages"), 0);
    report
}

#[test]
fn pipelined() {
    let report = round_trip(&[], &[], 1);
    assert_eq!(number(&report, "/acknowledged"), 2000);
    assert_eq!(number(&report, "/connections"), 20);
}

#[test]
fn times_in_both_ledgers_tell_how_long_a_message_took() {
    let mut sink = Sink::start(&["--times", "--delay", "20"]);
    let report =
        sink.send(&["-n", "50", "-c", "50", "--rate", "500", "--times", "--settle", "300ms"]);
    assert_eq!(number(&report, "/acknowledged"), 50);
    sink.stop();
    let (complete, books) = sink.verify(&[]);
    assert!(complete, "{books}");
    assert!(number(&books, "/due_to_delivered_us/p50") >= 20_000, "{books}");
    // What the sink takes is acknowledged after that.
    assert_eq!(number(&books, "/accepted_to_delivered_us/max"), 0, "{books}");
}

#[test]
fn not_pipelined() {
    round_trip(&["--no-pipelining"], &["--recipients", "3"], 3);
    round_trip(&[], &["--no-pipelining"], 1);
}

#[test]
fn deeply_pipelined() {
    round_trip(&["--delay", "1"], &["--deep-pipelining", "--recipients", "2"], 2);
}

#[test]
fn one_connection_per_message() {
    for deep in [&[][..], &["--deep-pipelining"]] {
        let report = round_trip(&[], &[&["--messages-per-connection", "1"], deep].concat(), 1);
        assert!(number(&report, "/connections") >= 2000);
    }
}

#[test]
fn several_workers_at_a_rate() {
    round_trip(&["--workers", "2"], &["--workers", "2", "--rate", "20000"], 1);
}

#[test]
fn refusals() {
    for at in ["mail", "rcpt", "data", "dot"] {
        for pipelining in [&[][..], &["--no-pipelining"], &["--deep-pipelining"]] {
            let report = round_trip(&["--tempfail", "5", "--fail-at", at], pipelining, 1);
            let refused = number(&report, "/refused");
            assert!((50..200).contains(&refused), "{report}");
            assert_eq!(report.pointer("/refused_by_code/0/code").unwrap(), 451);
        }
    }
}

#[test]
fn encrypted_and_logged_in() {
    let options = ["--starttls", "--auth", "user:pass"];
    round_trip(&options, &options, 1);
    round_trip(
        &options,
        &[&options[..], &["--deep-pipelining", "--messages-per-connection", "50"]].concat(),
        1,
    );
}

#[test]
fn dropped_connections_lose_messages_but_not_acknowledged_ones() {
    let mut sink = Sink::start(&["--drop", "3", "--close-421", "3"]);
    let report = sink.send(&[
        "-n",
        "2000",
        "-c",
        "10",
        "--keep-going",
        "--size",
        "300k=1,2k=9",
        "--deep-pipelining",
    ]);
    let summary = sink.stop();
    assert!(number(&summary, "/dropped") > 0 && number(&summary, "/closed_421") > 0, "{summary}");
    assert!(number(&report, "/unanswered") >= number(&summary, "/dropped"), "{report}");
    let (complete, books) = sink.verify(&[]);
    assert!(complete, "{books}");
    assert_eq!(number(&summary, "/messages"), number(&books, "/acknowledged/messages"));
}

#[test]
fn saved_messages_are_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let (mail, saved) = (folder.path().join("mail"), folder.path().join("saved"));
    std::fs::create_dir(&mail).unwrap();
    std::fs::write(mail.join("a.eml"), "Subject: dots\n\n.\n..\n.x\nend").unwrap();
    let mut sink = Sink::start(&["--save", saved.to_str().unwrap()]);
    sink.send(&["-n", "3", "-c", "1", "--run", "r", "--eml-dir", mail.to_str().unwrap()]);
    sink.stop();
    let message = std::fs::read_to_string(saved.join("0002.eml")).unwrap();
    assert_eq!(message, "X-Loadgen-Id: r-1\r\nSubject: dots\r\n\r\n.\r\n..\r\n.x\r\nend\r\n");
    let envelope: Value =
        serde_json::from_slice(&std::fs::read(saved.join("0002.env")).unwrap()).unwrap();
    assert_eq!(envelope["loadgen_id"], "r-1");
    assert_eq!(envelope["mail_from"], "loadgen@sender.example");
    assert_eq!(envelope["rcpt_to"].as_array().unwrap().len(), 1);
}

#[test]
fn a_sink_ends_after_its_count() {
    let mut sink = Sink::start(&["--count", "100"]);
    sink.source(&["-n", "100", "-c", "1"]);
    assert!(sink.child.wait().unwrap().success());
    let (complete, books) = sink.verify(&[]);
    assert!(complete, "{books}");
    assert_eq!(number(&books, "/acknowledged/messages"), 100);
}

#[test]
fn verify_misses_what_did_not_arrive() {
    let mut sink = Sink::start(&[]);
    sink.send(&["-n", "10", "--run", "r"]);
    sink.stop();
    let mut ack = std::fs::OpenOptions::new().append(true).open(sink.path("ack")).unwrap();
    writeln!(ack, "ack r-10 2 lost").unwrap();
    let (complete, books) = sink.verify(&["--wait", "200ms"]);
    assert!(!complete);
    assert_eq!(books["missing_ids"][0], "r-10");
    std::fs::write(sink.path("bounced"), "r-10 2\n").unwrap();
    assert!(sink.verify(&["--failed", sink.path("bounced").to_str().unwrap()]).0);
}

#[test]
fn a_server_that_is_restarted_is_found_again() {
    let mut sink = Sink::start(&[]);
    let listen = format!("127.0.0.1:{}", sink.port);
    let ack = sink.path("ack");
    let mut child = source(sink.port)
        .args(["-n", "3000", "-c", "5", "--rate", "2000", "--keep-going", "--ledger"])
        .arg(&ack)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("ledger", || std::fs::metadata(&ack).is_ok_and(|meta| meta.len() > 0));
    sink.stop();
    let again = ["--listen", &listen];
    let mut command = loadgen();
    command.args(["sink", "--quiet", "--ledger"]).arg(sink.path("got")).args(again);
    sink.child = command.stdout(Stdio::piped()).spawn().unwrap();
    assert!(child.wait().unwrap().success());
    let (complete, books) = sink.verify(&["--wait", "30s"]);
    assert!(complete, "{books}");
}

/// A server that says one thing to each connection and then closes or keeps silent.
fn odd_server(says: &'static [u8], then_close: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut kept: Vec<TcpStream> = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.write_all(says);
            if !then_close {
                kept.push(stream);
            }
        }
    });
    port
}

#[test]
fn odd_servers_are_reported_and_do_not_hang_the_source() {
    let cases: [(&[u8], bool, &str); 7] = [
        (b"", true, "closed by the server while waiting for the banner"),
        (b"", false, "timeout while waiting for the banner"),
        (b"SSH-2.0-OpenSSH\r\n", false, "not an SMTP reply"),
        (b"554 go away\r\n", true, "turned away: 554 go away"),
        (b"220 hi\r\n", false, "timeout while waiting for the reply to EHLO"),
        (b"220 a\r\n250-b\r\n251 c\r\n", false, "different codes"),
        (b"220 a\r\n250 b\r\n250 c\r\n250 d\r\n250 e\r\n", false, "a reply nobody asked for"),
    ];
    for (says, then_close, expected) in cases {
        let port = odd_server(says, then_close);
        let output =
            source(port).args(["-n", "5", "-c", "2", "--timeout", "300ms"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let faults = report["faults"].to_string();
        assert!(faults.contains(expected), "{expected}: {faults}");
        assert_eq!(report["acknowledged"], 0);
    }
}

#[test]
fn no_server_at_all() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let output = source(port).args(["-n", "5"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("refused"), "{output:?}");
}

#[test]
fn odd_clients_do_not_harm_the_sink() {
    let mut sink = Sink::start(&["--max-connections", "3"]);
    let connect = || TcpStream::connect(("127.0.0.1", sink.port)).unwrap();
    let mut clients: Vec<_> = (0..3).map(|_| connect()).collect();
    for client in &mut clients {
        let mut banner = [0; 3];
        client.read_exact(&mut banner).unwrap();
        assert_eq!(&banner, b"220");
    }
    let mut text = String::new();
    connect().read_to_string(&mut text).unwrap();
    assert!(text.starts_with("421"), "{text}");
    clients[0].write_all(&[b'x'; 100_000]).unwrap();
    clients[1].write_all(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n\xff\xff").unwrap();
    drop(clients);
    let port = sink.port;
    wait_for("free place", || {
        let output = source(port).args(["-n", "1", "-c", "1"]).output().unwrap();
        output.status.success()
    });
    let summary = sink.stop();
    assert!(number(&summary, "/turned_away") >= 1);
}

#[test]
fn usage_errors() {
    let fails = |arguments: &[&str], code| {
        let output = loadgen().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    };
    fails(&["source", "--target", "127.0.0.1:1"], 2);
    fails(&["source", "--target", "nonsense", "-n", "1"], 2);
    fails(&["source", "--target", "127.0.0.1:1", "-n", "1", "--size", "10q"], 2);
    fails(&["source", "--target", "127.0.0.1:1", "-n", "1", "--rate", "0"], 2);
    fails(&["sink", "--tempfail", "101"], 2);
    fails(&["sink", "--listen", "nonsense"], 2);
    fails(&["verify", "--acked", "/nonexistent", "--delivered", "/nonexistent"], 2);
    fails(&["verify", "--acked", "/dev/null", "--delivered", "/dev/null"], 2);
    fails(&["verify", "--acked", "/dev/null", "--delivered", "/dev/null", "--allow-empty"], 0);
}

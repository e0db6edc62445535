//! Injections that carry a key of the caller's: a repeat is answered what the first was, and sends nothing.

use crate::support::{http, wait, Engine, Sink, Site};
use serde_json::{json, Value};
use std::io::Write;
use std::net::TcpStream;

fn body(subject: &str) -> Value {
    json!({
        "envelope_sender": "a@src.test",
        "recipients": [{"email": "u@dst.test"}, {"email": "nobody"}],
        "content": format!("Subject: {subject}\n\nx"),
    })
}

fn inject(engine: &Engine, key: &str, body: &Value, more: &[(&str, &str)]) -> http::Answer {
    let mut headers = vec![("content-type", "application/json"), ("idempotency-key", key)];
    headers.extend(more);
    let url = engine.url("/api/inject/v1");
    http::request("POST", &url, &headers, Some(body.to_string().as_bytes()))
}

#[test]
fn a_repeat_is_answered_the_same_and_sends_nothing() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.extra = "
kumo.on('http_server_validate_auth_basic', function(user, password) return password == 'secret' end)"
        .into();
    let engine = site.start(2);
    let first = inject(&engine, "k1", &body("one"), &[]).expect(200);
    assert_eq!(first.json()["success_count"], 1);
    for _ in 0..8 {
        // Whichever shard it comes to.
        let again = inject(&engine, "k1", &body("one"), &[]).expect(200);
        assert_eq!(again.text(), first.text());
    }
    // As a string of a structured field it is the same key.
    inject(&engine, "\"k1\"", &body("one"), &[]).expect(200);
    let other = inject(&engine, "k1", &body("two"), &[]).expect(422).text();
    assert!(other.contains("was used for another request"), "{other}");
    inject(&engine, "k2", &body("two"), &[]).expect(200);
    // Each caller has keys of its own: `me:secret`.
    let me = [("authorization", "Basic bWU6c2VjcmV0")];
    inject(&engine, "k1", &body("one"), &me).expect(200);
    inject(&engine, "k1", &body("one"), &me).expect(200);
    sink.wait_messages(3);
    engine.wait_empty();
    assert_eq!(sink.count(), 3);
}

#[test]
fn keys_that_are_none_and_requests_that_are_wrong() {
    let sink = Sink::start();
    let engine = Site::to(sink.addr).start(1);
    for key in ["", "a b", "k\"", &"k".repeat(256)] {
        let answer = inject(&engine, key, &body("x"), &[]).expect(400).text();
        assert!(answer.starts_with("Idempotency-Key: must be"), "{answer}");
    }
    // What was refused as a whole has sent nothing: the key is free.
    let mut wrong = body("x");
    wrong["content"] = "Subject: {% if %}\n\nx".into();
    inject(&engine, "k", &wrong, &[]).expect(422);
    inject(&engine, "k", &body("x"), &[]).expect(200);
    sink.wait_messages(1);
    engine.wait_empty();
    assert_eq!(sink.count(), 1);
}

#[test]
fn an_answer_that_was_read_holds_over_a_crash() {
    let sink = Sink::start();
    let site = Site::to(sink.addr);
    let engine = site.start(1);
    let first = inject(&engine, "k", &body("one"), &[]).expect(200).text();
    sink.wait_messages(1);
    engine.kill();
    let engine = site.start(2);
    assert_eq!(inject(&engine, "k", &body("one"), &[]).expect(200).text(), first);
    inject(&engine, "k", &body("two"), &[]).expect(422);
    engine.wait_empty();
    let subjects = |text: &str| {
        let all = sink.messages();
        all.iter().filter(|m| String::from_utf8_lossy(&m.data).contains(text)).count()
    };
    // (The crash may repeat a delivery, not an injection.)
    assert!(subjects("Subject: one") >= 1 && subjects("Subject: two") == 0);
    let receptions = site.records_of("Reception");
    assert!(receptions.len() <= 1, "{receptions:?}");
}

#[test]
fn a_caller_that_goes_away_gets_its_answer_when_it_asks_again() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    let gate = site.dir().join("gate");
    site.extra = format!(
        "
kumo.on('http_message_generated', function(msg)
  print 'generating'
  while #kumo.fs.uncached_glob('{}') == 0 do kumo.sleep(0.05) end
end)",
        gate.display()
    );
    let engine = site.start(1);
    let text = body("slow").to_string();
    let url = engine.url("");
    let addr = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(addr).unwrap();
    write!(
        stream,
        "POST /api/inject/v1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nIdempotency-Key: k\r\n\
         Content-Length: {}\r\n\r\n{text}",
        text.len()
    )
    .unwrap();
    engine.wait_says("generating");
    drop(stream);
    let answer = inject(&engine, "k", &body("slow"), &[]).expect(409).text();
    assert!(answer.contains("still being carried out"), "{answer}");
    std::fs::write(&gate, "open").unwrap();
    wait("the first request's end", || {
        let answer = inject(&engine, "k", &body("slow"), &[]);
        answer.status == 200 && answer.json()["success_count"] == 1
    });
    sink.wait_messages(1);
    engine.wait_empty();
    assert_eq!(sink.count(), 1);
}

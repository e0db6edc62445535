//! The HTTP API: injection, administration, metrics, and who may use them.

use crate::support::{http, message, wait, without_trace, Sink, Site};
use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use serde_json::{json, Value};

fn injection(content: Value) -> Value {
    json!({
        "envelope_sender": "a@src.test",
        "recipients": [{"email": "u@dst.test"}],
        "content": content,
    })
}

#[test]
fn raw_content() {
    let sink = Sink::start();
    let site = Site::to(sink.addr);
    let engine = site.start(1);
    let text = "From: a@src.test\nSubject: Größe\n\n.dot\nlast";
    let answer = engine.post("/api/inject/v1", &injection(text.into())).expect(200).json();
    let expected =
        json!({"success_count": 1, "fail_count": 0, "failed_recipients": [], "errors": []});
    assert_eq!(answer, expected);
    let received = &sink.wait_messages(1)[0];
    assert!(received.from.starts_with("<a@src.test>"), "{received:?}");
    let wire = "From: a@src.test\r\nSubject: Größe\r\n\r\n.dot\r\nlast\r\n";
    assert_eq!(String::from_utf8_lossy(without_trace(&received.data)), wire);
    let record = site.wait_record("Reception", |_| true);
    assert_eq!(record["reception_protocol"], "HTTP");
}

#[test]
fn content_from_parts_and_substitutions() {
    let sink = Sink::start();
    let engine = Site::to(sink.addr).start(1);
    let body = json!({
        "envelope_sender": "a@src.test",
        "recipients": [
            {"email": "u0@dst.test", "name": "Zoë", "substitutions": {"what": "<tea>"}},
            {"email": "u1@dst.test", "substitutions": {"what": "milk"}},
        ],
        "substitutions": {"shop": "S & Co"},
        "content": {
            "from": {"email": "a@src.test", "name": "A"},
            "subject": "Your {{ what }}",
            "text_body": "Buy {{ what }} at {{ shop }}",
            "html_body": "<p>Buy {{ what }}</p>",
            "headers": {"X-Kind": "offer {{ what }}"},
            "attachments": [{
                "data": STANDARD.encode("bytes"), "base64": true,
                "content_type": "application/x-test", "file_name": "a.bin",
            }],
        },
    });
    let answer = engine.post("/api/inject/v1", &body).expect(200).json();
    assert_eq!(answer["success_count"], 2);
    let received = sink.wait_messages(2);
    let of = |to: &str| {
        let found = received.iter().find(|m| m.to == [to]).unwrap();
        String::from_utf8(found.data.clone()).unwrap()
    };
    let (zoe, other) = (of("u0@dst.test"), of("u1@dst.test"));
    assert!(zoe.contains("Subject: Your <tea>\r\n") && other.contains("Subject: Your milk\r\n"));
    assert!(zoe.contains("Buy <tea> at S & Co"), "text is text: {zoe}");
    assert!(zoe.contains("<p>Buy &lt;tea&gt;</p>"), "HTML is escaped: {zoe}");
    assert!(zoe.contains("X-Kind: offer <tea>\r\n") && zoe.contains("a.bin"), "{zoe}");
    assert!(zoe.contains(&STANDARD.encode("bytes")) && other.contains("<p>Buy milk</p>"));
}

#[test]
fn one_good_and_one_bad_recipient() {
    let sink = Sink::start();
    let engine = Site::to(sink.addr).start(1);
    let mut body = injection("Subject: x\n\ny".into());
    body["recipients"] = json!([{"email": "bad"}, {"email": "u@dst.test"}]);
    let answer = engine.post("/api/inject/v1", &body).expect(200).json();
    assert_eq!((&answer["success_count"], &answer["fail_count"]), (&json!(1), &json!(1)));
    assert_eq!(answer["failed_recipients"], json!(["bad"]));
    assert!(answer["errors"][0].as_str().unwrap().starts_with("bad: "), "{answer}");
    assert_eq!(sink.wait_messages(1)[0].to, ["u@dst.test"]);
}

#[test]
fn bad_requests_say_what_is_wrong() {
    let engine = Site::new().start(1);
    assert_eq!(engine.send("POST", "/api/inject/v1", b"{").status, 400);
    assert_eq!(engine.send("POST", "/api/inject/v1", b"\xff\xfe").status, 400);
    let twice = engine.get("/api/admin/find/v1?what=x&limit=&limit=2").expect(400);
    assert_eq!(twice.text(), "parameter `limit` is given more than once\n");
    for field in ["envelope_sender", "recipients", "content"] {
        let mut body = injection("Subject: x\n\ny".into());
        body.as_object_mut().unwrap().remove(field);
        let answer = engine.post("/api/inject/v1", &body).expect(422);
        assert!(answer.text().contains(field), "{}", answer.text());
    }
    let wrong: [(&str, Value); 4] = [
        ("envelope_sender", json!("not an address")),
        ("recipients", json!([])),
        ("recipients", json!("u@dst.test")),
        ("surprise", json!(1)),
    ];
    for (field, value) in wrong {
        let mut body = injection("Subject: x\n\ny".into());
        body[field] = value;
        let answer = engine.post("/api/inject/v1", &body).expect(422);
        assert!(!answer.text().trim().is_empty());
    }
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    let answer = engine.send("POST", "/api/inject/v1", &deep);
    assert!([400, 422].contains(&answer.status), "{}", answer.status);
    engine.get("/api/no/such/path").expect(404);
}

#[test]
fn no_field_can_smuggle_a_header_or_a_message() {
    let sink = Sink::start();
    let engine = Site::to(sink.addr).start(1);
    let evil = "x\r\nBcc: evil@dst.test";
    let parts = |field: &str, value: Value| {
        let mut content = json!({"from": {"email": "a@src.test"}, "text_body": "y"});
        content[field] = value;
        injection(content)
    };
    let refused = [
        parts("subject", evil.into()),
        parts("headers", json!({"X-A": evil})),
        parts("headers", json!({"X-A\r\nBcc": "evil@dst.test"})),
        parts("headers", json!({"X A": "y"})),
        parts("from", json!({"email": "a@src.test", "name": evil})),
        parts("from", json!({"email": "a@src.test\r\nBcc: evil@dst.test"})),
        parts("reply_to", json!({"email": evil})),
        parts("attachments", json!([{"data": "", "content_type": evil, "file_name": "a"}])),
        parts("attachments", json!([{"data": "", "content_type": "a/b", "file_name": evil}])),
    ];
    for body in refused {
        let answer = engine.post("/api/inject/v1", &body);
        let nobody = answer.status == 200 && answer.json()["success_count"] == 0;
        assert!(answer.status == 422 || nobody, "{body}: {}", answer.text());
    }
    let mut body = parts("subject", "x".into());
    body["recipients"][0]["name"] = evil.into();
    let answer = engine.post("/api/inject/v1", &body);
    assert_ne!((answer.status, answer.text().contains("\"success_count\":1")), (200, true));
    for sender in ["a@src.test> SIZE=1", "a@src.test\r\nRCPT TO:<evil@dst.test>"] {
        let mut body = injection("Subject: x\n\ny".into());
        body["envelope_sender"] = sender.into();
        engine.post("/api/inject/v1", &body).expect(422);
        let mut body = injection("Subject: x\n\ny".into());
        body["recipients"][0]["email"] = sender.into();
        assert_eq!(engine.post("/api/inject/v1", &body).expect(200).json()["success_count"], 0);
    }
    // Raw content keeps its bytes, and a bare line end never reaches the wire: the sink watches.
    for end in ["\n.\n", "\r.\r", "\r\n.\r\n", "\n.\r\n", "\r\n.\n"] {
        let text = format!(
            "Subject: x\n\nfirst{end}MAIL FROM:<evil@src.test>\nRCPT TO:<evil@dst.test>\nDATA\n"
        );
        engine.post("/api/inject/v1", &injection(text.into())).expect(200);
    }
    let received = sink.wait_messages(5);
    engine.wait_empty();
    assert_eq!(sink.count(), 5);
    assert!(received.iter().all(|m| m.to == ["u@dst.test"]), "{received:?}");
}

#[test]
fn metrics_in_both_forms() {
    let sink = Sink::start();
    let site = Site::to(sink.addr);
    let engine = site.start(2);
    for n in 0..4 {
        engine.accept("a@src.test", &[&format!("u{n}@dst.test")], &message("m"));
    }
    engine.post("/api/inject/v1", &injection("Subject: x\n\ny".into())).expect(200);
    sink.wait_messages(5);
    engine.wait_empty();
    let smtp = "total_messages_received{service=\"esmtp_listener\"}";
    assert_eq!(engine.metric(smtp), 4.0);
    assert_eq!(engine.metric("total_messages_received{service=\"http_listener\"}"), 1.0);
    assert_eq!(engine.metric("total_messages_delivered{service=\"smtp_client\"}"), 5.0);
    let queue = format!("smtp_client:unspecified->mx_list:{}@smtp_client", sink.addr);
    let delivered = format!("total_messages_delivered{{service=\"{queue}\"}}");
    assert_eq!(engine.metric(&delivered), 5.0);
    assert_eq!(engine.metric("scheduled_count_total"), 0.0);
    let json = engine.get("/metrics.json").expect(200).json();
    assert_eq!(json["total_messages_received"]["value"]["service"]["esmtp_listener"], 4);
    assert_eq!(json["total_messages_received"]["type"], "counter");
    assert!(json["total_messages_received"]["help"].is_string());
    assert_eq!(json["scheduled_count_total"]["value"], 0);
    let some = engine.get("/metrics?prefix=total_messages_rec").text();
    let lines = some.lines().filter(|line| !line.starts_with('#'));
    assert!(lines.clone().count() > 0);
    assert!(lines.clone().all(|line| line.starts_with("total_messages_received")), "{some}");
}

#[test]
fn liveness() {
    let engine = Site::new().start(2);
    let answer = engine.get("/api/check-liveness/v1").expect(200);
    assert_eq!(answer.text(), "OK");
}

#[test]
fn a_suspended_queue_holds_its_mail_until_it_is_released() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.queue = "retry_interval = '300ms', max_retry_interval = '1s',".into();
    let engine = site.start(2);
    let order = json!({"domain": "held.test", "reason": "testing", "duration": "1h"});
    let answer = engine.post("/api/admin/suspend/v1", &order).expect(200).json();
    let id = answer["id"].as_str().unwrap().to_string();
    assert_eq!(id.len(), 36);
    let list = engine.get("/api/admin/suspend/v1").expect(200).json();
    assert_eq!((&list[0]["id"], &list[0]["domain"]), (&json!(id), &json!("held.test")));
    assert_eq!(list[0]["reason"], "testing");
    let left = list[0]["duration"].as_str().unwrap();
    assert!(left == "1h" || left.starts_with("59m"), "{list}");

    for n in 0..10 {
        engine.accept("a@src.test", &[&format!("u{n}@held.test")], &message("held"));
        engine.accept("a@src.test", &[&format!("u{n}@free.test")], &message("free"));
    }
    wait("the free ones", || sink.count() >= 10);
    wait("the others waiting", || engine.metric("scheduled_count_total") == 10.0);
    let queue = engine.get("/api/admin/inspect-sched-q/v1?queue_name=held.test").expect(200).json();
    assert_eq!((&queue["queue_name"], &queue["num_scheduled"]), (&json!("held.test"), &json!(10)));
    assert!(
        queue["queue_config"]["max_age"].is_string()
            || queue["queue_config"]["max_age"].is_number()
    );
    assert!(sink.messages().iter().all(|m| m.to[0].ends_with("@free.test")));

    let body = json!({"id": id}).to_string();
    engine.send("DELETE", "/api/admin/suspend/v1", body.as_bytes()).expect(200);
    assert_eq!(engine.get("/api/admin/suspend/v1").json(), json!([]));
    wait("the held ones", || sink.count() == 20);
    engine.wait_empty();
    engine.send("DELETE", "/api/admin/suspend/v1", body.as_bytes()).expect(404);
}

#[test]
fn a_suspended_ready_queue() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.queue = "retry_interval = '300ms', max_retry_interval = '1s',".into();
    let engine = site.start(1);
    let name = format!("unspecified->mx_list:{}@smtp_client", sink.addr);
    let order = json!({"name": name, "reason": "testing", "duration": "1h"});
    let answer = engine.post("/api/admin/suspend-ready-q/v1", &order).expect(200).json();
    engine.accept("a@src.test", &["u@dst.test"], &message("held"));
    wait("it waits", || engine.metric("scheduled_count_total") == 1.0);
    let list = engine.get("/api/admin/suspend-ready-q/v1").json();
    assert_eq!((&list[0]["name"], &list[0]["id"]), (&json!(name), &answer["id"]));
    assert!(list[0]["expires"].as_str().unwrap().contains('T'), "{list}");
    assert_eq!(sink.count_commands("MAIL"), 0);
    let body = json!({"id": answer["id"]}).to_string();
    engine.send("DELETE", "/api/admin/suspend-ready-q/v1", body.as_bytes()).expect(200);
    sink.wait_messages(1);
}

#[test]
fn a_held_message_still_expires() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.queue = "retry_interval = '300ms', max_age = '2s',".into();
    let engine = site.start(1);
    let order = json!({"domain": "held.test", "reason": "testing", "duration": "1h"});
    engine.post("/api/admin/suspend/v1", &order).expect(200);
    engine.accept("a@src.test", &["u@held.test"], &message("old"));
    site.wait_record("Expiration", |record| record["recipient"] == "u@held.test");
    engine.wait_empty();
    assert_eq!(sink.count(), 0);
}

#[test]
fn a_bounce_fails_what_waits() {
    let sink = Sink::start();
    sink.refuse("u", "450 4.2.1 later");
    let mut site = Site::to(sink.addr);
    site.queue = "retry_interval = '1h',".into();
    let engine = site.start(2);
    for n in 0..10 {
        engine.accept("a@src.test", &[&format!("u{n}@bad.test")], &message("bounce"));
        engine.accept("a@src.test", &[&format!("u{n}@good.test")], &message("stay"));
    }
    wait("all deferred", || engine.metric("scheduled_count_total") == 20.0);
    let order = json!({"domain": "bad.test", "reason": "mistake"});
    let answer = engine.post("/api/admin/bounce/v1", &order).expect(200).json();
    assert!(answer["id"].is_string() && answer["total_bounced"].is_number(), "{answer}");
    wait("the bounced ones gone", || engine.metric("message_count") == 10.0);
    wait("their records", || site.records_of("AdminBounce").len() == 10);
    for record in site.records_of("AdminBounce") {
        assert!(record["recipient"].as_str().unwrap().ends_with("@bad.test"), "{record}");
        let content = record["response"]["content"].as_str().unwrap();
        assert!(content.contains("mistake"), "{record}");
    }
    assert_eq!(engine.get("/api/admin/bounce/v1").json()[0]["domain"], "bad.test");
    // A restart neither ends the order nor forgets what it has done, whatever the number of shards.
    assert!(engine.terminate().success());
    for shards in [1, 2] {
        let engine = site.start(shards);
        engine.accept("a@src.test", &["late@bad.test"], &message("bounce"));
        let wanted = json!(10 + shards);
        wait("the count", || {
            let orders = engine.get("/api/admin/bounce/v1").json();
            let left = engine.metric("message_count");
            orders[0]["total_bounced"] == wanted && left == 10.0
        });
        assert!(engine.terminate().success());
    }
}

#[test]
fn an_order_that_cannot_be_read_does_nothing() {
    let engine = Site::new().start(1);
    let orders = [
        json!({"domain": "x.test"}),
        json!({"reason": "r", "domian": "x.test"}),
        json!({"reason": "r", "duration": "soon"}),
        json!({"reason": "r", "expires": "tomorrow"}),
    ];
    for order in orders {
        for kind in ["suspend", "bounce", "suspend-ready-q"] {
            let path = format!("/api/admin/{kind}/v1");
            assert_eq!(engine.post(&path, &order).status, 422, "{kind} {order}");
            assert_eq!(engine.get(&path).json(), json!([]));
        }
    }
    assert_eq!(engine.send("POST", "/api/admin/bounce/v1", b"not json").status, 400);
}

#[test]
fn where_a_message_is_and_why() {
    let sink = Sink::start();
    sink.refuse("u", "450 4.2.1 mailbox \"full\"");
    let mut site = Site::to(sink.addr);
    site.queue = "retry_interval = '1h',".into();
    let engine = site.start(2);
    let id = engine.accept("a@src.test", &["u@dst.test"], &message("why")).remove(0);
    wait("deferred", || engine.metric("scheduled_count_total") == 1.0);
    let path = format!("/api/admin/inspect-message/v1?id={id}&want_body=true");
    let found = engine.get(&path).expect(200).json()["message"].clone();
    assert_eq!((&found["attempts"], &found["queue"]), (&json!(1), &json!("dst.test")));
    assert!(found["last_trouble"].as_str().unwrap().contains("full"), "{found}");
    assert!(found["due"].is_string() && found["data"].as_str().unwrap().contains("Subject: why"));
    engine.get("/api/admin/inspect-message/v1?id=nonsense").expect(404);
    engine.get("/api/admin/inspect-message/v1").expect(400);
    let name = format!("unspecified-%3Emx_list:{}@smtp_client", sink.addr);
    let path = format!("/api/admin/inspect-ready-q/v1?queue_name={name}");
    let ready = engine.get(&path).expect(200).json();
    assert_eq!(ready["egress_source"], "unspecified");
    for field in ["ready_count", "connection_count"] {
        assert!(ready["state"][field].is_number(), "{ready}");
    }
    let limit = &ready["constraints"]["max_concurrent_dispatchers"];
    assert_eq!(limit, &json!({"value": 32, "source": {"kind": "primary"}, "display": "32"}));
    assert_eq!(ready["constraints"]["max_message_rate"], Value::Null);
    engine.get("/api/admin/inspect-sched-q/v1?queue_name=none.test").expect(404);
}

#[test]
fn strangers_may_only_ask_whether_it_lives() {
    let mut site = Site::new();
    site.http = "trusted_hosts = { '192.0.2.1' },".into();
    site.extra = "
kumo.on('http_server_validate_auth_basic', function(user, password)
  return user == 'api' and password == 'secret'
end)"
        .into();
    let engine = site.start(1);
    engine.get("/api/check-liveness/v1").expect(200);
    let body = injection("Subject: x\n\ny".into());
    engine.post("/api/inject/v1", &body).expect(401);
    let paths = [
        "/metrics",
        "/metrics.json",
        "/api/admin/suspend/v1",
        "/api/admin/bounce/v1",
        "/api/admin/queues/v1",
        "/api/admin/inspect-message/v1?id=x",
    ];
    for path in paths {
        engine.get(path).expect(403);
    }
    engine.post("/api/admin/reload/v1", &json!({})).expect(403);
    let as_user = |user: &str, path: &str, body: &Value| {
        let basic = format!("Basic {}", STANDARD.encode(user));
        let headers = [("authorization", &*basic), ("content-type", "application/json")];
        http::request("POST", &engine.url(path), &headers, Some(body.to_string().as_bytes()))
    };
    as_user("api:wrong", "/api/inject/v1", &body).expect(401);
    as_user("api:secret", "/api/inject/v1", &body).expect(200);
    // A login may inject; it does not make an operator.
    as_user("api:secret", "/api/admin/bounce/v1", &json!({"reason": "r"})).expect(403);
}

//! The message object as a policy sees it.

use std::rc::Rc;

use ringmta_mail::message::Message;
use serde_json::json;

use crate::testing::*;

const MAIL: &[u8] = b"From: \"Jo\" <jo@Example.com>\r\nTo: a@b.example, c@d.example\r\nX-Tenant: t1\r\nX-Campaign-Id: c\r\n 1\r\nSubject: =?utf-8?q?h=C3=A9?=\r\n\r\nbody\r\n";

fn on(m: &Message, body: &str) -> serde_json::Value {
    world(&format!("kumo.on('test', function(msg) {body} end)"))
        .fire("test", Object(m.clone()))
        .unwrap()
}

fn text(m: &Message) -> String {
    String::from_utf8_lossy(&m.body().unwrap()).into_owned()
}

#[test]
fn envelope() {
    let m = message(MAIL);
    assert_eq!(on(&m, "return {msg:id(), tostring(msg:sender()), msg:recipient().user, msg:recipient().domain, msg:recipient_list()[1].email}"),
        json!([m.id().to_string(), "a@src.example", "u", "ok.example", "u@ok.example"]));
    on(&m, "msg:set_sender('') msg:set_recipient({'x@y.z', 'p@q.r'})");
    assert!(m.sender().is_null());
    assert_eq!(
        on(&m, "return {#msg:recipient(), msg:recipient()[2].email, msg:queue_name()}"),
        json!([2, "p@q.r", "y.z"])
    );
    assert!(m.changes().envelope);
    let w = world("kumo.on('test', function(msg) msg:set_recipient('nonsense') end)");
    assert!(w
        .fire("test", Object(m))
        .unwrap_err()
        .to_string()
        .contains("`nonsense`: the address has no domain"));
}

#[test]
fn metadata() {
    let m = message(MAIL);
    on(&m, "msg:set_meta('tenant', 't') msg:set_meta('n', 1) msg:set_meta('list', {'a', {b=true}}) msg:set_meta('gone', 1) msg:set_meta('gone', nil)");
    assert_eq!(
        serde_json::Value::from(m.meta(|m| m.clone())),
        json!({"tenant": "t", "n": 1, "list": ["a", {"b": true}]})
    );
    assert_eq!(
        on(&m, "return {msg:get_meta('list')[2].b, msg:get_meta('none') == nil, msg:queue_name()}"),
        json!([true, true, "t@ok.example"])
    );
}

#[test]
fn headers_are_read_decoded_and_edited() {
    let m = message(MAIL);
    assert_eq!(on(&m, "return {msg:get_first_named_header_value('SUBJECT'), msg:get_first_named_header_value('x-campaign-id'), msg:get_first_named_header_value('No') == nil, #msg:get_all_headers(), msg:get_all_headers()[3][1]}"),
        json!(["hé", "c 1", true, 5, "X-Tenant"]));
    assert_eq!(on(&m, "local f = msg:from_header() return {f.user, f.domain, f.email, f.name, #msg:to_header().list, msg:to_header().list[2].email, msg:get_address_header('Cc') == nil}"),
        json!(["jo", "Example.com", "jo@Example.com", "Jo", 2, "c@d.example", true]));
    on(&m, "msg:prepend_header('X-A', 'ü\\r\\nBcc: evil@x') msg:append_header('X-B', '2') msg:remove_all_named_headers('subject')");
    let t = text(&m);
    assert!(t.starts_with("X-A: üBcc: evil@x\r\n"), "{t}");
    assert!(
        t.contains("\r\nX-B: 2\r\n\r\nbody") && !t.contains("Subject") && !t.contains("\r\nBcc"),
        "{t}"
    );
    assert!(m.changes().body);
}

#[test]
fn x_headers_into_metadata() {
    let m = message(MAIL);
    on(&m, "msg:import_x_headers() msg:remove_x_headers({'X-Tenant'})");
    assert_eq!(
        serde_json::Value::from(m.meta(|m| m.clone())),
        json!({"x_tenant": "t1", "x_campaign_id": "c 1"})
    );
    assert!(!text(&m).contains("X-Tenant") && text(&m).contains("X-Campaign-Id"));
    let m = message(MAIL);
    on(&m, "msg:import_x_headers({'x-tenant'}) msg:import_headers({{name='X-Camp*', target='campaign', remove=true}})");
    assert_eq!(
        serde_json::Value::from(m.meta(|m| m.clone())),
        json!({"x_tenant": "t1", "campaign": "c 1"})
    );
}

#[test]
fn a_body_that_is_away_is_read_back() {
    let w = world("kumo.on('test', function(msg) return msg:get_first_named_header_value('X-Tenant'), #msg:get_data() end)");
    let m = message(MAIL);
    m.drop_body();
    assert!(w
        .fire("test", Object(m.clone()))
        .unwrap_err()
        .to_string()
        .contains("the body is not in the spool"));
    w.host.bodies.borrow_mut().insert(m.id(), Rc::new(MAIL.to_vec()));
    assert_eq!(w.fire("test", Object(m.clone())).unwrap(), json!(["t1", MAIL.len()]));
    assert!(!m.changes().any(), "reading back is no change");
}

#[test]
fn schedules() {
    let m = message(b"X-Schedule: {\"first_attempt\":\"2026-11-22T15:02:49Z\"}\r\n\r\n");
    on(&m, "msg:import_scheduling_header('X-Schedule', true)");
    assert_eq!(
        (m.due(), m.scheduling().unwrap().first_attempt),
        (Some(1_795_359_769_000), Some(1_795_359_769_000))
    );
    assert_eq!(text(&m), "\r\n");
    on(&m, "msg:set_scheduling(nil) msg:set_due(nil) msg:increment_num_attempts()");
    assert_eq!((m.due(), m.scheduling(), m.num_attempts()), (None, None, 1));
    on(&m, "msg:set_due(kumo.time.from_unix_timestamp(5))");
    assert_eq!(m.due(), Some(5000));
}

#[test]
fn dirty_bytes_never_hurt() {
    let m = message(b"\xff\xfe: x\r\nX-Bad: \xff\xc3\r\nFrom: \xff <\xff@\xff>\r\nSubject: =?utf-8?b?////?=\r\n\xff");
    let r = on(&m, "msg:import_x_headers() msg:set_meta('k', '\\xff') msg:from_header() return {msg:get_first_named_header_value('x-bad'), #msg:get_data()}");
    assert_eq!(r[0], json!("\u{fffd}\u{fffd}"));
    let huge = message(&[b"X-A: ".to_vec(), vec![b'a'; 5_000_000]].concat());
    assert_eq!(on(&huge, "return #msg:get_first_named_header_value('X-A')"), json!(5_000_000));
    on(&huge, "msg:set_data(string.rep('x', 10000000))");
    assert_eq!(huge.body_size(), 10_000_000);
}

#[test]
fn messages_made_by_the_policy() {
    let w = world("kumo.on('test', function() local m = kumo.make_message('a@b.c', 'd@e.f', 'Subject: x\\r\\n\\r\\n') m:set_meta('tenant', 't') kumo.inject_message(m) end)");
    w.fire("test", ()).unwrap();
    assert_eq!(w.host.injected.borrow()[0].queue_name().to_string(), "t@e.f");
}

#[test]
fn dkim_from_a_policy() {
    let key = match std::process::Command::new("openssl").args(["genrsa", "2048"]).output() {
        Ok(o) if o.status.success() => o.stdout,
        _ => return eprintln!("skipped: openssl is not installed"),
    };
    let w = world("kumo.on('test', function(msg, key) msg:dkim_sign(kumo.dkim.rsa_sha256_signer{domain='example.com', selector='s', headers={'From', 'Subject'}, key=key}) end)");
    let path = w.dir.path().join("key.pem");
    std::fs::write(&path, key).unwrap();
    for _ in 0..2 {
        let m = message(MAIL);
        w.fire("test", (Object(m.clone()), path.to_str().unwrap())).unwrap();
        assert!(
            text(&m).starts_with(
                "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n d=example.com; s=s;"
            ),
            "{}",
            text(&m)
        );
    }
    let e = w.fire("test", (Object(message(MAIL)), "/nowhere.pem")).unwrap_err().to_string();
    assert!(e.contains("reading /nowhere.pem"), "{e}");
}

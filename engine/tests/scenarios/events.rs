//! What is told of a message's way, and that none of it is lost: log files and hooks.

use crate::support::{message, wait, Engine, Phase, Receiver, Sink, Site};
use serde_json::{json, Value};
use std::collections::BTreeSet;

const SOON: &str = "retry_interval = '300ms', max_retry_interval = '1s', max_age = '1 hour',";

/// Fields of every record, whatever its type.
const FIELDS: [&str; 24] = [
    "type",
    "id",
    "sender",
    "recipient",
    "queue",
    "site",
    "size",
    "response",
    "peer_address",
    "timestamp",
    "event_time",
    "created",
    "created_time",
    "num_attempts",
    "bounce_classification",
    "egress_pool",
    "egress_source",
    "source_address",
    "feedback_report",
    "meta",
    "headers",
    "delivery_protocol",
    "reception_protocol",
    "nodeid",
];

/// Labels from headers, as mailing systems set them.
const LABELS: &str = "
kumo.on('smtp_server_message_received', function(msg)
  msg:set_meta('tenant', 't1')
  msg:set_meta('campaign', 'c1')
end)";

fn check_fields(record: &Value, also: &[&str]) {
    let have: BTreeSet<&str> = record.as_object().unwrap().keys().map(String::as_str).collect();
    let want: BTreeSet<&str> = FIELDS.iter().chain(also).copied().collect();
    assert_eq!(have, want, "{record}");
    assert!(record["timestamp"].is_u64() && record["created"].is_u64(), "{record}");
    for time in ["event_time", "created_time"] {
        let text = record[time].as_str().unwrap();
        let shape = text.len() >= 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z');
        assert!(shape, "{time}: {text}");
    }
    let uuid = |text: &str| text.len() == 36 && text.matches('-').count() == 4;
    assert!(uuid(record["nodeid"].as_str().unwrap()), "{record}");
    if let Some(session) = record.get("session_id") {
        assert!(uuid(session.as_str().unwrap()), "{record}");
    }
    assert_eq!(record["bounce_classification"], "Uncategorized");
    assert_eq!(record["feedback_report"], Value::Null);
}

/// What all records about one message say alike.
fn check_message(record: &Value, kind: &str, id: &str, to: &str) {
    assert_eq!(record["type"], kind);
    assert_eq!((&record["id"], id.len()), (&json!(id), 32));
    assert_eq!((&record["sender"], &record["recipient"]), (&json!("a@src.test"), &json!(to)));
    let domain = to.split_once('@').unwrap().1;
    assert_eq!(record["queue"], format!("c1:t1@{domain}"));
    assert!(record["size"].as_u64().unwrap() > 0);
    assert_eq!(record["meta"], json!({"tenant": "t1", "campaign": "c1"}));
    assert_eq!(record["headers"]["Subject"], "hi");
    assert!(record["headers"]["X-KumoRef"].is_string(), "{record}");
    assert_eq!(record["reception_protocol"], "ESMTP");
}

#[test]
fn reception_and_delivery() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.extra = LABELS.into();
    let engine = site.start(1);
    let id = &engine.accept("a@src.test", &["u@dst.test"], &message("hi"))[0];

    let record = site.wait_record("Reception", |_| true);
    check_fields(&record, &["session_id"]);
    check_message(&record, "Reception", id, "u@dst.test");
    let response = json!({"code": 250, "enhanced_code": null, "content": "", "command": null});
    assert_eq!(record["response"], response);
    assert_eq!(record["peer_address"], json!({"name": "client.test", "addr": "127.0.0.1"}));
    assert_eq!((&record["site"], &record["num_attempts"]), (&json!(""), &json!(0)));
    for field in ["egress_pool", "egress_source", "source_address", "delivery_protocol"] {
        assert_eq!(record[field], Value::Null, "{field}");
    }
    let reference = "eyJfQF8iOiJcXF8vIiwicmVjaXBpZW50IjoidUBkc3QudGVzdCJ9";
    assert_eq!(record["headers"]["X-KumoRef"], reference);

    let record = site.wait_record("Delivery", |_| true);
    check_fields(&record, &["session_id"]);
    check_message(&record, "Delivery", id, "u@dst.test");
    let code = json!({"class": 2, "subject": 0, "detail": 0});
    let response =
        json!({"code": 250, "enhanced_code": code, "content": "taken", "command": ".\r\n"});
    assert_eq!(record["response"], response);
    let site_name = format!("unspecified->mx_list:{}@smtp_client", sink.addr);
    assert_eq!(record["site"], site_name);
    assert_eq!(record["peer_address"]["addr"], sink.addr.to_string());
    assert_eq!(record["egress_pool"], "unspecified");
    assert_eq!(record["egress_source"], "unspecified");
    assert!(record["source_address"]["address"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(record["delivery_protocol"], "ESMTP");
}

#[test]
fn a_next_hop_is_told_by_the_name_that_policy_gives_it() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    let hop = format!("{{ name = 'sink.test', addr = '{}' }}", sink.addr);
    site.queue = format!("protocol = {{ smtp = {{ mx_list = {{ {hop} }} }} }},");
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("hi"));
    let record = site.wait_record("Delivery", |_| true);
    let peer = json!({"name": "sink.test", "addr": sink.addr.to_string()});
    assert_eq!(record["peer_address"], peer);
    let site_name = format!("unspecified->mx_list:{}@smtp_client", sink.addr);
    assert_eq!(record["site"], site_name);
}

#[test]
fn failures_name_the_command_that_failed() {
    let sink = Sink::start();
    sink.reply_at(Phase::Data, "450 4.3.0 Error: command failed", 1);
    sink.refuse("hard", "550 5.3.0 Error: command failed");
    let mut site = Site::to(sink.addr);
    site.extra = LABELS.into();
    site.queue = SOON.into();
    let engine = site.start(1);

    let id = &engine.accept("a@src.test", &["soft@dst.test"], &message("hi"))[0];
    let record = site.wait_record("TransientFailure", |_| true);
    check_fields(&record, &["session_id"]);
    check_message(&record, "TransientFailure", id, "soft@dst.test");
    let code = json!({"class": 4, "subject": 3, "detail": 0});
    let content = "Error: command failed";
    let response =
        json!({"code": 450, "enhanced_code": code, "content": content, "command": "DATA\r\n"});
    assert_eq!(record["response"], response);

    let id = &engine.accept("a@src.test", &["hard@dst.test"], &message("hi"))[0];
    let record = site.wait_record("Bounce", |_| true);
    check_fields(&record, &["session_id"]);
    check_message(&record, "Bounce", id, "hard@dst.test");
    let code = json!({"class": 5, "subject": 3, "detail": 0});
    let command = "RCPT TO:<hard@dst.test>\r\n";
    let response =
        json!({"code": 550, "enhanced_code": code, "content": content, "command": command});
    assert_eq!(record["response"], response);
    assert_eq!(record["delivery_protocol"], "ESMTP");
    engine.wait_empty();
}

#[test]
fn expiration() {
    let sink = Sink::start();
    sink.refuse("u", "450 4.2.1 never");
    let mut site = Site::to(sink.addr);
    site.extra = LABELS.into();
    site.queue = "retry_interval = '200ms', max_age = '1s',".into();
    let engine = site.start(1);
    let id = &engine.accept("a@src.test", &["u@dst.test"], &message("hi"))[0];
    let record = site.wait_record("Expiration", |_| true);
    check_fields(&record, &[]);
    check_message(&record, "Expiration", id, "u@dst.test");
    assert!(record["num_attempts"].as_u64().unwrap() >= 1);
    for field in ["peer_address", "egress_pool", "egress_source", "source_address"] {
        assert_eq!(record[field], Value::Null, "{field}");
    }
    assert_eq!((&record["site"], &record["delivery_protocol"]), (&json!(""), &Value::Null));
}

#[test]
fn rejection() {
    let site = Site::new();
    let engine = site.start(1);
    let mut client = engine.greeted();
    client.expect(502, "VRFY x");
    client.expect(501, "RCPT");
    let record = site.wait_record("Rejection", |record| record["response"]["code"] == 502);
    check_fields(&record, &["session_id"]);
    assert_eq!(record["response"]["command"], "VRFY x");
    let code = json!({"class": 5, "subject": 5, "detail": 1});
    assert_eq!(record["response"]["enhanced_code"], code);
    assert_eq!(record["peer_address"], json!({"name": "client.test", "addr": "127.0.0.1"}));
    for field in ["id", "sender", "recipient", "queue", "site"] {
        assert_eq!(record[field], "", "{field}");
    }
    assert_eq!((&record["size"], &record["reception_protocol"]), (&json!(0), &Value::Null));
    wait("the other one", || site.records_of("Rejection").len() == 2);
}

#[test]
fn a_password_is_in_no_record() {
    let mut site = Site::new();
    site.extra = "kumo.on('smtp_server_auth_plain', function() return false end)".into();
    site.env.push(("KUMOD_LOG".into(), "trace".into()));
    let engine = site.start(1);
    let mut client = engine.greeted();
    // \0mailing\0hunter2
    client.expect(535, "AUTH PLAIN AG1haWxpbmcAaHVudGVyMg==");
    client.expect(334, "AUTH PLAIN");
    client.expect(535, "AG1haWxpbmcAaHVudGVyMg==");
    client.expect(334, "AUTH LOGIN bWFpbGluZw==");
    client.expect(535, "aHVudGVyMg==");
    client.expect(501, "AUTH PLAIN not-base64-hunter2");
    client.expect(221, "QUIT");
    wait("every refusal", || site.records_of("Rejection").len() == 4);
    let said = [engine.stderr().join("\n"), json!(site.records()).to_string()].concat();
    for secret in ["hunter2", "aHVudGVyMg", "AG1haWxpbmcA"] {
        assert!(!said.contains(secret), "{secret} was told");
    }
}

#[test]
fn what_a_peer_says_cannot_forge_a_record() {
    let sink = Sink::start();
    sink.reply_at(Phase::Dot, "550 5.1.1 \"},\\u0022{\x1b[2J\x08 \u{202e}txt", 1);
    let site = Site::to(sink.addr);
    let engine = site.start(1);
    let data = b"From: a@src.test\r\nSubject: =?utf-8?q?x=0A=7B=22type=22=3A?=\r\n\r\nx\r\n";
    engine.accept("a@src.test", &["u@dst.test"], data);
    let record = site.wait_record("Bounce", |_| true);
    assert!(record["response"]["content"].as_str().unwrap().contains("\"},"), "{record}");
    let before = site.records().len();
    engine.wait_empty();
    assert_eq!(site.records().len(), before);
}

#[test]
fn types_can_be_left_out_and_segments_are_closed_when_idle() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    let other = site.dir().join("other");
    site.logs = format!(
        "per_record = {{
          Delivery = {{ enable = false }},
          Reception = {{ log_dir = '{}', suffix = '_r' }},
        }},",
        other.display()
    );
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("hi"));
    engine.client().expect(502, "VRFY x");
    sink.wait_messages(1);
    engine.wait_empty();
    site.wait_record("Rejection", |_| true);
    wait("the reception in its own folder", || {
        !crate::support::engine::records_in(&other).is_empty()
    });
    // Nothing more comes, and yet the segments are ended: read-only and whole.
    let ended = |folder: &std::path::Path| {
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().collect();
        !files.is_empty()
            && files.iter().all(|file| {
                let readonly = file.metadata().unwrap().permissions().readonly();
                readonly && zstd::decode_all(std::fs::File::open(file.path()).unwrap()).is_ok()
            })
    };
    wait("ended segments", || ended(&site.dir().join("log")) && ended(&other));
    let name = std::fs::read_dir(&other).unwrap().next().unwrap().unwrap().file_name();
    assert!(name.to_str().unwrap().ends_with("_r"), "{name:?}");
    assert!(site.records_of("Delivery").is_empty());
    assert!(site.records_of("Reception").is_empty(), "they go to their own folder");
}

/// Ids of the events of one type that a receiver has.
fn ids(receiver: &Receiver, kind: &str) -> BTreeSet<String> {
    let events = receiver.events();
    let of_kind = events.iter().filter(|event| event["type"] == kind);
    of_kind.map(|event| event["id"].as_str().unwrap().to_string()).collect()
}

fn accept_some(engine: &Engine, count: usize) -> BTreeSet<String> {
    let to = |n: usize| format!("u{n:02}@dst.test");
    (0..count).flat_map(|n| engine.accept("a@src.test", &[&to(n)], &message("hi"))).collect()
}

/// A hook in the policy's own Lua, with a key, one event per request.
fn lua_hook(receiver: &Receiver) -> String {
    format!(
        "
local log_hooks = require 'policy-extras.log_hooks'
log_hooks:new {{
  name = 'webhook',
  log_parameters = {{ meta = {{ 'tenant' }}, headers = {{ 'Subject' }} }},
  constructor = function(domain, tenant, campaign)
    local client = kumo.http.build_client {{}}
    local connection = {{}}
    function connection:send(message)
      local response = client:post('{}')
        :header('Content-Type', 'application/json')
        :header('X-Kumomta-Key', 'the key')
        :body(message:get_data())
        :send()
      if response:status_is_success() then
        return 'ok'
      end
      kumo.reject(400, 'status ' .. response:status_code())
    end
    function connection:close()
      client:close()
    end
    return connection
  end,
}}",
        receiver.url()
    )
}

/// A hook of the engine itself, several events per request.
fn http_hook(receiver: &Receiver) -> String {
    format!(
        "kumo.configure_http_log_hook {{
          name = 'events', url = '{}', request_headers = {{ ['X-Kumomta-Key'] = 'the key' }},
          batch_size = 10, max_batch_latency = '100ms',
          meta = {{ 'tenant' }}, headers = {{ 'Subject' }},
        }}",
        receiver.url()
    )
}

/// Both kinds of hook, each with a site whose mail goes to `sink`.
fn hooked_sites(sink: &Sink, receiver: &Receiver) -> [Site; 2] {
    let mut lua = Site::to(sink.addr);
    lua.queue = SOON.into();
    lua.extra = lua_hook(receiver) + LABELS;
    let mut http = Site::to(sink.addr);
    http.init = http_hook(receiver);
    http.extra = LABELS.into();
    [lua, http]
}

#[test]
fn hooks_are_told_everything_with_their_key() {
    let sink = Sink::start();
    sink.refuse("hard", "550 5.1.1 unknown");
    let receiver = Receiver::start();
    for site in hooked_sites(&sink, &receiver) {
        receiver.clear();
        let engine = site.start(2);
        let good = accept_some(&engine, 10);
        let bad = engine.accept("a@src.test", &["hard@dst.test"], &message("hi"));
        let all: BTreeSet<String> = good.iter().chain(&bad).cloned().collect();
        wait("every reception", || ids(&receiver, "Reception") == all);
        wait("every delivery", || ids(&receiver, "Delivery") == good);
        wait("the bounce", || ids(&receiver, "Bounce").into_iter().eq(bad.clone()));
        for hit in receiver.hits() {
            assert_eq!(hit.start, "POST /events HTTP/1.1");
            assert_eq!(hit.header("x-kumomta-key"), Some("the key"));
            assert_eq!(hit.header("content-type"), Some("application/json"));
        }
        for event in receiver.events() {
            check_fields(&event, &["session_id"]);
            assert_eq!(event["headers"], json!({"Subject": "hi"}), "only what was asked for");
            assert_eq!(event["meta"], json!({"tenant": "t1"}));
        }
        assert_eq!(receiver.events().len(), 22, "nothing twice");
    }
}

#[test]
fn a_receiver_that_refuses_loses_nothing_and_mail_flows() {
    let sink = Sink::start();
    let receiver = Receiver::start();
    for site in hooked_sites(&sink, &receiver) {
        receiver.clear();
        receiver.set_status(503);
        let engine = site.start(2);
        let before = sink.count();
        let all = accept_some(&engine, 20);
        sink.wait_messages(before + 20);
        engine.wait_empty();
        wait("an attempt", || !receiver.hits().is_empty());
        receiver.clear();
        receiver.set_status(200);
        wait("every reception", || ids(&receiver, "Reception") == all);
        wait("every delivery", || ids(&receiver, "Delivery") == all);
    }
}

#[test]
fn events_wait_for_their_receiver_over_restarts_and_crashes() {
    let sink = Sink::start();
    let receiver = Receiver::start();
    for site in hooked_sites(&sink, &receiver) {
        receiver.set_status(503);
        let engine = site.start(2);
        let before = sink.count();
        let first = accept_some(&engine, 10);
        sink.wait_messages(before + 10);
        engine.wait_empty();
        assert!(engine.terminate().success());
        let engine = site.start(3);
        let second = accept_some(&engine, 10);
        sink.wait_messages(before + 20);
        engine.kill();
        receiver.clear();
        receiver.set_status(200);
        // Fewer shards than before: what the third one had to tell is told as well.
        let _engine = site.start(1);
        let all: BTreeSet<String> = first.union(&second).cloned().collect();
        wait("every delivery", || ids(&receiver, "Delivery") == all);
        assert!(ids(&receiver, "Reception").is_superset(&first));
    }
}

#[test]
fn a_receiver_that_was_not_there() {
    let sink = Sink::start();
    // An address of loopback that nothing else uses, so that its port stays free meanwhile.
    let gone = Receiver::on("127.61.7.2:0".parse().unwrap());
    let sites = hooked_sites(&sink, &gone);
    let addr = gone.addr;
    drop(gone);
    let mut all = Vec::new();
    let mut engines = Vec::new();
    for site in &sites {
        let engine = site.start(1);
        all.push(accept_some(&engine, 10));
        engine.wait_says("trying again in");
        engine.wait_empty();
        engines.push(engine);
    }
    let receiver = Receiver::on(addr);
    let both: BTreeSet<String> = all.into_iter().flatten().collect();
    wait("every delivery", || ids(&receiver, "Delivery") == both);
}

#[test]
fn a_hook_can_choose() {
    let sink = Sink::start();
    let receiver = Receiver::start();
    let mut site = Site::to(sink.addr);
    site.extra = lua_hook(&receiver).replace(
        "  constructor =",
        "  filter = function(msg) return msg:get_meta('log_record').type == 'Delivery' end,
  constructor =",
    );
    let engine = site.start(1);
    let all = accept_some(&engine, 5);
    wait("every delivery", || ids(&receiver, "Delivery") == all);
    assert_eq!(receiver.events().len(), 5, "{:?}", receiver.events());
}

#[test]
fn the_ready_made_hook() {
    let sink = Sink::start();
    let receiver = Receiver::start();
    let mut site = Site::to(sink.addr);
    site.extra = format!(
        "
local log_hooks = require 'policy-extras.log_hooks'
log_hooks:new_json {{ name = 'json', url = '{}', headers = {{ ['X-Key'] = 'k' }} }}",
        receiver.url()
    );
    let engine = site.start(1);
    let all = accept_some(&engine, 5);
    wait("every delivery", || ids(&receiver, "Delivery") == all);
    assert!(receiver.hits().iter().all(|hit| hit.header("x-key") == Some("k")));
}

//! Hooks as trees for KumoMTA have them: a record is a message, and its queue says what becomes of it.

use crate::support::{message, wait, Engine, Receiver, Sink, Site};
use serde_json::{json, Value};
use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// A hook whose deliveries go to the queue `wh.hook`, of which `queue` are the options, over connections that post to
/// `receiver`; `connection` may replace them.
fn hooked(sink: &Sink, receiver: &Receiver, queue: &str, batching: &str, connection: &str) -> Site {
    let mut site = Site::to(sink.addr);
    site.init = "kumo.configure_log_hook { name = 'wh', meta = { 'tenant' } }".into();
    let posting = "
    function connection:send(msg)
      local response = client:post('URL'):header('x-id', msg:id()):body(msg:get_data()):send()
      local status = response:status_code()
      if status >= 300 then
        kumo.reject(status < 500 and 400 or 500, 'said ' .. status)
      end
      return 'posted'
    end";
    let connection = if connection.is_empty() { posting } else { connection };
    site.extra = format!(
        "
kumo.on('should_enqueue_log_record', function(msg, hook)
  local record = msg:get_meta('log_record')
  if record.reception_protocol == 'LogRecord' or record.type ~= 'Delivery' then return false end
  msg:set_meta('queue', 'wh.hook')
  return true
end)
kumo.on('send.anything', function(domain, tenant, campaign)
  local connection = {{}}
  local client = kumo.http.build_client {{}}
  {connection}
  return connection
end)"
    )
    .replace("URL", &receiver.url());
    let own = format!(
        "
kumo.on('get_queue_config', function(domain)
  if domain == 'wh.hook' then
    return kumo.make_queue_config {{
      protocol = {{ custom_lua = {{ constructor = 'send.anything', {batching} }} }}, {queue}
    }}
  end
end)\n"
    );
    first(&site, &own);
    site
}

/// Writes the policy, with `text` in front of its handlers: they are asked in turn.
fn first(site: &Site, text: &str) {
    site.write_policy();
    let policy = std::fs::read_to_string(site.policy_file()).unwrap();
    let policy = policy.replacen("kumo.on('init'", &format!("{text}kumo.on('init'"), 1);
    std::fs::write(site.policy_file(), policy).unwrap();
}

fn accept_some(engine: &Engine, count: usize) -> BTreeSet<String> {
    let to = |n: usize| format!("u{n:02}@dst.test");
    (0..count).flat_map(|n| engine.accept("a@src.test", &[&to(n)], &message("hi"))).collect()
}

fn told(receiver: &Receiver) -> BTreeSet<String> {
    let events = receiver.events();
    events.iter().map(|event| event["id"].as_str().unwrap().to_string()).collect()
}

/// Of a queue's inspection the number of its messages.
fn count_of(engine: &Engine, queue: &str) -> u64 {
    let answer = engine.get(&format!("/api/admin/inspect-sched-q/v1?queue_name={queue}"));
    if answer.status != 200 {
        return 0;
    }
    answer.json()["count"].as_u64().unwrap()
}

#[test]
fn deliveries_are_logged_and_told_to_no_hook() {
    let sink = Sink::start();
    let receiver = Receiver::start();
    let site = hooked(&sink, &receiver, "", "", "");
    let engine = site.start_as_it_is(1);
    let all = accept_some(&engine, 3);
    wait("every delivery", || told(&receiver) == all);
    let of_hook = |record: &Value| record["queue"] == "wh.hook";
    let record = site.wait_record("Delivery", of_hook);
    assert_eq!(record["reception_protocol"], "LogRecord");
    assert_eq!(record["delivery_protocol"], "Lua");
    let response =
        json!({"code": 200, "enhanced_code": null, "content": "posted", "command": null});
    assert_eq!(record["response"], response);
    assert_eq!((&record["sender"], &record["num_attempts"]), (&json!("a@src.test"), &json!(0)));
    assert_eq!(record["site"], "unspecified->wh.hook@lua:send.anything");
    wait("all of them", || {
        site.records_of("Delivery").into_iter().filter(|r| of_hook(r)).count() == 3
    });
    let metric = "total_messages_delivered{service=\"lua:unspecified->wh.hook@lua:send.anything\"}";
    assert_eq!(engine.metric(metric), 3.0);
    assert_eq!(engine.metric("total_messages_delivered{service=\"smtp_client\"}"), 3.0);
    assert_eq!(receiver.events().len(), 3, "nothing about the hook's own messages");
}

#[test]
fn a_record_goes_by_smtp_where_its_queue_says_so() {
    let sink = Sink::start();
    let archive = Sink::start();
    let mut site = Site::to(sink.addr);
    site.routes = vec![("archive.test".into(), archive.addr)];
    site.init = "kumo.configure_log_hook { name = 'archive' }".into();
    site.extra = "
kumo.on('should_enqueue_log_record', function(msg, hook)
  if msg:get_meta('log_record').type ~= 'Delivery' then return false end
  msg:set_recipient('records@archive.test')
  return true
end)"
        .into();
    let engine = site.start(1);
    let id = engine.accept("a@src.test", &["u@dst.test"], &message("hi")).remove(0);
    archive.wait_messages(1);
    let body = archive.messages().remove(0).data;
    let record: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&record["type"], &record["id"]), (&json!("Delivery"), &json!(id)));
    assert_eq!(sink.count(), 1);
    wait("the end of the event", || {
        engine.metric("log_hook_backlog_count{logger=\"archive\"}") == 0.0
    });
}

#[test]
fn the_limits_of_the_path_hold() {
    let sink = Sink::start();
    let receiver = Receiver::start();
    let (now, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let seen = most.clone();
    receiver.answer_by(move |_| {
        seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(20));
        now.fetch_sub(1, Ordering::SeqCst);
        None
    });
    let mut site = hooked(&sink, &receiver, "", "", "");
    site.path = "connection_limit = site == 'wh.hook' and 2 or 32,".into();
    let own = std::fs::read_to_string(site.policy_file()).unwrap();
    let own =
        own.split("kumo.on('init'").next().unwrap().replace("local kumo = require 'kumo'\n", "");
    first(&site, &own);
    let engine = site.start_as_it_is(2);
    let all = accept_some(&engine, 40);
    wait("every delivery", || told(&receiver) == all);
    assert!(most.load(Ordering::SeqCst) <= 2, "{most:?} at once");
}

#[test]
fn events_are_sent_in_batches() {
    let sink = Sink::start();
    let receiver = Receiver::start();
    let connection = "
    function connection:send_batch(messages)
      local lines = {}
      for _, msg in ipairs(messages) do
        table.insert(lines, (string.gsub(msg:get_data(), '%s+$', '')))
      end
      client:post('URL'):body('[' .. table.concat(lines, ',') .. ']'):send()
      return 'done'
    end
    function connection:close() client:close() end";
    let batching = "batch_size = 10, min_batch_size = 5, max_batch_latency = '1s'";
    let site = hooked(&sink, &receiver, "", batching, connection);
    let engine = site.start_as_it_is(1);
    let all = accept_some(&engine, 23);
    wait("every delivery", || told(&receiver) == all);
    let sizes: Vec<usize> = receiver.hits().iter().map(|hit| hit.events().len()).collect();
    assert!(sizes.iter().all(|size| *size <= 10), "{sizes:?}");
    assert!(sizes.iter().filter(|size| **size < 5).count() <= 2, "too few at once: {sizes:?}");
}

#[test]
fn refusals_and_ages_are_those_of_the_queue() {
    let sink = Sink::start();
    let receiver = Receiver::start();
    receiver.set_status(422);
    let site = hooked(&sink, &receiver, "retry_interval = '200ms', max_age = '2s',", "", "");
    let engine = site.start_as_it_is(1);
    let id = accept_some(&engine, 1).pop_first().unwrap();
    let of_hook = |record: &Value| record["queue"] == "wh.hook";
    let record = site.wait_record("TransientFailure", of_hook);
    assert_eq!(
        (&record["response"]["code"], &record["response"]["content"]),
        (&json!(400), &json!("said 422"))
    );
    let record = site.wait_record("Expiration", of_hook);
    assert!(record["num_attempts"].as_u64().unwrap() >= 1, "{record}");
    let letters = wait_letters(&engine, 1);
    assert_eq!(letters[0]["event"]["id"], json!(id));
    wait("its end", || engine.metric("log_hook_backlog_count{logger=\"wh\"}") == 0.0);
    receiver.set_status(500);
    let site = hooked(&sink, &receiver, "", "", "");
    let engine = site.start_as_it_is(1);
    accept_some(&engine, 1);
    let record = site.wait_record("Bounce", of_hook);
    assert_eq!(record["response"]["code"], 500);
    wait_letters(&engine, 1);
    wait("its end", || engine.metric("log_hook_backlog_count{logger=\"wh\"}") == 0.0);
}

/// The dead letters of the hook, when there are so many.
fn wait_letters(engine: &Engine, count: u64) -> Vec<Value> {
    let look =
        || engine.get("/api/admin/hooks/dead-letters/v1?hook=wh&limit=100").expect(200).json();
    wait("dead letters", || look()["count"] == count);
    look()["letters"].as_array().unwrap().clone()
}

#[test]
fn dead_letters_are_sent_again_with_the_id_they_had() {
    let sink = Sink::start();
    let receiver = Receiver::start();
    receiver.set_status(500);
    let site = hooked(&sink, &receiver, "", "", "");
    let mut engine = site.start_as_it_is(2);
    let all = accept_some(&engine, 4);
    let letters = wait_letters(&engine, 4);
    let before: BTreeSet<String> = ids_given(&receiver);
    let known: BTreeSet<String> =
        letters.iter().map(|l| l["id"].as_str().unwrap().to_string()).collect();
    assert_eq!(before, known);
    receiver.clear();
    receiver.set_status(200);
    // One by its id, by a running engine.
    let one = known.first().unwrap();
    let endpoint = format!("http://{}", engine.http);
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringmta"));
        let said = command.arg("hooks").args(args).output().unwrap();
        let err = String::from_utf8_lossy(&said.stderr).into_owned();
        (said.status.success(), String::from_utf8_lossy(&said.stdout).into_owned() + &err)
    };
    let (ok, said) = run(&["--endpoint", &endpoint, "replay", "wh", "--id", one]);
    assert!(ok && said.contains("1 dead letter of wh is sent again"), "{said}");
    wait("that one", || ids_given(&receiver) == BTreeSet::from([one.clone()]));
    wait_letters(&engine, 3);
    let (ok, said) = run(&["--endpoint", &endpoint, "show", "wh"]);
    assert!(ok && said.ends_with("\n3 dead letters\n") && said.contains("Delivery"), "{said}");
    let (ok, said) = run(&["--endpoint", &endpoint, "replay", "hw"]);
    assert!(!ok && said.contains("did you mean `wh`?"), "{said}");
    // Files are left alone while it runs; then the rest by them, and the next start tells it.
    let dir = site.dir().join("spool");
    let (meta, data) = (dir.join("meta"), dir.join("data"));
    let files = ["--meta", meta.to_str().unwrap(), "--data", data.to_str().unwrap()];
    let (ok, said) = run(&[&files[..], &["replay", "wh"]].concat());
    assert!(!ok && said.contains("an engine runs"), "{said}");
    assert!(engine.terminate().success());
    let (ok, said) = run(&[&files[..], &["replay", "wh"]].concat());
    assert!(ok && said.contains("3 dead letters of wh are sent again"), "{said}");
    let (ok, said) = run(&[&files[..], &["list", "--json"]].concat());
    assert!(ok && said.contains("\"dead_letters\": 0"), "{said}");
    engine = site.start_as_it_is(1);
    wait("the rest", || told(&receiver) == all);
    assert_eq!(ids_given(&receiver), before, "the receiver can tell what it has heard");
    wait_letters(&engine, 0);
}

fn ids_given(receiver: &Receiver) -> BTreeSet<String> {
    receiver.hits().iter().map(|hit| hit.header("x-id").unwrap().to_string()).collect()
}

#[test]
fn orders_hold_for_the_queues_of_hooks() {
    let sink = Sink::start();
    let receiver = Receiver::start();
    let site = hooked(&sink, &receiver, "", "", "");
    let engine = site.start_as_it_is(2);
    let order = json!({"domain": "wh.hook", "reason": "held", "duration": "1h"});
    let placed = engine.post("/api/admin/suspend/v1", &order).expect(200).json();
    let all = accept_some(&engine, 6);
    wait("all of them held", || count_of(&engine, "wh.hook") == 6);
    sink.wait_messages(6);
    engine.wait_empty();
    assert!(receiver.hits().is_empty(), "nothing is told");
    let queues = engine.get("/api/admin/queues/v1").expect(200).text();
    assert!(queues.contains("wh.hook"), "{queues}");
    assert_eq!(engine.get("/api/admin/self-check/v1").expect(200).json()["problems"], json!([]));
    let id = json!({"id": placed["id"]});
    engine.send("DELETE", "/api/admin/suspend/v1", id.to_string().as_bytes()).expect(200);
    wait("all of them told", || told(&receiver) == all);
    wait("their end", || count_of(&engine, "wh.hook") == 0);
    // What is bounced is gone.
    engine.post("/api/admin/suspend/v1", &order).expect(200);
    accept_some(&engine, 3);
    wait("all of them held", || count_of(&engine, "wh.hook") == 3);
    let order = json!({"domain": "wh.hook", "reason": "too many"});
    let bounced = engine.post("/api/admin/bounce/v1", &order).expect(200).json();
    assert_eq!(bounced["total_bounced"], 3);
    site.wait_record("AdminBounce", |record| record["queue"] == "wh.hook");
    wait("their end", || engine.metric("log_hook_backlog_count{logger=\"wh\"}") == 0.0);
    assert_eq!(told(&receiver), all);
}

#[test]
fn events_survive_a_crash_with_the_id_they_had() {
    let sink = Sink::start();
    let receiver = Receiver::start();
    receiver.set_status(422);
    let site =
        hooked(&sink, &receiver, "retry_interval = '300ms', max_retry_interval = '1s',", "", "");
    let engine = site.start_as_it_is(2);
    let all = accept_some(&engine, 5);
    wait("a try of each", || told(&receiver) == all);
    let before = ids_given(&receiver);
    engine.kill();
    receiver.clear();
    receiver.set_status(200);
    let engine = site.start_as_it_is(1);
    wait("every delivery", || told(&receiver) == all);
    assert_eq!(ids_given(&receiver), before);
    wait("the end", || engine.metric("log_hook_backlog_count{logger=\"wh\"}") == 0.0);
}

#[test]
fn a_filter_that_fails_loses_nothing() {
    let sink = Sink::start();
    let receiver = Receiver::start();
    let mut site = Site::to(sink.addr);
    site.init =
        "kumo.configure_log_hook { name = 'wh', per_record = { Reception = { enable = false } } }"
            .into();
    site.extra =
        "kumo.on('should_enqueue_log_record', function() error('no such field') end)".into();
    let engine = site.start(1);
    let all = accept_some(&engine, 1);
    let letters = wait_letters(&engine, 1);
    assert_eq!(letters[0]["event"]["id"], json!(all.first().unwrap()));
    let reason = letters[0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("should_enqueue_log_record") && reason.contains("no such field"),
        "{reason}"
    );
    assert!(receiver.hits().is_empty());
}

#[test]
fn records_nobody_wants_are_dropped() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.init =
        "kumo.configure_log_hook { name = 'a' } kumo.configure_log_hook { name = 'b' }".into();
    site.extra = "kumo.on('should_enqueue_log_record', function(msg, hook)
  if hook == 'a' then return nil end
  msg:set_meta('queue', 'null')
  return true
end)"
        .into();
    let engine = site.start(1);
    accept_some(&engine, 3);
    engine.wait_empty();
    for hook in ["a", "b"] {
        let metric = format!("log_hook_backlog_count{{logger=\"{hook}\"}}");
        wait("the end of its events", || engine.metric(&metric) == 0.0);
    }
    assert_eq!(sink.count(), 3);
}

#[test]
fn too_many_events_are_given_up_with_a_word_on_it() {
    let sink = Sink::start();
    let receiver = Receiver::start();
    receiver.set_status(503);
    let mut site = Site::to(sink.addr);
    site.init = format!(
        "kumo.configure_http_log_hook {{ name = 'few', url = '{}', headers = {{ 'X-*' }}, max_backlog_bytes = 1024 * 1024 }}",
        receiver.url()
    );
    let engine = site.start(1);
    let pad = |n: usize| format!("X-Pad-{n}: {}\r\n", "long ".repeat(180));
    let long = (0..20).map(pad).collect::<String>() + "\r\nx\r\n";
    let mut nearly = false;
    wait("events to be given up", || {
        engine.accept("a@src.test", &["u@dst.test"], long.as_bytes());
        nearly |= engine.metric("log_hook_backlog_nearly_full{logger=\"few\"}") == 1.0;
        engine.metric("log_hook_dropped_total{logger=\"few\"}") > 0.0
    });
    assert!(nearly, "the metric says so before");
    let record = site.wait_record("Expiration", |record| record["queue"] == "few.log_hook");
    let content = record["response"]["content"].as_str().unwrap();
    assert!(content.contains("events of hook few were given up"), "{content}");
}

#[test]
fn posts_are_signed_compressed_and_numbered() {
    let sink = Sink::start();
    let receiver = Receiver::start();
    let mut site = Site::to(sink.addr);
    site.init = format!(
        "kumo.configure_http_log_hook {{
           name = 'events', url = '{}', batch_size = 1, compression = 'gzip', event_ids = true,
           signing_secret = 'whsec_c2VjcmV0', request_headers = {{ ['x-kumomta-key'] = 'k' }},
         }}",
        receiver.url()
    );
    site.extra = format!(
        "require('policy-extras.log_hooks'):new_json {{ name = 'lua', url = '{}', signing_secret = 'secret' }}",
        receiver.url().replace("events", "lua")
    );
    let engine = site.start(1);
    accept_some(&engine, 2);
    wait("every post", || receiver.hits().len() == 8);
    let hits = receiver.hits();
    let (lua, http): (Vec<_>, Vec<_>) = hits.iter().partition(|hit| hit.start.contains("/lua"));
    for hit in &http {
        assert_eq!(hit.header("content-encoding"), Some("gzip"));
        assert_eq!(hit.header("x-kumomta-key"), Some("k"));
        let mut text = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&hit.body[..]), &mut text)
            .unwrap();
        let event = serde_json::from_str::<Value>(&text).unwrap()[0].clone();
        assert_eq!(event["event_id"], json!(hit.header("webhook-id").unwrap()));
        check_signature(hit, &text);
        // Both hooks tell the same events, each under the same id but for what they carry of them.
    }
    for hit in &lua {
        check_signature(hit, std::str::from_utf8(&hit.body).unwrap());
    }
    let ids = |hits: &[&crate::support::http::Hit]| -> BTreeSet<String> {
        hits.iter().map(|hit| hit.header("webhook-id").unwrap().to_string()).collect()
    };
    assert_eq!((ids(&lua).len(), ids(&http).len()), (4, 4));
}

fn check_signature(hit: &crate::support::http::Hit, content: &str) {
    let (id, time) = (hit.header("webhook-id").unwrap(), hit.header("webhook-timestamp").unwrap());
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"secret");
    let signature = aws_lc_rs::hmac::sign(&key, format!("{id}.{time}.{content}").as_bytes());
    let expected = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, signature);
    assert_eq!(hit.header("webhook-signature"), Some(format!("v1,{expected}").as_str()));
}

#[test]
fn an_event_gets_each_record_with_its_message_at_hand() {
    let sink = Sink::start();
    sink.refuse("hard", "550 5.1.1 unknown");
    let receiver = Receiver::start();
    let mut site = Site::to(sink.addr);
    site.extra = format!(
        "
require('policy-extras.log_hooks'):new_disposition_hook {{
  name = 'at_once',
  per_record = {{ Reception = {{ enable = false }} }},
  hook = function(msg, record)
    local client = kumo.http.build_client {{}}
    local what = {{ type = record.type, subject = msg:get_first_named_header_value('Subject'), to = msg:recipient().email }}
    client:post('{}'):body(kumo.serde.json_encode(what)):send()
    error('it is only logged')
  end,
}}",
        receiver.url()
    );
    let engine = site.start(1);
    engine.accept("a@src.test", &["hard@dst.test"], &message("one"));
    engine.accept("a@src.test", &["u@dst.test"], &message("two"));
    wait("both ends", || receiver.hits().len() == 2);
    let mut events = receiver.events();
    events.sort_by_key(|event| event["type"].as_str().unwrap().to_string());
    assert_eq!(
        events,
        [
            json!({"type": "Bounce", "subject": "one", "to": "hard@dst.test"}),
            json!({"type": "Delivery", "subject": "two", "to": "u@dst.test"}),
        ]
    );
    engine.wait_empty();
    engine.wait_says("it is only logged");
}

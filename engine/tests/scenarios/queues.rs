//! Queues and the orders of operators: nothing gets stuck, nothing is charged for what it did not do, nothing is forgotten.

use crate::support::smtp::stuffed;
use crate::support::{message, wait, wait_some, Engine, Phase, Sink, Site};
use serde_json::{json, Value};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Everything is where it belongs.
fn check(engine: &Engine) {
    let found = engine.get("/api/admin/self-check/v1").expect(200).json();
    assert_eq!(found["ok"], true, "{found}");
}

fn place(engine: &Engine, kind: &str, order: Value) -> String {
    let answer = engine.post(&format!("/api/admin/{kind}/v1"), &order).expect(200).json();
    answer["id"].as_str().unwrap().to_string()
}

fn cancel(engine: &Engine, kind: &str, id: &str) {
    let body = json!({"id": id}).to_string();
    let answer = engine.send("DELETE", &format!("/api/admin/{kind}/v1"), body.as_bytes());
    assert_eq!(answer.expect(200).text(), format!("removed {id}"));
}

fn text(record: &Value) -> &str {
    record["response"]["content"].as_str().unwrap()
}

fn ready_name(sink: &Sink) -> String {
    format!("unspecified->mx_list:{}@smtp_client", sink.addr)
}

/// A next hop where nobody listens.
fn nobody() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn domains_of_one_site_that_are_routed_at_once_share_a_ready_queue() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    // A policy that waits while it is asked for the path, as one that asks a database does.
    site.path = "connection_limit = (function() kumo.sleep(0.3) return 1 end)(),".into();
    let engine = site.start(1);
    for round in 1..=2 {
        for n in 0..6 {
            engine.accept("a@src.test", &[&format!("u@d{n}.test")], &message("one site"));
        }
        sink.wait_messages(6 * round);
    }
    engine.wait_empty();
    check(&engine);
}

#[test]
fn suspended_mail_opens_no_connection_and_is_charged_nothing() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.queue = "retry_interval = '200ms', max_retry_interval = '200ms',".into();
    let engine = site.start(2);
    let order = json!({"domain": "held.test", "reason": "blocked there", "duration": "1h"});
    let id = place(&engine, "suspend", order);
    engine.accept("a@src.test", &["u@held.test"], &message("held"));
    let record = site.wait_record("TransientFailure", |_| true);
    assert_eq!(text(&record), "KumoMTA internal: scheduled queue is suspended: blocked there");
    let response = &record["response"];
    assert_eq!(
        (&response["code"], &response["enhanced_code"]["subject"]),
        (&json!(451), &json!(4))
    );
    assert_eq!((&record["site"], &record["num_attempts"]), (&json!("held.test"), &json!(0)));
    assert_eq!((&record["egress_pool"], &record["egress_source"]), (&Value::Null, &Value::Null));
    assert_eq!(sink.connections(), 0);
    check(&engine);
    cancel(&engine, "suspend", &id);
    sink.wait_messages(1);
    engine.wait_empty();
    assert_eq!(site.records_of("TransientFailure").len(), 1, "told once");
    assert_eq!(site.wait_record("Delivery", |_| true)["num_attempts"], 0);
}

#[test]
fn a_site_that_is_down_charges_nothing_to_mail_that_is_held() {
    let mut site = Site::to(nobody());
    site.queue = "retry_interval = '200ms', max_retry_interval = '200ms',".into();
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@held.test"], &message("held"));
    site.wait_record("TransientFailure", |record| record["queue"] == "held.test");
    let order = json!({"domain": "held.test", "reason": "pause", "duration": "1h"});
    place(&engine, "suspend", order);
    // It becomes due, and is told of once.
    site.wait_record("TransientFailure", |record| text(record).ends_with("suspended: pause"));
    let of_held = || {
        let all = site.records_of("TransientFailure");
        all.into_iter().filter(|record| record["queue"] == "held.test").count()
    };
    let before = of_held();
    engine.accept("a@src.test", &["u@free.test"], &message("free"));
    wait("the other tried again and again", || {
        let all = site.records_of("TransientFailure");
        all.iter().filter(|record| record["queue"] == "free.test").count() >= 4
    });
    assert_eq!(of_held(), before);
    check(&engine);
}

#[test]
fn mail_for_a_held_ready_queue_says_that_no_source_is_eligible() {
    let sink = Sink::start();
    let site = Site::to(sink.addr);
    let engine = site.start(1);
    // What is in the ready queue already waits there, without a word.
    sink.set(|behaviour| behaviour.stall = Some(Phase::Banner));
    engine.accept("a@src.test", &["early@dst.test"], &message("early"));
    wait("the connection", || sink.connections() == 1);
    let order = json!({"name": ready_name(&sink), "reason": "warm-up", "duration": "1h"});
    let id = place(&engine, "suspend-ready-q", order);
    sink.set(|behaviour| behaviour.stall = None);
    engine.accept("a@src.test", &["late@dst.test"], &message("late"));
    let record = site.wait_record("TransientFailure", |_| true);
    let said = "KumoMTA internal: no sources for dst.test pool=`unspecified` are eligible for selection at this time";
    assert_eq!((text(&record), &record["site"]), (said, &json!("")));
    assert_eq!(
        (&record["recipient"], &record["num_attempts"]),
        (&json!("late@dst.test"), &json!(0))
    );
    assert_eq!(sink.count_commands("MAIL"), 0);
    check(&engine);
    cancel(&engine, "suspend-ready-q", &id);
    sink.wait_messages(2);
    engine.wait_empty();
    assert_eq!(site.records_of("TransientFailure").len(), 1);
}

#[test]
fn a_bounce_takes_what_lies_anywhere_and_counts_it() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.queue = "retry_interval = '1h',".into();
    site.path = "max_ready = 10, connection_limit = 1,".into();
    let engine = site.start(2);
    // Some wait for their next attempt, some for a host that does not answer, some for room.
    sink.refuse("deferred", "450 4.2.1 later");
    for n in 0..5 {
        engine.accept("a@src.test", &[&format!("deferred{n}@bad.test")], &message("bounce"));
    }
    wait("deferred", || engine.metric("scheduled_count_total") == 5.0);
    wait("no connection", || sink.open() == 0);
    sink.set(|behaviour| behaviour.stall = Some(Phase::Banner));
    for n in 0..40 {
        engine.accept("a@src.test", &[&format!("u{n}@bad.test")], &message("bounce"));
    }
    engine.accept("a@src.test", &["u@good.test"], &message("stay"));
    let order = json!({"domain": "bad.test", "reason": "mistake", "duration": "1h"});
    let answer = engine.post("/api/admin/bounce/v1", &order).expect(200).json();
    assert_eq!(answer["total_bounced"], 45, "{answer}");
    assert_eq!(answer["bounced"], json!({"bad.test": 45}));
    wait("one is left", || engine.metric("message_count") == 1.0);
    wait("their records", || site.records_of("AdminBounce").len() == 45);
    let record = site.wait_record("AdminBounce", |_| true);
    assert_eq!(text(&record), "Administrator bounced with reason: mistake");
    assert_eq!(record["site"], "localhost");
    // Later arrivals too.
    engine.accept("a@src.test", &["late@bad.test"], &message("bounce"));
    let list = || engine.get("/api/admin/bounce/v1").json()[0].clone();
    wait("the late one counted", || list()["total_bounced"] == 46);
    assert_eq!(list()["bounced"], json!({"bad.test": 46}));
    check(&engine);
    sink.set(|behaviour| behaviour.stall = None);
    sink.wait_messages(1);
}

#[test]
fn one_refused_connection_fails_one_message() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.queue = "retry_interval = '300ms',".into();
    site.path = "connection_limit = 1,".into();
    let engine = site.start(1);
    sink.set(|behaviour| behaviour.stall = Some(Phase::Banner));
    for n in 0..50 {
        engine.accept("a@src.test", &[&format!("u{n}@dst.test")], &message("many"));
    }
    sink.reply_at(Phase::Banner, "421 4.7.0 too many connections", 1);
    sink.set(|behaviour| behaviour.stall = None);
    sink.wait_messages(50);
    engine.wait_empty();
    wait("all records", || site.records_of("Delivery").len() == 50);
    let failed = site.records_of("TransientFailure");
    assert_eq!(failed.len(), 1, "{failed:?}");
    check(&engine);
}

#[test]
fn after_some_failed_connections_in_a_row_all_mail_is_delayed() {
    let mut site = Site::to(nobody());
    site.queue = "retry_interval = '1h',".into();
    site.path = "connection_limit = 1, consecutive_connection_failures_before_delay = 3,".into();
    // All of it waits before the first connection.
    site.path.push_str("refresh_interval = (function() kumo.sleep(1) return '60s' end)(),");
    let engine = site.start(1);
    for n in 0..30 {
        engine.accept("a@src.test", &[&format!("u{n}@dst.test")], &message("many"));
    }
    wait("all deferred", || site.records_of("TransientFailure").len() == 30);
    let records = site.records_of("TransientFailure");
    let of_all = |record: &&Value| text(record) == "No answer from any hosts listed in MX";
    let delayed: Vec<_> = records.iter().filter(of_all).collect();
    assert_eq!(delayed.len(), 30 - 4, "three may fail, the fourth is one too many");
    assert_eq!(
        delayed[0]["response"]["enhanced_code"],
        json!({"class": 4, "subject": 4, "detail": 1})
    );
    check(&engine);
}

#[test]
fn orders_survive_a_crash() {
    let sink = Sink::start();
    let site = Site::to(sink.addr);
    let engine = site.start(2);
    let order = json!({"domain": "held.test", "reason": "blocked", "duration": "1h"});
    let id = place(&engine, "suspend", order);
    let over = place(&engine, "suspend", json!({"domain": "over.test", "reason": "r"}));
    let bounce = json!({"domain": "bad.test", "reason": "mistake", "duration": "1h"});
    place(&engine, "bounce", bounce);
    cancel(&engine, "suspend", &over);
    engine.accept("a@src.test", &["u@held.test"], &message("held"));
    site.wait_record("TransientFailure", |record| record["queue"] == "held.test");
    let before = engine.get("/api/admin/suspend/v1").json();
    engine.kill();
    let engine = site.start(1);
    let after = engine.get("/api/admin/suspend/v1").json();
    assert_eq!(after.as_array().unwrap().len(), 1, "{after}");
    for field in ["id", "reason", "domain", "created", "created_by"] {
        assert!(!after[0][field].is_null());
        assert_eq!(after[0][field], before[0][field]);
    }
    engine.accept("a@src.test", &["u@bad.test"], &message("bounced"));
    site.wait_record("AdminBounce", |record| record["recipient"] == "u@bad.test");
    assert_eq!((engine.metric("message_count"), sink.connections()), (1.0, 0));
    cancel(&engine, "suspend", &id);
    sink.wait_messages(1);
    engine.kill();
    let engine = site.start(2);
    assert_eq!(engine.get("/api/admin/suspend/v1").json(), json!([]));
    assert_eq!(engine.get("/api/admin/bounce/v1").json()[0]["domain"], "bad.test");
}

/// The end of an order is durable before what it held is on its way: after a crash between the two nothing holds that mail.
#[test]
fn what_an_order_held_that_has_ended_goes_on_at_a_start() {
    let sink = Sink::start();
    let site = Site::to(sink.addr);
    let engine = site.start(2);
    let order = |domain| json!({"domain": domain, "reason": "pause", "duration": "1h"});
    let ended = place(&engine, "suspend", order("ended.test"));
    let kept = place(&engine, "suspend", order("kept.test"));
    for domain in ["ended.test", "kept.test"] {
        engine.accept("a@src.test", &[&format!("u@{domain}")], &message("held"));
        site.wait_record("TransientFailure", |record| record["queue"] == domain);
    }
    assert!(engine.terminate().success());
    let orders = site.dir().join("spool/meta/orders");
    let mut orders = std::fs::OpenOptions::new().append(true).open(orders).unwrap();
    writeln!(orders, "\n{}", json!({"Ended": ended})).unwrap();
    let engine = site.start(1);
    sink.wait_messages(1);
    wait("one left", || engine.metric("message_count") == 1.0);
    check(&engine);
    cancel(&engine, "suspend", &kept);
    sink.wait_messages(2);
    engine.wait_empty();
    let told = site.records_of("TransientFailure");
    assert_eq!(told.len(), 2, "each once: {told:?}");
}

#[test]
fn the_same_criteria_again_replace_an_order() {
    let sink = Sink::start();
    let site = Site::to(sink.addr);
    let engine = site.start(2);
    let order = |reason: &str| json!({"domain": "d.test", "reason": reason, "duration": "1h"});
    let first = place(&engine, "suspend", order("first"));
    engine.accept("a@src.test", &["u@d.test"], &message("held"));
    site.wait_record("TransientFailure", |_| true);
    wait("it is held", || engine.metric("scheduled_count_total") == 1.0);
    let second = place(&engine, "suspend", order("second"));
    let list = engine.get("/api/admin/suspend/v1").json();
    assert_eq!((list.as_array().unwrap().len(), &list[0]["id"]), (1, &json!(second)));
    let body = json!({"id": first}).to_string();
    let answer = engine.send("DELETE", "/api/admin/suspend/v1", body.as_bytes()).expect(404);
    assert_eq!(answer.text(), format!("suspend entry {first} not found"));
    assert_eq!(sink.connections(), 0);
    cancel(&engine, "suspend", &second);
    sink.wait_messages(1);
    assert_eq!(site.records_of("TransientFailure").len(), 1);
}

#[test]
fn a_policy_that_fails_on_one_shard_is_taken_by_none() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    // Its policy leaves a mark there.
    site.args.extend(["--may-write".into(), site.dir().display().to_string()]);
    let engine = site.start(2);
    let marker = site.dir().join("loaded-once");
    // The first shard that loads it is content, the others are not.
    site.extra = format!(
        "local seen = io.open('{0}')
if seen then error('broken on this shard') end
io.open('{0}', 'w'):close()
kumo.on('smtp_server_ehlo', function() kumo.reject(451, 'the new policy') end)",
        marker.display()
    );
    site.write_policy();
    let answer = engine.post("/api/admin/reload/v1", &Value::Null);
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("broken on this shard"), "{}", answer.text());
    for _ in 0..24 {
        engine.client().expect(250, "EHLO client.test");
    }
    assert_eq!(engine.metric("policy_load_failed_total"), 1.0);
    // A good one is taken by all.
    site.extra =
        "kumo.on('smtp_server_ehlo', function() kumo.reject(451, 'the new policy') end)".into();
    site.write_policy();
    engine.post("/api/admin/reload/v1", &Value::Null).expect(200);
    for _ in 0..24 {
        engine.client().expect(451, "EHLO client.test");
    }
    assert!(engine.metric("policy_load_microseconds_total") > 0.0);
}

#[test]
fn the_first_message_of_a_new_epoch_goes_by_the_new_route() {
    let sinks = [Sink::start(), Sink::start()];
    let mut site = Site::new();
    let hop = site.dir().join("hop");
    site.queue = format!(
        "refresh_interval = '1h', protocol = {{ smtp = {{ mx_list = {{ io.open('{}'):read() }} }} }},",
        hop.display()
    );
    site.path = "refresh_interval = '1h',".into();
    std::fs::write(&hop, sinks[0].addr.to_string()).unwrap();
    let engine = site.start(2);
    for n in 1..=8 {
        engine.accept("a@src.test", &["u@dst.test"], &message("old"));
        sinks[0].wait_messages(n);
    }
    std::fs::write(&hop, sinks[1].addr.to_string()).unwrap();
    engine.post("/api/admin/bump-config-epoch", &Value::Null).expect(200);
    for n in 1..=8 {
        engine.accept("a@src.test", &["u@dst.test"], &message("new"));
        sinks[1].wait_messages(n);
    }
    assert_eq!(sinks[0].count(), 8);
    check(&engine);
}

#[test]
fn what_a_throttle_handler_changes_is_kept_when_it_makes_the_message_wait() {
    let sink = Sink::start();
    sink.reply_at(Phase::Rcpt, "450 4.2.0 later", 1);
    let mut site = Site::to(sink.addr);
    site.queue = "retry_interval = '200ms',".into();
    site.extra = "
kumo.on('throttle_insert_ready_queue', function(msg)
  if msg:num_attempts() > 0 and not msg:get_first_named_header_value 'X-Waited' then
    msg:append_header('X-Waited', 'once')
    msg:set_meta('waited', 'yes')
    msg:set_due(kumo.time.now() + kumo.time.parse_duration '1s')
  end
end)"
        .into();
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("waits"));
    let data = String::from_utf8(sink.wait_messages(1)[0].data.clone()).unwrap();
    assert!(data.contains("X-Waited: once"), "{data}");
    engine.wait_empty();
    assert_eq!(site.wait_record("Delivery", |_| true)["num_attempts"], 1);
    check(&engine);
}

#[test]
fn a_message_that_a_throttle_handler_has_changed_keeps_its_attempts_over_a_crash() {
    let sink = Sink::start();
    sink.reply_at(Phase::Rcpt, "450 4.2.0 later", 1);
    let mut site = Site::to(sink.addr);
    site.queue = "retry_interval = '200ms',".into();
    site.extra = "
kumo.on('throttle_insert_ready_queue', function(msg)
  if msg:num_attempts() > 0 and not msg:get_meta 'waited' then
    msg:set_meta('waited', 'yes')
    msg:set_scheduling { first_attempt = '2000-01-01T00:00:00Z' }
  end
end)"
        .into();
    site.path = "connection_limit = (function() return 1 end)(), idle_timeout = '1ms',".into();
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("waits"));
    site.wait_record("TransientFailure", |_| true);
    // Its second attempt does not come to an end in this life.
    sink.set(|behaviour| behaviour.stall = Some(Phase::Banner));
    wait("the record written anew", || engine.metric("spool_committed_total") >= 2.0);
    wait("the journal after it", || engine.metric("journal_flush_total") >= 2.0);
    engine.kill();
    sink.set(|behaviour| behaviour.stall = None);
    let engine = site.start(1);
    sink.wait_messages(1);
    assert_eq!(site.wait_record("Delivery", |_| true)["num_attempts"], 1);
    drop(engine);
}

/// How long mail is held also depends on how long it lives, which a start does not know until it asks.
#[test]
fn mail_held_for_longer_than_it_lives_goes_on_when_a_suspension_ends_after_a_restart() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.queue = "max_age = '2 days',".into();
    let engine = site.start(2);
    let order = json!({"domain": "dst.test", "reason": "long", "duration": "10 days"});
    let id = place(&engine, "suspend", order);
    engine.accept("a@src.test", &["u@dst.test"], &message("held"));
    site.wait_record("TransientFailure", |_| true);
    wait("the timer", || engine.metric("scheduled_count_total") == 1.0);
    assert!(engine.terminate().success());
    let engine = site.start(2);
    cancel(&engine, "suspend", &id);
    sink.wait_messages(1);
    engine.wait_empty();
}

#[test]
fn very_many_messages_are_bounced_a_few_at_a_time() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.queue = "retry_interval = '1h',".into();
    let engine = site.start(1);
    place(&engine, "suspend", json!({"domain": "bad.test", "reason": "first", "duration": "1h"}));
    let mut client = engine.greeted();
    for n in 0..400 {
        let to = format!("u{n}@bad.test");
        assert_eq!(client.transaction("a@src.test", &[&to], &message("many")).code, 250);
    }
    wait("all held", || engine.metric("scheduled_count_total") == 400.0);
    let order = json!({"domain": "bad.test", "reason": "all", "duration": "1h"});
    let answer = engine.post("/api/admin/bounce/v1", &order).expect(200).json();
    assert_eq!(answer["total_bounced"], 400);
    let found = engine.get("/api/admin/self-check/v1").json();
    let shard = &found["shards"][0];
    assert!(shard["in_hand"].as_u64().unwrap() <= 64, "{found}");
    check(&engine);
    engine.wait_empty();
    wait("their records", || site.records_of("AdminBounce").len() == 400);
    assert_eq!(sink.connections(), 0);
}

/// The names of the scheduled queues that hold mail.
fn queue_names(engine: &Engine) -> Vec<String> {
    let shards = engine.get("/api/admin/queues/v1").expect(200).json();
    let of = |shard: &Value| -> Vec<String> {
        shard["scheduled"].as_object().map_or(Vec::new(), |all| all.keys().cloned().collect())
    };
    let mut names: Vec<String> = shards.as_array().unwrap().iter().flat_map(of).collect();
    names.sort();
    names
}

#[test]
fn a_message_is_in_the_same_queue_after_a_restart_however_its_parts_are_spelt() {
    let sink = Sink::start();
    sink.set(|behaviour| behaviour.stall = Some(Phase::Banner));
    let mut site = Site::to(sink.addr);
    site.extra = "
kumo.on('smtp_server_message_received', function(msg)
  local name, value = msg:get_first_named_header_value('Subject'):match '^(%S+)=(.*)$'
  msg:set_meta(name, value)
  if value == '' then msg:set_meta('tenant', 'Ten') end
  kumo.log_info('came to ' .. msg:queue_name())
end)"
        .into();
    let engine = site.start(2);
    for (at, subject) in
        ["routing_domain=Relay.Example", "queue=", "routing_domain=", "queue=C:T@Own.test!R.test"]
            .into_iter()
            .enumerate()
    {
        engine.accept("a@src.test", &[&format!("u@D{at}.Test")], &message(subject));
    }
    let wanted = ["C:T@Own.test!R.test", "Ten@d1.test", "Ten@d2.test", "d0.test!relay.example"];
    wait("four queues", || queue_names(&engine) == wanted);
    for name in wanted {
        engine.wait_says(&format!("came to {name}"));
    }
    // An order about one of them goes on to hold it.
    let order = json!({"domain": "d0.test", "routing_domain": "relay.example", "reason": "held", "duration": "1h"});
    let held = place(&engine, "suspend", order);
    engine.kill();
    let engine = site.start(2);
    wait("the same four", || queue_names(&engine) == wanted);
    sink.set(|behaviour| behaviour.stall = None);
    sink.wait_messages(3);
    wait("the one that is held", || queue_names(&engine) == wanted[3..]);
    cancel(&engine, "suspend", &held);
    sink.wait_messages(4);
    engine.wait_empty();
}

/// What an old policy says when another has taken its place meanwhile counts for nothing.
#[test]
fn an_answer_that_a_reload_has_overtaken_is_asked_for_again() {
    for handler in ["get_queue_config", "get_egress_path_config"] {
        let (old, new) = (Sink::start(), Sink::start());
        let mut site = Site::to(old.addr);
        site.queue = "refresh_interval = '1h',".into();
        site.path = "refresh_interval = '1h',".into();
        site.write_policy();
        let dir = site.dir().display().to_string();
        let waiting = format!(
            "
local function wait()
  kumo.log_info 'it was asked'
  while not io.open '{dir}/go' do kumo.sleep(0.01) end
end
local on = kumo.on
kumo.on = function(event, handler)
  if event == '{handler}' then
    local inner = handler
    handler = function(...) wait() return inner(...) end
  end
  return on(event, handler)
end
"
        );
        let text = std::fs::read_to_string(site.policy_file()).unwrap();
        let text = text.replacen(
            "local kumo = require 'kumo'\n",
            &format!("local kumo = require 'kumo'{waiting}"),
            1,
        );
        std::fs::write(site.policy_file(), text).unwrap();
        let engine = site.start_as_it_is(1);
        engine.accept("a@src.test", &["u@dst.test"], &message("overtaken"));
        engine.wait_says("it was asked");
        site.default_route = Some(new.addr);
        site.write_policy();
        engine.post("/api/admin/reload/v1", &Value::Null).expect(200);
        std::fs::write(site.dir().join("go"), "").unwrap();
        new.wait_messages(1);
        engine.wait_empty();
        assert_eq!(old.connections(), 0, "{handler}");
    }
}

/// Each shard is asked whether it took an order; of one that does nothing else meanwhile nobody can say.
#[test]
fn an_order_that_not_every_shard_took_is_not_told_as_placed() {
    let mut site = Site::new();
    let fifo = site.dir().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let dir = site.dir().display().to_string();
    // Opening it waits for who writes to it, and the shard with it.
    site.extra = format!(
        "kumo.on('smtp_server_message_received', function(msg)
  kumo.log_info 'it is held'
  io.open('{dir}/fifo'):close()
end)"
    );
    let engine = site.start(2);
    let mut client = engine.greeted();
    client.envelope("a@src.test", &["u@dst.test"]);
    client.send(stuffed(&message("holds")));
    engine.wait_says("it is held");
    let order = json!({"domain": "dst.test", "reason": "held", "duration": "1h"}).to_string();
    let length = order.len();
    let request = format!(
        "POST /api/admin/suspend/v1 HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{order}"
    );
    // The one that comes to that very shard is not answered.
    let answer = wait_some("an answer", || {
        let mut stream = TcpStream::connect(engine.http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok().filter(|count| *count > 0).map(|_| answer)
    });
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("was taken by 1 of 2 shards; no word from ["), "{answer}");
    std::fs::write(&fifo, "go on").unwrap();
    assert_eq!(client.reply().code, 250);
    place(&engine, "suspend", json!({"domain": "dst.test", "reason": "again", "duration": "1h"}));
}

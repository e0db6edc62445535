//! "Why is this here?": each state a message can be in is made to happen, and its words are looked at. States that pass
//! within an instant (about to be failed, about to connect) have their tests beside the code.

use crate::support::{message, wait, wait_some, Engine, Phase, Sink, Site};
use serde_json::{json, Value};

/// The answer about `name`, whatever it is.
fn ask(engine: &Engine, name: &str) -> Value {
    let query: String = form(name);
    engine.get(&format!("/api/admin/why/v1?name={query}")).expect(200).json()
}

fn form(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// Waits until message `id` is in `state`. Since when it is, is known of each, and is not before it was accepted.
fn wait_state(engine: &Engine, id: &str, state: &str) -> Value {
    let path = format!("/api/admin/why/v1?name={id}");
    let told = wait_some(&format!("{id} to be {state}"), || {
        let answer = engine.get(&path);
        (answer.status == 200).then(|| answer.json()).filter(|told| told["state"] == state)
    });
    let since = told["since"].as_str().unwrap_or_else(|| panic!("no `since`: {told}"));
    let created = told["facts"]["created"].as_str().unwrap();
    assert!(since[..MILLIS] >= created[..MILLIS], "{told}");
    let words = told["since_text"].as_str().unwrap();
    assert!(words.starts_with(&since[..SECONDS]) && words.ends_with(" ago)"), "{told}");
    told
}

/// Characters of a time down to its seconds, and to its milliseconds.
const SECONDS: usize = "2026-01-02T03:04:05".len();
const MILLIS: usize = SECONDS + ".678".len();

fn accept(engine: &Engine, subject: &str) -> String {
    engine.accept("a@src.test", &["u@dst.test"], &message(subject)).remove(0)
}

fn because(answer: &Value) -> String {
    let all = answer["because"].as_array().unwrap().iter();
    all.map(|reason| reason["text"].as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

fn can(answer: &Value) -> Vec<&str> {
    answer["can"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

fn line_of(site: &Site, call: &str) -> String {
    let text = std::fs::read_to_string(site.policy_file()).unwrap();
    let line = text.lines().position(|line| line.contains(call)).unwrap() + 1;
    format!("{call} at {}:{line}", site.policy_file().display())
}

fn nobody() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_failed_attempt() {
    let sink = Sink::start();
    sink.refuse("u@", "450 4.2.1 the mailbox is busy");
    let mut site = Site::to(sink.addr);
    site.queue = "retry_interval = '1h',".into();
    let engine = site.start(2);
    let id = accept(&engine, "deferred");
    let told = wait_state(&engine, &id, "deferred");
    let why = because(&told);
    assert!(why.contains("sink.test") || why.contains("127.0.0.1"), "the host is named: {why}");
    assert!(why.contains("450 4.2.1 the mailbox is busy"), "{why}");
    assert!(
        why.contains(&format!(
            "retry_interval = 1h, set by {}",
            line_of(&site, "kumo.make_queue_config")
        )),
        "{why}"
    );
    assert!(told["next"]["at"].is_string() && told["facts"]["attempts"] == 1, "{told}");
    assert!(can(&told).contains(&&*format!("ringmta ctl try-now {id}")), "{told}");
    assert_eq!(told["facts"]["recipient"], json!(["u@dst.test"]));
    let life = told["facts"]["life"].as_str().unwrap();
    assert!(life.contains("max_age = 7d") && life.contains("kumo.make_queue_config"), "{life}");
}

#[test]
fn since_when_over_a_restart() {
    let sink = Sink::start();
    sink.refuse("u@", "450 4.2.1 the mailbox is busy");
    let mut site = Site::to(sink.addr);
    site.queue = "retry_interval = '1h',".into();
    let engine = site.start(1);
    let id = accept(&engine, "deferred");
    let held = accept(&engine, "held later");
    wait_state(&engine, &id, "deferred");
    wait_state(&engine, &held, "deferred");
    assert!(engine.terminate().success());
    let engine = site.start(1);
    // The attempt is known, but not when it was.
    let told = ask(&engine, &id);
    assert_eq!((&told["state"], &told["since"]), (&json!("deferred"), &Value::Null));
    assert_eq!(told["since_text"], "before the engine was started");
    // An order has a time of its own.
    let hold = json!({"message": held, "reason": "to be looked at"});
    engine.post("/api/admin/hold/v1", &hold).expect(200);
    wait_state(&engine, &held, "held");
    engine.post("/api/admin/try-now/v1", &json!({"id": id})).expect(200);
    wait("the attempt", || site.records_of("TransientFailure").len() == 3);
    wait_state(&engine, &id, "deferred");
}

#[test]
fn put_off_by_the_policy_and_schedules() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    // A window that is closed on all days but the one after tomorrow's tomorrow.
    site.extra = "
kumo.on('smtp_server_data', function(msg)
  local days = { 'Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat' }
  local subject = msg:get_first_named_header_value 'Subject'
  local day = days[(tonumber(os.date '!%w') + 3) % 7 + 1]
  if subject == 'window' then
    msg:set_scheduling { dow = day, tz = 'UTC', start = '10:00:00', ['end'] = '11:00:00' }
  elseif subject == 'first' then
    msg:set_scheduling { first_attempt = os.date('!%Y-%m-%dT%H:%M:%SZ', os.time() + 3600) }
  end
end)
kumo.on('throttle_insert_ready_queue', function(msg)
  kumo.make_throttle('one', '1/h,max_burst=1'):delay_message_if_throttled(msg)
end)"
        .into();
    let engine = site.start(1);
    let window = accept(&engine, "window");
    let first = accept(&engine, "first");
    let told = wait_state(&engine, &window, "window-closed");
    assert!(because(&told).contains("10:00:00"), "{told}");
    let told = wait_state(&engine, &first, "first-attempt-later");
    assert!(because(&told).contains("first_attempt"), "{told}");
    accept(&engine, "the one");
    sink.wait_messages(1);
    let later = accept(&engine, "throttled");
    wait_state(&engine, &later, "put-off");
}

#[test]
fn orders_name_who_and_why_and_until_when() {
    let sink = Sink::start();
    let site = Site::to(sink.addr);
    let engine = site.start(2);
    let order = json!({"domain": "dst.test", "reason": "a call from them", "duration": "1h"});
    let order = engine.post("/api/admin/suspend/v1", &order).expect(200).json();
    let id = accept(&engine, "held");
    let told = wait_state(&engine, &id, "suspended");
    let orders = engine.get("/api/admin/suspend/v1").expect(200).json();
    assert!(told["since"].as_str() >= orders[0]["created"].as_str(), "{told}, {orders}");
    let why = because(&told);
    assert!(why.contains("\"a call from them\" by 127.0.0.1"), "{why}");
    assert!(why.contains("until ") && why.contains("(in 59m"), "{why}");
    let order = order["id"].as_str().unwrap();
    assert_eq!(can(&told), [format!("ringmta ctl cancel {order}")]);
    let queue = ask(&engine, "dst.test");
    assert_eq!(
        (&queue["about"], &queue["states"][0]["state"]),
        (&json!("queue"), &json!("suspended"))
    );
    assert_eq!(queue["states"][0]["messages"], 1);
    let body = json!({"id": order}).to_string();
    engine.send("DELETE", "/api/admin/suspend/v1", body.as_bytes()).expect(200);
    sink.wait_messages(1);

    // A single message, while the others go.
    engine.wait_empty();
    sink.refuse("u@", "450 4.2.1 busy");
    let id = accept(&engine, "one");
    wait_state(&engine, &id, "deferred");
    let hold = json!({"message": id, "reason": "to be looked at"});
    engine.post("/api/admin/hold/v1", &hold).expect(200);
    let told = wait_state(&engine, &id, "held");
    assert!(because(&told).contains("hold of this message"), "{told}");
    sink.set(|behaviour| behaviour.recipients.clear());
    engine.post("/api/admin/try-now/v1", &json!({"id": id})).expect(404);
    wait_state(&engine, &id, "held");
    engine.post("/api/admin/release/v1", &json!({"id": id})).expect(200);
    engine.post("/api/admin/try-now/v1", &json!({"id": id})).expect(200);
    sink.wait_messages(2);
    engine.wait_empty();
    assert!(engine
        .get(&format!("/api/admin/why/v1?name={id}"))
        .expect(404)
        .text()
        .contains("find"));
}

#[test]
fn a_suspended_ready_queue() {
    let sink = Sink::start();
    let engine = Site::to(sink.addr).start(1);
    let name = format!("unspecified->mx_list:{}@smtp_client", sink.addr);
    let order = json!({"name": name, "reason": "warming up", "duration": "1h"});
    engine.post("/api/admin/suspend-ready-q/v1", &order).expect(200);
    let id = accept(&engine, "held");
    let told = wait_state(&engine, &id, "ready-suspended");
    assert!(because(&told).contains("\"warming up\" by 127.0.0.1"), "{told}");
    let site = ask(&engine, &name);
    assert_eq!(
        (&site["about"], &site["queues"][0]["state"]),
        (&json!("site"), &json!("ready-suspended"))
    );
}

#[test]
fn policy_that_takes_its_time() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.queue = "max_age = (domain == 'slow.test' and kumo.sleep(600)) or '1d',".into();
    site.extra = "
kumo.on('throttle_insert_ready_queue', function(msg) kumo.sleep(600) end)"
        .into();
    let engine = site.start(1);
    let slow = engine.accept("a@src.test", &["u@slow.test"], &message("route")).remove(0);
    let told = wait_state(&engine, &slow, "finding-route");
    assert!(told["since"].is_string(), "{told}");
    let asked = accept(&engine, "asked");
    wait_state(&engine, &asked, "in-hand");
}

#[test]
fn mail_that_policy_has_not_seen() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.listener = "deferred_queue = true,".into();
    site.extra = "
kumo.on('smtp_server_message_deferred_inject', function(msg, conn) kumo.sleep(600) end)"
        .into();
    let engine = site.start(1);
    let mut client = engine.greeted();
    let mut last = String::new();
    for _ in 0..70 {
        let reply = client.transaction("a@src.test", &["u@dst.test"], &message("waits"));
        last = reply.text().split_once("ids=").unwrap().1.to_string();
    }
    wait_state(&engine, &last, "awaiting-policy");
}

#[test]
fn rates_name_their_value_and_who_has_set_them() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.queue = "max_message_rate = domain == 'queue.test' and '1/h,max_burst=1' or nil,".into();
    site.path = "
    max_message_rate = routing_domain == 'path.test' and '1/h,max_burst=1' or nil,
    max_connection_rate = routing_domain == 'connect.test' and '1/h,max_burst=1' or nil,
    max_deliveries_per_connection = routing_domain == 'connect.test' and 1 or nil,
    source_selection_rate = routing_domain == 'source.test' and '1/h,max_burst=1' or nil,"
        .into();
    let sinks: Vec<Sink> = (0..4).map(|_| Sink::start()).collect();
    let domains = ["queue.test", "path.test", "connect.test", "source.test"];
    for (domain, sink) in domains.iter().zip(&sinks) {
        site.routes.push(((*domain).into(), sink.addr));
    }
    let engine = site.start(1);
    let second = |domain: &str, sink: &Sink| {
        let to = format!("u@{domain}");
        engine.accept("a@src.test", &[&to], &message("first"));
        sink.wait_messages(1);
        engine.accept("a@src.test", &[&to], &message("second")).remove(0)
    };
    let states = ["queue-rate", "message-rate", "connection-rate", "no-source"];
    let limits = [
        ("max_message_rate = 1/h", "kumo.make_queue_config"),
        ("max_message_rate = 1/h", "kumo.make_egress_path"),
        ("max_connection_rate = 1/h", "kumo.make_egress_path"),
        ("source_selection_rate = 1/h", "kumo.make_egress_path"),
    ];
    for (at, domain) in domains.iter().enumerate() {
        let id = second(domain, &sinks[at]);
        let told = wait_state(&engine, &id, states[at]);
        let (limit, call) = limits[at];
        let why = because(&told);
        assert!(why.contains(limit) && why.contains(&line_of(&site, call)), "{domain}: {why}");
    }
    let source = ask(&engine, "unspecified");
    assert_eq!(source["about"], "source");
    assert!(source["shards"][0]["ready_queues"].as_array().unwrap().len() >= 4, "{source}");
}

#[test]
fn connections_and_their_limits() {
    let sink = Sink::start();
    sink.set(|behaviour| behaviour.stall = Some(Phase::Banner));
    let mut site = Site::to(sink.addr);
    site.path = "connection_limit = 1, max_ready = 8,".into();
    let engine = site.start(1);
    let first = accept(&engine, "first");
    let told = wait_state(&engine, &first, "connecting");
    assert!(because(&told).contains(&sink.addr.to_string()), "{told}");
    sink.set(|behaviour| (behaviour.stall, behaviour.hold_dots) = (None, true));
    let told = wait_state(&engine, &first, "delivering");
    let why = because(&told);
    assert!(why.contains(&sink.addr.to_string()) && why.contains("DeliveringMessage"), "{why}");
    // The envelope of the next leaves with the first; those behind it stand in line.
    let mut ids = vec![accept(&engine, "second")];
    ids.push(accept(&engine, "third"));
    let told = wait_state(&engine, &ids[1], "in-line");
    assert!(because(&told).contains("session "), "{told}");
    for n in 0..9 {
        ids.push(accept(&engine, &format!("more {n}")));
    }
    let told = wait_state(&engine, &ids[2], "connection-limit");
    let wanted = format!(
        "connection_limit = 1, set by {}: 1 are open",
        line_of(&site, "kumo.make_egress_path")
    );
    assert!(because(&told).contains(&wanted), "{}", because(&told));
    let told = wait_state(&engine, ids.last().unwrap(), "ready-full");
    assert!(because(&told).contains("max_ready = 8"), "{told}");
    let queue = ask(&engine, "dst.test");
    let states: Vec<&str> =
        queue["states"].as_array().unwrap().iter().filter_map(|s| s["state"].as_str()).collect();
    assert!(states.contains(&"ready-full") && states.contains(&"connection-limit"), "{queue}");
    sink.set(|behaviour| behaviour.hold_dots = false);
    sink.wait_messages(12);
    engine.wait_empty();
}

#[test]
fn sites_that_are_down_or_out_of_step() {
    let mut site = Site::to(nobody());
    let sink = Sink::start();
    sink.reply_at(Phase::Mail, "250 ok\r\n250 and again\r\n250 and again", 1000);
    site.routes.push(("odd.test".into(), sink.addr));
    site.path = "consecutive_connection_failures_before_delay = 0,".into();
    site.queue = "retry_interval = '1h',".into();
    let engine = site.start(1);
    let first = accept(&engine, "first");
    wait_state(&engine, &first, "deferred");
    let id = accept(&engine, "second");
    let told = wait_state(&engine, &id, "hosts-down");
    assert!(because(&told).contains("Connection refused"), "{told}");
    engine.post("/api/admin/try-now/v1", &json!({"id": id})).expect(200);
    wait_state(&engine, &id, "deferred");
    let odd = engine.accept("a@src.test", &["u@odd.test"], &message("odd")).remove(0);
    let told = wait_state(&engine, &odd, "out-of-step");
    assert!(because(&told).contains("the last trouble of"), "{told}");
}

#[test]
fn a_disk_that_does_not_give_it_back() {
    let mut site = Site::to(nobody());
    site.queue = "retry_interval = '1h',".into();
    let engine = site.start(1);
    let id = accept(&engine, "damaged");
    wait_state(&engine, &id, "deferred");
    // The engine's own place for it, overwritten behind its back.
    let mut folders = vec![site.dir().join("spool/data")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if entry.metadata().unwrap().len() > 1 << 20 {
                use std::os::unix::fs::FileExt;
                let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
                file.write_all_at(&[0xaa; 65536], 4096).unwrap();
                file.sync_all().unwrap();
            }
        }
    }
    let told = wait_state(&engine, &id, "unreadable");
    assert!(because(&told).contains("reading it says: "), "{told}");
}

#[test]
fn unknown_names_get_the_nearest() {
    let engine = Site::to(nobody()).start(1);
    accept(&engine, "one");
    wait("the queue", || engine.metric("message_count") == 1.0);
    let text = engine.get("/api/admin/why/v1?name=dsst.test").expect(404).text();
    assert!(text.contains("did you mean `dst.test`?"), "{text}");
    engine.get("/api/admin/why/v1").expect(400);
    let text = engine.get("/api/admin/why/v1?name=x&about=mesage").expect(400).text();
    assert!(text.ends_with("did you mean `message`?\n"), "{text}");
    let answer = ask(&engine, "dst.test");
    assert_eq!(answer["about"], "queue");
    let answer = engine.get("/api/admin/why/v1?name=DST.test&about=domain").expect(200).json();
    assert_eq!(answer["about"], "domain");
}

/// A policy that makes a source of any name it is asked for has pools all the same.
#[test]
fn a_pool_tells_its_sources_and_who_chooses_from_it() {
    let mut site = Site::to(nobody());
    site.queue = "egress_pool = 'outgoing', retry_interval = '1h',".into();
    site.extra = "kumo.on('get_egress_pool', function(name)
  if name ~= 'outgoing' then return nil end
  return kumo.make_egress_pool {
    name = name, entries = { { name = 'one', weight = 3 }, { name = 'two' }, { name = 'spare', weight = 0 } },
  }
end)
kumo.on('get_egress_source', function(name) return kumo.make_egress_source { name = name } end)"
        .into();
    let engine = site.start(2);
    let id = accept(&engine, "waits");
    wait_state(&engine, &id, "deferred");
    let pool = ask(&engine, "outgoing");
    assert_eq!(pool["about"], "pool", "{pool}");
    let shards = pool["shards"].as_array().unwrap();
    let sum = |field: &str| shards.iter().filter_map(|shard| shard[field].as_u64()).sum::<u64>();
    assert_eq!((shards.len(), sum("queues"), sum("messages")), (2, 1, 1), "{pool}");
    assert_eq!(shards[0]["set_by"], line_of(&site, "kumo.make_egress_pool"), "{pool}");
    let sources = shards[0]["sources"].as_array().unwrap();
    let told: Vec<(&str, u64, &str)> = sources
        .iter()
        .map(|one| {
            let text = |field: &str| one[field].as_str().unwrap();
            (text("source"), one["percent"].as_u64().unwrap(), text("state"))
        })
        .collect();
    let may = "may be chosen";
    let wanted =
        [("one", 75, may), ("two", 25, may), ("spare", 0, "never chosen: its weight is 0")];
    assert_eq!(told, wanted);
    // What mail leaves from is a source, and what a pool names; any other name is not known, though the policy would make one.
    assert_eq!(ask(&engine, "one")["about"], "source");
    assert_eq!(ask(&engine, "spare")["about"], "source");
    let said = engine.get("/api/admin/why/v1?name=outgoin").expect(404).text();
    assert!(said.contains("did you mean `outgoing`?"), "{said}");
    engine.get("/api/admin/why/v1?name=outgoing&about=source").expect(404);
    engine.get("/api/admin/why/v1?name=one&about=pool").expect(404);
}

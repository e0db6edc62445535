//! Requests of KumoMTA's own command-line tool, verb for verb, and what it reads of the answers. (xfer excepted, which is
//! refused by name.)

use crate::support::{message, wait, wait_some, Engine, Phase, Sink, Site};
use serde_json::{json, Value};
use std::collections::BTreeMap;

fn deferring() -> (Sink, Site) {
    let sink = Sink::start();
    sink.refuse("u@", "450 4.2.1 later");
    let mut site = Site::to(sink.addr);
    site.queue = "retry_interval = '1h',".into();
    (sink, site)
}

fn deferred(engine: &Engine, to: &str) -> String {
    let before = engine.metric("scheduled_count_total");
    let id = engine.accept("a@src.test", &[to], &message("kcli")).remove(0);
    wait("deferred", || engine.metric("scheduled_count_total") > before);
    id
}

fn form(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

fn delete(engine: &Engine, kind: &str, id: &Value) -> String {
    let body = json!({"id": id}).to_string();
    engine.send("DELETE", &format!("/api/admin/{kind}/v1"), body.as_bytes()).expect(200).text()
}

/// An order as the tool posts it: what is not said is null or empty.
fn criteria(more: Value) -> Value {
    let mut body = json!({"campaign": null, "tenant": null, "domain": null, "queue_names": []});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[test]
fn orders() {
    let (_sink, site) = deferring();
    let engine = site.start(2);
    deferred(&engine, "u@dst.test");
    let post = |kind: &str, body: Value| {
        engine.post(&format!("/api/admin/{kind}/v1"), &body).expect(200).json()
    };
    let list = |kind: &str| engine.get(&format!("/api/admin/{kind}/v1")).expect(200).json();
    // suspend, suspend-list, suspend-cancel
    let order = criteria(json!({"domain": "x.test", "reason": "r", "duration": "5m"}));
    let id = post("suspend", order.clone())["id"].clone();
    let told = list("suspend");
    assert_eq!(
        (&told[0]["id"], &told[0]["reason"], &told[0]["domain"]),
        (&id, &json!("r"), &json!("x.test"))
    );
    assert!(told[0]["duration"].as_str().unwrap().starts_with("4m"), "{told}");
    let again = post("suspend", order)["id"].clone();
    assert_ne!(again, id, "the same criteria again replace");
    assert_eq!(list("suspend").as_array().unwrap().len(), 1);
    let said = delete(&engine, "suspend", &again);
    assert_eq!(said, format!("removed {}", again.as_str().unwrap()));
    let body = json!({"id": again}).to_string();
    let gone = engine.send("DELETE", "/api/admin/suspend/v1", body.as_bytes()).expect(404).text();
    assert_eq!(gone, format!("suspend entry {} not found", again.as_str().unwrap()));
    // suspend-ready-q, suspend-ready-q-list, suspend-ready-q-cancel
    let id = post(
        "suspend-ready-q",
        json!({"name": "any->name@smtp_client", "reason": "r", "duration": "5m"}),
    )["id"]
        .clone();
    let told = list("suspend-ready-q");
    assert_eq!((&told[0]["id"], &told[0]["name"]), (&id, &json!("any->name@smtp_client")));
    assert!(told[0]["expires"].is_string() && told[0]["duration"].is_string(), "{told}");
    delete(&engine, "suspend-ready-q", &id);
    // bounce, bounce-list, bounce-cancel
    let order = criteria(
        json!({"domain": "dst.test", "routing_domain": null, "reason": "purge it", "duration": "20s", "suppress_logging": false}),
    );
    let told = post("bounce", order);
    assert!(
        told["id"].is_string() && told["bounced"].is_object() && told["total_bounced"].is_u64(),
        "{told}"
    );
    let found = wait_some("the count", || {
        let told = list("bounce");
        (told[0]["total_bounced"] == 1).then(|| told[0].clone())
    });
    assert_eq!((&found["bounced"], &found["id"]), (&json!({"dst.test": 1}), &told["id"]));
    let record = site.wait_record("AdminBounce", |_| true);
    assert_eq!(record["response"]["content"], "Administrator bounced with reason: purge it");
    delete(&engine, "bounce", &told["id"]);
}

#[test]
fn rebind() {
    let (sink, mut site) = deferring();
    site.extra = "
kumo.on('rebind_message', function(msg, data)
  if data.fail then error 'not today' end
  msg:set_meta('tenant', data.tenant .. '-by-event')
end)"
        .into();
    let engine = site.start(2);
    let id = deferred(&engine, "u@one.test");
    let body = |data: Value, event: bool| {
        json!({"campaign": null, "tenant": null, "domain": "one.test", "routing_domain": null, "reason": "moved",
            "data": data, "always_flush": false, "suppress_logging": false, "trigger_rebind_event": event})
    };
    let post = |body: &Value| engine.post("/api/admin/rebind/v1", body);
    assert!(post(&body(json!({"tenant": 1}), false)).expect(422).text().contains("string"));
    post(&body(json!({"tenant": "t1"}), false)).expect(200);
    let record = site.wait_record("AdminRebind", |_| true);
    assert_eq!(record["response"]["content"], "Rebound from one.test to t1@one.test: moved");
    assert_eq!(
        (&record["response"]["code"], &record["queue"]),
        (&json!(250), &json!("t1@one.test"))
    );
    assert_eq!(record["id"], json!(id));
    // It is tried at once there.
    site.wait_record("TransientFailure", |record| record["queue"] == "t1@one.test");
    let queue = || {
        let answer = engine.get(&format!("/api/admin/inspect-message/v1?id={id}"));
        (answer.status == 200).then(|| answer.json()["message"]["queue"].clone())
    };
    wait("deferred again", || queue().is_some());
    post(&body(json!({"fail": "yes"}), true)).expect(200);
    wait("the handler's word", || engine.says("not today"));
    wait("it stays", || queue() == Some(json!("t1@one.test")));
    post(&body(json!({"tenant": "t2"}), true)).expect(200);
    wait("it is moved by the event", || queue() == Some(json!("t2-by-event@one.test")));
    // The move is durable.
    sink.set(|behaviour| behaviour.recipients.clear());
    engine.kill();
    let engine = site.start(2);
    assert_eq!(
        engine.get("/api/admin/inspect-sched-q/v1?queue_name=t2-by-event%40one.test").status,
        200
    );
    let found = engine.get("/api/admin/self-check/v1").expect(200).json();
    assert_eq!(found["ok"], true, "{found}");
}

#[test]
fn inspections() {
    let (_sink, site) = deferring();
    let engine = site.start(2);
    let id = deferred(&engine, "u@dst.test");
    // inspect-message ID --want-body
    let told = engine
        .get(&format!("/api/admin/inspect-message/v1?id={id}&want_body=true"))
        .expect(200)
        .json();
    assert_eq!(told["id"], json!(id));
    for field in ["sender", "recipient", "meta", "data"] {
        assert!(!told["message"][field].is_null(), "{field}: {told}");
    }
    // inspect-sched-q Q --limit 5
    let told = engine
        .get("/api/admin/inspect-sched-q/v1?queue_name=dst.test&want_body=false&limit=5")
        .expect(200)
        .json();
    for field in [
        "queue_name",
        "messages",
        "num_scheduled",
        "queue_config",
        "delayed_metric",
        "now",
        "last_changed",
    ] {
        assert!(!told[field].is_null(), "{field}: {told}");
    }
    assert_eq!(told["messages"][0]["message"]["sender"], "a@src.test");
    assert_eq!(told["messages"][0]["message"]["num_attempts"], 1);
    let none = engine.get("/api/admin/inspect-sched-q/v1?queue_name=none.test").expect(404).text();
    assert!(none.starts_with("Error: no such queue none.test"), "{none}");
    let missing = engine.get("/api/admin/inspect-sched-q/v1").expect(400).text();
    assert!(missing.starts_with("Failed to deserialize query string: missing field `queue_name`"));
}

/// inspect-message tells of a message that is being delivered as well.
fn assert_is_told_in_work(engine: &Engine, id: &str) {
    let held = engine.get(&format!("/api/admin/inspect-message/v1?id={id}")).expect(200).json();
    assert_eq!((&held["id"], &held["message"]["sender"]), (&json!(id), &json!("a@src.test")));
    assert_eq!(held["message"]["state"], "It is being delivered now.");
    assert_eq!(held["message"]["queue"], "dst.test");
    assert!(held["message"]["since"].is_string() && held["message"]["error"].is_null(), "{held}");
}

#[test]
fn a_ready_queue_and_its_connections() {
    let sink = Sink::start();
    let site = Site::to(sink.addr);
    let engine = site.start(2);
    // inspect-ready-q Q --connections --config --sched-q
    sink.set(|behaviour| behaviour.hold_dots = true);
    let id = engine.accept("a@src.test", &["v@dst.test"], &message("held at the dot")).remove(0);
    let name = format!("unspecified->mx_list:{}@smtp_client", sink.addr);
    let path = format!(
        "/api/admin/inspect-ready-q/v1?queue_name={}&include_scheduled_queues=true",
        form(&name)
    );
    let told = wait_some("a delivery", || {
        let answer = engine.get(&path);
        let told = (answer.status == 200).then(|| answer.json())?;
        (told["dispatchers"][0]["phase"] == "DeliveringMessage").then_some(told)
    });
    for field in [
        "queue_name",
        "egress_source",
        "egress_pool",
        "protocol",
        "state",
        "path_config",
        "constraints",
        "now",
    ] {
        assert!(!told[field].is_null(), "{field}: {told}");
    }
    assert_eq!(told["scheduled_queue_names"], json!(["dst.test"]));
    assert!(told["state"]["watchdog_threshold"].is_string());
    assert!(told["state"]["connection_limited"].is_null(), "{told}");
    assert_is_told_in_work(&engine, &id);
    let dispatcher = &told["dispatchers"][0];
    for field in ["session_id", "started_at", "age", "phase", "time_in_current_phase"] {
        assert!(dispatcher[field].is_string(), "{field}: {dispatcher}");
    }
    for field in [
        "messages_delivered",
        "messages_transfailed",
        "messages_failed",
        "delivered_this_connection",
    ] {
        assert!(dispatcher[field].is_u64(), "{field}: {dispatcher}");
    }
    // abort-ready-q-conn Q SESSION
    let session = dispatcher["session_id"].as_str().unwrap();
    let abort = |session: &str| {
        engine.post(
            "/api/admin/abort-ready-q-conn/v1",
            &json!({"queue_name": name, "session_id": session}),
        )
    };
    let none = "2b8f1e3a-0000-4000-8000-000000000000";
    assert_eq!(
        abort(none).expect(404).text(),
        format!("no matching dispatcher for queue={name} session={none}")
    );
    assert_eq!(abort(session).expect(200).text(), format!("aborted {session}"));
    let record = site.wait_record("TransientFailure", |record| record["recipient"] == "v@dst.test");
    assert!(
        record["response"]["content"]
            .as_str()
            .unwrap()
            .contains("an operator has ended the connection"),
        "{record}"
    );
    sink.set(|behaviour| behaviour.hold_dots = false);
    engine.get("/api/admin/inspect-ready-q/v1?queue_name=none").expect(404);
}

#[test]
fn how_mail_would_leave() {
    let sink = Sink::start();
    let engine = Site::to(sink.addr).start(1);
    let name = format!("unspecified->mx_list:{}@smtp_client", sink.addr);
    let told = engine
        .get("/api/admin/resolve-egress-path/v1?domain=dst.test&source=unspecified")
        .expect(200)
        .json();
    assert_eq!(
        (&told["domain"], &told["source"], &told["queue_name"]),
        (&json!("dst.test"), &json!("unspecified"), &json!(name))
    );
    assert!(
        told["path_config"]["connection_limit"].is_number()
            || told["path_config"]["connection_limit"].is_object()
    );
    assert!(told["constraints"]["max_concurrent_dispatchers"]["value"].is_number(), "{told}");
    assert!(told["path_config_set_by"].as_str().unwrap().contains("policy.lua:"), "{told}");
}

#[test]
fn states_of_ready_queues() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.path =
        "max_connection_rate = '1/h,max_burst=1', max_deliveries_per_connection = 1,".into();
    let engine = site.start(1);
    let none = engine.get("/api/admin/ready-q-states/v1").expect(200).json();
    assert_eq!(none, json!({"states_by_ready_queue": {}}));
    engine.accept("a@src.test", &["u@dst.test"], &message("one"));
    sink.wait_messages(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("two"));
    let name = format!("unspecified->mx_list:{}@smtp_client", sink.addr);
    let path = format!("/api/admin/ready-q-states/v1?queues[0]={}", form(&name));
    let told = wait_some("the state", || {
        let told = engine.get(&path).expect(200).json()["states_by_ready_queue"][&name].clone();
        (!told.is_null()).then_some(told)
    });
    let state = &told["connection_rate_throttled"];
    assert!(state["context"].as_str().unwrap().contains("max_connection_rate = 1/h"), "{told}");
    assert!(state["since"].is_string(), "{told}");
    engine.get("/api/admin/ready-q-states/v1?queues=x").expect(400);
    let told = engine.get("/api/admin/ready-q-states/v1?queues[]=other").expect(200).json();
    assert_eq!(told, none);
}

/// The table of `provider-summary`, added up from the metrics as the tool does it: delivered, deferred, failed, connections,
/// queued; by provider, and by pool where that is asked for.
fn provider_summary(engine: &Engine, by_pool: bool) -> BTreeMap<(String, String), [u64; 5]> {
    let suffixes = match by_pool {
        true => ["by_provider_and_source", "by_provider_and_pool"],
        false => ["by_provider", "by_provider"],
    };
    let columns = [
        ("total_messages_delivered", suffixes[0]),
        ("total_messages_transfail", suffixes[0]),
        ("total_messages_fail", suffixes[0]),
        ("connection_count", suffixes[1]),
        ("queued_count", suffixes[1]),
    ];
    let mut table = BTreeMap::new();
    for line in engine.get("/metrics").expect(200).text().lines() {
        let Some((name, rest)) = line.split_once('{') else { continue };
        let is_it = |(start, end): &(&str, &str)| name == format!("{start}_{end}");
        let Some(column) = columns.iter().position(is_it) else { continue };
        let (labels, value) = rest.rsplit_once("} ").unwrap();
        let label = |wanted: &str| {
            let found = labels.split_once(&format!("{wanted}=\"")).map(|(_, rest)| rest);
            found.and_then(|rest| rest.split('"').next()).unwrap_or_default().to_string()
        };
        let row: &mut [u64; 5] = table.entry((label("provider"), label("pool"))).or_default();
        row[column] += value.parse::<u64>().unwrap();
    }
    table
}

#[test]
fn what_providers_have() {
    let (named, other) = (Sink::start(), Sink::start());
    for sink in [&named, &other] {
        sink.refuse("later", "450 4.2.1 later");
        sink.refuse("no@", "550 5.1.1 no mailbox");
    }
    let mut site = Site::to(other.addr);
    site.routes.push(("named.test".into(), named.addr));
    site.queue = "retry_interval = '1h',".into();
    site.path =
        "connection_limit = 1, provider_name = routing_domain == 'named.test' and 'big' or nil,"
            .into();
    let engine = site.start(2);
    let accept = |to: &str| engine.accept("a@src.test", &[to], &message("one"));
    for user in ["yes", "later", "later2", "no"] {
        accept(&format!("{user}@named.test"));
        accept(&format!("{user}@dst.test"));
    }
    let provider = format!("mx_list:{}", other.addr);
    let row = |by_pool: bool, name: &str| {
        let pool = if by_pool { "unspecified" } else { "" };
        provider_summary(&engine, by_pool).get(&(name.into(), pool.into())).copied()
    };
    // Where the path names no provider, the site stands for it.
    let counts = |name: &str| row(false, name).map(|row| [row[0], row[1], row[2], row[4]]);
    for name in ["big", &provider] {
        wait(name, || counts(name) == Some([1, 2, 1, 2]));
        let row = row(true, name).unwrap();
        assert_eq!([row[0], row[1], row[2], row[4]], [1, 2, 1, 2], "{name}");
    }
    // What is in work is still queued, and its connection open.
    other.set(|behaviour| behaviour.hold_dots = true);
    accept("held@dst.test");
    wait("the delivery", || row(false, &provider) == Some([1, 2, 1, 1, 3]));
    assert_eq!(row(true, &provider), Some([1, 2, 1, 1, 3]));
    // queue-summary has the same for each ready queue.
    let ready = format!("smtp_client:unspecified->{provider}@smtp_client");
    let metrics = engine.get("/metrics.json").expect(200).json();
    let of = |name: &str| metrics[name]["value"]["service"][&ready].clone();
    let read = ["connection_count", "total_messages_delivered", "total_messages_transfail"];
    assert_eq!(read.map(of), [json!(1), json!(1), json!(2)]);
    assert_eq!(of("ready_count"), 0);
    other.set(|behaviour| behaviour.hold_dots = false);
    other.wait_messages(2);
    // Mail whose route was not looked for since a start is told by its domain.
    assert!(engine.terminate().success());
    let engine = site.start(1);
    let queued = provider_summary(&engine, false);
    assert_eq!(
        queued.get(&("dst.test".into(), String::new())),
        Some(&[0, 0, 0, 0, 2]),
        "{queued:?}"
    );
}

#[test]
fn summaries_and_operations() {
    let (_sink, site) = deferring();
    let engine = site.start(1);
    deferred(&engine, "u@dst.test");
    // queue-summary, provider-summary, top
    let metrics = engine.get("/metrics.json").expect(200).json();
    for name in
        ["total_messages_transfail", "ready_count", "scheduled_count_total", "connection_count"]
    {
        assert!(
            metrics[name]["value"].is_object() || metrics[name]["value"].is_number(),
            "{name}: {}",
            metrics[name]
        );
    }
    // set-log-filter
    let filter = |filter: &str| {
        engine.post("/api/admin/set_diagnostic_log_filter/v1", &json!({"filter": filter}))
    };
    assert_eq!(filter("kumod=debug,info").expect(200).text(), "");
    assert!(filter("kumod=sillylevel").expect(400).text().starts_with("Error: parsing log filter"));
    // spool-compact
    assert_eq!(
        engine.post("/api/admin/spool-compact/v1", &json!({"name": "data"})).expect(200).text(),
        ""
    );
    let none =
        engine.post("/api/admin/spool-compact/v1", &json!({"name": "dat"})).expect(404).text();
    assert!(none.contains("no spool named 'dat' has been defined; did you mean `data`?"), "{none}");
    // xfer, xfer-cancel
    let body = json!({"target": "http://127.0.0.1:1", "reason": "r", "domain": "dst.test"});
    assert!(engine
        .post("/api/admin/xfer/v1", &body)
        .expect(501)
        .text()
        .contains("xfer is not done"));
    engine
        .post("/api/admin/xfer/cancel/v1", &json!({"queue_name": "q", "reason": "r"}))
        .expect(501);
    // bump-config-epoch, machine-info, memory, tasks
    engine.send("POST", "/api/admin/bump-config-epoch", b"").expect(200);
    let told = engine.get("/api/machine-info").expect(200).json();
    for field in [
        "node_id",
        "hostname",
        "kernel_version",
        "platform",
        "fingerprint",
        "online_since",
        "process_kind",
        "version",
    ] {
        assert!(told[field].is_string(), "{field}: {told}");
    }
    assert!(
        told["num_cores"].as_u64() > Some(0) && told["total_memory_bytes"].as_u64() > Some(0),
        "{told}"
    );
    let text = engine.get("/api/admin/memory/stats").expect(200).text();
    assert!(
        text.starts_with("RSS = ") && !text.starts_with("RSS = 0") && text.contains("messages = 1"),
        "{text}"
    );
    let text = engine.get("/api/admin/task-dump").expect(200).text();
    assert!(text.starts_with("shard 0\n") && text.contains("timer: 1 messages wait"), "{text}");
}

#[test]
fn a_stalled_connection_is_ended_before_it_is_open() {
    let sink = Sink::start();
    sink.set(|behaviour| behaviour.stall = Some(Phase::Banner));
    let mut site = Site::to(sink.addr);
    // One that was ended with the message in work has had an attempt.
    site.queue = "retry_interval = '200ms',".into();
    let engine = site.start(1);
    let id = engine.accept("a@src.test", &["u@dst.test"], &message("waits")).remove(0);
    let told = wait_some("the connection", || {
        let answer = engine.get(&format!("/api/admin/why/v1?name={id}"));
        (answer.status == 200).then(|| answer.json()).filter(|told| told["state"] == "connecting")
    });
    let session = told["because"][0]["session_id"].as_str().unwrap().to_string();
    sink.set(|behaviour| behaviour.stall = None);
    let name = format!("unspecified->mx_list:{}@smtp_client", sink.addr);
    engine.post(
        "/api/admin/abort-ready-q-conn/v1",
        &json!({"queue_name": name, "session_id": session}),
    );
    // Whether it was ended in time or not: the message is delivered, and once.
    sink.wait_messages(1);
    engine.wait_empty();
    assert_eq!(sink.count(), 1);
}

#[test]
fn a_message_that_the_peer_has_whole_is_waited_for_when_its_connection_is_ended() {
    let sink = Sink::start();
    sink.set(|behaviour| behaviour.hold_dots = true);
    let mut site = Site::to(sink.addr);
    site.queue = "retry_interval = '200ms',".into();
    let engine = site.start(1);
    let id = engine.accept("a@src.test", &["u@dst.test"], &message("whole")).remove(0);
    let told = wait_some("the dot", || {
        let answer = engine.get(&format!("/api/admin/why/v1?name={id}"));
        let at_the_dot = |told: &serde_json::Value| told.to_string().contains("message data");
        (answer.status == 200).then(|| answer.json()).filter(at_the_dot)
    });
    let session = told["because"][0]["session_id"].as_str().unwrap().to_string();
    let name = format!("unspecified->mx_list:{}@smtp_client", sink.addr);
    let ended = json!({"queue_name": name, "session_id": session});
    engine.post("/api/admin/abort-ready-q-conn/v1", &ended).expect(200);
    sink.set(|behaviour| behaviour.hold_dots = false);
    engine.wait_empty();
    assert_eq!(sink.count(), 1);
    site.wait_record("Delivery", |_| true);
    assert_eq!(site.records_of("TransientFailure").len(), 0);
}

#[test]
fn what_is_set_survives_a_crash() {
    let site = Site::new();
    let engine = site.start(2);
    engine.post("/api/admin/set_diagnostic_log_filter/v1", &json!({"filter": "debug"})).expect(200);
    engine.send("POST", "/api/admin/bump-config-epoch", b"").expect(200);
    let hold = json!({"domain": "dst.test", "reason": "kept", "duration": "1h"});
    engine.post("/api/admin/suspend/v1", &hold).expect(200);
    let before = engine.get("/api/admin/settings/v1").expect(200).json();
    assert_eq!(before["log_filter"]["value"], "debug");
    assert_eq!(before["log_filter"]["by"], "127.0.0.1");
    assert!(
        before["config_epoch"]["value"].as_u64() > Some(1)
            && before["config_epoch"]["at_millis"].is_u64()
    );
    engine.kill();
    let engine = site.start(2);
    assert_eq!(engine.get("/api/admin/settings/v1").expect(200).json(), before);
    assert!(engine.says("the log filter \"debug\" that 127.0.0.1 has set holds"));
    let told = engine.get("/api/admin/suspend/v1").expect(200).json();
    assert_eq!((&told[0]["reason"], &told[0]["created_by"]), (&json!("kept"), &json!("127.0.0.1")));
    engine.send("POST", "/api/admin/bump-config-epoch", b"").expect(200);
    let after = engine.get("/api/admin/settings/v1").expect(200).json();
    assert!(after["config_epoch"]["value"].as_u64() > before["config_epoch"]["value"].as_u64());
    engine.send("DELETE", "/api/admin/set_diagnostic_log_filter/v1", b"{}").expect(200);
    assert!(engine.get("/api/admin/settings/v1").expect(200).json()["log_filter"].is_null());
}

#[test]
fn what_is_wrong_is_told_by_field_and_place() {
    let engine = Site::new().start(1);
    let said = |path: &str, body: &str, status: u16| {
        engine.send("POST", path, body.as_bytes()).expect(status).text()
    };
    assert!(said("/api/admin/suspend/v1", "{\"domain\":\"x\"}", 422)
        .contains("missing field `reason` at line 1 column 14"));
    assert!(said("/api/admin/suspend/v1", "{\"reason\":\"r\",\"duration\":\"abc\"}", 422)
        .contains("duration"));
    assert!(said("/api/admin/rebind/v1", "{", 400).contains("line 1 column 1"));
    assert!(said("/api/admin/try-now/v1", "{}", 422).contains("`id`, `queue_name`, `message_id`"));
    assert!(said("/api/admin/delete/v1", "{\"id\":\"x\",\"reason\":\"r\"}", 422)
        .contains("id: \"x\" is no message id"));
    let text = engine.get("/api/admin/suspnd/v1").expect(404).text();
    assert!(text.contains("did you mean /api/admin/suspend/v1?"), "{text}");
    assert!(engine.send("DELETE", "/metrics", b"{}").expect(405).text().contains("takes GET"));
    let document = engine.get("/openapi.json").expect(200).json();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(engine.get("/api-docs").expect(200).text().contains("/api/admin/rebind/v1"));
}

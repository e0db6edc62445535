//! Messages that say when they may be tried: first attempt, delivery window, expiry.

use crate::support::{message, wait, Phase, Sink, Site};
use ringmta_policy::time::{format_rfc3339, parse_rfc3339};
use serde_json::{json, Value};
use std::time::{SystemTime, UNIX_EPOCH};

/// The schedule is in a header.
const BY_HEADER: &str = "
kumo.on('smtp_server_message_received', function(msg)
  msg:import_scheduling_header('X-Schedule', true)
end)";

const SOON: &str = "retry_interval = '300ms', max_retry_interval = '1s',";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn in_seconds(seconds: u64) -> String {
    format_rfc3339((now() + seconds) as i64, None)
}

fn scheduled(schedule: &Value) -> Vec<u8> {
    [format!("X-Schedule: {schedule}\r\n").as_bytes(), &message("timed")].concat()
}

/// A window that is shut for two days at least.
fn far_window() -> Value {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let day = DAYS[((now() / 86_400 + 3) % 7) as usize];
    json!({"dow": day, "tz": "UTC", "start": "10:00:00", "end": "11:00:00"})
}

#[test]
fn a_message_expires_when_it_says() {
    let sink = Sink::start();
    sink.refuse("u@", "450 4.2.0 later");
    let mut site = Site::to(sink.addr);
    site.queue = SOON.into();
    site.extra = BY_HEADER.into();
    let engine = site.start(1);
    let expires = in_seconds(3);
    engine.accept("a@src.test", &["u@dst.test"], &scheduled(&json!({"expires": expires})));
    let record = site.wait_record("Expiration", |_| true);
    assert_eq!(record["response"]["code"], 551);
    let text = record["response"]["content"].as_str().unwrap();
    assert!(text.contains(&format!("expires={expires}")), "{text}");
    assert!(record["num_attempts"].as_u64().unwrap() >= 1, "{record}");
    engine.wait_empty();
    // It was the end: no attempt came after it.
    let tried = site.records_of("TransientFailure");
    let at = |record: &Value| parse_rfc3339(record["event_time"].as_str().unwrap()).unwrap();
    let last = tried.iter().map(at).max().unwrap();
    assert!(last <= at(&record), "{last}, {record}");
    // Only the one that was under way when its time came may have ended after it.
    let time = parse_rfc3339(&expires).unwrap();
    let after = tried.iter().filter(|tried| at(tried) > time).count();
    assert!(after <= 1, "{after} of {tried:?}");
    assert_eq!(record["num_attempts"], tried.len());
    assert_eq!(sink.count_commands("RCPT"), tried.len());
}

#[test]
fn its_own_expiry_stands_in_for_that_of_the_queue() {
    let sink = Sink::start();
    // 300 ms, 600 ms, 1 s: the last attempt comes long after `max_age`.
    sink.reply_at(Phase::Rcpt, "450 4.2.0 later", 3);
    let mut site = Site::to(sink.addr);
    site.queue = format!("{SOON} max_age = '700ms',");
    site.extra = BY_HEADER.into();
    let engine = site.start(1);
    let hour = json!({"expires": in_seconds(3600)});
    engine.accept("a@src.test", &["u@dst.test"], &scheduled(&hour));
    sink.wait_messages(1);
    engine.wait_empty();
    assert_eq!(site.records_of("Expiration"), Vec::<Value>::new());
}

#[test]
fn outside_its_window_a_message_waits_also_over_a_crash() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.queue = SOON.into();
    site.extra = BY_HEADER.into();
    let window = far_window();
    let engine = site.start(2);
    let id = engine.accept("a@src.test", &["u@dst.test"], &scheduled(&window)).remove(0);
    let path = format!("/api/admin/inspect-message/v1?id={id}");
    let due = |engine: &crate::support::Engine| {
        let known = engine.get(&path).expect(200).json()["message"].clone();
        assert_eq!(known["scheduling"], window, "{known}");
        known["due"].as_str().unwrap().to_string()
    };
    let first = due(&engine);
    assert!(first.contains("T10:00:00"), "{first}");
    assert!(parse_rfc3339(&first).unwrap() / 1_000_000_000 > now() + 86_400);
    engine.kill();
    let engine = site.start(1);
    // What may go goes.
    engine.accept("a@src.test", &["v@dst.test"], &message("now"));
    assert_eq!(sink.wait_messages(1)[0].to, ["v@dst.test"]);
    wait("only the other waits", || engine.metric("message_count") == 1.0);
    assert_eq!(due(&engine), first);
    assert_eq!(sink.count(), 1);
}

#[test]
fn a_message_whose_window_comes_too_late_expires_at_once() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.extra = BY_HEADER.into();
    let engine = site.start(1);
    let mut schedule = far_window();
    schedule["expires"] = in_seconds(3600).into();
    engine.accept("a@src.test", &["u@dst.test"], &scheduled(&schedule));
    let record = site.wait_record("Expiration", |_| true);
    assert_eq!(record["num_attempts"], 0);
    engine.wait_empty();
    assert_eq!(sink.count(), 0);
}

#[test]
fn a_first_attempt_given_to_the_whole_transaction_holds_for_each_message() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    let first = in_seconds(2);
    site.extra = format!(
        "kumo.on('smtp_server_data', function(msg) msg:set_scheduling {{ first_attempt = '{first}' }} end)"
    );
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test", "v@dst.test"], &message("later"));
    sink.wait_messages(2);
    assert!(now() * 1_000_000_000 >= parse_rfc3339(&first).unwrap());
}

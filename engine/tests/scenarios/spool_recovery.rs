//! What was acknowledged outlives the engine, however it ends.

use crate::support::{message, wait, without_trace, Sink, Site};
use std::collections::BTreeMap;

const SOON: &str = "retry_interval = '300ms', max_retry_interval = '1s', max_age = '1 hour',";

/// A policy whose mail waits: the sink refuses it until it is told otherwise.
fn waiting_site() -> (Sink, Site) {
    let sink = Sink::start();
    sink.refuse("u", "450 4.2.1 later");
    let mut site = Site::to(sink.addr);
    site.queue = SOON.into();
    (sink, site)
}

fn take_all(sink: &Sink) {
    sink.set(|behaviour| behaviour.recipients.clear());
}

/// How often each recipient got its mail.
fn arrivals(sink: &Sink) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for message in sink.messages() {
        for to in message.to {
            *counts.entry(to).or_default() += 1;
        }
    }
    counts
}

#[test]
fn killed_right_after_the_250() {
    let sink = Sink::start();
    sink.set(|behaviour| behaviour.hold_dots = true);
    let site = Site::to(sink.addr);
    for round in 0..5 {
        let engine = site.start(2);
        let mut client = engine.greeted();
        let to = format!("u{round}@dst.test");
        let reply = client.transaction("a@src.test", &[&to], &message("killed"));
        assert_eq!(reply.code, 250);
        engine.kill();
    }
    sink.set(|behaviour| behaviour.hold_dots = false);
    let engine = site.start(2);
    wait("every message", || arrivals(&sink).len() == 5);
    engine.wait_empty();
    let first = &sink.messages()[0];
    assert_eq!(without_trace(&first.data), message("killed"));
}

#[test]
fn what_was_delivered_is_not_delivered_again_by_an_orderly_restart() {
    let sink = Sink::start();
    let site = Site::to(sink.addr);
    let engine = site.start(2);
    for n in 0..50 {
        engine.accept("a@src.test", &[&format!("u{n:02}@dst.test")], &message("once"));
    }
    sink.wait_messages(50);
    engine.wait_empty();
    assert!(engine.terminate().success());
    let engine = site.start(2);
    assert!(!engine.says("recovered"), "{:?}", engine.stderr());
    engine.accept("a@src.test", &["last@dst.test"], &message("last"));
    wait("the last message", || arrivals(&sink).contains_key("last@dst.test"));
    engine.wait_empty();
    assert_eq!(sink.count(), 51);
}

#[test]
fn waiting_mail_survives_an_orderly_stop() {
    let (sink, site) = waiting_site();
    let engine = site.start(2);
    for n in 0..20 {
        engine.accept("a@src.test", &[&format!("u{n:02}@dst.test")], &message("stop"));
    }
    assert!(engine.terminate().success());
    take_all(&sink);
    let engine = site.start(2);
    engine.wait_says("20 messages recovered");
    wait("every message", || arrivals(&sink).len() == 20);
    engine.wait_empty();
    assert!(arrivals(&sink).values().all(|count| *count == 1), "{:?}", arrivals(&sink));
}

#[test]
fn other_numbers_of_shards_strand_nothing() {
    let (sink, site) = waiting_site();
    let mut expected = 0;
    for shards in [4, 2, 1, 3] {
        let engine = site.start(shards);
        for _ in 0..10 {
            let to = format!("u{expected:02}@dst.test");
            engine.accept("a@src.test", &[&to], &message("shards"));
            expected += 1;
        }
        assert_eq!(engine.metric("message_count"), f64::from(expected), "with {shards} shards");
        engine.kill();
    }
    take_all(&sink);
    let engine = site.start(2);
    wait("every message", || arrivals(&sink).len() == expected as usize);
    engine.wait_empty();
    assert!(engine.terminate().success());
    let engine = site.start(1);
    assert!(!engine.says("recovered"), "{:?}", engine.stderr());
}

#[test]
fn attempts_and_due_times_go_on_where_they_were() {
    let sink = Sink::start();
    sink.refuse("u", "450 4.2.1 later");
    let mut site = Site::to(sink.addr);
    // The second attempt is an hour away.
    site.queue = "retry_interval = '1 hour', max_age = '1 day',".into();
    let engine = site.start(1);
    let ids = engine.accept("a@src.test", &["u@dst.test"], &message("due"));
    site.wait_record("TransientFailure", |_| true);
    let look = |engine: &crate::support::Engine| {
        engine.get(&format!("/api/admin/inspect-message/v1?id={}", ids[0])).json()["message"]
            .clone()
    };
    wait("the journal's note of the attempt", || look(&engine)["attempts"] == 1);
    let before = look(&engine);
    assert!(engine.terminate().success());
    let engine = site.start(1);
    let after = look(&engine);
    for field in ["attempts", "due", "created", "sender", "recipient", "queue"] {
        assert_eq!(before[field], after[field], "{field}");
    }
    // Nothing was tried in between.
    assert_eq!(site.records_of("TransientFailure").len(), 1);
}

#[test]
fn metadata_and_headers_set_by_policy_survive() {
    let (sink, mut site) = waiting_site();
    site.extra = "
kumo.on('smtp_server_message_received', function(msg)
  msg:set_meta('tenant', 'acme')
  msg:set_meta('campaign', 'spring')
  msg:prepend_header('X-Added', 'by policy')
end)"
        .into();
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("meta"));
    engine.kill();
    take_all(&sink);
    let engine = site.start(2);
    let received = &sink.wait_messages(1)[0];
    assert!(String::from_utf8_lossy(&received.data).contains("X-Added: by policy"));
    let record = site.wait_record("Delivery", |_| true);
    assert_eq!(record["queue"], "spring:acme@dst.test");
    assert_eq!(record["meta"], serde_json::json!({"tenant": "acme", "campaign": "spring"}));
    engine.wait_empty();
}

#[test]
fn a_delivered_recipient_of_several_does_not_get_it_again_after_a_crash() {
    let (sink, mut site) = waiting_site();
    site.listener = "batch_handling = 'BatchByDomain',".into();
    let engine = site.start(1);
    engine.accept("a@src.test", &["taken@dst.test", "u@dst.test"], &message("part"));
    sink.wait_messages(1);
    site.wait_record("TransientFailure", |_| true);
    // The narrowed envelope is durable once the next attempt has been made of it.
    wait("another attempt", || site.records_of("TransientFailure").len() >= 2);
    engine.kill();
    take_all(&sink);
    let engine = site.start(1);
    wait("the other one", || arrivals(&sink).contains_key("u@dst.test"));
    engine.wait_empty();
    assert_eq!(arrivals(&sink)["taken@dst.test"], 1);
}

#[test]
fn a_second_engine_on_the_same_spool_is_refused() {
    let sink = Sink::start();
    let site = Site::to(sink.addr);
    let first = site.start(1);
    let mut second = site.spawn(1);
    assert_eq!(second.wait_exit().code(), Some(1));
    assert!(second.says("is in use by another ringmta"), "{:?}", second.stderr());
    assert!(!second.says("initialization complete"));
    first.accept("a@src.test", &["u@dst.test"], &message("first"));
    sink.wait_messages(1);
    // The lock goes with its holder, however it went.
    first.kill();
    site.start(1);
}

#[test]
fn an_engine_that_has_given_up_root_goes_on_writing() {
    if !crate::support::is_root() {
        return println!("skipped: only root can give up root");
    }
    let sink = Sink::start();
    let mut site = Site::for_everyone();
    site.default_route = Some(sink.addr);
    site.args.extend(["--user".into(), "nobody".into()]);
    let body = format!("Subject: big\r\n\r\n{}", format!("{}\r\n", "x".repeat(76)).repeat(26_000));
    let mut sent = 0;
    for round in 0..2 {
        let engine = site.start(2);
        let status = format!("/proc/{}/task", engine.pid());
        for task in std::fs::read_dir(status).unwrap().flatten() {
            let Ok(text) = std::fs::read_to_string(task.path().join("status")) else { continue };
            // The kernel's own workers act with the rights of whoever gives them work.
            if text.starts_with("Name:\tiou-") {
                continue;
            }
            let uids = text.lines().find(|line| line.starts_with("Uid:")).unwrap().to_string();
            assert!(!uids.split_whitespace().any(|uid| uid == "0"), "still root: {uids}");
        }
        // More than the segments that were made while it was root.
        let mut client = engine.greeted();
        for _ in 0..80 {
            let to = format!("u{sent:03}@dst.test");
            let reply = client.transaction("a@src.test", &[&to], body.as_bytes());
            assert_eq!(reply.code, 250, "round {round}: {reply:?}");
            sent += 1;
        }
        wait("what was sent so far", || sink.count() >= sent);
        engine.wait_empty();
        // A shard that a busy machine gives no time says so as well: that is no write that failed.
        let is_failure = |line: &String| line.contains("ERROR") && !line.contains("io::pump:");
        let failed: Vec<_> = engine.stderr().into_iter().filter(is_failure).collect();
        assert!(failed.is_empty(), "{failed:?}");
        wait("the log files", || site.records_of("Delivery").len() >= sent);
        assert!(engine.terminate().success());
    }
}

#[test]
fn a_torn_tail_of_the_spool_costs_only_what_was_never_acknowledged() {
    let (sink, site) = waiting_site();
    let engine = site.start(1);
    for n in 0..5 {
        engine.accept("a@src.test", &[&format!("u{n}@dst.test")], &message("torn"));
    }
    engine.kill();
    // Half a record behind the last one, as a power cut leaves it.
    let folder = site.dir().join("spool/data/0");
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "dat"));
    assert!(!files.is_empty(), "no segment in {}", folder.display());
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at / 4096 + 1) * 4096;
        let mut torn = bytes[..used.min(4096)].to_vec();
        torn.truncate(2048);
        torn.resize(4096, 0xee);
        let mut written = bytes.clone();
        let end = (used + 4096).min(written.len());
        written[used..end].copy_from_slice(&torn[..end - used]);
        std::fs::write(&file, written).unwrap();
    }
    take_all(&sink);
    let engine = site.start(1);
    wait("every message", || arrivals(&sink).len() == 5);
    engine.accept("a@src.test", &["new@dst.test"], &message("new"));
    wait("a new one", || arrivals(&sink).contains_key("new@dst.test"));
    engine.wait_empty();
    engine.kill();
    let engine = site.start(1);
    engine.wait_empty();
}

#[test]
fn a_spool_that_cannot_be_written_is_named() {
    let site = Site::new();
    site.write_policy();
    std::fs::write(site.dir().join("spool"), "a file where the folder should be").unwrap();
    let mut engine = site.spawn(1);
    assert_eq!(engine.wait_exit().code(), Some(1));
    let named =
        engine.stderr().iter().any(|l| l.contains("spool") && l.contains("cannot be written"));
    assert!(named, "{:?}", engine.stderr());
}

#[test]
fn a_full_disk_refuses_new_mail_and_lets_old_mail_go() {
    let (sink, site) = waiting_site();
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("before"));
    engine.kill();
    // More room than any disk has: this one counts as full.
    let policy = std::fs::read_to_string(site.policy_file()).unwrap();
    std::fs::write(site.policy_file(), policy.replace("'1MB'", "'100%'")).unwrap();
    let engine = site.start_as_it_is(1);
    wait("mail is refused", || {
        let mut client = engine.greeted();
        client.expect(250, "MAIL FROM:<a@src.test>");
        client.expect(250, "RCPT TO:<u@dst.test>");
        client.command("DATA").codes() == "452 4.3.1"
    });
    assert_eq!(engine.get("/api/check-liveness/v1").status, 503);
    take_all(&sink);
    sink.wait_messages(1);
    engine.wait_empty();
}

#[test]
fn mail_flows_on_while_the_spool_is_reclaimed() {
    let sink = Sink::start();
    let site = Site::to(sink.addr);
    let engine = site.start(1);
    let body = format!("Subject: big\r\n\r\n{}", format!("{}\r\n", "x".repeat(76)).repeat(26_000));
    let mut client = engine.greeted();
    // Some 300 MB through segments of 64 MB.
    for n in 0..150 {
        let to = format!("u{n}@dst.test");
        let reply = client.transaction("a@src.test", &[&to], body.as_bytes());
        assert_eq!(reply.code, 250, "{reply:?}");
        if n % 25 == 24 {
            wait("what was sent so far", || sink.count() > n);
        }
    }
    engine.wait_empty();
    let size: u64 = walk(&site.dir().join("spool"));
    assert!(size < 400 << 20, "{size} bytes of spool for no message");
    drop(client);
    assert!(engine.terminate().success());
}

/// Bytes on disk under `folder`.
fn walk(folder: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => walk(&entry.path()),
            Ok(meta) => meta.blocks() * 512,
            // Recycled in this moment.
            Err(_) => 0,
        })
        .sum()
}

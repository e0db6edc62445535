//! Spools of every format version that was ever written are opened and delivered; those of a version to come are left
//! alone. `engine/tests/data/spool-vN` holds what an engine of format N has left behind when it was killed.

use crate::support::{message, wait, wait_some, Phase, Receiver, Sink, Site};
use serde_json::{json, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const BLOCK: usize = 4096;

fn kept(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/spool-v{version}"))
}

/// Files below a folder, by their path within.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().to_path_buf();
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn write(dir: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) {
    for (name, bytes) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// What kept folders are made with, and opened.
fn site(sink: &Sink, receiver: &Receiver) -> Site {
    let mut site = Site::to(sink.addr);
    // However old the kept mail has become.
    site.queue = "retry_interval = '1s', max_age = '100 years',".into();
    site.init = format!(
        "kumo.configure_http_log_hook {{
           name = 'hook', url = '{}', batch_size = 5, max_batch_latency = '50ms', headers = {{ 'Subject' }},
         }}",
        receiver.url()
    );
    site.extra = "
kumo.on('smtp_server_message_received', function(msg)
  msg:import_scheduling_header('X-Schedule', true)
  local tenant = msg:get_first_named_header_value 'X-Tenant'
  if tenant then
    msg:set_meta('tenant', tenant)
    msg:set_meta('campaign', 'spring')
  end
end)"
        .into();
    site
}

/// Subjects of the mail that a kept folder holds, and that is to be delivered.
const WAITING: [&str; 5] = ["plain", "tried twice", "scheduled", "with metadata", "held"];

/// Makes the folder of the version that is written now. Run by hand when the format changes:
/// `cargo test --test scenarios make_the_kept_spool -- --ignored`; two minutes later its mail is due.
#[test]
#[ignore = "writes into the source tree"]
fn make_the_kept_spool() {
    let (sink, receiver) = (Sink::start(), Receiver::start());
    receiver.set_status(503);
    let site = site(&sink, &receiver);
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@done.test"], &message("done"));
    sink.wait_messages(1);
    let forever = json!({"reason": "kept", "duration": "36500 days"});
    let order = |kind: &str, domain: &str| {
        let mut order = forever.clone();
        order["domain"] = domain.into();
        engine.post(&format!("/api/admin/{kind}/v1"), &order).expect(200);
    };
    order("suspend", "held.test");
    order("bounce", "bounced.test");
    engine.accept("a@src.test", &["u@held.test"], &message("held"));
    engine.accept("a@src.test", &["u@bounced.test"], &message("bounced"));
    site.wait_record("AdminBounce", |_| true);
    sink.set(|behaviour| behaviour.stall = None);
    sink.refuse("u@", "450 4.2.0 later");
    engine.accept("a@src.test", &["u@tried.test"], &message("tried twice"));
    wait("two attempts", || site.records_of("TransientFailure").len() >= 3);
    let soon = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64 + 120;
    let schedule = json!({
        "first_attempt": ringmta_policy::time::format_rfc3339(soon, None),
        "expires": "2126-01-01T00:00:00Z",
    });
    let head = format!("X-Schedule: {schedule}\r\n");
    engine.accept(
        "a@src.test",
        &["u@dst.test"],
        &[head.as_bytes(), &message("scheduled")].concat(),
    );
    let tenant = [b"X-Tenant: acme\r\n", &message("with metadata")[..]].concat();
    sink.set(|behaviour| behaviour.stall = Some(Phase::Banner));
    engine.accept("a@src.test", &["u@dst.test"], &tenant);
    engine.accept("a@src.test", &["u@dst.test"], &message("plain"));
    wait("the journal", || engine.metric("journal_flush_total") >= 3.0);
    let counts = site.dir().join("spool/meta/order-counts.0");
    wait("the counts", || counts.exists());
    engine.kill();
    let mut found = files(&site.dir().join("spool"));
    found.retain(|name, _| !["lock", "ballast"].iter().any(|no| name.ends_with(no)));
    for (name, bytes) in &mut found {
        let text = name.to_string_lossy().into_owned();
        if text.ends_with(".dat") || text.ends_with(".log") {
            // What was preallocated and never written.
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at / BLOCK + 1);
            bytes.truncate(used * BLOCK);
        }
    }
    let target = kept(ringmta_spool::log::segment::VERSION);
    let _ = std::fs::remove_dir_all(&target);
    write(&target, &found);
}

fn open_and_deliver(version: u32, shards: usize) {
    let (sink, receiver) = (Sink::start(), Receiver::start());
    let site = site(&sink, &receiver);
    write(&site.dir().join("spool"), &files(&kept(version)));
    let engine = site.start(shards);
    assert!(!engine.stderr().iter().any(|line| line.contains("damage") || line.contains("left")));
    // Orders are in force, and have not lost count.
    let list = |kind: &str| engine.get(&format!("/api/admin/{kind}/v1")).expect(200).json();
    let (held, bounced) = (list("suspend"), list("bounce"));
    assert_eq!((&held[0]["domain"], held.as_array().unwrap().len()), (&json!("held.test"), 1));
    assert_eq!(
        (&bounced[0]["domain"], &bounced[0]["total_bounced"]),
        (&json!("bounced.test"), &json!(1))
    );
    let subjects = || -> BTreeSet<String> {
        let subject = |data: &[u8]| -> String {
            let text = String::from_utf8_lossy(data).into_owned();
            text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap().to_string()
        };
        sink.messages().iter().map(|message| subject(&message.data)).collect()
    };
    wait("all but what is held", || subjects().len() == WAITING.len() - 1);
    let id = json!({"id": held[0]["id"]}).to_string();
    engine.send("DELETE", "/api/admin/suspend/v1", id.as_bytes()).expect(200);
    wait("what was held", || subjects().len() == WAITING.len());
    assert_eq!(subjects(), WAITING.map(String::from).into());
    engine.wait_empty();
    let delivered = |subject: &str| {
        site.wait_record("Delivery", |record| record["headers"]["Subject"] == subject)
    };
    assert!(delivered("tried twice")["num_attempts"].as_u64().unwrap() >= 2);
    let meta = &delivered("with metadata")["meta"];
    assert_eq!(*meta, json!({"tenant": "acme", "campaign": "spring"}));
    // What the hook was not told yet is told, or given up as too old to be worth it; never lost in silence.
    let old = wait_some("the kept events", || {
        let told = receiver.events();
        let of = |subject: &str, kind: &str| -> Vec<Value> {
            let is = |e: &&Value| e["headers"]["Subject"] == subject && e["type"] == kind;
            told.iter().filter(is).cloned().collect()
        };
        let given_up = engine.metric("log_hook_dropped_total{logger=\"hook\"}");
        let new = of("plain", "Delivery").len();
        (new > 0 && (!of("done", "Delivery").is_empty() || given_up > 0.0)).then_some(told.len())
    });
    assert!(old > 0);
    assert!(engine.terminate().success());
}

#[test]
fn the_spool_of_version_2_is_delivered() {
    open_and_deliver(2, 1);
}

/// Its partition falls to one of more shards.
#[test]
fn the_spool_of_version_2_is_delivered_by_another_number_of_shards() {
    open_and_deliver(2, 2);
}

#[test]
fn every_version_that_was_written_is_kept() {
    assert!(kept(ringmta_spool::log::segment::VERSION).is_dir(), "make_the_kept_spool makes it");
    assert_eq!(ringmta_spool::log::segment::VERSION, ringmta_spool::start::replay::VERSION);
}

#[test]
fn a_spool_of_a_newer_version_is_refused_and_not_touched() {
    let newer = ringmta_spool::log::segment::VERSION + 1;
    for kind in ["data", "meta"] {
        let (sink, receiver) = (Sink::start(), Receiver::start());
        let site = site(&sink, &receiver);
        let mut spool = files(&kept(newer - 1));
        let name = spool.keys().find(|name| {
            let end = name.extension().and_then(|end| end.to_str());
            name.starts_with(kind) && matches!(end, Some("dat" | "log"))
        });
        let name = name.unwrap().clone();
        let bytes = spool.get_mut(&name).unwrap();
        bytes[4..8].copy_from_slice(&newer.to_le_bytes());
        let sum = crc32c::crc32c(&bytes[..24]);
        bytes[24..28].copy_from_slice(&sum.to_le_bytes());
        let folder = site.dir().join("spool");
        write(&folder, &spool);
        site.write_policy();
        let mut engine = site.spawn(1);
        assert!(!engine.wait_exit().success());
        let wanted = format!("of format version {newer}, this engine reads version {}", newer - 1);
        let lines = engine.stderr();
        let told: Vec<_> = lines.iter().filter(|line| line.contains(&wanted)).collect();
        assert_eq!(told.len(), 1, "{lines:?}");
        assert!(told[0].contains(name.file_name().unwrap().to_str().unwrap()), "{told:?}");
        assert!(files(&folder) == spool, "{kind}: the spool was changed");
    }
}

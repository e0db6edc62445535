//! What became of a message, by an index of the log files and without one; and log files have an end.

use crate::support::{message, wait, wait_some, Engine, Sink, Site};
use serde_json::Value;
use std::process::Command;

fn find(engine: &Engine, what: &str) -> Value {
    let what: String = what.bytes().map(|byte| format!("%{byte:02x}")).collect();
    engine.get(&format!("/api/admin/find/v1?what={what}")).expect(200).json()
}

fn kinds(found: &Value) -> Vec<&str> {
    found["records"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|record| record["type"].as_str())
        .collect()
}

fn ctl(engine: &Engine, args: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_ringmta"))
        .args(["ctl", "--endpoint", &engine.url("")])
        .args(args)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn where_it_is_and_what_became_of_it() {
    for index in [true, false] {
        let sink = Sink::start();
        sink.refuse("late", "450 4.2.1 not now");
        let mut site = Site::to(sink.addr);
        site.logs = format!("index = {index}, headers = {{ 'Subject', 'Message-ID' }},");
        site.queue = "retry_interval = '1h',".into();
        let engine = site.start(2);
        let id = engine.accept("a@src.test", &["u@dst.test"], &message("gone")).remove(0);
        let late = engine.accept("b@src.test", &["late@dst.test"], &message("waits")).remove(0);
        let done = wait_some("its records", || {
            let found = find(&engine, &id);
            (kinds(&found) == ["Reception", "Delivery"]).then_some(found)
        });
        assert_eq!(done["waits"], serde_json::json!([]));
        let waits = wait_some("the other's records", || {
            let found = find(&engine, &late);
            (kinds(&found) == ["Reception", "TransientFailure"]).then_some(found)
        });
        assert_eq!(waits["waits"][0]["state"], "deferred", "{waits}");
        assert_eq!(kinds(&find(&engine, "LATE@dst.test")).len(), 2);
        assert_eq!(find(&engine, "<waits@src.test>")["waits"][0]["name"], late);
        assert_eq!(kinds(&find(&engine, "nobody@dst.test")), [""; 0]);
        // Segments are closed each second here; what is found stays the same.
        wait("closed segments", || {
            let names = std::fs::read_dir(site.dir().join("log")).unwrap().flatten();
            let mut files =
                names.filter_map(|entry| entry.metadata().ok().filter(|meta| meta.is_file()));
            files.all(|meta| meta.permissions().readonly())
        });
        assert_eq!(kinds(&find(&engine, &id)), ["Reception", "Delivery"]);
        assert_eq!(find(&engine, &id)["without_index"].as_u64() == Some(0), index);
        let text = ctl(&engine, &["find", &late]);
        assert!(
            text.contains("TransientFailure")
                && text.contains("not now")
                && text.contains("deferred"),
            "{text}"
        );
        assert_eq!(text.contains("have no index"), !index, "{text}");
        let logs = site.dir().join("log").display().to_string();
        let text =
            ctl(&engine, &["tail", "--logs", &logs, "--type", "Delivery", "--domain", "dst.test"]);
        assert!(text.contains("u@dst.test") && text.lines().count() == 1, "{text}");
        // An index that a disk has damaged hides nothing.
        for index in files(&site.dir().join("log/.index")) {
            std::fs::write(index, b"RIXS\x01\0\0\0").unwrap();
        }
        assert_eq!(kinds(&find(&engine, &id)), ["Reception", "Delivery"]);
        let text = ctl(&engine, &["find", &id]);
        assert_eq!(text.contains("read whole, as its index is damaged: "), index, "{text}");
        assert!(ctl(&engine, &["top"]).contains("waiting"));
        engine.get("/api/admin/find/v1").expect(400);
        engine.get("/api/admin/find/v1?what=x&since=soon").expect(400);
        assert!(engine.terminate().success());
    }
}

/// The files in `folder`, and not those of folders in it.
fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}

#[test]
fn log_files_leave_the_disk_its_room() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    // No disk has all of its room free.
    site.logs = "keep_free_space = '100%',".into();
    let accounting = site.dir().join("accounting");
    site.init = format!(
        "kumo.aaa.configure_acct_log {{ log_dir = '{}', max_segment_duration = '1s',
            min_free_space = '1MB', min_free_inodes = '0%', keep_free_space = '100%' }}",
        accounting.display()
    );
    let engine = site.start(1);
    let folders = [("log files", site.dir().join("log")), ("accounting log", accounting)];
    let first: Vec<_> = folders
        .iter()
        .map(|(what, folder)| {
            wait_some(what, || {
                engine.accept("a@src.test", &["u@dst.test"], &message("first"));
                engine.get("/metrics").expect(200);
                files(folder).pop()
            })
        })
        .collect();
    wait("their end", || !first.iter().any(|path| path.exists()));
    for (what, folder) in &folders {
        engine.wait_says(&format!("{what} of {}: ", folder.display()));
    }
    engine.wait_says("less than keep_free_space = 100%");
    wait("the count", || engine.metric("log_segments_removed_total") >= 2.0);
}

#[test]
fn log_files_have_an_end() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.logs = "index = true, keep_for = '3s',".into();
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("first"));
    let first = wait_some("a segment", || files(&site.dir().join("log")).pop());
    wait("its end", || !first.exists());
    engine.wait_says("removed, ");
    assert!(engine.says("older than keep_for = 3s"));
    let index = site.dir().join("log/.index").join(first.file_name().unwrap());
    assert!(!index.exists());
    wait("the count", || engine.metric("log_segments_removed_total") >= 1.0);
}

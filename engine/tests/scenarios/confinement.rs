//! What a confined engine may do, and how it says what it may not.

use crate::support::{message, wait, Engine, Sink, Site};
use serde_json::json;

/// A handler that writes a file, runs a program, and tells what came of it.
fn trying(site: &mut Site) {
    let dir = site.dir().display();
    site.extra = format!(
        "kumo.on('smtp_server_message_received', function(msg)
           local file, why = io.open('{dir}/outside', 'w')
           kumo.log_info('open: ' .. tostring(why))
           if file then file:close() end
           local ok, why = pcall(kumo.fs.open, '{dir}/outside-too', 'w')
           kumo.log_info('fs.open: ' .. tostring(why))
           local ok, how, code = os.execute('touch {dir}/ran')
           kumo.log_info('execute: ' .. tostring(ok))
           local pipe, why = io.popen('echo hello')
           kumo.log_info('popen: ' .. tostring(pipe and pipe:read('a') or why))
           local read = io.open('{dir}/policy.lua')
           kumo.log_info('read: ' .. tostring(read and #read:read('a') > 100))
         end)"
    );
}

fn is_confined(engine: &Engine) -> bool {
    if engine.says("this kernel has no Landlock") {
        println!("skipped: this kernel has no Landlock");
        return false;
    }
    assert!(engine.says("confined: "), "{:?}", engine.stderr());
    true
}

#[test]
fn writing_elsewhere_and_running_programs_is_refused_with_the_reason() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    trying(&mut site);
    let engine = site.start(2);
    if !is_confined(&engine) {
        return;
    }
    engine.accept("a@src.test", &["u@dst.test"], &message("confined"));
    engine.wait_says("read: true");
    let said = engine.stderr().join("\n");
    for (call, names) in [("open: ", "outside"), ("fs.open: ", "outside-too")] {
        let line = said.lines().find(|line| line.contains(call)).unwrap();
        assert!(line.contains(names) && line.contains("Permission denied"), "{line}");
        assert!(line.contains("--may-write") && line.contains("--no-confine"), "{line}");
    }
    assert!(said.contains("execute: nil"), "{said}");
    let line = said.lines().find(|line| line.contains("popen: ")).unwrap();
    assert!(line.contains("echo hello") && line.contains("--no-confine"), "{line}");
    for name in ["outside", "outside-too", "ran"] {
        assert!(!site.dir().join(name).exists(), "{name}");
    }
    // Mail, log files and events are not held up by it.
    sink.wait_messages(1);
    site.wait_record("Delivery", |_| true);
}

#[test]
fn folders_can_be_added_and_the_whole_be_turned_off() {
    for (argument, may_run) in [("--may-write", false), ("--no-confine", true)] {
        let mut site = Site::new();
        trying(&mut site);
        site.args.push(argument.into());
        if !may_run {
            site.args.push(site.dir().display().to_string());
        }
        let engine = site.start(1);
        if !may_run && !is_confined(&engine) {
            return;
        }
        engine.accept("a@src.test", &["u@dst.test"], &message("free"));
        engine.wait_says("read: true");
        assert!(site.dir().join("outside").exists() && site.dir().join("outside-too").exists());
        assert_eq!(site.dir().join("ran").exists(), may_run);
        assert_eq!(engine.says("popen: hello"), may_run);
        assert_eq!(engine.says("not confined"), may_run);
    }
    let mut site = Site::new();
    site.args.extend(["--may-write".into(), "/no/such/folder".into()]);
    site.write_policy();
    let mut engine = site.spawn(1);
    assert!(!engine.wait_exit().success());
    assert!(engine.says("--may-write /no/such/folder"), "{:?}", engine.stderr());
}

#[test]
fn a_reload_that_writes_elsewhere_is_refused_and_the_old_policy_stays() {
    let mut site = Site::new();
    let engine = site.start(2);
    if !is_confined(&engine) {
        return;
    }
    let file = site.dir().join("new-file");
    site.extra = format!("assert(io.open('{}', 'w'))", file.display());
    site.write_policy();
    let answer = engine.post("/api/admin/reload/v1", &json!({}));
    assert_eq!(answer.status, 422, "{}", answer.text());
    let text = answer.text();
    assert!(text.contains("new-file") && text.contains("--no-confine"), "{text}");
    assert!(!file.exists());
    wait("mail as before", || {
        engine.submit("a@src.test", &["u@dst.test"], &message("on")).code == 250
    });
}

//! What log files hold: the policy's filter, and lines made by templates.

use crate::support::engine::records_in;
use crate::support::{message, wait, Sink, Site, Web};
use std::io::Read;
use std::path::Path;

/// Lines of all segments of a folder, as they are.
fn lines(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let mut text = Vec::new();
        // An open segment has no end yet: what is there is read.
        let _ = zstd::Decoder::new(std::fs::File::open(entry.path()).unwrap())
            .map(|mut decoder| decoder.read_to_end(&mut text));
        all.extend(String::from_utf8(text).unwrap().lines().map(String::from));
    }
    all
}

#[test]
fn a_filter_sees_message_and_record() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    let log = site.dir().join("some");
    site.init = format!(
        "kumo.configure_local_logs {{ log_dir = '{}', max_segment_duration = '1s',
           min_free_space = '1MB', filter_event = 'my_filter' }}",
        log.display()
    );
    // One answer comes at once, the other only after a while.
    site.extra = "
kumo.on('smtp_server_message_received', function(msg)
  msg:set_meta('keep', msg:recipient().user)
end)
kumo.on('my_filter', function(msg, record)
  if record.type == 'Rejection' then return record.response.command == 'VRFY keep' end
  if record.type ~= 'Delivery' then kumo.time.sleep(0.05) end
  return msg:get_meta 'keep' == 'yes' and record.recipient == msg:recipient().email
end)"
        .into();
    let engine = site.start(2);
    let mut client = engine.greeted();
    client.expect(502, "VRFY drop");
    client.expect(502, "VRFY keep");
    // A session that is open when the engine stops is told so, which is a record of its own.
    client.expect(221, "QUIT");
    engine.accept("a@src.test", &["yes@dst.test"], &message("one"));
    engine.accept("a@src.test", &["no@dst.test"], &message("two"));
    sink.wait_messages(2);
    engine.wait_empty();
    assert!(engine.terminate().success());
    let mut kept: Vec<(String, String)> = records_in(&log)
        .iter()
        .map(|r| {
            let text = |name: &str| r[name].as_str().unwrap().to_string();
            (text("type"), text("recipient"))
        })
        .collect();
    kept.sort();
    let want = [("Delivery", "yes@dst.test"), ("Reception", "yes@dst.test"), ("Rejection", "")];
    assert_eq!(kept, want.map(|(kind, to)| (kind.to_string(), to.to_string())));
    // The other log has everything.
    assert_eq!(site.records().len(), 6);
}

#[test]
fn a_filter_that_fails_or_is_not_there_loses_nothing() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    let (broken, absent) = (site.dir().join("broken"), site.dir().join("absent"));
    for (dir, event) in [(&broken, "broken_filter"), (&absent, "absent_filter")] {
        site.init += &format!(
            "kumo.configure_local_logs {{ log_dir = '{}', min_free_space = '1MB', filter_event = '{event}' }}\n",
            dir.display()
        );
    }
    site.extra = "kumo.on('broken_filter', function() error 'no' end)".into();
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("one"));
    sink.wait_messages(1);
    engine.wait_empty();
    assert!(engine.terminate().success());
    assert_eq!((records_in(&broken).len(), records_in(&absent).len()), (2, 2));
}

#[test]
fn a_template_makes_the_line() {
    let sink = Sink::start();
    sink.refuse("bad@", "550 5.1.1 no <x@y.test>");
    let mut site = Site::to(sink.addr);
    let log = site.dir().join("lines");
    site.init = format!(
        "kumo.configure_local_logs {{ log_dir = '{}', min_free_space = '1MB', headers = {{ 'Subject' }},
           per_record = {{
             Bounce = {{ template = [[Bounce! {{{{ sender }}}} {{{{ response.code }}}} {{{{ headers['subject'] }}}}]] }},
             Reception = {{}},
             Any = {{ template = [[{{{{ log_record | tojson }}}}]] }},
           }} }}",
        log.display()
    );
    let engine = site.start(1);
    engine.accept("a@src.test", &["bad@dst.test"], &message("one"));
    site.wait_record("Bounce", |_| true);
    engine.accept("a@src.test", &["good@dst.test"], &message("two"));
    sink.wait_messages(1);
    engine.wait_empty();
    assert!(engine.terminate().success());
    let lines = lines(&log);
    assert!(lines.contains(&"Bounce! a@src.test 550 one".to_string()), "{lines:?}");
    assert_eq!(lines.len(), 4, "{lines:?}");
    let records = lines.iter().filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok());
    let mut kinds: Vec<String> = records.map(|r| r["type"].as_str().unwrap().into()).collect();
    kinds.sort();
    assert_eq!(kinds, ["Delivery", "Reception", "Reception"]);
}

#[test]
fn a_hook_gets_what_its_template_makes() {
    let sink = Sink::start();
    let web = Web::start(|_, _| (200, String::new()));
    let mut site = Site::to(sink.addr);
    site.init = "kumo.configure_log_hook { name = 'words',
      per_record = { Delivery = { template = 'to {{ recipient }}' }, Any = { enable = false } } }"
        .into();
    site.extra = format!(
        "
kumo.on('make.words.log_hook', function()
  local client = kumo.http.build_client {{}}
  return {{ send = function(self, msg)
    local response = client:post('{}'):body(msg:get_data() .. '|' .. msg:get_meta('log_record').type):send()
    return 'ok'
  end }}
end)",
        format_args!("http://{}/", web.addr)
    );
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("one"));
    wait("the event", || web.to("/") == ["to u@dst.test\n|Delivery"]);
}

#[test]
fn a_template_that_cannot_be_read_ends_the_start() {
    let mut site = Site::new();
    site.logs = "per_record = { Any = { template = '{% if %}' } },".into();
    site.write_policy();
    let mut engine = site.spawn(1);
    assert!(!engine.wait_exit().success());
    assert!(engine.says("option `template`"), "{:?}", engine.stderr());
}

//! The policy as an operator meets it: what a handler can do, and what its mistakes cost.

use crate::support::{message, wait, without_trace, Receiver, Sink, Site};
use std::path::Path;
use std::process::Command;

/// The line of the policy file on which `text` stands.
fn line_of(site: &Site, text: &str) -> usize {
    let policy = std::fs::read_to_string(site.policy_file()).unwrap();
    1 + policy.lines().position(|line| line.contains(text)).expect("the text is in the policy")
}

/// `policy.lua:LINE`, as a message about `text` must name it.
fn place_of(site: &Site, text: &str) -> String {
    format!("policy.lua:{}", line_of(site, text))
}

#[test]
fn an_error_in_a_handler_costs_the_command_and_not_the_session() {
    let sink = Sink::start();
    let handlers = [
        ("smtp_server_ehlo", "domain == 'bad.test'", "domain"),
        ("smtp_server_mail_from", "tostring(sender) == 'bad@src.test'", "sender"),
        ("smtp_server_rcpt_to", "tostring(to) == 'bad@dst.test'", "to"),
        ("smtp_server_data", "msg:get_first_named_header_value 'Subject' == 'bad1'", "msg"),
        (
            "smtp_server_message_received",
            "msg:get_first_named_header_value 'Subject' == 'bad2'",
            "msg",
        ),
    ];
    let mut site = Site::to(sink.addr);
    for (event, condition, argument) in handlers {
        site.extra.push_str(&format!(
            "kumo.on('{event}', function({argument})
  if {condition} then
    error('oops in {event}')
  end
end)\n"
        ));
    }
    let engine = site.start(1);
    let mut client = engine.client();
    assert_eq!(client.command("EHLO bad.test").codes(), "451 4.3.0");
    client.expect(250, "EHLO client.test");
    assert_eq!(client.command("MAIL FROM:<bad@src.test>").codes(), "451 4.3.0");
    client.expect(250, "MAIL FROM:<a@src.test>");
    assert_eq!(client.command("RCPT TO:<bad@dst.test>").codes(), "451 4.3.0");
    client.expect(250, "RSET");
    for subject in ["bad1", "bad2"] {
        let reply = client.transaction("a@src.test", &["u@dst.test"], &message(subject));
        assert_eq!(reply.codes(), "451 4.3.0", "{subject}");
    }
    let reply = client.transaction("a@src.test", &["u@dst.test"], &message("good"));
    assert_eq!(reply.code, 250);
    assert_eq!(without_trace(&sink.wait_messages(1)[0].data), message("good"));
    engine.wait_empty();
    assert_eq!(sink.count(), 1);
    for (event, ..) in handlers {
        let place = place_of(&site, &format!("oops in {event}"));
        let said = |line: &String| line.contains(&place) && line.contains("oops in");
        assert!(engine.stderr().iter().any(said), "{event} at {place}: {:?}", engine.stderr());
    }
}

#[test]
fn an_error_in_a_function_that_waits_is_told_with_its_place() {
    let mut site = Site::new();
    // Port 9 of an address of loopback that nothing uses.
    site.extra = "
kumo.on('smtp_server_mail_from', function(sender)
  kumo.http.build_client({}):get('http://127.61.7.9:9/'):send() -- here
end)"
        .into();
    let engine = site.start(1);
    let mut client = engine.greeted();
    assert_eq!(client.command("MAIL FROM:<a@src.test>").codes(), "451 4.3.0");
    engine.wait_says(&place_of(&site, "-- here"));
}

#[test]
fn an_error_in_a_queue_handler_holds_the_mail_and_loses_none() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.extra = "
kumo.on('get_egress_pool', function(name)
  error 'no pool today'
end)"
        .into();
    site.queue = "egress_pool = 'mine', retry_interval = '300ms',".into();
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("held"));
    engine.wait_says("no pool today");
    assert_eq!(engine.metric("message_count"), 1.0);
    site.extra.clear();
    site.queue.clear();
    assert!(engine.terminate().success());
    let _engine = site.start(1);
    sink.wait_messages(1);
}

#[test]
fn refusals_are_worded_by_the_policy() {
    let mut site = Site::new();
    site.extra = "
kumo.on('smtp_server_mail_from', function(sender)
  if sender.user == 'reject' then kumo.reject(550, '5.7.1 not you') end
  if sender.user == 'lines' then kumo.reject(550, '5.7.1 first\\nsecond\\r\\n250 third') end
  if sender.user == 'close' then kumo.reject(421, '4.3.2 go away') end
  if sender.user == 'disconnect' then kumo.disconnect(550, '5.7.1 bye', 'ForceDisconnect') end
  local ok, why = pcall(kumo.reject, 550, 'no')
  assert(not ok and string.find(tostring(why), '^550 no'))
end)"
        .into();
    let engine = site.start(1);
    let mut client = engine.greeted();
    let reply = client.command("MAIL FROM:<reject@src.test>");
    assert_eq!((reply.code, reply.text()), (550, "5.7.1 not you".into()));
    let reply = client.command("MAIL FROM:<lines@src.test>");
    assert_eq!(reply.code, 550, "a text cannot forge a reply: {reply:?}");
    client.expect(250, "MAIL FROM:<a@src.test>");
    client.expect(250, "RSET");
    client.expect(421, "MAIL FROM:<close@src.test>");
    client.expect_closed();
    let mut client = engine.greeted();
    client.expect(550, "MAIL FROM:<disconnect@src.test>");
    client.expect_closed();
}

#[test]
fn a_connection_can_be_refused_at_the_banner() {
    let mut site = Site::new();
    site.extra = "
kumo.on('smtp_server_connection_accepted', function(meta)
  kumo.reject(554, '5.7.1 not today')
end)"
        .into();
    let engine = site.start(1);
    let mut client = crate::support::Smtp::connect(engine.smtp);
    assert_eq!(client.reply().codes(), "554 5.7.1");
    client.expect_closed();
}

#[test]
fn replies_can_be_rewritten() {
    let mut site = Site::new();
    site.extra = "
kumo.on('smtp_server_rewrite_response', function(status, text, command)
  if status == 502 then return 500, '5.5.1 what is ' .. tostring(command) .. '?' end
end)"
        .into();
    let engine = site.start(1);
    let mut client = engine.greeted();
    let reply = client.command("VRFY x");
    assert_eq!((reply.code, reply.text()), (500, "5.5.1 what is VRFY x?".into()));
    client.expect(250, "NOOP");
}

#[test]
fn a_runaway_handler_is_interrupted() {
    let mut site = Site::new();
    site.extra = "
kumo.on('smtp_server_mail_from', function(sender)
  if sender.user == 'loop' then
    while true do end -- forever
  end
  if sender.user == 'stubborn' then
    while true do pcall(function() while true do end end) end
  end
end)"
        .into();
    // One shard: whoever holds it, holds everything.
    let engine = site.start(1);
    let mut client = engine.greeted();
    for runaway in ["loop", "stubborn"] {
        let reply = client.command(format!("MAIL FROM:<{runaway}@src.test>"));
        assert_eq!(reply.codes(), "451 4.3.0", "{runaway}");
    }
    client.expect(250, "MAIL FROM:<a@src.test>");
    let place = place_of(&site, "-- forever");
    assert!(engine.says(&place), "{place} in {:?}", engine.stderr());
}

#[test]
fn a_handler_that_waits_holds_up_nobody_else() {
    let mut site = Site::new();
    site.extra = "
kumo.on('smtp_server_mail_from', function(sender)
  if sender.user == 'slow' then kumo.sleep(3600) end
end)"
        .into();
    let engine = site.start(1);
    let mut slow = engine.greeted();
    slow.send("MAIL FROM:<slow@src.test>\r\n");
    engine.accept("a@src.test", &["u@dst.test"], &message("fast"));
    drop(slow);
    assert!(engine.terminate().success(), "nor does it hold up the end");
}

#[test]
fn a_message_can_be_changed_labelled_and_dropped() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.extra = "
kumo.on('smtp_server_message_received', function(msg)
  local subject = msg:get_first_named_header_value 'Subject'
  if subject == 'drop' then
    msg:set_meta('queue', 'null')
    return
  end
  msg:set_meta('tenant', 'acme')
  msg:prepend_header('X-First', 'one')
  msg:append_header('X-Last', 'two')
  msg:remove_all_named_headers 'Message-ID'
end)"
        .into();
    let engine = site.start(1);
    engine.accept("a@src.test", &["gone@dst.test"], &message("drop"));
    engine.accept("a@src.test", &["u@dst.test"], &message("keep"));
    let received = sink.wait_messages(1);
    engine.wait_empty();
    assert_eq!((sink.count(), &*received[0].to[0]), (1, "u@dst.test"));
    let text = String::from_utf8(received[0].data.clone()).unwrap();
    assert!(text.starts_with("X-First: one\r\n"), "{text}");
    assert!(text.contains("\r\nX-Last: two\r\n\r\n") && !text.contains("Message-ID"), "{text}");
    let record = site.wait_record("Delivery", |_| true);
    assert_eq!(record["queue"], "acme@dst.test");
    let dropped = site.wait_record("Reception", |record| record["queue"] == "null");
    assert_eq!(dropped["recipient"], "gone@dst.test");
}

#[test]
fn a_policy_makes_messages_and_sends_them_as_it_likes() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.extra = "
kumo.on('smtp_server_message_received', function(msg)
  local made = kumo.api.inject.build_v1 {
    envelope_sender = 'robot@src.test',
    recipients = { { email = 'first@dst.test', substitutions = { name = 'One' } }, { email = 'second@dst.test' } },
    substitutions = { name = 'nobody' },
    content = 'Subject: for {{ name }}\\r\\n\\r\\nbody\\r\\n',
  }
  made[1]:append_header('X-Made', tostring(#made))
  kumo.inject_message(made[1])
  local ok, why = pcall(kumo.api.inject.build_v1, { envelope_sender = 'a@b.test', recipients = { { email = 'x' } }, content = '' })
  msg:append_header('X-Wrong', tostring(why))
end)"
        .into();
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("trigger"));
    let got = sink.wait_messages(2);
    let data = |to: &str| {
        let one = got.iter().find(|m| m.to == [to]).unwrap();
        (one.from.clone(), String::from_utf8(one.data.clone()).unwrap())
    };
    let (from, made) = data("first@dst.test");
    assert!(from.contains("robot@src.test"), "{from}");
    assert!(made.contains("Subject: for One\r\n") && made.contains("X-Made: 2\r\n"), "{made}");
    let (_, told) = data("u@dst.test");
    assert!(told.contains("kumo.api.inject.build_v1:"), "{told}");
    engine.wait_empty();
    assert_eq!(sink.count(), 2);
}

#[test]
fn a_header_made_by_policy_cannot_bring_another() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.extra = "
kumo.on('smtp_server_message_received', function(msg)
  for _, evil in ipairs { 'x\\r\\nBcc: evil@dst.test', 'x\\nBcc: evil@dst.test', 'x\\r\\n\\r\\nbody' } do
    pcall(function() msg:prepend_header('X-A', evil) end)
    pcall(function() msg:append_header('X-B', evil) end)
    pcall(function() msg:prepend_header('X-C\\r\\nBcc', 'evil@dst.test') end)
  end
end)"
    .into();
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("inject"));
    let received = &sink.wait_messages(1)[0];
    let text = String::from_utf8(received.data.clone()).unwrap();
    let head = text.split("\r\n\r\n").next().unwrap();
    assert!(!head.contains("\nBcc:"), "{text}");
    assert!(head.contains("\nMessage-ID:"), "the head ends where it ended: {text}");
}

/// Starts with a broken policy and gives back what was said.
fn broken_start(site: &Site) -> Vec<String> {
    site.write_policy();
    let mut engine = site.spawn(1);
    assert_eq!(engine.wait_exit().code(), Some(1), "{:?}", engine.stderr());
    assert!(!engine.says("initialization complete"));
    engine.stderr()
}

/// The same through `validate`, which must say it too.
fn broken_validate(site: &Site) -> Vec<String> {
    site.write_policy();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmta"));
    command.args(["validate", "--policy"]).arg(site.policy_file());
    let run = command.output().unwrap();
    let said = [run.stdout, run.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert_eq!(run.status.code(), Some(1), "{said}");
    said.lines().map(String::from).collect()
}

#[test]
fn a_broken_policy_is_refused_with_its_place() {
    type Break = fn(&mut Site);
    let broken: [(Break, &str, &[&str]); 6] = [
        (|site| site.extra = "this is not Lua".into(), "this is not Lua", &[]),
        (|site| site.init = "error 'stop right there'".into(), "stop right", &["stop right there"]),
        (|site| site.init = "kumo.no_such_thing()".into(), "no_such_thing", &["no_such_thing"]),
        (
            |site| site.listener = "max_mesage_size = 1,".into(),
            "max_mesage_size",
            &["unknown", "max_mesage_size", "max_message_size"],
        ),
        (
            |site| site.init = "kumo.define_spool { name = 'dtaa', path = '/x' }".into(),
            "dtaa",
            &["dtaa", "data"],
        ),
        (
            |site| site.listener = "client_timeout = '10x',".into(),
            "10x",
            &["client_timeout", "10x", "duration"],
        ),
    ];
    for (break_it, text, words) in broken {
        let mut site = Site::new();
        break_it(&mut site);
        for said in [broken_start(&site), broken_validate(&site)] {
            let said = said.join("\n");
            // A call of several lines may be named by any of them.
            let line = line_of(&site, text);
            let places = (line.saturating_sub(4)..=line + 4).map(|n| format!("policy.lua:{n}"));
            assert!(places.into_iter().any(|place| said.contains(&place)), "{text}: {said}");
            for word in words {
                assert!(said.contains(word), "{word} in {said}");
            }
        }
    }
}

#[test]
fn a_policy_that_is_not_there_or_has_no_spool_is_named() {
    let site = Site::new();
    let mut engine = site.spawn(1);
    assert_eq!(engine.wait_exit().code(), Some(1));
    assert!(engine.says("policy.lua"), "{:?}", engine.stderr());
    std::fs::write(site.policy_file(), "require 'kumo'\n").unwrap();
    let mut engine = site.spawn(1);
    assert_eq!(engine.wait_exit().code(), Some(1));
    assert!(engine.says("defines no spool `data`"), "{:?}", engine.stderr());
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let mut site = Site::new();
    site.init = format!("kumo.start_esmtp_listener {{ listen = '{addr}' }}");
    let said = broken_start(&site).join("\n");
    assert!(said.contains(&addr.to_string()) && said.contains("another program"), "{said}");
}

#[test]
fn a_misspelt_event_is_warned_of() {
    let mut site = Site::new();
    site.extra = "kumo.on('get_queue_confg', function() end)".into();
    site.write_policy();
    let output = Command::new(env!("CARGO_BIN_EXE_ringmta"))
        .args(["validate", "--policy"])
        .arg(site.policy_file())
        .output()
        .unwrap();
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("get_queue_confg") && said.contains("`get_queue_config`"), "{said}");
}

#[test]
fn validate_counts_warnings_when_told_and_needs_no_reader() {
    let mut site = Site::new();
    site.extra = "kumo.on('get_queue_confg', function() end)".into();
    site.write_policy();
    let validate = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringmta"));
        command.args(["validate", "--policy"]).arg(site.policy_file()).args(more);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command
    };
    assert_eq!(validate(&["--strict"]).status().unwrap().code(), Some(1));
    // As `validate | head -0` does.
    let mut child = validate(&[]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("panicked"), "{said}");
}

#[test]
fn reload_takes_a_good_policy_and_leaves_a_bad_one() {
    let mut site = Site::new();
    let refusing = |text: &str| {
        format!("kumo.on('smtp_server_mail_from', function() kumo.reject(550, '5.7.1 {text}') end)")
    };
    site.extra = refusing("first");
    let engine = site.start(2);
    let answer = || engine.greeted().command("MAIL FROM:<a@src.test>").text();
    assert_eq!(answer(), "5.7.1 first");

    let mut old_session = engine.greeted();
    site.extra = refusing("second");
    site.write_policy();
    engine.signal("HUP");
    engine.wait_says("policy reloaded");
    for _ in 0..8 {
        assert_eq!(answer(), "5.7.1 second");
    }
    // Who came before the change ends with what it began with.
    assert_eq!(old_session.command("MAIL FROM:<a@src.test>").text(), "5.7.1 first");

    site.extra = "this is not Lua".into();
    site.write_policy();
    engine.signal("HUP");
    engine.wait_says("policy not reloaded, the old one stays");
    assert!(engine.says(&place_of(&site, "this is not Lua")), "{:?}", engine.stderr());
    for _ in 0..8 {
        assert_eq!(answer(), "5.7.1 second");
    }
    assert_eq!(engine.send("POST", "/api/admin/reload/v1", b"{}").status, 422);

    site.extra = refusing("third");
    site.write_policy();
    engine.send("POST", "/api/admin/reload/v1", b"{}").expect(200);
    assert_eq!(answer(), "5.7.1 third");
}

#[test]
fn a_changed_file_is_taken_up() {
    let mut site = Site::new();
    let engine = site.start(1);
    site.extra =
        "kumo.on('smtp_server_mail_from', function() kumo.reject(550, '5.7.1 new') end)".into();
    site.write_policy();
    engine.wait_says("policy reloaded");
    assert_eq!(engine.greeted().command("MAIL FROM:<a@src.test>").text(), "5.7.1 new");
}

#[test]
fn what_is_said_can_be_asked_for() {
    let mut site = Site::new();
    site.init = "kumo.set_diagnostic_log_filter 'error'".into();
    site.extra =
        "kumo.on('smtp_server_mail_from', function(sender) kumo.log_info('from ' .. sender.user) end)"
            .into();
    let engine = site.start(1);
    let mail = |user: &str| engine.greeted().expect(250, &format!("MAIL FROM:<{user}@src.test>"));
    let filter = |text: &str| {
        engine.send("POST", "/api/admin/set_diagnostic_log_filter/v1", text.as_bytes()).status
    };
    mail("first");
    assert_eq!(filter("{}"), 422);
    assert_eq!(filter("{\"filter\": \"ringmta=loud\"}"), 400);
    mail("second");
    assert_eq!(filter("{\"filter\": \"info\"}"), 200);
    mail("third");
    engine.wait_says("from third");
    // What is said comes in order: had they been said, they were here by now.
    assert!(!engine.says("from first") && !engine.says("from second"), "{:?}", engine.stderr());
}

#[test]
fn queues_are_asked_for_anew_in_a_new_epoch() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.queue =
        "refresh_strategy = 'Epoch', refresh_interval = '100ms', egress_pool = count(),".into();
    site.extra = "asked = 0
        function count() asked = asked + 1 return 'p' end
        kumo.on('get_egress_pool', function(name)
          return kumo.make_egress_pool { name = name, entries = { { name = 's' .. asked } } } end)
        kumo.on('get_egress_source', function(name)
          return kumo.make_egress_source { name = name } end)"
        .into();
    let engine = site.start(1);
    let source = |n: usize| {
        engine.accept("a@src.test", &["u@dst.test"], &message(&format!("m{n}")));
        sink.wait_messages(n);
        let records = || site.records_of("Delivery");
        crate::support::wait("its record", || records().len() == n);
        records()[n - 1]["egress_source"].clone()
    };
    assert_eq!(source(1), "s1");
    // Longer than the interval: on a slow machine this proves less, and fails no sooner.
    std::thread::sleep(std::time::Duration::from_millis(250));
    assert_eq!(source(2), "s1");
    engine.send("POST", "/api/admin/bump-config-epoch", b"").expect(200);
    // The first that comes after the answer goes by the new one.
    assert_eq!(source(3), "s2");
}

#[test]
fn queues_follow_a_reload() {
    let (old, new) = (Sink::start(), Sink::start());
    let mut site = Site::to(old.addr);
    let engine = site.start(2);
    engine.accept("a@src.test", &["u@dst.test"], &message("old"));
    old.wait_messages(1);
    engine.wait_empty();
    site.default_route = Some(new.addr);
    site.write_policy();
    engine.signal("HUP");
    engine.wait_says("policy reloaded");
    engine.accept("a@src.test", &["u@dst.test"], &message("new"));
    new.wait_messages(1);
    assert_eq!(old.count(), 1);
}

/// The tree that is shipped, as an operator would run it.
fn shipped(next_hop: &Sink, receiver: &Receiver) -> Site {
    let mut site = Site::new();
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy/example");
    let policy = format!(
        "package.path = '{0}/?.lua;' .. package.path\ndofile '{0}/init.lua'\n",
        tree.display()
    );
    std::fs::write(site.policy_file(), policy).unwrap();
    let dir = site.dir().display().to_string();
    site.env = [
        ("RINGMTA_MODE", "development".to_string()),
        ("RINGMTA_SPOOL", format!("{dir}/spool")),
        ("RINGMTA_LOG_DIR", format!("{dir}/log")),
        ("RINGMTA_SMTP_LISTEN", "127.0.0.1:0".into()),
        ("RINGMTA_HTTP_LISTEN", "127.0.0.1:0".into()),
        ("RINGMTA_SANDBOX", next_hop.addr.to_string()),
        ("KUMOMTA_WEBHOOK_URL", format!("http://{}", receiver.addr)),
        ("X_KUMOMTA_KEY", "the shared key".into()),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .to_vec();
    site
}

#[test]
fn the_shipped_tree() {
    let (sink, receiver) = (Sink::start(), Receiver::start());
    let site = shipped(&sink, &receiver);
    let engine = site.start_as_it_is(2);
    let mut client = engine.greeted();
    client.expect(535, "AUTH PLAIN AG1haWxpbmcAd3Jvbmc=");
    client.expect(235, "AUTH PLAIN AG1haWxpbmcAbWFpbGluZw==");
    let data =
        b"From: <a@src.test>\r\nX-Tenant: acme\r\nX-Campaign: spring:1\r\nSubject: s\r\n\r\nx\r\n";
    let reply = client.transaction("a@src.test", &["u@dst.test"], data);
    assert_eq!(reply.code, 250, "{reply:?}");
    let received = &sink.wait_messages(1)[0];
    let expected = b"From: <a@src.test>\r\nSubject: s\r\n\r\nx\r\n";
    assert_eq!(without_trace(&received.data), expected, "labels stay inside");
    let told = || {
        let events = receiver.events().into_iter();
        events.filter(|event| event["type"] != "Rejection").collect::<Vec<_>>()
    };
    wait("both events at the webhook", || told().len() == 2);
    for event in told() {
        assert_eq!(event["queue"], "spring_1:acme@dst.test");
        assert_eq!(event["meta"]["tenant"], "acme");
        assert_eq!(event["headers"]["Subject"], "s");
    }
    let keyed = |hit: &crate::support::http::Hit| {
        hit.headers.iter().any(|(_, value)| value.contains("the shared key"))
    };
    assert!(receiver.hits().iter().all(keyed), "{:?}", receiver.hits());
    engine.get("/metrics").expect(200);
}

#[test]
fn the_shipped_tree_validates() {
    for mode in ["production", "development"] {
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy/example/init.lua");
        let output = Command::new(env!("CARGO_BIN_EXE_ringmta"))
            .arg("--validate")
            .arg("--policy")
            .arg(tree)
            .env("RINGMTA_MODE", mode)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said} {output:?}");
        assert!(said.contains("OK: 0 errors, 0 warnings"), "{said}");
    }
}

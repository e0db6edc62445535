//! What reception promises: all of a transaction or nothing, no secret kept, no endless guessing, bounded memory.

use crate::support::{http, message, wait, wait_some, without_trace, Sink, Site, Smtp};
use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A policy that knows one user.
const ONE_USER: &str = "
kumo.on('smtp_server_auth_plain', function(authz, authc, password)
  return authc == 'mailing' and password == 'secret'
end)
kumo.on('http_server_validate_auth_basic', function(user, password)
  return user == 'mailing' and password == 'secret'
end)";

fn plain(password: &str) -> String {
    STANDARD.encode(format!("\0mailing\0{password}"))
}

/// Text of every file of the site that records are written to, unpacked.
fn all_records(site: &Site) -> String {
    site.records().iter().map(|record| record.to_string()).collect()
}

#[test]
fn one_refused_recipient_refuses_the_transaction() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.extra = "
kumo.on('smtp_server_message_received', function(msg)
  local to = msg:recipient().user
  if to == 'bad' then kumo.reject(550, '5.7.1 not this one') end
  if to == 'later' then kumo.reject(450, '4.7.1 later') end
  if to == 'broken' then error 'no key' end
end)"
        .into();
    let engine = site.start(1);
    let mut client = engine.greeted();
    for (to, codes) in [
        (["good@d.test", "bad@d.test"], "550 5.7.1"),
        (["bad@d.test", "later@d.test"], "550 5.7.1"),
        (["later@d.test", "good@d.test"], "450 4.7.1"),
        (["good@d.test", "broken@d.test"], "451 4.3.0"),
        (["bad@d.test", "broken@d.test"], "451 4.3.0"),
    ] {
        let reply = client.transaction("a@src.test", &to, &message("all or nothing"));
        assert_eq!(reply.codes(), codes, "{to:?}");
    }
    let reply = client.transaction("a@src.test", &["good@d.test", "also@d.test"], &message("all"));
    assert_eq!(reply.code, 250);
    let ids = reply.text();
    assert_eq!(ids.trim_start_matches("OK ids=").split(' ').count(), 2, "{ids}");
    sink.wait_messages(2);
    engine.wait_empty();
    assert_eq!(sink.count(), 2, "nothing of the refused ones was kept");
    // The refused recipients are on record.
    let record = site.wait_record("Rejection", |record| record["response"]["code"] == 550);
    assert_eq!(record["sender"], "a@src.test");
    let text = record["recipient"].to_string();
    assert!(text.contains("bad@d.test") && text.contains("good@d.test"), "{record}");
    assert_eq!(record["response"]["command"], "DATA");
}

#[test]
fn no_secret_of_auth_reaches_a_record() {
    let mut site = Site::new();
    site.extra = ONE_USER.into();
    site.args.clear();
    let engine = site.start(1);
    let secret = STANDARD.encode("\0mailing\0hush-hush-hush");
    let inner = STANDARD.encode("hush-hush-hush");
    let mut client = engine.greeted();
    // AUTH is not offered in clear: what a client sends all the same is no command.
    client.send(format!("AUTH LOGIN\r\nbWFpbGluZw==\r\n{inner}\r\nNOOP\r\n"));
    while client.reply().code != 250 {}
    for line in [
        format!("AUTH PLAIN {secret}\u{1}"),
        format!("AUTH PLAIN {secret}\r"),
        format!("AUTH=PLAIN {secret}"),
        format!("AUTH PLAIN {secret}"),
        format!("AUTHPLAIN {secret}"),
        format!("PLAIN {secret}"),
        format!("\u{0}AUTH PLAIN {secret}"),
        secret.clone(),
    ] {
        assert!(client.command(&line).code >= 500, "{line:?}");
    }
    client.expect(221, "QUIT");
    let mut client = engine.greeted();
    client.expect(220, "STARTTLS");
    client.start_tls();
    client.expect(250, "EHLO client.test");
    client.expect(334, "AUTH PLAIN");
    assert_eq!(client.command(format!("{secret}\u{1}")).code, 501);
    assert_eq!(client.command(format!("AUTH PLAIN {secret}")).codes(), "535 5.7.8");
    client.expect(334, "AUTH LOGIN");
    client.expect(334, "bWFpbGluZw==");
    assert_eq!(client.command(&inner).codes(), "535 5.7.8");
    // What is no command behind AUTH may be its response; behind another command it is a slip.
    client.expect(250, "NOOP");
    client.expect(502, "XYZZY");
    wait("all records", || {
        site.records_of("Rejection").iter().any(|r| r["response"]["command"] == "XYZZY")
    });
    let text = all_records(&site);
    assert!(site.records_of("Rejection").len() >= 12, "{text}");
    for secret in [&secret[..], &secret[4..16], &inner, "aHVzaC1odXNo"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[test]
fn a_login_in_clear_does_not_survive_starttls() {
    let mut site = Site::new();
    site.listener = "relay_hosts = {},".into();
    site.extra = ONE_USER.into();
    let engine = site.start(1);
    let mut client = engine.greeted();
    client.expect(235, &format!("AUTH PLAIN {}", plain("secret")));
    client.expect(220, "STARTTLS");
    client.start_tls();
    client.expect(250, "EHLO client.test");
    client.expect(250, "MAIL FROM:<a@src.test>");
    assert_eq!(client.command("RCPT TO:<u@dst.test>").codes(), "550 5.7.1");
    client.expect(250, "RSET");
    client.expect(235, &format!("AUTH PLAIN {}", plain("secret")));
    client.expect(250, "MAIL FROM:<a@src.test>");
    client.expect(250, "RCPT TO:<u@dst.test>");
}

/// Sends `line` until the session is closed. How often it was answered otherwise.
fn until_closed(client: &mut Smtp, line: &str) -> usize {
    for count in 0..1000 {
        let reply = client.command(line);
        if reply.code == 421 {
            assert_eq!(reply.codes(), "421 4.7.0");
            client.expect_closed();
            return count;
        }
    }
    panic!("a thousand times {line}");
}

#[test]
fn guessing_ends() {
    let mut site = Site::new();
    site.listener = "relay_hosts = {},".into();
    site.extra = ONE_USER.into();
    let engine = site.start(1);
    let mut client = engine.greeted();
    client.expect(250, "MAIL FROM:<a@src.test>");
    assert!(until_closed(&mut client, "RCPT TO:<u@dst.test>") <= 100);
    let wrong = format!("AUTH PLAIN {}", plain("guess"));
    let mut guesses = 0;
    // A few connections later the peer is not listened to any more, on any connection.
    let held = (0..50).any(|_| {
        let mut client = engine.greeted();
        let before = guesses;
        guesses += until_closed(&mut client, &wrong);
        guesses == before
    });
    assert!(held && guesses <= 30, "{guesses} guesses");
    let right = format!("AUTH PLAIN {}", plain("secret"));
    assert_eq!(engine.greeted().command(right).codes(), "421 4.7.0");
    // The same peer over HTTP.
    let basic = |password: &str| {
        let value = STANDARD.encode(format!("mailing:{password}"));
        let headers = [("authorization", &*format!("Basic {value}"))];
        http::request("GET", &engine.url("/metrics"), &headers, None).status
    };
    assert_eq!(basic("guess"), 429);
    assert!(engine.metric("auth_failures{service=\"esmtp_listener\"}") >= 20.0);
    assert!(engine.metric("auth_held_off") >= 2.0);
}

#[test]
fn guessing_over_http_ends() {
    let mut site = Site::new();
    site.extra = ONE_USER.into();
    let engine = site.start(1);
    let basic = |password: &str| {
        let value = STANDARD.encode(format!("mailing:{password}"));
        let headers = [("authorization", &*format!("Basic {value}"))];
        http::request("GET", &engine.url("/metrics"), &headers, None).status
    };
    assert_eq!(basic("secret"), 200);
    let statuses: Vec<u16> = (0..100).map(|_| basic("guess")).collect();
    assert_eq!(statuses[0], 401);
    assert_eq!(statuses[99], 429, "{statuses:?}");
    assert!(statuses.iter().filter(|status| **status == 401).count() <= 30, "{statuses:?}");
    assert!(engine.metric("auth_failures{service=\"http_listener\"}") >= 20.0);
}

#[test]
fn a_header_has_a_size_of_its_own() {
    let engine = Site::new().start(1);
    let field = format!("X-Long: {}\r\n", "x".repeat(900));
    let (large, most) = (field.repeat(1200), field.repeat(1100));
    let mut client = engine.greeted();
    let mut submit = |header: &str| {
        let data = format!("{header}\r\nbody\r\n");
        client.transaction("a@src.test", &["u@dst.test"], data.as_bytes())
    };
    assert_eq!(submit(&large).codes(), "552 5.3.4");
    assert_eq!(submit(&most).code, 250);
}

#[test]
fn each_listener_has_its_own_limit() {
    let mut site = Site::new();
    site.init = "kumo.start_esmtp_listener { listen = '127.0.0.1:0', max_connections = 1 }".into();
    let engine = site.start(2);
    let lines = engine.stderr();
    let other = lines.iter().filter_map(|line| line.strip_prefix("smtp listener on "));
    let other: SocketAddr = other.map(|a| a.parse().unwrap()).find(|a| *a != engine.smtp).unwrap();
    let _busy: Vec<Smtp> = (0..3).map(|_| engine.greeted()).collect();
    let mut first = Smtp::connect(other);
    assert_eq!(first.reply().code, 220);
    let mut second = Smtp::connect(other);
    assert_eq!(second.reply().codes(), "421 4.3.2");
    drop(first);
    wait("room again", || Smtp::connect(other).reply().code == 220);
}

#[test]
fn an_idle_client_is_told_of_the_stop() {
    let mut engine = Site::new().start(1);
    let mut idle = engine.greeted();
    engine.signal("TERM");
    assert_eq!(idle.reply().codes(), "421 4.3.2");
    idle.expect_closed();
    assert!(engine.wait_exit().success());
}

#[test]
fn a_policy_that_does_not_end_holds_up_no_greeting() {
    let mut site = Site::new();
    site.listener = "data_processing_timeout = '1s',".into();
    site.extra =
        "kumo.on('smtp_server_get_dynamic_parameters', function() kumo.sleep(100000) end)".into();
    let engine = site.start(1);
    engine.greeted();
}

#[test]
fn parameters_are_known_or_refused() {
    let engine = Site::new().start(1);
    let mut client = engine.greeted();
    for unknown in ["FOO=BAR", "REQUIRETLS", "HOLDFOR=100", "BY=100;R", "NOTIFY=NEVER"] {
        let reply = client.command(format!("MAIL FROM:<a@src.test> {unknown}"));
        assert_eq!(reply.codes(), "555 5.5.4", "{unknown}");
    }
    for malformed in ["SIZE=1 SIZE=1", "RET=SOME", "ENVID=", "SMTPUTF8=1"] {
        let reply = client.command(format!("MAIL FROM:<a@src.test> {malformed}"));
        assert_eq!(reply.codes(), "501 5.5.4", "{malformed}");
    }
    client.expect(250, "MAIL FROM:<a@src.test> RET=HDRS ENVID=x+20y SIZE=10");
    for (wrong, codes) in
        [("FOO=BAR", "555 5.5.4"), ("NOTIFY=SOON", "501 5.5.4"), ("ORCPT=x", "501 5.5.4")]
    {
        let reply = client.command(format!("RCPT TO:<u@dst.test> {wrong}"));
        assert_eq!(reply.codes(), codes, "{wrong}");
    }
    client.expect(250, "RCPT TO:<u@dst.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;u@dst.test");
    client.expect(250, "RCPT TO:<Postmaster>");
}

/// What cannot be honoured is not taken: the mail would go out without it. Nothing begins with a command that was refused.
#[test]
fn what_a_message_asks_for_in_vain_it_is_refused_for() {
    let sink = Sink::start();
    let engine = Site::to(sink.addr).start(1);
    for (asked, codes) in [
        ("REQUIRETLS", "555 5.5.4"),
        ("HOLDFOR=100", "555 5.5.4"),
        ("HOLDUNTIL=2030-01-01T00:00:00Z", "555 5.5.4"),
        ("BY=120;N", "555 5.5.4"),
        ("DELIVERBY=120", "555 5.5.4"),
        ("foo", "555 5.5.4"),
        ("SIZE=1 size=2", "501 5.5.4"),
        ("RET=FULL RET=FULL", "501 5.5.4"),
        ("BODY=9BIT", "501 5.5.4"),
        ("SIZE=many", "501 5.5.4"),
    ] {
        // One client that did all of it would be one that guesses.
        let mut client = engine.greeted();
        let reply = client.command(format!("MAIL FROM:<a@src.test> {asked}"));
        assert_eq!(reply.codes(), codes, "{asked}: {reply:?}");
        client.expect(503, "RCPT TO:<u@dst.test>");
    }
    for (asked, codes) in [
        ("NOTIFY=NEVER,SUCCESS", "501 5.5.4"),
        ("NOTIFY=SUCCESS NOTIFY=SUCCESS", "501 5.5.4"),
        ("ORCPT=u@dst.test", "501 5.5.4"),
        ("RRVS=2020-01-01T00:00:00Z", "555 5.5.4"),
        ("SIZE=10", "555 5.5.4"),
    ] {
        let mut client = engine.greeted();
        client.expect(250, "MAIL FROM:<a@src.test> RET=FULL ENVID=e2");
        let reply = client.command(format!("RCPT TO:<u@dst.test> {asked}"));
        assert_eq!(reply.codes(), codes, "{asked}: {reply:?}");
        client.expect(503, "DATA");
    }
    assert_eq!(sink.connections(), 0);
}

#[test]
fn what_was_asked_for_stays_with_the_message() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.extra = "
kumo.on('smtp_server_message_received', function(msg)
  msg:append_header('X-Asked', kumo.serde.json_encode { tostring(msg:get_meta 'smtputf8'), msg:get_meta 'dsn' })
end)"
        .into();
    let engine = site.start(1);
    let mut client = engine.client();
    client.send("EHLO m\u{fc}nchen.test\r\n");
    assert_eq!(client.reply().code, 250);
    client.expect(250, "MAIL FROM:<a@src.test> SMTPUTF8 RET=HDRS ENVID=e1");
    client.expect(250, "RCPT TO:<u@dst.test> NOTIFY=NEVER ORCPT=rfc822;o@dst.test");
    client.expect(354, "DATA");
    client.send("Subject: x\r\n\r\ny\r\n.\r\n");
    assert_eq!(client.reply().code, 250);
    let text = String::from_utf8(sink.wait_messages(1)[0].data.clone()).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("X-Asked: ")).unwrap();
    let asked: serde_json::Value = serde_json::from_str(line).unwrap();
    let dsn = json!({
        "ret": "HDRS", "envid": "e1",
        "recipients": {"u@dst.test": {"notify": "NEVER", "orcpt": "rfc822;o@dst.test"}},
    });
    assert_eq!(asked, json!(["true", dsn]), "{text}");
    // Nothing the client said of itself makes ASCII mail 8-bit.
    assert!(text.is_ascii(), "{text}");
    assert!(text.contains("Received: from m?nchen.test ([127.0.0.1])"), "{text}");
    assert!(!sink.commands().iter().any(|(_, line)| line.contains("8BITMIME")));
    // The next transaction starts from nothing.
    client.expect(250, "MAIL FROM:<a@src.test>");
    client.expect(250, "RCPT TO:<u@dst.test>");
    client.expect(354, "DATA");
    client.send("Subject: x\r\n\r\ny\r\n.\r\n");
    assert_eq!(client.reply().code, 250);
    let text = String::from_utf8(sink.wait_messages(2)[1].data.clone()).unwrap();
    assert!(text.contains("X-Asked: [\"nil\"]"), "{text}");
}

/// A client in the middle of a message of so many bytes.
fn in_data(engine: &crate::support::Engine, bytes: usize) -> Smtp {
    let mut client = engine.greeted();
    client.envelope("a@src.test", &["u@dst.test"]);
    let line = [vec![b'x'; 998], b"\r\n".to_vec()].concat();
    client.send(line.repeat(bytes / 1000));
    client
}

#[test]
fn all_doors_share_the_memory_for_what_is_received() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.args.push("--receive-memory=4M".into());
    site.http = "request_body_limit = 50000000,".into();
    let engine = site.start(1);
    // One that is silent for seconds while others find no room loses what it holds: each look has one of its own.
    let beside_one_that_holds = |what: &str, look: &mut dyn FnMut() -> bool| {
        wait(what, || {
            let _first = in_data(&engine, 2_500_000);
            look()
        });
    };
    beside_one_that_holds("a client that finds no room, and is told so at its dot", &mut || {
        let mut second = in_data(&engine, 2_500_000);
        let reply = second.command(".");
        assert!(reply.code == 250 || reply.codes() == "452 4.3.1", "{reply:?}");
        if reply.code == 452 {
            let small = second.transaction("a@src.test", &["u@dst.test"], &message("small"));
            assert_eq!(small.code, 250);
        }
        reply.code == 452
    });
    let body = json!({
        "envelope_sender": "a@src.test", "recipients": [{"email": "u@dst.test"}],
        "content": "x".repeat(3_000_000),
    });
    beside_one_that_holds("a request that finds no room", &mut || {
        engine.post("/api/inject/v1", &body).status == 503
    });
    beside_one_that_holds("a client that says beforehand what it has", &mut || {
        let mut declares = engine.greeted();
        let reply = declares.command("MAIL FROM:<a@src.test> SIZE=2500000");
        reply.codes() == "452 4.3.1"
            && declares.command("MAIL FROM:<a@src.test> SIZE=1000").code == 250
    });
    wait("room again", || in_data(&engine, 2_500_000).command(".").code == 250);
}

#[test]
fn who_holds_memory_and_sends_nothing_makes_room() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.args.push("--receive-memory=8M".into());
    site.http = "request_body_limit = 50000000,".into();
    let engine = site.start(1);
    // All of it is taken, by clients that then say nothing: over SMTP, and one in the middle of a request.
    let mut silent: Vec<Smtp> = (0..6).map(|_| in_data(&engine, 1_300_000)).collect();
    let mut request = std::net::TcpStream::connect(engine.http).unwrap();
    let head =
        "POST /api/inject/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
        Content-Length: 9000000\r\n\r\n";
    std::io::Write::write_all(&mut request, head.as_bytes()).unwrap();
    std::io::Write::write_all(&mut request, &vec![b' '; 1_500_000]).unwrap();
    // What they leave is too little for this one, until they have to go. (What it sends may be read before what they have.)
    wait("room for one who sends", || {
        let code = in_data(&engine, 4_000_000).command(".").code;
        assert!(code == 250 || code == 452, "{code}");
        code == 250 && engine.metric("receive_memory_given_up") > 0.0
    });
    let told: Vec<String> = silent.iter_mut().map(|client| client.command(".").codes()).collect();
    assert!(told.iter().any(|codes| codes == "452 4.3.1"), "{told:?}");
    assert!(told.iter().all(|codes| codes == "452 4.3.1" || codes.starts_with("250")), "{told:?}");
    for client in &mut silent {
        assert_eq!(client.transaction("a@src.test", &["u@dst.test"], &message("next")).code, 250);
    }
}

#[test]
fn nobody_alone_uses_up_the_memory_for_what_is_received() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.args.push("--receive-memory=16M".into());
    site.listener = "allow_xclient = true, relay_hosts = { '127.0.0.1', '192.0.2.0/24' },".into();
    let engine = site.start(2);
    // All that one address can have, in pieces so small that little would be left over.
    let _greedy: Vec<Smtp> = (0..60).map(|_| in_data(&engine, 300_000)).collect();
    wait("most of it is taken", || engine.metric("receive_memory_bytes") > 10_000_000.0);
    // Another finds room at once, whatever the first goes on to send; it is told apart behind a front end as well.
    let mut other = engine.greeted();
    other.expect(220, "XCLIENT ADDR=192.0.2.7");
    other.expect(250, "EHLO other.test");
    let mut large = message("another");
    large.extend([vec![b'x'; 998], b"\r\n".to_vec()].concat().repeat(700));
    assert_eq!(other.transaction("a@src.test", &["u@dst.test"], &large).code, 250);
    assert_eq!(engine.metric("receive_memory_given_up"), 0.0, "nobody had to go for that");
}

#[test]
fn a_declared_size_takes_no_memory() {
    let engine = Site::new().start(1);
    let before = engine.resident_bytes();
    let clients: Vec<Smtp> = (0..100)
        .map(|_| {
            let mut client = engine.greeted();
            client.expect(250, "MAIL FROM:<a@src.test> SIZE=20000000");
            client.expect(250, "RCPT TO:<u@dst.test>");
            client.expect(354, "DATA");
            client
        })
        .collect();
    let grown = engine.resident_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "{} declarations took {grown} bytes", clients.len());
}

#[test]
fn many_recipients_of_a_large_message() {
    let sink = Sink::start();
    sink.set(|behaviour| behaviour.hold_dots = true);
    let mut site = Site::to(sink.addr);
    site.path = "connection_limit = 1,".into();
    site.logs = "per_record = { Reception = { enable = true } },".into();
    let engine = site.start(1);
    let peak = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", engine.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    };
    let before = peak();
    let line = [vec![b'x'; 998], b"\r\n".to_vec()].concat();
    let data = [&b"Subject: large\r\n\r\n"[..], &line.repeat(10_000)].concat();
    let to: Vec<String> = (0..40).map(|n| format!("u{n}@dst.test")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let ids = engine.accept("a@src.test", &to, &data);
    assert_eq!(ids.len(), 40);
    let grown = peak() - before;
    assert!(grown < 250 << 20, "400 MB for forty recipients took {grown} bytes of memory");
    sink.set(|behaviour| behaviour.hold_dots = false);
    let messages = sink.wait_messages(40);
    assert!(messages.iter().all(|m| without_trace(&m.data) == data));
    let record = site.wait_record("Reception", |record| record["recipient"] == "u0@dst.test");
    assert_eq!(record["headers"]["Subject"], "large", "{record}");
    assert!(record["size"].as_u64().unwrap() > 10_000_000, "{record}");
}

/// One request as it is written, and what is answered before anything else is sent.
fn raw(engine: &crate::support::Engine, request: &str) -> String {
    let mut stream = TcpStream::connect(engine.http).unwrap();
    stream.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    wait_some("an answer", || {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).unwrap();
        answer.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&answer).into_owned();
        (text.contains("\r\n\r\n") || count == 0).then_some(text)
    })
}

#[test]
fn who_may_ask_is_decided_before_the_body_is_read() {
    let mut site = Site::new();
    site.http = "trusted_hosts = {},".into();
    site.extra = ONE_USER.into();
    let engine = site.start(1);
    let head =
        "POST /api/inject/v1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Content-Length: 1000000\r\n";
    let answer = raw(&engine, &format!("{head}\r\n"));
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let right = STANDARD.encode("mailing:secret");
    let two = format!("Authorization: Basic {right}\r\nAuthorization: Basic {right}\r\n");
    let answer = raw(&engine, &format!("{head}{two}\r\n"));
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[test]
fn pages_of_other_sites_are_not_answered() {
    let sink = Sink::start();
    let engine = Site::to(sink.addr).start(1);
    let body = json!({
        "envelope_sender": "a@src.test", "recipients": [{"email": "u@dst.test"}],
        "content": "Subject: x\n\ny",
    })
    .to_string();
    let post = |headers: &[(&str, &str)]| {
        http::request("POST", &engine.url("/api/inject/v1"), headers, Some(body.as_bytes())).status
    };
    let kind = ("content-type", "application/json");
    let origin = format!("http://{}", engine.http);
    assert_eq!(post(&[kind, ("origin", "http://evil.test")]), 403);
    assert_eq!(post(&[kind, ("origin", "null")]), 403);
    assert_eq!(post(&[kind, ("sec-fetch-site", "cross-site")]), 403);
    assert_eq!(post(&[("content-type", "text/plain")]), 415);
    assert_eq!(post(&[("content-type", "application/x-www-form-urlencoded")]), 415);
    let named =
        |host: &str| raw(&engine, &format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert!(named("evil.test").starts_with("HTTP/1.1 403"));
    assert!(named("localhost:8020").starts_with("HTTP/1.1 200"));
    assert_eq!(sink.count(), 0);
    assert_eq!(post(&[kind]), 200);
    assert_eq!(post(&[kind, ("origin", &origin)]), 200);
    sink.wait_messages(2);
}

#[test]
fn bare_line_ends_are_mended_before_policy_may_sign() {
    let mut site = Site::new();
    site.listener = "invalid_line_endings = 'Allow',".into();
    site.extra = "
kumo.on('smtp_server_message_received', function(msg)
  local rest = msg:get_data():gsub('\\r\\n', '')
  if rest:find '[\\r\\n]' then kumo.reject(554, '5.6.0 what is signed is not what is sent') end
end)"
        .into();
    let engine = site.start(1);
    let mut client = engine.greeted();
    client.envelope("a@src.test", &["u@dst.test"]);
    client.send(b"Subject: x\r\n\r\na\rb\nc\r\n.\r\n");
    assert_eq!(client.reply().code, 250);
}

/// Whether the listener names a host or not, policy knows the one that clients are greeted by.
#[test]
fn a_session_knows_the_name_of_its_host() {
    let sink = Sink::start();
    for (listener, wanted) in [("hostname = 'mx9.example',", Some("mx9.example")), ("", None)] {
        let mut site = Site::to(sink.addr);
        site.listener = listener.into();
        site.extra = "kumo.on('smtp_server_mail_from', function(_, conn)
            kumo.reject(550, '5.7.1 host ' .. conn:get_meta 'hostname') end)"
            .into();
        let engine = site.start(1);
        let mut greeting = [0; 200];
        let mut client = TcpStream::connect(engine.smtp).unwrap();
        let length = client.read(&mut greeting).unwrap();
        let greeting = String::from_utf8_lossy(&greeting[..length]).into_owned();
        let host = greeting.split_whitespace().nth(1).unwrap().to_string();
        assert!(wanted.is_none_or(|wanted| wanted == host), "{greeting}");
        let reply = engine.greeted().expect(550, "MAIL FROM:<a@src.test>");
        assert_eq!(reply.text(), format!("5.7.1 host {host}"));
    }
}

//! What a client of the ESMTP listener sees, command by command.

use crate::support::{message, wait, without_trace, Sink, Site, Smtp};
use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use std::net::TcpStream;

/// A policy that knows one user.
const ONE_USER: &str = "
kumo.on('smtp_server_auth_plain', function(authz, authc, password)
  return authc == 'mailing' and password == 'secret'
end)";

fn plain(authz: &str, user: &str, password: &str) -> String {
    STANDARD.encode(format!("{authz}\0{user}\0{password}"))
}

#[test]
fn greeting_and_capabilities() {
    let mut site = Site::new();
    site.args.clear();
    let engine = site.start(1);
    let mut client = Smtp::connect(engine.smtp);
    let banner = client.reply();
    assert_eq!((banner.code, banner.text()), (220, "mx.engine.test ready".into()));
    let ehlo = client.expect(250, "EHLO client.test");
    for keyword in ["PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "SMTPUTF8", "STARTTLS"] {
        assert!(ehlo.offers(keyword), "{keyword} in {ehlo:?}");
    }
    assert!(!ehlo.offers("AUTH"), "credentials are not asked for in clear: {ehlo:?}");
    let helo = client.expect(250, "HELO client.test");
    assert_eq!(helo.lines.len(), 1, "HELO has no extensions: {helo:?}");
    assert_eq!(client.expect(501, "EHLO").codes(), "501 5.5.2");
    client.expect(221, "QUIT");
    client.expect_closed();
}

#[test]
fn replies_to_mail_and_rcpt() {
    let engine = Site::new().start(1);
    let mut client = engine.greeted();
    let bad_senders = ["<a@b@c>", "<a@", "a b@c.test", "<a@src.test>x", "<a@src.test:25>"];
    for bad in bad_senders {
        let reply = client.command(format!("MAIL FROM:{bad}"));
        assert_eq!(reply.codes(), "501 5.1.7", "MAIL FROM:{bad} {reply:?}");
    }
    for bad in ["SIZE=x", "BODY=BINARYMIME", "=x"] {
        assert_eq!(client.expect(501, &format!("MAIL FROM:<a@src.test> {bad}")).code, 501);
    }
    client.expect(501, "MAIL <a@src.test>");
    client.expect(250, "MAIL FROM:<a@src.test> SIZE=1000 BODY=8BITMIME SMTPUTF8");
    assert_eq!(client.command("MAIL FROM:<b@src.test>").codes(), "503 5.5.0");
    for bad in ["<u>", "<u@dst.test:25>", "<>", "<u@>", "<@dst.test>", "<u@dst.test"] {
        let reply = client.command(format!("RCPT TO:{bad}"));
        assert_eq!(reply.codes(), "501 5.1.3", "RCPT TO:{bad} {reply:?}");
    }
    client.expect(250, "RCPT TO:<@a.test,@b.test:u@dst.test>");
    client.expect(250, "rcpt to: <u@dst.test>");
    client.expect(250, "RSET");
    assert_eq!(client.command("RCPT TO:<u@dst.test>").codes(), "503 5.5.0");
}

#[test]
fn a_source_route_is_dropped() {
    let sink = Sink::start();
    let site = Site::to(sink.addr);
    let engine = site.start(1);
    engine.accept("a@src.test", &["@r1.test,@r2.test:u@dst.test"], &message("route"));
    assert_eq!(sink.wait_messages(1)[0].to, ["u@dst.test"]);
}

#[test]
fn verbs_not_offered() {
    let engine = Site::new().start(1);
    let mut client = engine.greeted();
    for line in ["VRFY u", "EXPN list", "HELP", "BDAT 10 LAST", "TURN", "XYZZY", ""] {
        assert_eq!(client.command(line).codes(), "502 5.5.1", "{line:?}");
    }
    client.expect(250, "NOOP");
}

#[test]
fn a_web_client_is_shown_the_door() {
    let engine = Site::new().start(1);
    for verb in ["GET / HTTP/1.1", "POST /api HTTP/1.1", "CONNECT x:25 HTTP/1.1"] {
        let mut client = engine.client();
        // What follows the request line would be commands.
        let _ = client.try_send(format!(
            "{verb}\r\nHost: mx\r\n\r\nMAIL FROM:<a@src.test>\r\nRCPT TO:<u@dst.test>\r\n"
        ));
        assert_eq!(client.reply().codes(), "502 5.5.1", "{verb}");
        client.expect_closed();
    }
}

#[test]
fn every_verb_in_every_state() {
    let engine = Site { extra: ONE_USER.into(), ..Site::new() }.start(1);
    let reach: [(&str, &[&str]); 5] = [
        ("connected", &[]),
        ("greeted", &["EHLO client.test"]),
        ("after MAIL", &["EHLO client.test", "MAIL FROM:<a@src.test>"]),
        ("after RCPT", &["EHLO client.test", "MAIL FROM:<a@src.test>", "RCPT TO:<u@dst.test>"]),
        ("after RSET", &["EHLO client.test", "MAIL FROM:<a@src.test>", "RSET"]),
    ];
    let expected: [(&str, [u16; 5]); 13] = [
        ("EHLO again.test", [250, 250, 250, 250, 250]),
        ("HELO again.test", [250, 250, 250, 250, 250]),
        ("MAIL FROM:<b@src.test>", [250, 250, 503, 503, 250]),
        ("RCPT TO:<v@dst.test>", [503, 503, 250, 250, 503]),
        ("DATA", [503, 503, 503, 354, 503]),
        ("RSET", [250; 5]),
        ("NOOP", [250; 5]),
        ("VRFY u", [502; 5]),
        ("AUTH PLAIN", [503, 334, 503, 503, 334]),
        ("AUTH NONSENSE", [503, 504, 503, 503, 504]),
        ("STARTTLS", [220; 5]),
        ("DATA now", [501; 5]),
        ("QUIT", [221; 5]),
    ];
    for (state, (name, way)) in reach.iter().enumerate() {
        for (verb, codes) in expected {
            let mut client = engine.client();
            for line in *way {
                client.expect(250, line);
            }
            let reply = client.command(verb);
            assert_eq!(reply.code, codes[state], "{verb} {name}: {reply:?}");
        }
    }
}

#[test]
fn ehlo_ends_the_transaction() {
    let engine = Site::new().start(1);
    let mut client = engine.greeted();
    client.expect(250, "MAIL FROM:<a@src.test>");
    client.expect(250, "RCPT TO:<u@dst.test>");
    client.expect(250, "EHLO client.test");
    client.expect(503, "DATA");
}

#[test]
fn lines_that_are_no_commands() {
    let engine = Site::new().start(1);
    let mut client = engine.greeted();
    for bytes in [&b"NOOP\0"[..], b"\0", b"MAIL FROM:<\xff\xfe@src.test>", b"NOOP \x1b[2J"] {
        assert_eq!(client.command(bytes).codes(), "501 5.5.2", "{bytes:?}");
    }
    let long = format!("NOOP {}", "x".repeat(4000));
    assert_eq!(client.command(&long).codes(), "500 5.2.3");
    client.expect(250, "NOOP");
}

#[test]
fn a_line_without_end_takes_no_memory() {
    let engine = Site::new().start(1);
    let mut client = engine.greeted();
    let before = engine.resident_bytes();
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..64 {
        client.send(&chunk);
    }
    // The reply proves that all of it was read.
    assert_eq!(client.command("").codes(), "500 5.2.3");
    client.expect(250, "NOOP");
    let grown = engine.resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "64 MiB of one line took {grown} bytes of memory");
}

#[test]
fn too_many_errors_end_the_session() {
    let engine = Site::new().start(1);
    let mut client = engine.greeted();
    for _ in 0..1000 {
        let reply = client.command("XYZZY");
        if reply.code != 502 {
            assert_eq!(reply.codes(), "421 4.7.0");
            return client.expect_closed();
        }
    }
    panic!("a thousand errors were borne");
}

/// Every spelling of the final dot that only looks like one, from the known attacks.
const SMUGGLED_ENDS: [&[u8]; 10] = [
    b"\n.\n",
    b"\r.\r",
    b"\r.\n",
    b"\n.\r",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
];

/// One message of which a careless reader would make two.
fn smuggling(end: &[u8]) -> Vec<u8> {
    let second = b"MAIL FROM:<evil@src.test>\r\nRCPT TO:<victim@dst.test>\r\nDATA\r\n\
                   Subject: smuggled\r\n\r\nsurprise\r\n.\r\n";
    [b"Subject: outer\r\n\r\nfirst", end, second].concat()
}

#[test]
fn a_smuggled_end_of_data_is_refused() {
    let sink = Sink::start();
    let site = Site::to(sink.addr);
    let engine = site.start(1);
    let mut whole = 0;
    for end in SMUGGLED_ENDS {
        let mut client = engine.greeted();
        client.envelope("a@src.test", &["u@dst.test"]);
        client.send(smuggling(end));
        let reply = client.reply();
        if end.contains(&0) {
            // No bare line end in it: it is one message with a dot and a NUL.
            whole += usize::from(reply.code == 250);
        } else {
            assert_eq!(reply.codes(), "552 5.6.0", "{end:?}");
        }
        client.expect(221, "QUIT");
        client.expect_closed();
    }
    engine.accept("a@src.test", &["last@dst.test"], &message("last"));
    wait("the last message", || sink.messages().iter().any(|m| m.to == ["last@dst.test"]));
    engine.wait_empty();
    let messages = sink.messages();
    assert!(messages.iter().all(|m| m.to != ["victim@dst.test"]), "{messages:?}");
    assert_eq!(messages.len(), whole + 1);
}

#[test]
fn where_bare_line_ends_are_allowed_they_end_nothing_and_never_leave() {
    for how in ["Allow", "Fix"] {
        let sink = Sink::start();
        let mut site = Site::to(sink.addr);
        site.listener = format!("invalid_line_endings = '{how}',");
        let engine = site.start(1);
        for end in SMUGGLED_ENDS {
            let mut client = engine.greeted();
            client.envelope("a@src.test", &["u@dst.test"]);
            client.send(smuggling(end));
            assert_eq!(client.reply().code, 250, "{how} {end:?}");
            client.expect(221, "QUIT");
            client.expect_closed();
        }
        // The sink itself watches for bare line ends and for further transactions.
        let messages = sink.wait_messages(SMUGGLED_ENDS.len());
        engine.wait_empty();
        assert_eq!(sink.count(), SMUGGLED_ENDS.len());
        for message in messages {
            assert_eq!(
                (&*message.from, &*message.to),
                ("<a@src.test>", &["u@dst.test".into()][..])
            );
            let text = String::from_utf8_lossy(&message.data);
            assert!(text.contains("Subject: outer") && text.contains("surprise"), "{text}");
        }
    }
}

#[test]
fn data_that_breaks_a_rule_is_refused_and_the_session_lives() {
    let mut site = Site::new();
    site.listener = "max_message_size = 10000,".into();
    let engine = site.start(1);
    let mut client = engine.greeted();
    let line = |length: usize| format!("Subject: x\r\n\r\n{}\r\n", "y".repeat(length)).into_bytes();
    let refused = |client: &mut Smtp, data: &[u8]| {
        client.transaction("a@src.test", &["u@dst.test"], data).codes()
    };
    assert_eq!(refused(&mut client, &line(999)), "500 5.2.3");
    assert_eq!(client.transaction("a@src.test", &["u@dst.test"], &line(998)).code, 250);
    assert_eq!(refused(&mut client, &line(900).repeat(12)), "552 5.3.4");
    assert_eq!(client.command("MAIL FROM:<a@src.test> SIZE=10001").codes(), "552 5.3.4");
    assert!(client.expect(250, "EHLO client.test").offers("SIZE 10000"));
    assert_eq!(client.transaction("a@src.test", &["u@dst.test"], &message("fits")).code, 250);
}

#[test]
fn a_refused_message_takes_no_memory() {
    let mut site = Site::new();
    site.listener = "max_message_size = 100000,".into();
    let engine = site.start(1);
    let mut client = engine.greeted();
    client.envelope("a@src.test", &["u@dst.test"]);
    let before = engine.resident_bytes();
    let lines = b"0123456789012345678901234567890123456789012345678901234567890\r\n".repeat(16_000);
    for _ in 0..64 {
        client.send(&lines);
    }
    assert_eq!(client.command(".").codes(), "552 5.3.4");
    let grown = engine.resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "64 MiB that were refused took {grown} bytes of memory");
}

#[test]
fn the_last_recipient_that_fits() {
    let engine = Site::new().start(1);
    let mut client = engine.greeted();
    client.expect(250, "MAIL FROM:<a@src.test>");
    let all: String = (0..1025).map(|n| format!("RCPT TO:<u{n}@dst.test>\r\n")).collect();
    client.send(all);
    for n in 0..1024 {
        assert_eq!(client.reply().code, 250, "recipient {n}");
    }
    assert_eq!(client.reply().codes(), "452 4.5.3");
    client.expect(354, "DATA");
}

#[test]
fn messages_of_one_connection_and_connections_are_limited() {
    let mut site = Site::new();
    site.listener = "max_messages_per_connection = 1, max_connections = 2,".into();
    let engine = site.start(1);
    let mut client = engine.greeted();
    assert_eq!(client.transaction("a@src.test", &["u@dst.test"], &message("one")).code, 250);
    let second = engine.greeted();
    let mut third = Smtp::connect(engine.smtp);
    assert_eq!(third.reply().codes(), "421 4.3.2");
    third.expect_closed();
    assert_eq!(client.command("MAIL FROM:<a@src.test>").codes(), "421 4.5.3");
    client.expect_closed();
    drop(second);
    // Room again, as soon as the engine has noticed.
    wait("a connection that is taken again", || Smtp::connect(engine.smtp).reply().code == 220);
}

#[test]
fn pipelined_commands_are_answered_in_order() {
    let sink = Sink::start();
    let site = Site::to(sink.addr);
    let engine = site.start(1);
    let mut client = engine.client();
    client.send(
        "EHLO client.test\r\nMAIL FROM:<a@src.test>\r\nRCPT TO:<u@dst.test>\r\n\
         RCPT TO:<nobody>\r\nDATA\r\nSubject: p\r\n\r\n..dot\r\n.\r\nNOOP\r\nXYZZY\r\nQUIT\r\n",
    );
    let codes: Vec<u16> = (0..9).map(|_| client.reply().code).collect();
    assert_eq!(codes, [250, 250, 250, 501, 354, 250, 250, 502, 221]);
    client.expect_closed();
    let message = &sink.wait_messages(1)[0];
    assert_eq!(without_trace(&message.data), b"Subject: p\r\n\r\n.dot\r\n");
}

#[test]
fn one_byte_at_a_time() {
    let sink = Sink::start();
    let site = Site::to(sink.addr);
    let engine = site.start(1);
    let mut client = engine.greeted();
    let wire = "MAIL FROM:<a@src.test>\r\nRCPT TO:<u@dst.test>\r\nDATA\r\n\
                Subject: slow\r\n\r\n..\r\nx\r\n.\r\n";
    for byte in wire.bytes() {
        client.send([byte]);
    }
    let codes: Vec<u16> = (0..4).map(|_| client.reply().code).collect();
    assert_eq!(codes, [250, 250, 354, 250]);
    let message = &sink.wait_messages(1)[0];
    assert_eq!(without_trace(&message.data), b"Subject: slow\r\n\r\n.\r\nx\r\n");
}

#[test]
fn a_half_closed_client_still_gets_its_replies() {
    let sink = Sink::start();
    let site = Site::to(sink.addr);
    let engine = site.start(1);
    let mut client = Smtp::connect(engine.smtp);
    client.send(
        "EHLO client.test\r\nMAIL FROM:<a@src.test>\r\nRCPT TO:<u@dst.test>\r\nDATA\r\n\
         Subject: h\r\n\r\nx\r\n.\r\n",
    );
    client.half_close();
    let codes: Vec<u16> = (0..6).map(|_| client.reply().code).collect();
    assert_eq!(codes, [220, 250, 250, 250, 354, 250]);
    client.expect_closed();
    sink.wait_messages(1);
}

#[test]
fn a_client_that_stops_in_the_middle_of_data_has_sent_nothing() {
    let sink = Sink::start();
    let site = Site::to(sink.addr);
    let engine = site.start(1);
    for tail in
        ["Subject: cut\r\n\r\nhalf", "Subject: cut\r\n\r\nwhole line\r\n", "x\r\n.", "x\r\n.\r"]
    {
        let mut client = engine.greeted();
        client.envelope("a@src.test", &["cut@dst.test"]);
        client.send(tail);
        client.half_close();
        assert_ne!(client.reply().code, 250, "{tail:?}");
    }
    engine.accept("a@src.test", &["u@dst.test"], &message("whole"));
    sink.wait_messages(1);
    engine.wait_empty();
    assert!(sink.messages().iter().all(|m| m.to == ["u@dst.test"]));
}

#[test]
fn a_silent_client_is_told_and_left() {
    let mut site = Site::new();
    site.listener = "client_timeout = '1s',".into();
    let engine = site.start(1);
    let mut idle = engine.greeted();
    assert_eq!(idle.reply().codes(), "421 4.4.2");
    idle.expect_closed();
    let mut in_data = engine.greeted();
    in_data.envelope("a@src.test", &["u@dst.test"]);
    assert_eq!(in_data.reply().codes(), "421 4.4.2");
    in_data.expect_closed();
}

#[test]
fn an_idle_client_does_not_hold_up_the_end() {
    let engine = Site::new().start(2);
    let idle: Vec<Smtp> = (0..8).map(|_| engine.greeted()).collect();
    assert!(engine.terminate().success());
    drop(idle);
}

#[test]
fn starttls() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.extra = ONE_USER.into();
    site.args.clear();
    let engine = site.start(1);
    let mut client = engine.greeted();
    assert_eq!(client.command("AUTH PLAIN").codes(), "524 5.7.11");
    client.expect(250, "MAIL FROM:<clear@src.test>");
    client.expect(220, "STARTTLS");
    client.start_tls();
    // Nothing said in clear counts any more (RFC 3207 section 4.2).
    assert_eq!(client.command("RCPT TO:<u@dst.test>").codes(), "503 5.5.0");
    let ehlo = client.expect(250, "EHLO client.test");
    assert!(ehlo.offers("AUTH") && !ehlo.offers("STARTTLS"), "{ehlo:?}");
    client.expect(503, "STARTTLS");
    client.expect(235, &format!("AUTH PLAIN {}", plain("", "mailing", "secret")));
    assert_eq!(client.transaction("a@src.test", &["u@dst.test"], &message("tls")).code, 250);
    client.expect(221, "QUIT");
    let received = &sink.wait_messages(1)[0];
    assert_eq!(without_trace(&received.data), message("tls"));
    assert!(String::from_utf8_lossy(&received.data).contains("with ESMTPSA"), "{received:?}");
}

#[test]
fn commands_sent_in_clear_behind_starttls_are_not_obeyed() {
    let engine = Site::new().start(1);
    let mut client = engine.greeted();
    client.send("STARTTLS\r\nEHLO evil.test\r\nMAIL FROM:<evil@src.test>\r\n");
    assert_eq!(client.reply().code, 220);
    client.start_tls();
    // Had the injected MAIL counted, this would be 250; had it been answered, that would come first.
    assert_eq!(client.command("RCPT TO:<u@dst.test>").codes(), "503 5.5.0");
    client.expect(250, "EHLO client.test");
    client.expect(250, "MAIL FROM:<a@src.test>");
}

#[test]
fn a_failed_handshake_harms_nobody_else() {
    let engine = Site::new().start(1);
    let mut other = engine.greeted();
    for rubbish in [&b"MAIL FROM:<a@src.test>\r\n"[..], b"\x16\x03\x01\xff\xff rubbish", b""] {
        let mut client = engine.greeted();
        client.expect(220, "STARTTLS");
        client.send(rubbish);
        client.half_close();
    }
    assert_eq!(other.transaction("a@src.test", &["u@dst.test"], &message("x")).code, 250);
}

#[test]
fn auth_plain() {
    let engine = Site { extra: ONE_USER.into(), ..Site::new() }.start(1);
    let mut client = engine.greeted();
    assert_eq!(client.command("AUTH NONSENSE").codes(), "504 5.5.4");
    let wrong = plain("", "mailing", "wrong");
    assert_eq!(client.command(format!("AUTH PLAIN {wrong}")).codes(), "535 5.7.8");
    for broken in ["!!!", "AAAA", "", "AG1haWxpbmc="] {
        client.expect(334, "AUTH PLAIN");
        assert_eq!(client.command(broken).code, 501, "{broken:?}");
    }
    client.expect(334, "AUTH PLAIN");
    client.expect(501, "*");
    client.expect(334, "AUTH PLAIN");
    let reply = client.command(plain("", "mailing", "secret"));
    assert_eq!(reply.codes(), "235 2.7.0");
    let again = client.command(format!("AUTH PLAIN {}", plain("", "mailing", "secret")));
    assert_eq!(again.codes(), "503 5.5.1");
}

#[test]
fn auth_login() {
    let engine = Site { extra: ONE_USER.into(), ..Site::new() }.start(1);
    let (user, password) = (STANDARD.encode("mailing"), STANDARD.encode("secret"));
    let mut client = engine.greeted();
    client.expect(334, "AUTH LOGIN");
    client.expect(334, &user);
    assert_eq!(client.command(STANDARD.encode("wrong")).codes(), "535 5.7.8");
    client.expect(334, &format!("AUTH LOGIN {user}"));
    assert_eq!(client.command(&password).codes(), "235 2.7.0");
}

#[test]
fn a_login_is_not_remembered_for_the_next_client() {
    let mut site = Site { extra: ONE_USER.into(), ..Site::new() };
    site.listener = "relay_hosts = {},".into();
    let engine = site.start(1);
    let mut first = engine.greeted();
    first.expect(235, &format!("AUTH PLAIN {}", plain("", "mailing", "secret")));
    first.expect(250, "MAIL FROM:<a@src.test>");
    first.expect(250, "RCPT TO:<u@dst.test>");
    let mut second = engine.greeted();
    second.expect(250, "MAIL FROM:<a@src.test>");
    second.expect(550, "RCPT TO:<u@dst.test>");
    second.expect(250, "RSET");
    second.expect(535, &format!("AUTH PLAIN {}", plain("", "mailing", "wrong")));
}

#[test]
fn strangers_may_not_relay() {
    let mut site = Site::new();
    site.listener = "relay_hosts = { '192.0.2.0/24' },".into();
    let engine = site.start(1);
    let mut client = engine.greeted();
    client.expect(250, "MAIL FROM:<a@src.test>");
    let forms = [
        "u@dst.test",
        "@mx.engine.test:u@dst.test",
        "u%dst.test@mx.engine.test",
        "\"u@dst.test\"@mx.engine.test",
        "dst.test!u@mx.engine.test",
        "u@[127.0.0.1]",
    ];
    for form in forms {
        assert_eq!(client.command(format!("RCPT TO:<{form}>")).codes(), "550 5.7.1", "{form}");
    }
    client.expect(503, "DATA");
}

#[test]
fn a_loop_is_cut() {
    let engine = Site::new().start(1);
    let hops = "Received: from a by b; Thu, 1 Jan 1970 00:00:00 +0000\r\n".repeat(101);
    let data = format!("{hops}Subject: loop\r\n\r\nx\r\n");
    let reply = engine.submit("a@src.test", &["u@dst.test"], data.as_bytes());
    assert_eq!(reply.codes(), "554 5.4.6");
}

#[test]
fn many_clients_that_come_and_go() {
    let sink = Sink::start();
    let site = Site::to(sink.addr);
    let engine = site.start(2);
    for round in 0..200 {
        let stream = TcpStream::connect(engine.smtp).unwrap();
        if round % 2 == 0 {
            drop(stream);
        } else {
            drop(engine.greeted());
        }
    }
    engine.accept("a@src.test", &["u@dst.test"], &message("after"));
    sink.wait_messages(1);
    wait("no session left", || {
        engine.metric("connection_count{service=\"esmtp_listener\"}") == 0.0
    });
}

#[test]
fn a_command_is_no_longer_than_any_line() {
    let engine = Site::new().start(1);
    let mut client = engine.greeted();
    let line = |bytes: usize| format!("NOOP {}", "x".repeat(bytes - 5));
    client.expect(250, &line(998));
    assert!(client.expect(500, &line(999)).text().starts_with("5.2.3 "));
    client.expect(250, "NOOP");
}

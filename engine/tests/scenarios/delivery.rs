//! What a next hop sees, and what becomes of a message by what it answers.

use crate::support::{corpus, message, wait, without_trace, Phase, Received, Sink, Site};

/// Retries soon enough for a test.
const SOON: &str = "retry_interval = '300ms', max_retry_interval = '1s', max_age = '1 hour',";

fn to_of(messages: &[Received]) -> Vec<String> {
    let mut all: Vec<String> = messages.iter().flat_map(|m| m.to.clone()).collect();
    all.sort();
    all
}

#[test]
fn a_message_arrives_byte_for_byte() {
    let sink = Sink::start();
    let engine = Site::to(sink.addr).start(1);
    let mut data = message("bytes");
    data.extend_from_slice(
        b"\r\n.leading dot\r\n..two\r\n.\r\n \r\n\ttab\r\ntrailing blanks   \r\n\r\n\r\n",
    );
    let ids = engine.accept("a@src.test", &["u@dst.test"], &data);
    let received = &sink.wait_messages(1)[0];
    assert_eq!(
        String::from_utf8_lossy(without_trace(&received.data)),
        String::from_utf8_lossy(&data)
    );
    assert_eq!((&*received.from, &*received.to), ("<a@src.test>", &["u@dst.test".to_string()][..]));
    let head = String::from_utf8_lossy(&received.data);
    for part in ["from client.test ([127.0.0.1])", "by mx.engine.test", "for <u@dst.test>", &ids[0]]
    {
        assert!(head.contains(part), "{part} in {head}");
    }
}

#[test]
fn an_empty_message_arrives() {
    let sink = Sink::start();
    let engine = Site::to(sink.addr).start(1);
    engine.accept("a@src.test", &["u@dst.test"], b"");
    assert_eq!(without_trace(&sink.wait_messages(1)[0].data), b"");
}

#[test]
fn a_large_message_arrives_byte_for_byte() {
    let sink = Sink::start();
    let engine = Site::to(sink.addr).start(1);
    let line = "0123456789abcdefghijklmnopqrstuvwxyz.0123456789abcdefghijklmnopqrstuvwxyz.\r\n";
    let data = format!("Subject: large\r\n\r\n{}", line.repeat(200_000)).into_bytes();
    engine.accept("a@src.test", &["u@dst.test"], &data);
    assert!(without_trace(&sink.wait_messages(1)[0].data) == data, "not the same bytes");
}

#[test]
fn the_corpus_passes_unchanged() {
    let Some(corpus) = corpus() else { return };
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    // Old mail has longer lines than the default allows.
    site.listener = "line_length_hard_limit = 100000,".into();
    let engine = site.start(2);
    let mut client = engine.greeted();
    for (at, (name, data)) in corpus.iter().enumerate() {
        let reply = client.transaction("a@src.test", &[&format!("m{at}@dst.test")], data);
        assert_eq!(reply.code, 250, "{name}: {reply:?}");
    }
    let received = sink.wait_messages(corpus.len());
    assert_eq!(received.len(), corpus.len());
    for message in received {
        let at: usize = message.to[0][1..].split('@').next().unwrap().parse().unwrap();
        let (name, data) = &corpus[at];
        assert!(without_trace(&message.data) == data, "{name} was changed on its way");
    }
}

#[test]
fn one_message_per_recipient_by_default() {
    let sink = Sink::start();
    let site = Site::to(sink.addr);
    let engine = site.start(1);
    let to: Vec<String> = (0..20).map(|n| format!("u{n:02}@dst{}.test", n % 3)).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let ids = engine.accept("a@src.test", &to, &message("many"));
    assert_eq!(ids.len(), 20);
    let received = sink.wait_messages(20);
    assert!(received.iter().all(|m| m.to.len() == 1));
    assert_eq!(to_of(&received), {
        let mut to = to.clone();
        to.sort_unstable();
        to
    });
    assert!(received.iter().all(|m| without_trace(&m.data) == message("many")));
}

#[test]
fn recipients_of_one_domain_can_share_a_transaction() {
    let sink = Sink::start();
    sink.refuse("hard", "550 5.1.1 unknown");
    let mut site = Site::to(sink.addr);
    site.listener = "batch_handling = 'BatchByDomain',".into();
    site.queue = SOON.into();
    let engine = site.start(1);
    // One of them is taken at the second attempt.
    sink.set(|b| b.recipients.push(("soft".into(), "450 4.2.1 later".into())));
    let to = ["a@dst.test", "soft@dst.test", "b@dst.test", "hard@dst.test", "c@other.test"];
    let ids = engine.accept("s@src.test", &to, &message("batch"));
    assert_eq!(ids.len(), 2, "one message per domain");
    wait("the others", || to_of(&sink.messages()) == ["a@dst.test", "b@dst.test", "c@other.test"]);
    sink.set(|b| b.recipients.retain(|(start, _)| start != "soft"));
    wait("the deferred one", || to_of(&sink.messages()).contains(&"soft@dst.test".to_string()));
    engine.wait_empty();
    // Nobody who had it got it again.
    assert_eq!(to_of(&sink.messages()).len(), 4);
    let bounce = site.wait_record("Bounce", |_| true);
    assert_eq!(
        (&bounce["recipient"], &bounce["response"]["code"]),
        (&"hard@dst.test".into(), &550.into())
    );
}

#[test]
fn a_transient_refusal_is_tried_again_until_it_is_taken() {
    for phase in [Phase::Banner, Phase::Ehlo, Phase::Mail, Phase::Rcpt, Phase::Data, Phase::Dot] {
        let sink = Sink::start();
        sink.reply_at(phase, "451 4.3.0 not now", 2);
        let mut site = Site::to(sink.addr);
        site.queue = SOON.into();
        let engine = site.start(1);
        let ids = engine.accept("a@src.test", &["u@dst.test"], &message("retry"));
        let received = sink.wait_messages(1);
        assert_eq!(received.len(), 1, "{phase:?}");
        engine.wait_empty();
        let failures = || site.records_of("TransientFailure").len();
        wait("the records of the failures", || failures() >= 2);
        let delivery = site.wait_record("Delivery", |_| true);
        assert_eq!(delivery["id"], ids[0].as_str(), "{phase:?}");
        assert_eq!(delivery["num_attempts"], 2, "{phase:?}");
        assert_eq!((sink.count(), failures()), (1, 2), "{phase:?}");
    }
}

#[test]
fn the_pause_between_attempts_grows_to_its_maximum() {
    let sink = Sink::start();
    sink.refuse("u", "450 4.2.1 never now");
    let mut site = Site::to(sink.addr);
    site.queue = "retry_interval = '200ms', max_retry_interval = '800ms', max_age = '1h',".into();
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("backoff"));
    wait("six attempts", || site.records_of("TransientFailure").len() >= 6);
    let mut records = site.records_of("TransientFailure");
    records.truncate(6);
    let attempts: Vec<u64> = records.iter().map(|r| r["num_attempts"].as_u64().unwrap()).collect();
    assert_eq!(attempts, [0, 1, 2, 3, 4, 5]);
    // A slow machine can make a pause longer, nothing can make it shorter.
    let at = |n: usize| parse_time(records[n]["event_time"].as_str().unwrap());
    for (n, least) in [(1, 0.2), (2, 0.4), (3, 0.8), (4, 0.8), (5, 0.8)] {
        assert!(at(n) - at(n - 1) >= least - 0.11, "pause {n}: {} s", at(n) - at(n - 1));
    }
}

/// Seconds of the day of an RFC 3339 time; enough for differences within a test.
fn parse_time(text: &str) -> f64 {
    let time = text.split_once('T').unwrap().1.trim_end_matches('Z');
    let parts: Vec<f64> = time.split(':').map(|part| part.parse().unwrap()).collect();
    parts[0] * 3600.0 + parts[1] * 60.0 + parts[2]
}

#[test]
fn a_permanent_refusal_bounces_at_once() {
    for phase in [Phase::Mail, Phase::Rcpt, Phase::Data, Phase::Dot] {
        let sink = Sink::start();
        sink.reply_at(phase, "550 5.7.1 go away", 1);
        let site = Site::to(sink.addr);
        let engine = site.start(1);
        let ids = engine.accept("a@src.test", &["u@dst.test"], &message("bounce"));
        let record = site.wait_record("Bounce", |_| true);
        assert_eq!(record["id"], ids[0].as_str(), "{phase:?}");
        assert_eq!(record["response"]["code"], 550, "{phase:?}");
        engine.wait_empty();
        // The connection is as good as new for the next message.
        engine.accept("a@src.test", &["v@dst.test"], &message("next"));
        assert_eq!(sink.wait_messages(1)[0].to, ["v@dst.test"], "{phase:?}");
    }
}

#[test]
fn a_connection_cut_anywhere_costs_no_message() {
    let phases = [Phase::Banner, Phase::Ehlo, Phase::Mail, Phase::Rcpt, Phase::Data, Phase::Dot];
    for phase in phases {
        let sink = Sink::start();
        sink.set(|behaviour| behaviour.drop = Some((phase, 1)));
        let mut site = Site::to(sink.addr);
        site.queue = SOON.into();
        let engine = site.start(1);
        for n in 0..5 {
            engine.accept("a@src.test", &[&format!("u{n}@dst.test")], &message("cut"));
        }
        sink.wait_messages(5);
        engine.wait_empty();
        let expected: Vec<String> = (0..5).map(|n| format!("u{n}@dst.test")).collect();
        assert_eq!(to_of(&sink.messages()), expected, "{phase:?}");
    }
}

#[test]
fn a_next_hop_that_says_nothing_is_left_and_tried_again() {
    let phases = [Phase::Banner, Phase::Ehlo, Phase::Mail, Phase::Data, Phase::Dot];
    for phase in phases {
        let sink = Sink::start();
        sink.set(|behaviour| behaviour.stall = Some(phase));
        let mut site = Site::to(sink.addr);
        site.queue = SOON.into();
        site.path = "banner_timeout = '300ms', ehlo_timeout = '300ms', mail_from_timeout = '300ms',
            rcpt_to_timeout = '300ms', data_timeout = '300ms', data_dot_timeout = '300ms',"
            .into();
        let engine = site.start(1);
        engine.accept("a@src.test", &["u@dst.test"], &message("stall"));
        site.wait_record("TransientFailure", |_| true);
        sink.set(|behaviour| behaviour.stall = None);
        wait("the message after all", || sink.count() >= 1);
        engine.wait_empty();
    }
}

#[test]
fn a_next_hop_that_was_down_gets_its_mail_when_it_is_up() {
    // An address of loopback that nothing else uses, so that its port stays free meanwhile.
    let addr = Sink::on("127.61.7.1:0".parse().unwrap()).addr;
    let mut site = Site::to(addr);
    site.queue = SOON.into();
    let engine = site.start(2);
    for n in 0..20 {
        engine.accept("a@src.test", &[&format!("u{n:02}@dst.test")], &message("down"));
    }
    let record = site.wait_record("TransientFailure", |_| true);
    let content = record["response"]["content"].as_str().unwrap();
    assert!(
        content.starts_with("KumoMTA internal: failed to connect to any candidate"),
        "{content}"
    );
    assert_eq!((&record["response"]["code"], &record["peer_address"]), (&400.into(), &().into()));
    let up = Sink::on(addr);
    up.wait_messages(20);
    engine.wait_empty();
    let expected: Vec<String> = (0..20).map(|n| format!("u{n:02}@dst.test")).collect();
    assert_eq!(to_of(&up.messages()), expected);
}

#[test]
fn a_message_expires_and_is_recorded() {
    let sink = Sink::start();
    sink.refuse("u", "450 4.2.1 never");
    let mut site = Site::to(sink.addr);
    site.queue = "retry_interval = '200ms', max_age = '1s',".into();
    let engine = site.start(1);
    let ids = engine.accept("a@src.test", &["u@dst.test"], &message("old"));
    let record = site.wait_record("Expiration", |_| true);
    assert_eq!(record["id"], ids[0].as_str());
    assert_eq!(record["response"]["code"], 551);
    let code = serde_json::json!({"class": 5, "subject": 4, "detail": 7});
    assert_eq!(record["response"]["enhanced_code"], code);
    let content = record["response"]["content"].as_str().unwrap();
    assert!(content.contains("exceeds max_age=1s"), "{content}");
    engine.wait_empty();
    assert_eq!(sink.count(), 0);
}

#[test]
fn the_null_sender_is_kept() {
    let sink = Sink::start();
    sink.refuse("hard", "550 5.1.1 unknown");
    let site = Site::to(sink.addr);
    let engine = site.start(1);
    engine.accept("", &["u@dst.test"], &message("null"));
    assert_eq!(sink.wait_messages(1)[0].from, "<>");
    // A report that cannot be delivered is never answered with another.
    engine.accept("", &["hard@dst.test"], &message("null"));
    site.wait_record("Bounce", |record| record["sender"] == "");
    engine.wait_empty();
    assert_eq!(sink.count(), 1);
}

#[test]
fn eight_bit_mail_needs_a_next_hop_that_takes_it() {
    let sink = Sink::start();
    let site = Site::to(sink.addr);
    let engine = site.start(1);
    let data = [message("eight").as_slice(), "Grüße\r\n".as_bytes(), b"\xfe\xff\r\n"].concat();
    engine.accept("a@src.test", &["u@dst.test"], &data);
    let received = &sink.wait_messages(1)[0];
    assert_eq!(without_trace(&received.data), data);
    assert!(received.from.contains("BODY=8BITMIME"), "{received:?}");

    let narrow = Sink::start();
    narrow.set(|behaviour| behaviour.offers = vec!["PIPELINING"]);
    let site = Site::to(narrow.addr);
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &data);
    let record = site.wait_record("Bounce", |_| true);
    let code = serde_json::json!({"class": 5, "subject": 6, "detail": 3});
    assert_eq!(record["response"]["enhanced_code"], code);
    engine.accept("a@src.test", &["u@dst.test"], &message("seven"));
    assert!(!narrow.wait_messages(1)[0].from.contains("BODY"));
}

#[test]
fn an_address_that_is_not_ascii_needs_smtputf8() {
    let sink = Sink::start();
    let site = Site::to(sink.addr);
    let engine = site.start(1);
    engine.accept("a@src.test", &["grüße@dst.test"], &message("utf8"));
    let received = &sink.wait_messages(1)[0];
    assert!(received.from.contains("SMTPUTF8"), "{received:?}");
    assert_eq!(received.to, ["grüße@dst.test"]);

    let narrow = Sink::start();
    narrow.set(|behaviour| behaviour.offers = vec!["8BITMIME"]);
    let site = Site::to(narrow.addr);
    let engine = site.start(1);
    engine.accept("a@src.test", &["grüße@dst.test"], &message("utf8"));
    let record = site.wait_record("Bounce", |_| true);
    assert_eq!(record["response"]["code"], 554);
}

#[test]
fn a_next_hop_without_extensions() {
    let sink = Sink::start();
    sink.set(|behaviour| behaviour.offers = Vec::new());
    sink.refuse("hard", "550 5.1.1 unknown");
    let engine = Site::to(sink.addr).start(1);
    let mut client = engine.greeted();
    for to in ["a@dst.test", "hard@dst.test", "b@dst.test"] {
        assert_eq!(client.transaction("s@src.test", &[to], &message("plain")).code, 250);
    }
    wait("both", || to_of(&sink.messages()) == ["a@dst.test", "b@dst.test"]);
    engine.wait_empty();
}

#[test]
fn a_next_hop_that_knows_only_helo() {
    let sink = Sink::start();
    sink.reply_at(Phase::Ehlo, "502 5.5.1 what?", 1000);
    let engine = Site::to(sink.addr).start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("helo"));
    assert_eq!(without_trace(&sink.wait_messages(1)[0].data), message("helo"));
    assert!(sink.count_commands("HELO ") >= 1);
}

#[test]
fn next_hops_of_one_name_at_two_addresses_are_not_mixed_up() {
    let sinks = [Sink::start(), Sink::start()];
    let mut site = Site::new();
    let hop = |n: usize| format!("{{ {{ name = 'mx.test', addr = '{}' }} }}", sinks[n].addr);
    site.queue = format!(
        "protocol = {{ smtp = {{ mx_list = domain == 'd0.test' and {} or {} }} }},",
        hop(0),
        hop(1)
    );
    let engine = site.start(1);
    for sink in &sinks {
        sink.set(|behaviour| behaviour.hold_dots = true);
    }
    for n in 0..20 {
        engine.accept("a@src.test", &[&format!("u{n}@d{}.test", n % 2)], &message("name"));
    }
    for sink in &sinks {
        sink.set(|behaviour| behaviour.hold_dots = false);
    }
    for (n, sink) in sinks.iter().enumerate() {
        let domain = format!("@d{n}.test");
        let received = sink.wait_messages(10);
        assert!(received.iter().all(|m| m.to[0].ends_with(&domain)), "{received:?}");
    }
    engine.wait_empty();
}

#[test]
fn pipelining_and_rset_can_be_switched_off() {
    let sink = Sink::start();
    sink.refuse("hard", "550 5.1.1 unknown");
    let mut site = Site::to(sink.addr);
    site.path = "enable_pipelining = false, enable_rset = true, connection_limit = 1,".into();
    let engine = site.start(1);
    let mut client = engine.greeted();
    for to in ["hard@dst.test", "a@dst.test", "hard@dst.test", "b@dst.test"] {
        assert_eq!(client.transaction("s@src.test", &[to], &message("steps")).code, 250);
    }
    wait("both", || to_of(&sink.messages()) == ["a@dst.test", "b@dst.test"]);
    engine.wait_empty();
    // Asked step by step, it is never asked for data that nobody wants.
    assert_eq!(sink.count_commands("DATA"), 2);
}

#[test]
fn mail_that_waits_for_a_connection_is_reused_up_to_its_limit() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.path = "connection_limit = 1, max_deliveries_per_connection = 3,".into();
    let engine = site.start(1);
    sink.set(|behaviour| behaviour.hold_dots = true);
    for n in 0..9 {
        engine.accept("a@src.test", &[&format!("u{n}@dst.test")], &message("reuse"));
    }
    sink.set(|behaviour| behaviour.hold_dots = false);
    let received = sink.wait_messages(9);
    engine.wait_empty();
    for connection in 1..=sink.connections() {
        let count = received.iter().filter(|m| m.connection == connection).count();
        assert!(count <= 3, "{count} messages over connection {connection}");
    }
}

#[test]
fn mail_is_never_sent_to_this_host_unless_policy_says_so() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.path = "prohibited_hosts = { '127.0.0.0/8' },".into();
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("home"));
    let record = site.wait_record("Bounce", |_| true);
    assert_eq!(record["response"]["code"], 550);
    engine.wait_empty();
    assert_eq!(sink.connections(), 0);
}

#[test]
fn replies_of_a_hostile_next_hop_are_bounded_and_told_harmlessly() {
    let sink = Sink::start();
    let endless = format!("{}250 x", "250-more\r\n".repeat(100_000));
    sink.reply_at(Phase::Rcpt, &endless, 1);
    sink.reply_at(Phase::Rcpt, "550 5.1.1 no\x1b[2J\x07 \"such\"\tuser", 1);
    let mut site = Site::to(sink.addr);
    site.queue = SOON.into();
    let engine = site.start(1);
    let before = engine.resident_bytes();
    engine.accept("a@src.test", &["u@dst.test"], &message("hostile"));
    let record = site.wait_record("Bounce", |_| true);
    assert_eq!(record["response"]["code"], 550);
    assert!(engine.resident_bytes().saturating_sub(before) < 32 << 20);
    engine.wait_empty();
}

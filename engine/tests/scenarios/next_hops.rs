//! Next hops that answer as few do: out of step, with an answer and a close, with an intermediate reply where none
//! belongs. What they said counts, for the command and the recipient it answered, and for nobody else.

use crate::support::{message, wait, Phase, Received, Sink, Site};
use serde_json::Value;

/// Retries soon enough for a test.
const SOON: &str = "retry_interval = '300ms', max_retry_interval = '1s', max_age = '1 hour',";

fn site(sink: &Sink) -> Site {
    let mut site = Site::to(sink.addr);
    site.queue = SOON.into();
    site
}

/// All recipients that got their message.
fn to_of(messages: &[Received]) -> Vec<String> {
    let mut all: Vec<String> = messages.iter().flat_map(|m| m.to.clone()).collect();
    all.sort();
    all
}

fn content(record: &Value) -> String {
    record["response"]["content"].as_str().unwrap().to_string()
}

#[test]
fn an_intermediate_reply_completes_nothing() {
    for phase in [Phase::Ehlo, Phase::Mail, Phase::Rcpt, Phase::Dot] {
        let sink = Sink::start();
        sink.reply_at(phase, "354 go on", 1);
        let site = site(&sink);
        let engine = site.start(1);
        engine.accept("a@src.test", &["u@dst.test"], &message("late"));
        sink.wait_messages(1);
        engine.wait_empty();
        let failure = site.wait_record("TransientFailure", |_| true);
        assert!(content(&failure).contains("go on"), "{phase:?}: {failure}");
        let delivery = site.wait_record("Delivery", |_| true);
        assert_eq!(delivery["response"]["code"], 250, "{phase:?}");
        assert_eq!(site.records_of("Delivery").len(), 1, "{phase:?}");
    }
}

#[test]
fn answers_out_of_step_bounce_nobody_and_cost_no_attempt() {
    for phase in [Phase::Rcpt, Phase::Data] {
        let sink = Sink::start();
        let said = if phase == Phase::Rcpt { "250 ok\r\n250 extra\r\n250 extra" } else { "250 ok" };
        sink.reply_at(phase, said, 1);
        let site = site(&sink);
        let engine = site.start(1);
        for n in 0..3 {
            engine.accept("a@src.test", &["u@dst.test"], &message(&format!("step {n}")));
        }
        wait("all of them", || sink.count() >= 3);
        engine.wait_empty();
        wait("their records", || site.records_of("Delivery").len() == 3);
        let deliveries = site.records_of("Delivery");
        assert_eq!(site.records_of("Bounce").len(), 0, "{phase:?}");
        assert_eq!(site.records_of("TransientFailure").len(), 0, "{phase:?}");
        assert!(deliveries.iter().all(|record| record["num_attempts"] == 0), "{phase:?}");
    }
}

#[test]
fn a_refusal_followed_by_a_close_is_kept_word_for_word() {
    for (phase, command) in
        [(Phase::Mail, "MAIL FROM:<a@src.test>"), (Phase::Rcpt, "RCPT TO:<u@dst.test>")]
    {
        let sink = Sink::start();
        sink.reply_at(phase, "554 5.7.1 your network is listed (close)", 1);
        let site = site(&sink);
        let engine = site.start(1);
        engine.accept("a@src.test", &["u@dst.test"], &message("refused"));
        let bounce = site.wait_record("Bounce", |_| true);
        let said = &bounce["response"];
        assert_eq!(
            (&said["code"], &said["content"]),
            (&554.into(), &"your network is listed".into())
        );
        assert_eq!(said["enhanced_code"]["subject"], 7);
        assert!(said["command"].as_str().unwrap().starts_with(command), "{bounce}");
        engine.wait_empty();
        assert_eq!((sink.count(), site.records_of("TransientFailure").len()), (0, 0));
    }
}

#[test]
fn a_421_and_a_close_on_a_connection_in_use_is_recorded() {
    let sink = Sink::start();
    let site = site(&sink);
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("first"));
    sink.wait_messages(1);
    sink.reply_at(
        Phase::Mail,
        "421 4.7.0 [TSS04] Messages from you temporarily deferred (close)",
        1,
    );
    engine.accept("a@src.test", &["u@dst.test"], &message("second"));
    let failure = site.wait_record("TransientFailure", |_| true);
    assert_eq!(failure["response"]["code"], 421);
    assert_eq!(content(&failure), "[TSS04] Messages from you temporarily deferred");
    sink.wait_messages(2);
    engine.wait_empty();
    assert_eq!(site.records_of("TransientFailure").len(), 1);
}

#[test]
fn what_a_host_says_before_it_closes_at_ehlo_is_told_whole() {
    let sink = Sink::start();
    sink.reply_at(Phase::Ehlo, "550 5.7.1 no PTR for you (close)", 1);
    let site = site(&sink);
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("ehlo"));
    let failure = site.wait_record("TransientFailure", |_| true);
    for part in [
        "failed to connect to any candidate hosts: ",
        "EHLO after banner: Command rejected Response { code: 550, ",
        "EnhancedStatusCode { class: 5, subject: 7, detail: 1 }",
        "no PTR for you",
    ] {
        assert!(content(&failure).contains(part), "{part}: {failure}");
    }
    assert_eq!(sink.count_commands("HELO"), 0, "HELO is for peers that do not know EHLO");
    sink.wait_messages(1);
}

#[test]
fn each_recipient_keeps_its_own_answer() {
    let sink = Sink::start();
    sink.refuse("busy", "450 4.2.1 mailbox busy");
    sink.refuse("full", "451 4.2.2 over quota");
    let mut site = site(&sink);
    site.listener = "batch_handling = 'BatchByDomain',".into();
    site.queue = "retry_interval = '1 hour', max_age = '2 hours',".into();
    let engine = site.start(1);
    let to = ["a@dst.test", "busy@dst.test", "full@dst.test"];
    engine.accept("s@src.test", &to, &message("each"));
    let of = |who: &str| {
        let record = site.wait_record("TransientFailure", |record| {
            record["recipient"] == who || record["recipient"][0] == who
        });
        content(&record)
    };
    assert_eq!(of("busy@dst.test"), "mailbox busy");
    assert_eq!(of("full@dst.test"), "over quota");
    assert_eq!(to_of(&sink.messages()), ["a@dst.test"]);
    drop(engine);
}

#[test]
fn recipients_that_were_one_too_many_follow_at_once() {
    let sink = Sink::start();
    sink.set(|behaviour| behaviour.most_recipients = 2);
    let mut site = site(&sink);
    site.listener = "batch_handling = 'BatchByDomain',".into();
    site.queue = "retry_interval = '1 hour', max_age = '2 hours',".into();
    let engine = site.start(1);
    let to: Vec<String> = (0..7).map(|n| format!("u{n}@dst.test")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    engine.accept("s@src.test", &to, &message("crowd"));
    wait("everyone", || to_of(&sink.messages()) == to);
    engine.wait_empty();
    assert_eq!(site.records_of("TransientFailure").len(), 0);
}

#[test]
fn recipients_that_had_no_turn_are_charged_nothing_when_the_connection_ends() {
    let sink = Sink::start();
    // It takes one transaction in each connection.
    sink.reply_at(Phase::Dot, "250 2.0.0 taken (close)", 10);
    sink.refuse("u4", "450 4.2.1 busy");
    let mut site = site(&sink);
    site.listener = "batch_handling = 'BatchByDomain',".into();
    site.path += "max_recipients_per_batch = 2,";
    site.queue = "retry_interval = '1 hour', max_age = '2 hours',".into();
    site.extra +=
        "kumo.on('requeue_message', function(_, text) kumo.log_info('put off: ' .. text) end)";
    let engine = site.start(1);
    let to: Vec<String> = (0..4).map(|n| format!("u{n}@dst.test")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let of = |kind: &str| -> Vec<String> {
        let records = site.records_of(kind);
        let names = records.iter().flat_map(|record| match &record["recipient"] {
            Value::Array(all) => all.clone(),
            one => vec![one.clone()],
        });
        names.map(|name| name.as_str().unwrap().to_string()).collect()
    };
    engine.accept("s@src.test", &to, &message("crowd"));
    wait("everyone", || of("Delivery") == to);
    engine.wait_empty();
    assert!(site.records_of("Delivery").iter().all(|record| record["num_attempts"] == 0));
    assert_eq!(site.records_of("TransientFailure").len(), 0);

    // One whose turn has come and who is put off is the only one that policy hears of.
    let to = ["u4@dst.test", "u5@dst.test", "u6@dst.test", "u7@dst.test"];
    engine.accept("s@src.test", &to, &message("later"));
    wait("the first two", || of("Delivery").contains(&to[1].to_string()));
    wait("its record", || of("TransientFailure") == to[..1]);
    engine.wait_says("put off: 450 4.2.1 busy");
    assert_eq!(engine.stderr().iter().filter(|line| line.contains("put off: ")).count(), 1);
    assert!(engine.terminate().success());
    assert_eq!(of("Delivery").len(), 5, "the last two wait with the first");
}

#[test]
fn a_close_after_the_next_mail_was_read_charges_nobody() {
    let sink = Sink::start();
    sink.set(|behaviour| behaviour.hold_dots = true);
    let mut site = site(&sink);
    site.listener = "batch_handling = 'BatchByDomain',".into();
    site.path += "max_recipients_per_batch = 2,";
    site.queue = "retry_interval = '1 hour', max_age = '2 hours',".into();
    let engine = site.start(1);
    let to = ["u0@dst.test", "u1@dst.test", "u2@dst.test", "u3@dst.test"];
    engine.accept("s@src.test", &to, &message("crowd"));
    wait("the first message", || sink.count_commands("DATA") == 1);
    // The second MAIL is read, and never answered: for all the engine knows the connection died between the two.
    sink.set(|behaviour| (behaviour.drop, behaviour.hold_dots) = (Some((Phase::Mail, 1)), false));
    sink.wait_messages(2);
    engine.wait_empty();
    let mails: Vec<usize> =
        sink.commands().iter().filter(|(_, c)| c.starts_with("MAIL")).map(|(n, _)| *n).collect();
    assert_eq!(mails, [1, 1, 2], "one was read before the close");
    wait("their records", || site.records_of("Delivery").len() == 2);
    assert!(site.records_of("Delivery").iter().all(|record| record["num_attempts"] == 0));
    assert_eq!(site.records_of("TransientFailure").len(), 0);
}

#[test]
fn a_refused_reset_costs_the_next_message_no_attempt() {
    let sink = Sink::start();
    sink.refuse("no", "550 5.1.1 unknown");
    sink.reply_at(Phase::Rset, "421 4.4.2 enough (close)", 1);
    let site = site(&sink);
    let engine = site.start(1);
    engine.accept("a@src.test", &["no@dst.test"], &message("refused"));
    engine.accept("a@src.test", &["u@dst.test"], &message("next"));
    sink.wait_messages(1);
    engine.wait_empty();
    let delivery = site.wait_record("Delivery", |_| true);
    assert_eq!(delivery["num_attempts"], 0);
    assert_eq!(site.records_of("TransientFailure").len(), 0);
}

#[test]
fn no_reset_between_messages_that_were_taken() {
    let sink = Sink::start();
    // Without pipelining it would cost a round trip each.
    sink.set(|behaviour| behaviour.offers.retain(|offer| *offer != "PIPELINING"));
    let site = site(&sink);
    let engine = site.start(1);
    for n in 0..5 {
        engine.accept("a@src.test", &["u@dst.test"], &message(&format!("{n}")));
    }
    sink.wait_messages(5);
    assert_eq!(sink.count_commands("RSET"), 0);
}

#[test]
fn mail_goes_on_in_clear_where_tls_cannot_be_had() {
    for reply in ["454 4.7.0 TLS not available", "220 go (close)", "220 go\r\nrubbish (close)"] {
        for mode in ["Opportunistic", "OpportunisticInsecure"] {
            let sink = Sink::start();
            sink.set(|behaviour| {
                behaviour.offers.push("STARTTLS");
                behaviour.starttls = Some(reply.into());
            });
            let mut site = site(&sink);
            site.path = format!("enable_tls = '{mode}',");
            let engine = site.start(1);
            engine.accept("a@src.test", &["u@dst.test"], &message("clear"));
            sink.wait_messages(1);
            engine.wait_empty();
            assert_eq!(site.records_of("TransientFailure").len(), 0, "{mode}, {reply:?}");
        }
    }
}

#[test]
fn mail_that_must_be_encrypted_never_goes_in_clear() {
    let sink = Sink::start();
    sink.set(|behaviour| {
        behaviour.offers.push("STARTTLS");
        behaviour.starttls = Some("454 4.7.0 TLS not available".into());
    });
    let mut site = site(&sink);
    site.path = "enable_tls = 'Required',".into();
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("secret"));
    let failure = site.wait_record("TransientFailure", |_| true);
    assert!(content(&failure).contains("TLS not available"), "{failure}");
    assert_eq!((sink.count(), sink.count_commands("MAIL")), (0, 0));
    drop(engine);
}

#[test]
fn a_steady_slow_peer_gets_a_large_message_at_the_first_attempt() {
    let sink = Sink::start();
    // In all it takes longer than the time for one step.
    let pause = std::time::Duration::from_millis(300);
    sink.set(|behaviour| behaviour.slow = Some((500_000, pause)));
    let mut site = site(&sink);
    site.path = "data_dot_timeout = '5s',".into();
    let engine = site.start(1);
    let line = "0123456789abcdefghijklmnopqrstuvwxyz.0123456789abcdefghijklmnopqrstuvwxyz.\r\n";
    let data = format!("Subject: large\r\n\r\n{}", line.repeat(200_000)).into_bytes();
    engine.accept("a@src.test", &["u@dst.test"], &data);
    sink.wait_messages(1);
    let delivery = site.wait_record("Delivery", |_| true);
    assert_eq!(delivery["num_attempts"], 0);
}

//! What a next hop says that nobody asked for, on a connection kept open or right behind an answer: no message is sent
//! there any more, nobody is charged for it, and it is told.

use crate::support::{message, wait, Phase, Sink, Site};

fn site(sink: &Sink) -> Site {
    let mut site = Site::to(sink.addr);
    site.queue = "retry_interval = '300ms', max_retry_interval = '1s', max_age = '1 hour',".into();
    // A connection is kept for longer than any test takes.
    site.path = "idle_timeout = '1 hour',".into();
    site
}

/// MAIL commands over the first connection.
fn mails_over_the_first(sink: &Sink) -> usize {
    let commands = sink.commands();
    commands.iter().filter(|(at, line)| *at == 1 && line.starts_with("MAIL")).count()
}

#[test]
fn bytes_on_an_idle_connection_end_it_and_charge_nobody() {
    for (said, told) in [
        ("421 4.4.2 mx.test idle for too long", "421 4.4.2 mx.test idle for too long"),
        ("421-4.7.0 [TSS04]\r\n421 4.7.0 later (close)", "421 4.7.0 [TSS04] later"),
        ("250 2.0.0 what nobody asked", "the peer says unasked: 250 what nobody asked"),
        ("250-half of", "the peer says unasked: a part of a reply"),
        ("good morning", "the peer says unasked: "),
    ] {
        let sink = Sink::start();
        let site = site(&sink);
        let engine = site.start(1);
        engine.accept("a@src.test", &["u@dst.test"], &message("first"));
        // Its answer has been read.
        site.wait_record("Delivery", |_| true);
        sink.say_unasked(said);
        engine.accept("a@src.test", &["u@dst.test"], &message("second"));
        sink.wait_messages(2);
        engine.wait_empty();
        wait("both records", || site.records_of("Delivery").len() == 2);
        assert_eq!(mails_over_the_first(&sink), 1, "{said:?}");
        assert_eq!(sink.connections(), 2, "{said:?}");
        let deliveries = site.records_of("Delivery");
        assert!(deliveries.iter().all(|record| record["num_attempts"] == 0), "{deliveries:?}");
        assert_eq!(site.records_of("TransientFailure").len(), 0, "{said:?}");
        engine.wait_says(told);
    }
}

#[test]
fn a_421_right_behind_a_refusal_keeps_the_next_message_away() {
    let sink = Sink::start();
    // With one command at a time nothing is left that it could answer.
    sink.set(|behaviour| behaviour.offers.retain(|offer| *offer != "PIPELINING"));
    sink.reply_at(Phase::Rcpt, "550 5.1.1 unknown\r\n421 4.7.0 that was enough", 1);
    let site = site(&sink);
    let engine = site.start(1);
    engine.accept("a@src.test", &["no@dst.test"], &message("refused"));
    let bounce = site.wait_record("Bounce", |_| true);
    assert_eq!(bounce["response"]["code"], 550, "{bounce}");
    engine.accept("a@src.test", &["u@dst.test"], &message("next"));
    sink.wait_messages(1);
    engine.wait_empty();
    let delivery = site.wait_record("Delivery", |_| true);
    assert_eq!(delivery["num_attempts"], 0, "{delivery}");
    assert_eq!((mails_over_the_first(&sink), sink.connections()), (1, 2));
    assert_eq!(site.records_of("TransientFailure").len(), 0);
    engine.wait_says("421 4.7.0 that was enough");
}

#[test]
fn a_421_right_behind_354_is_the_answer_that_is_kept() {
    let sink = Sink::start();
    sink.reply_at(Phase::Data, "354 go ahead\r\n421 4.3.2 shutting down (close)", 1);
    let site = site(&sink);
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("cut"));
    let failure = site.wait_record("TransientFailure", |_| true);
    let said = &failure["response"];
    assert_eq!((&said["code"], &said["content"]), (&421.into(), &"shutting down".into()));
    assert_eq!(said["command"], "DATA\r\n", "{failure}");
    sink.wait_messages(1);
    engine.wait_empty();
    assert_eq!(site.records_of("TransientFailure").len(), 1);
}

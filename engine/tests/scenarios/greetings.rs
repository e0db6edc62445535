//! What next hops say before any mail is offered: at the greeting and to EHLO. The record tells it whole.

use crate::support::{message, Phase, Sink, Site};

/// One message to a next hop that says `said` at `phase` once, and the words of its one failed attempt.
fn failure(sink: &Sink, phase: Phase, said: &str) -> String {
    sink.reply_at(phase, said, 1);
    let mut site = Site::to(sink.addr);
    site.queue = "retry_interval = '300ms', max_retry_interval = '1s', max_age = '1 hour',".into();
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("greeted"));
    let failure = site.wait_record("TransientFailure", |_| true);
    // Whatever one host says to all comers bounces no message.
    sink.wait_messages(1);
    engine.wait_empty();
    assert_eq!(site.records_of("Bounce").len(), 0, "{said}");
    assert_eq!(site.records_of("TransientFailure").len(), 1, "{said}");
    failure["response"]["content"].as_str().unwrap().to_string()
}

#[test]
fn what_is_said_at_the_greeting_or_to_ehlo_is_told_with_its_codes() {
    let listed = "[IPTS04] Messages from 192.0.2.1 put off; see https://postmaster.test/x";
    for (phase, place) in
        [(Phase::Banner, "read initial banner: "), (Phase::Ehlo, "EHLO after banner: ")]
    {
        for (said, parts) in [
            (
                format!("421 4.7.0 {listed} (close)"),
                ["code: 421, ", "{ class: 4, subject: 7, detail: 0 }", listed],
            ),
            (
                "554-5.7.1 one line\r\n554 5.7.1 and another (close)".to_string(),
                ["code: 554, ", "{ class: 5, subject: 7, detail: 1 }", "one line and another"],
            ),
            (
                "450 not now (close)".to_string(),
                ["code: 450, ", "enhanced_code: None, ", "\"not now\""],
            ),
        ] {
            let sink = Sink::start();
            let text = failure(&sink, phase, &said);
            for part in parts.into_iter().chain([place]) {
                assert!(text.contains(part), "{part:?} is missing: {text}");
            }
            assert_eq!(sink.count_commands("HELO"), 0, "{text}");
        }
    }
}

#[test]
fn helo_is_for_those_that_do_not_know_ehlo() {
    for code in [500, 502, 504] {
        let sink = Sink::start();
        sink.reply_at(Phase::Ehlo, &format!("{code} 5.5.1 what is that"), 1);
        let site = Site::to(sink.addr);
        let engine = site.start(1);
        engine.accept("a@src.test", &["u@dst.test"], &message("helo"));
        sink.wait_messages(1);
        engine.wait_empty();
        assert_eq!((sink.count_commands("HELO "), sink.connections()), (1, 1), "{code}");
        assert_eq!(site.records_of("TransientFailure").len(), 0, "{code}");
    }
    for code in [451, 501, 503, 550, 554] {
        let sink = Sink::start();
        let text = failure(&sink, Phase::Ehlo, &format!("{code} not you"));
        assert!(text.contains(&format!("code: {code}, ")), "{text}");
        assert_eq!(sink.count_commands("HELO"), 0, "{text}");
    }
}

//! Bounces that come later and complaints: logged, and relayed or dropped, as the domain's entry says.

use crate::support::{message, wait, Receiver, Sink, Site};
use serde_json::json;

/// A delivery status notification (RFC 3464) about two recipients of which one is merely late.
fn dsn() -> Vec<u8> {
    let text = "From: <MAILER-DAEMON@far.test>
To: <bounce@oob.test>
Subject: failure
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=\"b1\"

--b1
Content-Type: text/plain

It failed.
--b1
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.far.test

Final-Recipient: rfc822; gone@far.test
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 554 5.1.1 no such user
Last-Attempt-Date: Fri, 05 Jan 2024 10:00:00 +0100

Final-Recipient: rfc822; late@far.test
Action: delayed
Status: 4.2.2

--b1--
";
    text.replace('\n', "\r\n").into_bytes()
}

/// A complaint (RFC 5965).
fn complaint() -> Vec<u8> {
    let text = "From: <fbl@far.test>
To: <fbl@arf.test>
Subject: complaint
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary=b1

--b1
Content-Type: text/plain

A complaint.
--b1
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Far/1.0
Version: 1
Original-Rcpt-To: <u@far.test>

--b1
Content-Type: message/rfc822

From: <me@src.test>
X-KumoRef: eyJfQF8iOiJcXF8vIiwicmVjaXBpZW50IjoidUBmYXIudGVzdCJ9
Subject: ad

Buy.
--b1--
";
    text.replace('\n', "\r\n").into_bytes()
}

/// A stranger's view of an engine that takes reports for some domains.
fn site(sink: &Sink) -> Site {
    let mut site = Site::to(sink.addr);
    site.listener = "relay_hosts = {},".into();
    site.extra = "
local domains = {
  ['oob.test'] = { log_oob = 'LogThenDrop' },
  ['both.test'] = { log_oob = true, log_arf = 'LogThenRelay' },
  ['arf.test'] = { log_arf = 'LogThenDrop', relay_to = true },
  ['plain.test'] = { relay_to = true, log_oob = false },
}
kumo.on('get_listener_domain', function(domain)
  return domains[domain] and kumo.make_listener_domain(domains[domain])
end)"
        .into();
    site
}

/// Whatever a stranger's report says of when it failed there, the event is as young as its record.
#[test]
fn a_report_of_what_failed_long_ago_is_told_to_hooks() {
    let receiver = Receiver::start();
    let mut site = site(&Sink::start());
    site.extra += &format!(
        "\nrequire('policy-extras.log_hooks'):new_json {{ name = 'lua', url = '{}' }}",
        receiver.url()
    );
    let engine = site.start(1);
    engine.accept("", &["bounce@oob.test"], &dsn());
    wait("the event", || {
        let mut hits = receiver.hits().into_iter();
        hits.any(|hit| String::from_utf8_lossy(&hit.body).contains("\"type\":\"OOB\""))
    });
}

#[test]
fn a_bounce_that_is_to_be_dropped_leaves_a_record_for_each_failure() {
    let sink = Sink::start();
    let site = site(&sink);
    let engine = site.start(1);
    let ids = engine.accept("", &["bounce@oob.test"], &dsn());
    let record = site.wait_record("OOB", |_| true);
    assert_eq!(record["id"], *ids[0]);
    assert_eq!(record["recipient"], "gone@far.test");
    // Whose mail failed is known by the address that the report came to.
    assert_eq!(record["sender"], "bounce@oob.test");
    assert_eq!(record["queue"], "oob.test");
    // When it failed there; the clock of this machine says when that was heard.
    assert_eq!(record["event_time"], "2024-01-05T09:00:00.000000000Z");
    assert!(record["timestamp"].as_u64().unwrap() > 1_760_000_000);
    let code = json!({"class": 5, "subject": 1, "detail": 1});
    let want = json!({"code": 554, "enhanced_code": code, "content": "5.1.1 no such user", "command": null});
    assert_eq!(record["response"], want);
    assert_eq!(record["peer_address"], json!({"name": "mx.far.test", "addr": "127.0.0.1"}));
    engine.wait_empty();
    assert!(engine.terminate().success());
    let kinds: Vec<_> = site.records().iter().map(|r| r["type"].clone()).collect();
    assert_eq!(kinds, ["Reception", "OOB"]);
    assert_eq!(sink.count(), 0);
}

/// As qmail tells of failures: text alone, and of no type.
#[test]
fn a_bounce_of_qmail_is_one_as_well() {
    let text = "From: MAILER-DAEMON@far.test
To: bounce@oob.test
Subject: failure notice

Hi. This is the qmail-send program at mx.far.test.
I'm afraid I wasn't able to deliver your message to the following addresses.

<gone@far.test>:
192.0.2.9 does not like recipient.
Remote host said: 554 5.1.1 no such user
Giving up on 192.0.2.9.

--- Below this line is a copy of the message.

Subject: hello

Hello.
";
    let bounce = text.replace('\n', "\r\n").into_bytes();
    let sink = Sink::start();
    let site = site(&sink);
    let engine = site.start(1);
    engine.accept("", &["bounce@oob.test"], &bounce);
    let record = site.wait_record("OOB", |_| true);
    assert_eq!(record["recipient"], "gone@far.test");
    assert_eq!(record["response"]["code"], 554);
    assert_eq!(record["response"]["content"], "5.1.1 no such user Giving up on 192.0.2.9.");
    assert_eq!(record["peer_address"]["name"], "mx.far.test");
    // Somebody who writes the same is no mailer: a report has no sender.
    assert_eq!(engine.submit("a@far.test", &["bounce@oob.test"], &bounce).code, 550);
    engine.wait_empty();
    assert_eq!(sink.count(), 0);
}

#[test]
fn a_report_that_is_to_be_relayed_is_both() {
    let sink = Sink::start();
    let site = site(&sink);
    let engine = site.start(1);
    engine.accept("", &["bounce@both.test"], &dsn());
    sink.wait_messages(1);
    engine.accept("fbl@far.test", &["fbl@both.test"], &complaint());
    sink.wait_messages(2);
    engine.wait_empty();
    site.wait_record("OOB", |_| true);
    site.wait_record("Feedback", |_| true);
    assert_eq!(site.records_of("Reception").len(), 2);
}

#[test]
fn a_complaint_is_logged_with_what_it_says() {
    let sink = Sink::start();
    let site = site(&sink);
    let engine = site.start(1);
    engine.accept("fbl@far.test", &["fbl@arf.test"], &complaint());
    let record = site.wait_record("Feedback", |_| true);
    // Whose complaint it is says the report; the record, which mail brought it.
    assert_eq!(record["sender"], "fbl@far.test");
    assert_eq!(record["recipient"], "fbl@arf.test");
    assert_eq!(record["queue"], "arf.test");
    let report = &record["feedback_report"];
    assert_eq!(report["feedback_type"], "abuse");
    assert_eq!(report["original_rcpto_to"], json!(["<u@far.test>"]));
    assert_eq!(report["supplemental_trace"]["recipient"], "u@far.test");
    let about = report["original_message"].as_str().unwrap();
    assert!(about.contains("Subject: ad\n\nBuy.") && !about.contains('\r'), "{about:?}");
    // Not a complaint: mail like any other, since the domain is relayed to.
    engine.accept("a@far.test", &["fbl@arf.test"], &message("mail"));
    assert_eq!(sink.wait_messages(1).len(), 1);
    engine.wait_empty();
}

#[test]
fn a_domain_for_reports_takes_nothing_else() {
    let sink = Sink::start();
    let site = site(&sink);
    let engine = site.start(1);
    let mut client = engine.greeted();
    client.expect(250, "MAIL FROM:<a@far.test>");
    client.expect(550, "RCPT TO:<u@elsewhere.test>");
    client.expect(250, "RCPT TO:<u@oob.test>");
    let mut broken = dsn();
    let at = broken.windows(6).position(|w| w == b"Status").unwrap();
    broken[at] = b'X';
    for other in [message("mail"), complaint(), broken] {
        let reply = engine.submit("a@far.test", &["u@oob.test"], &other);
        assert_eq!((reply.code, reply.text().starts_with("5.7.1")), (550, true), "{reply:?}");
    }
    // Where nothing is to be logged a report is mail.
    engine.accept("", &["u@plain.test"], &dsn());
    sink.wait_messages(1);
    engine.wait_empty();
    assert_eq!(site.records_of("OOB").len() + site.records_of("Feedback").len(), 0);
}

#[test]
fn a_huge_report_takes_little() {
    let sink = Sink::start();
    let site = site(&sink);
    let engine = site.start(1);
    let peak = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", engine.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    };
    let text = String::from_utf8(dsn()).unwrap();
    let one = "Final-Recipient: rfc822; late@far.test\r\nAction: delayed\r\nStatus: 4.2.2\r\n\r\n";
    let huge = text.replace("--b1--", &format!("{}--b1--", one.repeat(18_000_000 / one.len())));
    let before = peak();
    engine.accept("", &["bounce@oob.test"], huge.as_bytes());
    let record = site.wait_record("OOB", |_| true);
    assert_eq!(record["recipient"], "gone@far.test");
    let grown = peak() - before;
    assert!(grown < 200 << 20, "a report of {} bytes took {grown} bytes of memory", huge.len());
}

//! Internationalized mail on the wire (RFC 6531): what needs SMTPUTF8 goes only where it is offered, what does not goes
//! anywhere, and a domain is one domain however it is spelt.

use crate::support::{message, wait, Engine, Received, Sink, Site};

const HEADER: &[u8] = "Subject: Gr\u{fc}\u{df}e\r\n\r\nbody\r\n".as_bytes();

/// One message sent with SMTPUTF8.
fn send(engine: &Engine, to: &str, data: &[u8]) {
    let mut client = engine.greeted();
    client.expect(250, "MAIL FROM:<a@m\u{fc}nchen.test> SMTPUTF8 BODY=8BITMIME");
    client.expect(250, &format!("RCPT TO:<{to}>"));
    client.expect(354, "DATA");
    client.send([data, b".\r\n"].concat());
    assert_eq!(client.reply().code, 250);
}

fn asked(received: &Received) -> bool {
    received.from.split(' ').any(|word| word == "SMTPUTF8")
}

#[test]
fn what_was_sent_with_smtputf8_leaves_with_it_also_after_a_restart() {
    let sink = Sink::start();
    sink.refuse("later", "450 4.2.1 not yet");
    let mut site = Site::to(sink.addr);
    site.queue = "retry_interval = '1s', max_retry_interval = '1s', max_age = '1 hour',".into();
    let engine = site.start(1);
    send(&engine, "now@dst.test", HEADER);
    assert!(asked(&sink.wait_messages(1)[0]));
    send(&engine, "later@dst.test", HEADER);
    site.wait_record("TransientFailure", |_| true);
    engine.kill();
    sink.set(|behaviour| behaviour.recipients.clear());
    let engine = site.start(1);
    let second = &sink.wait_messages(2)[1];
    assert!(asked(second) && second.data.ends_with(HEADER), "{second:?}");
    // The same text from a client that did not ask for it goes as it always has.
    engine.accept("a@src.test", &["plain@dst.test"], HEADER);
    assert!(!asked(&sink.wait_messages(3)[2]));
}

#[test]
fn a_next_hop_without_smtputf8_gets_only_what_needs_none() {
    let sink = Sink::start();
    sink.set(|behaviour| behaviour.offers = vec!["PIPELINING", "8BITMIME"]);
    let site = Site::to(sink.addr);
    let engine = site.start(1);
    send(&engine, "u@dst.test", HEADER);
    send(&engine, "gr\u{fc}n@dst.test", &message("local part"));
    // An ASCII local part at any domain, and a text that is not ASCII, need nothing.
    send(&engine, "u@m\u{fc}nchen.test", &message("domain"));
    send(&engine, "text@dst.test", "Subject: x\r\n\r\nGr\u{fc}\u{df}e\r\n".as_bytes());
    let received = sink.wait_messages(2);
    engine.wait_empty();
    let mut to: Vec<_> = received.iter().flat_map(|message| message.to.clone()).collect();
    to.sort();
    assert_eq!(to, ["text@dst.test", "u@xn--mnchen-3ya.test"]);
    assert!(!received.iter().any(asked), "{received:?}");
    wait("both bounces", || site.records_of("Bounce").len() == 2);
    for bounce in site.records_of("Bounce") {
        let said = &bounce["response"];
        assert_eq!((&said["code"], &said["enhanced_code"]["detail"]), (&554.into(), &7.into()));
    }
    // Nothing of them was said to the peer.
    assert_eq!((sink.count(), sink.count_commands("MAIL")), (2, 2));
}

#[test]
fn a_path_that_ignores_8bit_checks_sends_it_all_the_same() {
    let sink = Sink::start();
    sink.set(|behaviour| behaviour.offers = vec!["PIPELINING"]);
    let mut site = Site::to(sink.addr);
    site.path = "ignore_8bit_checks = true,".into();
    let engine = site.start(1);
    send(&engine, "u@dst.test", HEADER);
    assert!(sink.wait_messages(1)[0].data.ends_with(HEADER));
    engine.wait_empty();
    assert_eq!(site.records_of("Bounce").len(), 0);
}

#[test]
fn both_spellings_of_a_domain_are_one_queue_and_leave_as_a_labels() {
    let sink = Sink::start();
    let site = Site::to(sink.addr);
    let engine = site.start(1);
    let spellings = ["u@m\u{fc}nchen.test", "u@xn--mnchen-3ya.test", "u@M\u{dc}NCHEN.test"];
    for to in spellings {
        send(&engine, to, &message("spelt"));
    }
    let received = sink.wait_messages(3);
    let to: Vec<_> = received.iter().flat_map(|message| message.to.clone()).collect();
    assert_eq!(to, ["u@xn--mnchen-3ya.test"; 3]);
    assert!(received.iter().all(|m| m.from.starts_with("<a@xn--mnchen-3ya.test>")), "{received:?}");
    wait("their records", || site.records_of("Delivery").len() == 3);
    let queues: std::collections::BTreeSet<String> =
        site.records_of("Delivery").iter().map(|record| record["queue"].to_string()).collect();
    assert_eq!(queues.len(), 1, "{queues:?}");
}

/// The name that signs is found in the DNS (RFC 6376 section 3.5).
#[test]
fn a_signature_names_its_domain_by_the_a_label() {
    let Some(openssl) = crate::support::program("openssl") else { return };
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    let made = ["genrsa", "-out", "d.key", "2048"];
    crate::support::odd_tls::openssl(&openssl, site.dir(), &made);
    site.extra = format!(
        "kumo.on('smtp_server_message_received', function(msg)
  msg:dkim_sign(kumo.dkim.rsa_sha256_signer {{
    domain = 'm\u{fc}nchen.test', selector = 's', headers = {{ 'From', 'Subject' }}, key = '{}/d.key' }})
end)",
        site.dir().display()
    );
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("signed"));
    let text = String::from_utf8(sink.wait_messages(1)[0].data.clone()).unwrap();
    assert!(text.is_ascii() && text.contains("d=xn--mnchen-3ya.test;"), "{text}");
}

/// A key that cannot sign is told before the first message would be signed with it.
#[test]
fn a_short_key_is_told_at_start_and_by_validate() {
    let Some(openssl) = crate::support::program("openssl") else { return };
    let mut site = Site::new();
    let made = ["genrsa", "-out", "d.key", "1024"];
    crate::support::odd_tls::openssl(&openssl, site.dir(), &made);
    site.extra = format!(
        "kumo.on('smtp_server_message_received', function(msg)
  msg:dkim_sign(kumo.dkim.rsa_sha256_signer {{
    domain = 'd.test', selector = 's', headers = {{ 'From' }}, key = '{}/d.key' }})
end)",
        site.dir().display()
    );
    let engine = site.start(1);
    let told = "the RSA key has 1024 bits, at least 2048 are needed to sign";
    engine.wait_says(told);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ringmta"));
    let output = command.args(["validate", "--policy"]).arg(site.policy_file()).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(said.contains(told), "{said}");
    // What it is told of does not hold up mail that is not signed with it, nor is anything taken that cannot go out.
    let reply = engine.submit("a@src.test", &["u@dst.test"], &message("unsigned"));
    assert_eq!(reply.code, 451, "{reply:?}");
}

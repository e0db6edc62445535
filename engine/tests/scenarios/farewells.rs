//! The end of a session whose client has sent more than is heard. A connection that is closed with bytes unread is reset,
//! which can destroy the replies before it on their way: a 250 that is lost is a message that is sent twice.

use crate::sandbox_support::{pop3_for, sandbox_of};
use crate::support::{Site, Smtp, PATIENCE};
use ringmta_sandbox::Settings;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// More than a server reads at once.
const UNHEARD: usize = 256 * 1024;
const MESSAGE: &str =
    "MAIL FROM:<a@src.test>\r\nRCPT TO:<u@dst.test>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\n";

/// The codes that a server answers to somebody who sends `said`, and much more behind it, before it listens, and a little when
/// the server has ended its half. A reset is a failure, of what is read or of what is sent.
fn answers(at: SocketAddr, said: &str) -> Vec<String> {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let unheard = "NOOP\r\n".repeat(UNHEARD / 6);
    stream.write_all(format!("{said}{unheard}").as_bytes()).unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).unwrap_or_else(|error| panic!("{error} behind {heard}"));
    // In one piece: a busy machine may come to this when the server has read on for long enough.
    stream.write_all(b"NOOP\r\n").unwrap_or_else(|error| panic!("{error} behind {heard}"));
    let last = |line: &&str| line.as_bytes().get(3) != Some(&b'-');
    heard.lines().filter(last).map(|line| line.chars().take(3).collect()).collect()
}

#[test]
fn what_was_answered_arrives_though_the_client_sends_on() {
    let mut site = Site::new();
    site.listener = "max_messages_per_connection = 1, max_connections = 1,".into();
    let engine = site.start(1);
    let taken = ["220", "250", "250", "250", "354", "250"];
    let after = |last: &str| taken.into_iter().chain([last]).map(String::from).collect::<Vec<_>>();
    let said = format!("EHLO client.test\r\n{MESSAGE}");
    assert_eq!(answers(engine.smtp, &format!("{said}QUIT\r\n")), after("221"));
    assert_eq!(answers(engine.smtp, &format!("{said}{MESSAGE}")), after("421"));
    let mut only = Smtp::connect(engine.smtp);
    assert_eq!(only.reply().code, 220);
    assert_eq!(answers(engine.smtp, &said), ["421"]);
}

#[test]
fn so_it_does_at_the_doors_of_the_sandbox() {
    let (_running, at) =
        sandbox_of(|| Settings { pop3: pop3_for("ann:secret"), ..Settings::default() });
    let said = format!("EHLO client.test\r\n{MESSAGE}QUIT\r\n");
    assert_eq!(answers(at.smtp, &said), ["220", "250", "250", "250", "354", "250", "221"]);
    assert_eq!(answers(at.pop3.unwrap(), "USER ann\r\nPASS secret\r\nQUIT\r\n"), ["+OK"; 4]);
    let guesses = "PASS wrong\r\n".repeat(100);
    assert!(answers(at.pop3.unwrap(), &guesses).ends_with(&["-ER".into()]));
}

use super::super::desk::test_desk;
use super::*;
use crate::sink::Options;
use clap::Parser;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

fn desk(arguments: &[&str]) -> Desk {
    let line = Line::parse_from([&["sink"], arguments].concat());
    test_desk(&line.options)
}

/// The reply codes to an input that comes in pieces of `size` bytes, and what is to be done at the end.
fn dialogue(arguments: &[&str], input: &[u8], size: usize) -> (Vec<String>, Next, Desk) {
    let mut desk = desk(arguments);
    let mut session = Session::default();
    let mut out = Vec::new();
    let mut next = Next::More;
    'input: for piece in input.chunks(size) {
        let mut used = 0;
        while used < piece.len() {
            let (count, then) = session.feed(&piece[used..], &mut desk, &mut out).unwrap();
            used += count;
            next = then;
            if next == Next::Pause {
                next = session.resume(&mut desk, &mut out).unwrap();
            }
            if next != Next::More {
                break 'input;
            }
        }
    }
    let replies = String::from_utf8(out).unwrap();
    let codes =
        replies.lines().filter(|line| line.as_bytes()[3] == b' ').map(|line| line[..3].to_owned());
    (codes.collect(), next, desk)
}

const TWO: &[u8] = b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\n\
    X-Loadgen-Id: r-1\r\n\r\n..x\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\nQUIT\r\n";

#[test]
fn two_messages_however_they_are_cut() {
    for size in 1..=TWO.len() {
        for arguments in [&[][..], &["--delay", "1"]] {
            let (codes, next, desk) = dialogue(arguments, TWO, size);
            assert_eq!(codes.join(" "), "250 250 250 250 354 250 250 250 354 250 221");
            assert_eq!(next, Next::Close);
            assert_eq!((desk.counters.messages.get(), desk.counters.recipients.get()), (2, 3));
        }
    }
}

#[test]
fn commands_out_of_order() {
    let input = b"RCPT TO:<a@b>\r\nDATA\r\nMAIL FROM:<a@b>\r\nMAIL FROM:<a@b>\r\nDATA\r\nRSET\r\nFOO\r\n\r\nSTARTTLS\r\n";
    let (codes, _, desk) = dialogue(&[], input, 7);
    assert_eq!(codes.join(" "), "503 503 250 503 503 250 500 500 502");
    assert_eq!(desk.counters.bad_commands.get(), 7);
}

#[test]
fn refusals_on_demand() {
    let refused =
        |at: &str, share: &str| dialogue(&[share, "100", "--fail-at", at], TWO, 1000).0.join(" ");
    assert_eq!(refused("dot", "--tempfail"), "250 250 250 250 354 451 250 250 354 451 221");
    assert_eq!(refused("rcpt", "--permfail")[..15], *"250 250 550 550");
    assert_eq!(refused("data", "--permfail")[..19], *"250 250 250 250 550");
    assert_eq!(refused("mail", "--tempfail")[..7], *"250 451");
    assert_eq!(refused("dot", "--close-421"), "250 250 250 250 354 421");
}

#[test]
fn drops_say_nothing() {
    let (codes, next, desk) = dialogue(&["--drop", "100"], TWO, 1000);
    assert_eq!((codes.join(" ").as_str(), next), ("250 250 250 250 354", Next::Drop));
    assert_eq!((desk.counters.messages.get(), desk.counters.dropped.get()), (0, 1));
}

#[test]
fn stalls_say_nothing_more() {
    for (phase, replies) in [("ehlo", 0), ("mail", 1), ("rcpt", 2), ("data", 4), ("dot", 5)] {
        let (codes, next, _) = dialogue(&["--stall", phase], TWO, 10);
        assert_eq!((codes.len(), next), (replies, Next::More), "{phase}");
    }
}

#[test]
fn login() {
    let input = b"EHLO x\r\nMAIL FROM:<a@b>\r\nAUTH PLAIN AHUAeA==\r\nAUTH LOGIN\r\ndQ==\r\ncA==\r\nMAIL FROM:<a@b>\r\n";
    let (codes, _, _) = dialogue(&["--auth", "u:p"], input, 5);
    assert_eq!(codes.join(" "), "250 530 535 334 334 235 250");
    let (codes, _, _) = dialogue(&["--auth", "u:p"], b"AUTH PLAIN AHUAcA==\r\nMAIL FROM:<>\r\n", 5);
    assert_eq!(codes.join(" "), "235 250");
    assert_eq!(dialogue(&[], b"AUTH PLAIN x\r\n", 5).0, ["502"]);
}

#[test]
fn endless_lines_end_the_connection() {
    let (codes, next, _) = dialogue(&[], &vec![b'x'; 100_000], 1000);
    assert_eq!((codes.join(" ").as_str(), next), ("500", Next::Close));
}

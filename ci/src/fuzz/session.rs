//! A server's session against a client that says anything at all, in pieces of any size: it answers the same however
//! the bytes are cut, never more often than it is spoken to, and what it takes is within what was allowed.

use super::lines::{has_bare_ending, is_reply};
use ringmta_smtp::reply::Reply;
use ringmta_smtp::server::buffer::RecvBuf;
use ringmta_smtp::server::dot_reader::BareEndings;
use ringmta_smtp::server::session::Session;
use ringmta_smtp::server::vocabulary::{Answer, Ask, Params, Step, Transaction};

const SIZE_MAX: usize = 4096;
const LINE_MAX: usize = 200;
const RECIPIENTS_MAX: usize = 4;
const MESSAGES_MAX: usize = 3;

/// What the first byte says of the listener.
fn params(mode: u8) -> Params {
    Params {
        hostname: "mx.test".into(),
        banner: "ready".into(),
        size_max: SIZE_MAX,
        recipients_max: RECIPIENTS_MAX,
        messages_max: MESSAGES_MAX,
        line_max: LINE_MAX,
        bare: [BareEndings::Deny, BareEndings::Allow, BareEndings::Fix][usize::from(mode % 3)],
        tls: mode & 0x80 != 0,
        auth_in_clear: mode & 0x40 != 0,
        xclient: mode & 0x20 != 0,
    }
}

/// What policy says to the question of this number.
fn answer(script: u8, number: usize, ask: Ask) -> Answer {
    let turn = script.rotate_right((number % 8) as u32);
    match (ask, turn % 16) {
        (Ask::Connected, 1) => Answer::Disconnect(Reply::fixed(554, "5.7.1 go away")),
        (Ask::Connected, _) => Answer::Accept,
        (_, 3) => Answer::Refuse(Reply::fixed(550, "5.7.1 no\n5.7.1 never")),
        (_, 5) => Answer::Refuse(Reply::fixed(451, "4.7.1 later")),
        (Ask::Ehlo { extensions, extended: true, .. }, 1) => Answer::Extensions(extensions),
        (Ask::Message(_), _) => Answer::Stored(Reply::fixed(250, "OK ids=1")),
        _ => Answer::Accept,
    }
}

fn judge(taken: &Transaction, bare: BareEndings) {
    assert!(taken.recipients.len() <= RECIPIENTS_MAX && !taken.recipients.is_empty());
    assert!(taken.recipients.iter().all(|who| !who.is_null()));
    assert!(taken.body.len() <= SIZE_MAX);
    if bare != BareEndings::Allow {
        assert!(!has_bare_ending(&taken.body), "a bare line end was taken");
    }
    let longest = taken.body.split(|b| *b == b'\n').map(<[u8]>::len).max();
    assert!(longest <= Some(LINE_MAX + 1));
}

/// Takes the replies that wait, and says how many there were.
fn hear(session: &mut Session, told: &mut Vec<String>) -> usize {
    let before = told.len();
    for pending in session.replies() {
        let mut wire = Vec::new();
        pending.reply.render(&mut wire);
        assert!(is_reply(&wire), "{pending:?}");
        let command = pending.command.unwrap_or_default();
        let head = command.as_bytes().get(..4).unwrap_or_default();
        assert!(!head.eq_ignore_ascii_case(b"AUTH") || command.len() == 4, "kept: {command}");
        assert!(pending.recipients.len() <= RECIPIENTS_MAX);
        told.push(format!("{} {command}", pending.reply.code));
    }
    told.len() - before
}

/// All that was said and asked, in order.
fn talk(mode: u8, script: u8, cut: usize, said: &[u8]) -> Vec<String> {
    let params = params(mode);
    let bare = params.bare;
    let mut session = Session::new(params, mode & 0x10 != 0);
    let (mut input, mut chunks) = (RecvBuf::new(), said.chunks(cut.max(1)));
    let (mut told, mut replies, mut asked, mut messages) = (Vec::new(), 0, 0, 0);
    loop {
        let step = session.step(&mut input);
        // What was answered before the question was asked.
        replies += hear(&mut session, &mut told);
        let mut over = matches!(step, Step::Close);
        match step {
            Step::Read => match chunks.next() {
                Some(chunk) => input.push(chunk),
                None => over = true,
            },
            Step::StartTls => {
                assert!(input.bytes().is_empty(), "said in the clear, read under TLS");
                told.push("STARTTLS".into());
                session.tls_started();
            }
            Step::Ask(ask) => {
                if let Ask::Message(taken) = &ask {
                    messages += 1;
                    judge(taken, bare);
                }
                told.push(format!("{ask:?}"));
                session.answer(answer(script, asked, ask));
                asked += 1;
            }
            Step::Close => {}
        }
        replies += hear(&mut session, &mut told);
        if over {
            break;
        }
    }
    // One for each line, the banner, and a last one that closes.
    let lines = said.iter().filter(|b| **b == b'\n').count();
    assert!(replies <= lines + 3, "{replies} replies to {lines} lines");
    assert!(messages <= MESSAGES_MAX);
    told
}

/// The first three bytes: what the listener is like, what policy says, and how the rest is cut.
pub fn check(data: &[u8]) {
    let [mode, script, cut, said @ ..] = data else { return };
    let whole = talk(*mode, *script, said.len(), said);
    let cut = talk(*mode, *script, usize::from(*cut), said);
    // What came in the clear behind STARTTLS is dropped, so there the cuts count.
    if mode & 0x80 == 0 {
        assert_eq!(whole, cut);
    }
}

/// Dialogues of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let say = |mode: u8, script: u8, cut: u8, said: &str| {
        [&[mode, script, cut][..], said.as_bytes()].concat()
    };
    let mail =
        "EHLO c.test\r\nMAIL FROM:<a@src.test> SIZE=10 BODY=8BITMIME\r\nRCPT TO:<u@dst.test> \
        NOTIFY=NEVER ORCPT=rfc822;u@dst.test\r\nRCPT TO:<postmaster>\r\nDATA\r\nSubject: x\r\n\r\n\
        ..hello\r\n.\r\nRSET\r\nNOOP\r\nQUIT\r\n";
    let auth =
        "EHLO c.test\r\nAUTH PLAIN AGEAYg==\r\nAUTH LOGIN\r\nYQ==\r\nYg==\r\nAUTH PLAIN\r\n*\r\n\
        AUTH PLAIN\r\n\r\nAUTH PLAIN =\r\n";
    let line = |bytes: usize| format!("EHLO c.test\r\nNOOP {}\r\nNOOP\r\n", "x".repeat(bytes - 5));
    let bare = "EHLO c.test\r\nMAIL FROM:<>\r\nRCPT TO:<u@dst.test>\r\nDATA\r\na\nb\r\n.\nc\r\n.\r\nQUIT\r\n";
    let limit = ringmta_smtp::limits::COMMAND_LINE_BYTES;
    vec![
        say(0, 0, 7, mail),
        say(0x10, 3, 1, mail),
        say(0x40, 0, 5, auth),
        say(0x40, 5, 1, auth),
        say(0, 0, 1, &line(limit)),
        say(0, 0, 1, &line(limit + 1)),
        say(0, 0, 9, bare),
        say(1, 0, 9, bare),
        say(2, 0, 9, bare),
        say(0x20, 0, 9, "XCLIENT ADDR=192.0.2.1 PORT=25\r\nEHLO c.test\r\nMAIL FROM:<a@b>\r\nXCLIENT ADDR=::1\r\n"),
        say(0x80, 0, 9, "EHLO c.test\r\nSTARTTLS\r\nMAIL FROM:<a@b>\r\nEHLO c.test\r\n"),
        say(0, 0, 3, &"BOGUS\r\n".repeat(30)),
        say(0, 0, 3, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ]
}

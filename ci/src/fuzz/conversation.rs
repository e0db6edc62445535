//! The client's half of a transaction against a peer that says anything at all and hangs up anywhere: nobody is
//! taken for delivered, refused or charged but by an answer to what carried him.

use ringmta_policy::EnvelopeAddress;
use ringmta_smtp::client::broken::Broken;
use ringmta_smtp::client::conversation::{Action, Ask, Conversation, Fate, Manner, Verdict};
use ringmta_smtp::response::{ReplyReader, Response};

/// What was heard: the question, and the answer to it.
type Heard = Vec<(Ask, Response)>;

/// The first byte: pipelining, LMTP, RSET before, number of recipients, and whether the peer talks ahead; the rest
/// is what it says before it hangs up.
pub fn check(data: &[u8]) {
    let Some((mode, said)) = data.split_first() else { return };
    let manner = Manner { pipelining: mode & 1 != 0, lmtp: mode & 2 != 0 };
    let recipients: Vec<_> = (0..1 + usize::from(mode >> 3) % 5)
        .map(|n| EnvelopeAddress::parse(&format!("u{n}@dst.test")).unwrap())
        .collect();
    let line = b"MAIL FROM:<a@src.test>\r\n".to_vec();
    let talk = Conversation::new(manner, mode & 4 != 0, line, recipients.clone());
    let (verdict, heard, out_of_step) = drive(talk, said, mode & 0x80 != 0);
    let mut told: Vec<_> = verdict.groups.iter().flat_map(|g| g.recipients.clone()).collect();
    let mut all = recipients.clone();
    told.sort_by(|a, b| a.email().cmp(b.email()));
    all.sort_by(|a, b| a.email().cmp(b.email()));
    assert_eq!(told, all, "each recipient has one fate");
    if out_of_step {
        assert!(verdict.groups.iter().all(|g| g.fate == Fate::Unoffered), "nobody is charged");
    }
    for group in &verdict.groups {
        for who in &group.recipients {
            let place = recipients.iter().position(|known| known == who).unwrap();
            judge(manner, &heard, group.fate, &group.response, place);
        }
    }
}

/// Plays the part of the connection.
fn drive(mut talk: Conversation, said: &[u8], ahead: bool) -> (Verdict, Heard, bool) {
    let (mut reader, mut heard, mut out) = (ReplyReader::default(), Vec::new(), Vec::new());
    let mut out_of_step = false;
    let first = said.first().copied().unwrap_or(0);
    let chunk = if ahead { usize::from(first % 50) + 1 } else { 1 };
    let mut chunks = said.chunks(chunk);
    for _ in 0..200 {
        out.clear();
        match talk.next(&mut out) {
            Action::Send => assert!(!out.is_empty()),
            Action::Body if !reader.is_empty() => {
                talk.unread("more than was asked for");
                out_of_step = true;
            }
            Action::Body => talk.body_sent(),
            Action::Over => {
                let verdict = talk.verdict();
                return (verdict, heard, out_of_step);
            }
            Action::Await(ask) => {
                let reply = loop {
                    match reader.next_reply() {
                        Ok(Some(reply)) => break Ok(reply),
                        Err(fault) => break Err(Broken::Wrong(fault.to_string())),
                        Ok(None) => match chunks.next() {
                            Some(chunk) => reader.push(chunk),
                            None => break Err(Broken::Lost("Connection closed by peer".into())),
                        },
                    }
                };
                match reply {
                    Ok(reply) => {
                        out_of_step |= ask == Ask::Data && reply.is_success();
                        out_of_step |= ask == Ask::Reset && !reply.is_success();
                        let command = Some(talk.command(ask));
                        heard.push((ask, Response { command, ..reply.clone() }));
                        talk.answer(reply);
                    }
                    Err(why) => talk.broken(why, Response::internal(400, "broke")),
                }
            }
        }
    }
    panic!("a transaction of five recipients does not end");
}

fn judge(manner: Manner, heard: &Heard, fate: Fate, response: &Response, place: usize) {
    let to = |ask: Ask| heard.iter().find(|(asked, _)| *asked == ask).map(|(_, said)| said);
    let own = to(Ask::Rcpt(place));
    let carried = [to(Ask::Mail), own, to(Ask::Data)];
    let dots: Vec<_> = heard.iter().filter(|(ask, _)| *ask == Ask::Dot).map(|(_, r)| r).collect();
    assert!(manner.lmtp || dots.len() <= 1);
    let quoted = heard.iter().any(|(_, said)| said == response);
    match fate {
        Fate::Delivered => {
            assert!(to(Ask::Mail).is_some_and(Response::is_success));
            assert!(own.is_some_and(Response::is_success));
            assert_eq!(to(Ask::Data).map(|said| said.code), Some(354));
            assert!(response.is_success() && dots.contains(&response));
        }
        Fate::Failed => {
            assert!(response.is_permanent());
            assert!(carried.contains(&Some(response)) || dots.contains(&response));
        }
        Fate::Deferred => {
            assert!(quoted || response.content == "KumoMTA internal: broke", "{response:?}");
            let crowded = own == Some(response) && response.code == 552;
            assert!(!response.is_success() && (!response.is_permanent() || crowded));
        }
        Fate::Again => {
            assert!(own == Some(response) && matches!(response.code, 452 | 552));
            assert!(dots.iter().any(|said| said.is_success()));
        }
        Fate::Unoffered => {}
    }
}

/// Dialogues as they should be, and some as they should not.
pub fn seeds() -> Vec<Vec<u8>> {
    let say = |mode: u8, said: &str| [&[mode][..], said.as_bytes()].concat();
    let fine = "250 sender\r\n250 recipient\r\n354 go\r\n250 taken\r\n";
    let mut all = vec![say(0, fine), say(1, fine), say(4, &format!("250 reset\r\n{fine}"))];
    for mode in [0b1_0000, 0b1_0001, 0b1_0011] {
        for said in [
            "250 a\r\n250 b\r\n550 5.1.1 c\r\n452 4.5.3 d\r\n354 e\r\n250 f\r\n250 g\r\n",
            "250 a\r\n250 b\r\n250 c\r\n250 d\r\n250 out of step\r\n354 e\r\n250 f\r\n",
            "421 4.7.0 [TSS04] later\r\n",
            "550-5.7.1 no\r\n550 5.7.1 never\r\n503 x\r\n503 x\r\n503 x\r\n503 x\r\n",
            "250 a\n250 b\n421 4.3.2 going\n",
            "250 a\r\n550 b\r\n550 c\r\n550 d\r\n354 e\r\n554 f\r\n",
            "250 a\r\n250 b\r\n250 c\r\n250 d\r\n354 e\r\n354 f\r\n",
            "354 a\r\n354 b\r\n354 c\r\n",
            "250 a\r\n250 b\r\n250 c\r\n250 d\r\n354 e\r\n250 f\r\n550 g\r\n451 h\r\n",
        ] {
            all.push(say(mode, said));
            all.push(say(mode | 0x80, said));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmta_smtp::client::conversation::End;

    #[test]
    fn holds_wherever_the_peer_hangs_up() {
        crate::fuzz::seeds::check_beginnings(&seeds(), check);
    }

    /// The fates of recipients, most telling first, as `fate code`.
    fn fates(mode: u8, said: &str) -> (Vec<String>, Option<End>) {
        let manner = Manner { pipelining: mode & 1 != 0, lmtp: mode & 2 != 0 };
        let recipients = (0..1 + usize::from(mode >> 3) % 5)
            .map(|n| EnvelopeAddress::parse(&format!("u{n}@dst.test")).unwrap());
        let line = b"MAIL FROM:<a@src.test>\r\n".to_vec();
        let talk = Conversation::new(manner, mode & 4 != 0, line, recipients.collect());
        let verdict = drive(talk, said.as_bytes(), false).0;
        let tell = |g: &ringmta_smtp::client::conversation::Group| {
            format!("{:?} {} {}", g.fate, g.recipients.len(), g.response.code)
        };
        (verdict.groups.iter().map(tell).collect(), verdict.end)
    }

    const PIPELINED: u8 = 0b1_0001;
    const STEPS: u8 = 0b1_0000;

    #[test]
    fn only_2yz_completes_and_only_354_lets_data_go() {
        for mode in [PIPELINED, STEPS] {
            let (all, end) = fates(mode, "250 a\r\n250 b\r\n250 c\r\n250 d\r\n354 e\r\n354 f\r\n");
            assert_eq!(all, ["Deferred 3 354"]);
            assert!(matches!(end, Some(End::OutOfStep(_))));
            let (all, end) = fates(mode, "354 a\r\n354 b\r\n354 c\r\n354 d\r\n354 e\r\n354 f\r\n");
            assert_eq!((all, end.is_some()), (vec!["Deferred 3 354".to_string()], true));
        }
    }

    #[test]
    fn extra_answers_charge_nobody() {
        let extra = "250 a\r\n250 b\r\n250 c\r\n250 d\r\n250 x\r\n250 y\r\n354 e\r\n250 f\r\n";
        for mode in [PIPELINED, STEPS] {
            let (all, end) = fates(mode, extra);
            assert_eq!(all, ["Unoffered 3 0"]);
            assert!(matches!(end, Some(End::OutOfStep(_))));
        }
    }

    #[test]
    fn an_answer_followed_by_a_close_stands() {
        let (all, _) = fates(PIPELINED, "554 5.7.1 no\r\n");
        assert_eq!(all, ["Failed 3 554"]);
        let (all, _) = fates(PIPELINED, "421 4.7.0 [TSS04]\r\n");
        assert_eq!(all, ["Deferred 3 421"]);
        let (all, _) = fates(PIPELINED, "250 a\r\n550 5.1.1 b\r\n250 c\r\n");
        assert_eq!(all, ["Failed 1 550", "Deferred 2 400"]);
        // 421 closes the channel: it is the answer to all that is open.
        let (all, _) = fates(PIPELINED, "250 a\r\n250 b\r\n421 4.3.2 c\r\n");
        assert_eq!(all, ["Deferred 3 421"]);
        // Step by step, the third was never offered.
        let (all, _) = fates(STEPS, "250 a\r\n550 5.1.1 b\r\n");
        assert_eq!(all, ["Failed 1 550", "Deferred 1 400", "Unoffered 1 0"]);
    }

    #[test]
    fn one_too_many_gets_a_further_transaction() {
        let full = "250 a\r\n250 b\r\n452 4.5.3 c\r\n552 d\r\n354 e\r\n250 f\r\n";
        for mode in [PIPELINED, STEPS] {
            let (all, end) = fates(mode, full);
            assert_eq!(all, ["Delivered 1 250", "Again 1 452", "Again 1 552"]);
            assert_eq!(end, None);
            let none = "250 a\r\n452 b\r\n452 c\r\n552 d\r\n503 e\r\n";
            assert_eq!(fates(mode, none).0, ["Deferred 1 452", "Deferred 1 452", "Deferred 1 552"]);
        }
    }

    #[test]
    fn a_refused_reset_charges_nobody() {
        for said in ["421 4.4.2 idle too long\r\n", "500 what\r\n250 a\r\n"] {
            let (all, end) = fates(PIPELINED | 4, said);
            assert_eq!((all, end.is_some()), (vec!["Unoffered 3 0".to_string()], true));
        }
    }

    #[test]
    fn lmtp_answers_for_each() {
        let said = "250 a\r\n250 b\r\n550 c\r\n250 d\r\n354 e\r\n250 f\r\n451 g\r\n";
        let (all, _) = fates(0b1_0011, said);
        assert_eq!(all, ["Delivered 1 250", "Failed 1 550", "Deferred 1 451"]);
    }
}

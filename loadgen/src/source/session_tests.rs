use super::super::reply;
use super::*;
use crate::source::Options;
use clap::Parser;
use std::time::Instant;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

/// A session with everything it needs, and a count of its messages.
struct Client {
    session: Session,
    manners: Manners,
    traffic: Traffic,
    out: Outgoing,
    /// What happened: `seq:accepted` or `seq!code` for messages, a word for all else.
    log: Vec<String>,
    sent: Vec<String>,
    next: u64,
}

impl Client {
    fn new(pipelining: Option<bool>, deep: bool, auth: Option<&str>, starttls: bool) -> Self {
        let line = Line::parse_from([
            "x",
            "--target",
            "h:1",
            "-n",
            "9",
            "--recipients",
            "2",
            "--size",
            "4",
        ]);
        let auth = auth.map(|text| Credentials::parse(text).unwrap());
        let mut session = Session::default();
        session.restart();
        Self {
            session,
            manners: Manners { helo: "me".to_owned(), pipelining, deep, starttls, auth },
            traffic: Traffic::new(&line.options).unwrap(),
            out: Outgoing::default(),
            log: Vec::new(),
            sent: Vec::new(),
            next: 0,
        }
    }

    fn job(&mut self) -> Job {
        self.next += 1;
        Job { seq: self.next - 1, start: Instant::now() }
    }

    /// Takes replies; begins messages as a slot would. The verbs sent meanwhile are logged as one group.
    fn hear(&mut self, replies: &str) -> Result<(), String> {
        let mut rest = replies.as_bytes();
        while let Some(reply) = reply::parse(rest).unwrap() {
            rest = &rest[reply.whole.len()..];
            let action =
                self.session.on_reply(&reply, &self.manners, &self.traffic, &mut self.out)?;
            self.act(action);
        }
        assert!(rest.is_empty());
        self.collect();
        Ok(())
    }

    fn act(&mut self, action: Action) {
        let told = |transaction: Transaction| match transaction.refusal {
            Some(refusal) => format!("{}!{}", transaction.job.seq, refusal.code),
            None => format!("{}:{}", transaction.job.seq, transaction.accepted),
        };
        match action {
            Action::Wait => {}
            Action::StartTls => {
                self.log.push("tls".to_owned());
                self.session.after_tls(&self.manners, &mut self.out);
            }
            Action::Ready => self.begin(),
            Action::Body => {
                self.session.send_body("now", &self.traffic, &mut self.out);
                if self.session.goes_ahead(&self.manners) {
                    self.begin();
                }
            }
            Action::Done(transaction) => {
                self.log.push(told(transaction));
                if !self.session.is_ahead() {
                    self.begin();
                }
            }
            Action::Bye(transaction) => self.log.push(transaction.map_or("bye".to_owned(), told)),
        }
    }

    fn begin(&mut self) {
        let job = self.job();
        self.session.begin(job, &self.manners, &self.traffic, &mut self.out);
    }

    fn collect(&mut self) {
        let text = String::from_utf8(self.out.everything()).unwrap();
        self.out.clear();
        let verbs = text.split("\r\n").filter_map(|line| match line.split([' ', ':']).next() {
            Some(verb)
                if !verb.is_empty() && verb.bytes().all(|byte| byte.is_ascii_uppercase()) =>
            {
                Some(verb)
            }
            Some(".") => Some("."),
            _ => None,
        });
        self.sent.push(verbs.collect::<Vec<_>>().join(" "));
    }
}

const PIPELINING: &str = "250-mx\r\n250 PIPELINING\r\n";

#[test]
fn pipelined() {
    let mut client = Client::new(None, false, None, false);
    client.hear("220 mx\r\n").unwrap();
    client.hear(PIPELINING).unwrap();
    client.hear("250 ok\r\n250 ok\r\n").unwrap();
    client.hear("550 no\r\n354 go\r\n").unwrap();
    client.hear("250 ok\r\n").unwrap();
    assert_eq!(client.sent, ["EHLO", "MAIL RCPT RCPT DATA", "", ".", "MAIL RCPT RCPT DATA"]);
    assert_eq!(client.log, ["0:1"]);
}

#[test]
fn step_by_step() {
    let mut client = Client::new(None, false, None, false);
    for replies in [
        "220 mx\r\n",
        "250 mx\r\n",
        "250 ok\r\n",
        "550 no\r\n",
        "250 ok\r\n",
        "354 go\r\n",
        "250 ok\r\n",
    ] {
        client.hear(replies).unwrap();
    }
    assert_eq!(client.sent, ["EHLO", "MAIL", "RCPT", "RCPT", "DATA", ".", "MAIL"]);
    assert_eq!(client.log, ["0:1"]);
}

#[test]
fn refused_recipients_step_by_step() {
    let mut client = Client::new(Some(false), false, None, false);
    for replies in
        ["220 mx\r\n", PIPELINING, "250 ok\r\n", "550 no\r\n", "551 no\r\n", "250 reset\r\n"]
    {
        client.hear(replies).unwrap();
    }
    assert_eq!(client.sent, ["EHLO", "MAIL", "RCPT", "RCPT", "RSET", "MAIL"]);
    assert_eq!(client.log, ["0!550"]);
}

#[test]
fn refused_envelopes_pipelined() {
    let mut client = Client::new(None, false, None, false);
    client.hear("220 mx\r\n").unwrap();
    client.hear(PIPELINING).unwrap();
    // MAIL refused: nothing to reset.
    client.hear("451 no\r\n503 x\r\n503 x\r\n503 x\r\n").unwrap();
    // All recipients refused, DATA too: RSET goes first.
    client.hear("250 ok\r\n550 no\r\n550 no\r\n554 none\r\n").unwrap();
    // All recipients refused, DATA taken: an empty message gets us out.
    client.hear("250 reset\r\n250 ok\r\n452 no\r\n550 no\r\n354 go\r\n").unwrap();
    client.hear("554 none\r\n").unwrap();
    let envelope = "MAIL RCPT RCPT DATA";
    let reset = format!("RSET {envelope}");
    assert_eq!(client.sent, ["EHLO", envelope, envelope, &reset, ".", envelope]);
    assert_eq!(client.log, ["0!451", "1!550", "2!452"]);
}

#[test]
fn deep_pipelining() {
    let mut client = Client::new(None, true, None, false);
    client.hear("220 mx\r\n").unwrap();
    client.hear(PIPELINING).unwrap();
    client.hear("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n").unwrap();
    client.hear("250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n").unwrap();
    client.hear("421 enough\r\n").unwrap();
    let both = ". MAIL RCPT RCPT DATA";
    assert_eq!(client.sent, ["EHLO", "MAIL RCPT RCPT DATA", both, both, ""]);
    assert_eq!(client.log, ["0:2", "1!421"]);
    let lost: Vec<_> = client.session.abandon().map(|transaction| transaction.job.seq).collect();
    assert_eq!(lost, [2]);
}

#[test]
fn encryption_and_login() {
    let mut client = Client::new(None, false, Some("u:p"), true);
    client.hear("220 mx\r\n").unwrap();
    client.hear("250-mx\r\n250 STARTTLS\r\n").unwrap();
    client.hear("220 go\r\n").unwrap();
    client.hear("250-mx\r\n250 AUTH CRAM-MD5 LOGIN\r\n").unwrap();
    client.hear("334 user\r\n").unwrap();
    client.hear("334 pass\r\n").unwrap();
    client.hear("235 ok\r\n").unwrap();
    assert_eq!(client.sent[..4], ["EHLO", "STARTTLS", "EHLO", "AUTH"]);
    assert_eq!(client.sent[6], "MAIL");
    assert_eq!(client.log, ["tls"]);
}

#[test]
fn dead_ends() {
    let fails = |replies: &[&str], auth: Option<&str>, starttls| {
        let mut client = Client::new(None, false, auth, starttls);
        replies.iter().find_map(|reply| client.hear(reply).err()).unwrap()
    };
    assert!(fails(&["554 go away\r\n"], None, false).contains("turned away: 554"));
    assert!(fails(&["421 busy\r\n"], None, false).contains("turned away: 421"));
    assert!(fails(&["220 x\r\n", "502 x\r\n", "502 x\r\n"], None, false).contains("EHLO refused"));
    assert!(fails(&["220 x\r\n", PIPELINING], None, true).contains("STARTTLS"));
    assert!(fails(&["220 x\r\n", PIPELINING], Some("u:p"), false).contains("AUTH"));
    assert!(fails(&["220 x\r\n", "250-x\r\n250 AUTH PLAIN\r\n", "535 x\r\n"], Some("u:p"), false)
        .contains("535"));
}

#[test]
fn replies_nobody_asked_for() {
    let mut client = Client::new(None, false, None, false);
    let mut session = Session::default();
    let mut answer = |text: &str| {
        let reply = reply::parse(text.as_bytes()).unwrap().unwrap();
        session.on_reply(&reply, &client.manners, &client.traffic, &mut client.out)
    };
    assert!(answer("250 x\r\n").is_err());
    assert!(matches!(answer("421 idle\r\n"), Ok(Action::Bye(None))));
}

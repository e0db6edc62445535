//! The inbox as a mailbox of POP3 (RFC 1939), for clients that have nothing else. What is deleted goes at QUIT.

use crate::choice::Which;
use crate::events::Event;
use crate::limits::{
    SANDBOX_LIST_MAX, SANDBOX_POP3_LINE_BYTES, SANDBOX_POP3_SESSIONS, SANDBOX_POP3_TRIES,
    SANDBOX_POP3_WRITE_BYTES, SANDBOX_SESSION_IDLE_SECS,
};
use crate::passwords::{Passwords, Verdict};
use crate::search::Search;
use crate::settings::Pop3;
use crate::store::Store;
use ringmta_http::accept_each;
use ringmta_io::{deadline, leave, tls, yield_now, Conn, Listener};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

const IDLE: Duration = Duration::from_secs(SANDBOX_SESSION_IDLE_SECS);

/// Serves for ever.
pub async fn listen(listener: Listener, pop3: Pop3, store: Rc<Store>) {
    accept_each(listener, SANDBOX_POP3_SESSIONS, |stream, peer, full| {
        let (pop3, store) = (pop3.clone(), store.clone());
        Box::pin(async move {
            let conn = match pop3.tls {
                None => Conn::Plain(stream),
                Some(config) => match tls::accept(stream, config).await {
                    Ok(conn) => conn,
                    Err(_) => return,
                },
            };
            let mut session = Session::new(conn, peer, pop3.logins, store);
            // A client that breaks off is its own business.
            let ended = if full {
                session.say("-ERR too many sessions; try again").await
            } else {
                session.run().await
            };
            if ended.is_ok() {
                leave(session.conn);
            }
        })
    })
    .await;
}

/// One client.
struct Session {
    conn: Conn,
    peer: SocketAddr,
    logins: Passwords,
    store: Rc<Store>,
    input: Vec<u8>,
    user: String,
    tries: usize,
    /// Ids and sizes as they were at the login, oldest first.
    mailbox: Option<Vec<(String, u64)>>,
    deleted: BTreeSet<usize>,
}

impl Session {
    fn new(conn: Conn, peer: SocketAddr, logins: Passwords, store: Rc<Store>) -> Session {
        let (input, user, deleted) = (Vec::new(), String::new(), BTreeSet::new());
        Session { conn, peer, logins, store, input, user, tries: 0, mailbox: None, deleted }
    }

    async fn run(&mut self) -> io::Result<()> {
        self.say("+OK ringmta inbox").await?;
        while let Some(line) = self.line().await? {
            let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
            let verb = verb.to_ascii_uppercase();
            if verb == "QUIT" {
                let answer = self.quit().await;
                return self.say(&answer).await;
            }
            let answer = match self.mailbox.take() {
                None => self.before_login(&verb, argument).await,
                Some(mailbox) => {
                    let answer = self.after_login(&mailbox, &verb, argument).await;
                    self.mailbox = Some(mailbox);
                    answer
                }
            };
            if let Some(error) = answer.strip_prefix("-ERR ") {
                self.store.hub.publish(Event::Error("pop3", Some(self.peer.ip()), error));
            }
            self.say(&answer).await?;
            if self.tries >= SANDBOX_POP3_TRIES {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn before_login(&mut self, verb: &str, argument: &str) -> String {
        match verb {
            "CAPA" => "+OK\r\nUSER\r\nUIDL\r\nTOP\r\n.".into(),
            "NOOP" => "+OK".into(),
            "USER" => {
                self.user = argument.into();
                "+OK".into()
            }
            "PASS" => self.log_in(argument).await,
            _ => "-ERR log in first".into(),
        }
    }

    /// The answer to a password, with a code of RFC 3206 where it is not taken.
    async fn log_in(&mut self, password: &str) -> String {
        match self.logins.check(self.peer.ip(), &self.user, password).await {
            Verdict::Right => match self.open().await {
                Ok(count) => format!("+OK {count} messages"),
                Err(error) => format!("-ERR {error}"),
            },
            Verdict::Wrong => {
                self.tries += 1;
                "-ERR [AUTH] name or password is wrong".into()
            }
            Verdict::Later(wait) => {
                self.tries = SANDBOX_POP3_TRIES;
                let seconds = wait.as_secs() + 1;
                format!("-ERR [SYS/TEMP] too many wrong passwords from this address, or too many at once; try again in {seconds} s")
            }
        }
    }

    async fn open(&mut self) -> Result<usize, String> {
        let page = self.store.page(&Search::default(), 0, SANDBOX_LIST_MAX).await;
        let page = page.map_err(|failed| failed.0)?;
        let known = page.messages.iter().rev().filter_map(|message| {
            Some((message["ID"].as_str()?.to_string(), message["Size"].as_u64()?))
        });
        let mailbox: Vec<(String, u64)> = known.collect();
        let count = mailbox.len();
        self.mailbox = Some(mailbox);
        Ok(count)
    }

    async fn after_login(
        &mut self,
        mailbox: &[(String, u64)],
        verb: &str,
        argument: &str,
    ) -> String {
        let kept = |at: &usize| !self.deleted.contains(at);
        match verb {
            "CAPA" => "+OK\r\nUSER\r\nUIDL\r\nTOP\r\n.".into(),
            "NOOP" => "+OK".into(),
            "STAT" => {
                let all: Vec<usize> = (0..mailbox.len()).filter(kept).collect();
                let bytes: u64 = all.iter().map(|at| mailbox[*at].1).sum();
                format!("+OK {} {bytes}", all.len())
            }
            "RSET" => {
                self.deleted.clear();
                "+OK".into()
            }
            "LIST" | "UIDL" if argument.trim().is_empty() => {
                let mut text = "+OK\r\n".to_string();
                for at in (0..mailbox.len()).filter(kept) {
                    let _ = write!(text, "{}\r\n", listed(mailbox, at, verb));
                }
                text + "."
            }
            "LIST" | "UIDL" | "DELE" | "RETR" | "TOP" => {
                let mut words = argument.split_whitespace();
                let at = words.next().and_then(|word| word.parse::<usize>().ok());
                let at = at.and_then(|number| number.checked_sub(1));
                match at.filter(|at| *at < mailbox.len() && kept(at)) {
                    None => "-ERR no such message".into(),
                    Some(at) => self.one(mailbox, at, verb, words.next()).await,
                }
            }
            _ => "-ERR no such command".into(),
        }
    }

    async fn one(
        &mut self,
        mailbox: &[(String, u64)],
        at: usize,
        verb: &str,
        lines: Option<&str>,
    ) -> String {
        let lines = match (verb, lines.map(str::parse::<usize>)) {
            ("DELE", _) => {
                self.deleted.insert(at);
                return "+OK".into();
            }
            ("LIST" | "UIDL", _) => return format!("+OK {}", listed(mailbox, at, verb)),
            ("TOP", Some(Ok(lines))) => Some(lines),
            ("TOP", _) => return "-ERR TOP wants a number of lines".into(),
            _ => None,
        };
        match self.store.get(&mailbox[at].0).await {
            Ok(Some(message)) => match self.send(&message.source, lines).await {
                Ok(()) => ".".into(),
                // The next answer will find the connection gone as well.
                Err(error) => format!("-ERR {error}"),
            },
            Ok(None) => "-ERR the message has gone meanwhile".into(),
            Err(failed) => format!("-ERR {}", failed.0.replace(['\r', '\n'], " ")),
        }
    }

    /// A message with its dots stuffed; with `lines` no more of its body than that.
    async fn send(&mut self, source: &[u8], lines: Option<usize>) -> io::Result<()> {
        let mut out = b"+OK\r\n".to_vec();
        let mut body = None;
        for line in source.split_inclusive(|byte| *byte == b'\n') {
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            match (&mut body, lines) {
                (Some(seen), Some(lines)) if *seen >= lines => break,
                (Some(seen), _) => *seen += 1,
                (None, _) if text.is_empty() => body = Some(0),
                (None, _) => {}
            }
            if text.starts_with(b".") {
                out.push(b'.');
            }
            out.extend_from_slice(text);
            out.extend_from_slice(b"\r\n");
            if out.len() >= SANDBOX_POP3_WRITE_BYTES {
                deadline(IDLE, self.conn.write_all(&out)).await??;
                // Others come first, even where the socket takes all of it.
                yield_now().await;
                out.clear();
            }
        }
        deadline(IDLE, self.conn.write_all(&out)).await?
    }

    async fn quit(&mut self) -> String {
        let mailbox = self.mailbox.take().unwrap_or_default();
        let gone: Vec<String> = self.deleted.iter().map(|at| mailbox[*at].0.clone()).collect();
        if gone.is_empty() {
            return "+OK".into();
        }
        match self.store.delete(&Which::Ids(gone)).await {
            Ok(()) => "+OK".into(),
            Err(failed) => format!("-ERR {}", failed.0.replace(['\r', '\n'], " ")),
        }
    }

    async fn say(&mut self, text: &str) -> io::Result<()> {
        deadline(IDLE, self.conn.write_all(format!("{text}\r\n").as_bytes())).await?
    }

    /// The next line; nothing at the end of the stream.
    async fn line(&mut self) -> io::Result<Option<String>> {
        let mut space = [0; SANDBOX_POP3_LINE_BYTES];
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.input) {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                let text = String::from_utf8_lossy(&line);
                return Ok(Some(text.trim_end_matches(['\r', '\n']).to_string()));
            }
            if self.input.len() > SANDBOX_POP3_LINE_BYTES {
                return Err(io::Error::other("a line without an end"));
            }
            match deadline(IDLE, self.conn.read(&mut space)).await?? {
                0 => return Ok(None),
                read => self.input.extend_from_slice(&space[..read]),
            }
        }
    }
}

fn listed(mailbox: &[(String, u64)], at: usize, verb: &str) -> String {
    let (id, size) = &mailbox[at];
    match verb {
        "UIDL" => format!("{} {id}", at + 1),
        _ => format!("{} {size}", at + 1),
    }
}

//! The server's side of an SMTP dialogue, without any I/O: bytes in, replies out.

use super::command::{self, Command};
use super::desk::Desk;
use super::end_of_data::EndOfData;
use super::faults::{Drop, FailAt, Phase, Verdict};
use super::id_finder::IdFinder;
use super::save::Envelope;
use crate::limits;
use memchr::memchr;
use std::io;

/// What the caller has to do after a piece of input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing; everything was used.
    More,
    /// Send the replies, then encrypt, then call [`Session::after_tls`].
    StartTls,
    /// Wait for the delay, then call [`Session::resume`]; what was not used comes after that.
    Pause,
    /// Send the replies, then close.
    Close,
    /// Close without sending anything.
    Drop,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Command,
    Data,
    /// AUTH LOGIN: the user name (`false`) or the password (`true`) is awaited; AUTH PLAIN: its only line (`true`).
    Auth(AuthStep),
    /// The reply to a message is held back.
    Held,
    /// Never answers again.
    Stalled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AuthStep {
    Plain,
    User,
    Pass,
}

/// One connection's dialogue.
#[derive(Debug)]
pub struct Session {
    state: State,
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    mail: bool,
    recipients: u32,
    end: EndOfData,
    id: IdFinder,
    bytes: usize,
    drop: Drop,
    encrypted: bool,
    logged_in: bool,
    auth_user: Vec<u8>,
    /// Kept only if messages are stored.
    envelope: Envelope,
    body: Vec<u8>,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            state: State::Command,
            partial: Vec::new(),
            mail: false,
            recipients: 0,
            end: EndOfData::default(),
            id: IdFinder::default(),
            bytes: 0,
            drop: Drop::No,
            encrypted: false,
            logged_in: false,
            auth_user: Vec::new(),
            envelope: Envelope::default(),
            body: Vec::new(),
        }
    }
}

impl Session {
    /// A client connected: greets it.
    pub fn greet(&mut self, desk: &Desk, out: &mut Vec<u8>) {
        if desk.stall == Some(Phase::Banner) {
            self.state = State::Stalled;
            return;
        }
        out.extend_from_slice(&desk.banner);
    }

    /// The connection is encrypted now; what was said before does not count (RFC 3207).
    pub fn after_tls(&mut self) {
        self.encrypted = true;
        self.reset();
        self.partial.clear();
    }

    /// Whether a message is under way, so that an end of the connection breaks something.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.mail || matches!(self.state, State::Data | State::Held)
    }

    /// Takes a piece of input; tells how much of it was used.
    ///
    /// # Errors
    /// When the ledger or a message cannot be written.
    pub fn feed(
        &mut self,
        input: &[u8],
        desk: &mut Desk,
        out: &mut Vec<u8>,
    ) -> io::Result<(usize, Next)> {
        let mut used = 0;
        while used < input.len() {
            let rest = &input[used..];
            let (count, next) = match self.state {
                State::Data => self.data(rest, desk, out)?,
                State::Stalled => return Ok((input.len(), Next::More)),
                State::Held => return Ok((used, Next::Pause)),
                State::Command | State::Auth(_) => self.line_from(rest, desk, out),
            };
            used += count;
            if next != Next::More {
                return Ok((used, next));
            }
        }
        Ok((used, Next::More))
    }

    /// The delay is over: answers the message.
    ///
    /// # Errors
    /// When the ledger or a message cannot be written.
    pub fn resume(&mut self, desk: &mut Desk, out: &mut Vec<u8>) -> io::Result<Next> {
        self.state = State::Command;
        self.answer_message(desk, out)
    }

    fn line_from(&mut self, input: &[u8], desk: &mut Desk, out: &mut Vec<u8>) -> (usize, Next) {
        let Some(length) = memchr(b'\n', input) else {
            self.partial.extend_from_slice(input);
            if self.partial.len() > limits::COMMAND_LINE_BYTES {
                return (input.len(), too_long(desk, out));
            }
            return (input.len(), Next::More);
        };
        let (line, used) = (&input[..length], length + 1);
        if self.partial.len() + length > limits::COMMAND_LINE_BYTES {
            return (used, too_long(desk, out));
        }
        if self.partial.is_empty() {
            return (used, self.line(line.trim_ascii_end(), desk, out));
        }
        let mut whole = std::mem::take(&mut self.partial);
        whole.extend_from_slice(line);
        let next = self.line(whole.trim_ascii_end(), desk, out);
        whole.clear();
        self.partial = whole;
        (used, next)
    }

    fn line(&mut self, line: &[u8], desk: &mut Desk, out: &mut Vec<u8>) -> Next {
        if let State::Auth(step) = self.state {
            self.auth_line(step, line, desk, out);
            return Next::More;
        }
        let reply: &[u8] = match command::parse(line) {
            Command::Mail(from) => return self.mail(from, desk, out),
            Command::Rcpt(to) => return self.rcpt(to, desk, out),
            Command::Data => return self.start_data(desk, out),
            Command::Hello(extended) => return self.hello(extended, desk, out),
            Command::Auth(rest) => {
                self.auth(rest, desk, out);
                return Next::More;
            }
            Command::Quit => {
                out.extend_from_slice(b"221 2.0.0 Bye\r\n");
                return Next::Close;
            }
            Command::StartTls if desk.tls.is_some() && !self.encrypted => {
                out.extend_from_slice(b"220 2.0.0 Ready to start TLS\r\n");
                return Next::StartTls;
            }
            Command::Rset => {
                self.reset();
                b"250 2.0.0 Ok\r\n"
            }
            Command::Noop => b"250 2.0.0 Ok\r\n",
            Command::Vrfy => b"252 2.0.0 Send some mail\r\n",
            Command::StartTls => b"502 5.5.1 TLS not available\r\n",
            Command::Malformed => b"501 5.5.4 Syntax error\r\n",
            Command::Unknown => b"500 5.5.2 Command not recognized\r\n",
        };
        if reply.starts_with(b"5") {
            desk.counters.bad_commands.add(1);
        }
        out.extend_from_slice(reply);
        Next::More
    }

    fn hello(&mut self, extended: bool, desk: &Desk, out: &mut Vec<u8>) -> Next {
        if self.stalls(Phase::Ehlo, desk) {
            return Next::More;
        }
        self.reset();
        out.extend_from_slice(match (extended, self.encrypted) {
            (true, false) => &desk.ehlo,
            (true, true) => &desk.ehlo_encrypted,
            (false, _) => &desk.helo,
        });
        Next::More
    }

    fn mail(&mut self, from: &[u8], desk: &mut Desk, out: &mut Vec<u8>) -> Next {
        if self.stalls(Phase::Mail, desk) {
            return Next::More;
        }
        if desk.auth.is_some() && !self.logged_in {
            return bad(desk, out, b"530 5.7.0 Authentication required\r\n");
        }
        if self.mail {
            return bad(desk, out, b"503 5.5.1 Nested MAIL command\r\n");
        }
        if let Some(next) = refuse(FailAt::Mail, desk, out) {
            return next;
        }
        self.mail = true;
        if desk.saver.is_some() {
            self.envelope.begin(from, self.encrypted);
        }
        out.extend_from_slice(b"250 2.1.0 Ok\r\n");
        Next::More
    }

    fn rcpt(&mut self, to: &[u8], desk: &mut Desk, out: &mut Vec<u8>) -> Next {
        if self.stalls(Phase::Rcpt, desk) {
            return Next::More;
        }
        if !self.mail {
            return bad(desk, out, b"503 5.5.1 Need MAIL first\r\n");
        }
        if self.recipients >= limits::RECIPIENTS_PER_MESSAGE {
            return bad(desk, out, b"452 4.5.3 Too many recipients\r\n");
        }
        if let Some(next) = refuse(FailAt::Rcpt, desk, out) {
            return next;
        }
        self.recipients += 1;
        if desk.saver.is_some() {
            self.envelope.add(to);
        }
        out.extend_from_slice(b"250 2.1.5 Ok\r\n");
        Next::More
    }

    fn start_data(&mut self, desk: &mut Desk, out: &mut Vec<u8>) -> Next {
        if self.stalls(Phase::Data, desk) {
            return Next::More;
        }
        if self.recipients == 0 {
            return bad(desk, out, b"503 5.5.1 No valid recipients\r\n");
        }
        if let Some(next) = refuse(FailAt::Data, desk, out) {
            return next;
        }
        self.drop = desk.next_drop();
        self.end = EndOfData::default();
        self.id.restart();
        self.bytes = 0;
        self.state = State::Data;
        out.extend_from_slice(b"354 End data with <CR><LF>.<CR><LF>\r\n");
        Next::More
    }

    fn data(
        &mut self,
        input: &[u8],
        desk: &mut Desk,
        out: &mut Vec<u8>,
    ) -> io::Result<(usize, Next)> {
        if self.drop == Drop::MidData {
            desk.counters.dropped.add(1);
            return Ok((input.len(), Next::Drop));
        }
        let end = self.end.scan(&desk.needle, input);
        let piece = &input[..end.unwrap_or(input.len())];
        self.bytes += piece.len();
        if self.id.is_searching() {
            self.id.feed(piece);
        }
        if desk.saver.is_some() && self.bytes <= limits::SINK_MESSAGE_BYTES {
            self.body.extend_from_slice(piece);
        }
        if end.is_none() {
            return Ok((piece.len(), Next::More));
        }
        self.state = State::Command;
        let next = if self.drop == Drop::AfterDot {
            desk.counters.dropped.add(1);
            Next::Drop
        } else if self.stalls(Phase::Dot, desk) {
            Next::More
        } else if desk.delays {
            self.state = State::Held;
            Next::Pause
        } else {
            self.answer_message(desk, out)?
        };
        Ok((piece.len(), next))
    }

    fn answer_message(&mut self, desk: &mut Desk, out: &mut Vec<u8>) -> io::Result<Next> {
        let next = if desk.saver.is_some() && self.bytes > limits::SINK_MESSAGE_BYTES {
            bad(desk, out, b"552 5.3.4 Message too big\r\n")
        } else if let Some(next) = refuse(FailAt::Dot, desk, out) {
            next
        } else {
            if let Some(saver) = &desk.saver {
                saver.save(&self.envelope, self.id.id(), &self.body)?;
            }
            desk.taken(self.id.id(), self.recipients, self.bytes)?;
            out.extend_from_slice(b"250 2.0.0 Ok\r\n");
            Next::More
        };
        self.reset();
        Ok(next)
    }

    fn auth(&mut self, rest: &[u8], desk: &Desk, out: &mut Vec<u8>) {
        let Some(auth) = &desk.auth else {
            out.extend_from_slice(b"502 5.5.1 AUTH not offered\r\n");
            return;
        };
        let (mechanism, initial) = match memchr(b' ', rest) {
            Some(blank) => (&rest[..blank], rest[blank..].trim_ascii()),
            None => (rest, &b""[..]),
        };
        if mechanism.eq_ignore_ascii_case(b"PLAIN") && !initial.is_empty() {
            self.logged_in = auth.plain_matches(initial);
            self.auth_reply(out);
        } else if mechanism.eq_ignore_ascii_case(b"PLAIN") {
            self.state = State::Auth(AuthStep::Plain);
            out.extend_from_slice(b"334 \r\n");
        } else if mechanism.eq_ignore_ascii_case(b"LOGIN") {
            self.state = State::Auth(AuthStep::User);
            out.extend_from_slice(b"334 VXNlcm5hbWU6\r\n");
        } else {
            out.extend_from_slice(b"504 5.5.4 Unknown mechanism\r\n");
        }
    }

    fn auth_line(&mut self, step: AuthStep, line: &[u8], desk: &Desk, out: &mut Vec<u8>) {
        self.state = State::Command;
        let Some(auth) = &desk.auth else { return };
        match step {
            AuthStep::User => {
                self.auth_user = line.to_vec();
                self.state = State::Auth(AuthStep::Pass);
                out.extend_from_slice(b"334 UGFzc3dvcmQ6\r\n");
                return;
            }
            AuthStep::Plain => self.logged_in = auth.plain_matches(line),
            AuthStep::Pass => self.logged_in = auth.login_matches(&self.auth_user, line),
        }
        self.auth_reply(out);
    }

    fn auth_reply(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.logged_in {
            true => b"235 2.7.0 Welcome\r\n",
            false => b"535 5.7.8 Wrong user or password\r\n",
        });
    }

    fn stalls(&mut self, phase: Phase, desk: &Desk) -> bool {
        let stalls = desk.stall == Some(phase);
        if stalls {
            self.state = State::Stalled;
        }
        stalls
    }

    fn reset(&mut self) {
        self.mail = false;
        self.recipients = 0;
        self.body.clear();
    }
}

fn bad(desk: &Desk, out: &mut Vec<u8>, reply: &[u8]) -> Next {
    desk.counters.bad_commands.add(1);
    out.extend_from_slice(reply);
    Next::More
}

fn too_long(desk: &Desk, out: &mut Vec<u8>) -> Next {
    desk.counters.bad_commands.add(1);
    out.extend_from_slice(b"500 5.5.2 Line too long\r\n");
    Next::Close
}

/// Draws the verdict on an attempt where faults are asked for; `None` lets it pass.
fn refuse(at: FailAt, desk: &mut Desk, out: &mut Vec<u8>) -> Option<Next> {
    match desk.next_verdict(at) {
        Verdict::Pass => None,
        Verdict::Temporary => {
            out.extend_from_slice(b"451 4.3.0 Refused for now, on demand\r\n");
            Some(Next::More)
        }
        Verdict::Permanent => {
            out.extend_from_slice(b"550 5.7.1 Refused for good, on demand\r\n");
            Some(Next::More)
        }
        Verdict::Close421 => {
            out.extend_from_slice(b"421 4.3.2 Closing, on demand\r\n");
            Some(Next::Close)
        }
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;

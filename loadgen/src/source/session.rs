//! The client's side of an SMTP dialogue, without any I/O: replies in, commands and actions out.

use super::auth::Credentials;
use super::capabilities::Capabilities;
use super::outgoing::Outgoing;
use super::pace::Job;
use super::reply::Reply;
use super::traffic::Traffic;
use std::collections::VecDeque;

/// How to talk; the same for all connections of a run.
#[derive(Debug)]
pub struct Manners {
    /// Name given in EHLO.
    pub helo: String,
    /// `None`: pipeline when offered.
    pub pipelining: Option<bool>,
    /// Send the next envelope along with a body.
    pub deep: bool,
    /// Encrypt before anything else.
    pub starttls: bool,
    /// Log in.
    pub auth: Option<Credentials>,
}

/// A reply that is awaited, named after its command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Await {
    Banner,
    Ehlo,
    Helo,
    StartTls,
    AuthPlain,
    AuthLogin,
    AuthUser,
    AuthPass,
    Rset,
    Mail,
    Rcpt(u32),
    Data,
    Dot,
    Quit,
}

impl Await {
    fn is_before_mail(self) -> bool {
        !matches!(
            self,
            Self::Rset | Self::Mail | Self::Rcpt(_) | Self::Data | Self::Dot | Self::Quit
        )
    }
}

/// A refusal of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Reply code.
    pub code: u16,
    /// Reply text.
    pub text: String,
}

/// A message on its way.
#[derive(Debug)]
pub struct Transaction {
    /// Which one.
    pub job: Job,
    /// Recipients the server took.
    pub accepted: u32,
    /// Recipients the server refused.
    pub refused: u32,
    /// The first refusal that stands against the whole message.
    pub refusal: Option<Refusal>,
    mail_taken: bool,
}

/// What the caller has to do after a reply.
#[derive(Debug)]
pub enum Action {
    /// Nothing: more replies are awaited, or the next command is in the output.
    Wait,
    /// Encrypt from here on, then call [`Session::after_tls`].
    StartTls,
    /// Greeting and login are over: a message can begin.
    Ready,
    /// The server waits for a body: call [`Session::send_body`].
    Body,
    /// A message came to its end (refused when it holds a refusal).
    Done(Transaction),
    /// The server ends the connection, refusing this message with it, if any.
    Bye(Option<Transaction>),
}

/// One connection's dialogue.
#[derive(Debug, Default)]
pub struct Session {
    awaited: VecDeque<Await>,
    /// The message whose envelope is being negotiated.
    envelope: Option<Transaction>,
    /// The message whose body was sent.
    body: Option<Transaction>,
    caps: Capabilities,
    encrypted: bool,
    /// An envelope was opened and not used: RSET has to go before the next.
    needs_reset: bool,
}

impl Session {
    /// Begins anew, on a new connection.
    pub fn restart(&mut self) {
        self.awaited.clear();
        self.awaited.push_back(Await::Banner);
        (self.envelope, self.body) = (None, None);
        (self.encrypted, self.needs_reset) = (false, false);
    }

    /// What is awaited, for messages to people.
    #[must_use]
    pub fn phase(&self) -> &'static str {
        match self.awaited.front() {
            Some(Await::Banner) => "the banner",
            Some(Await::Ehlo | Await::Helo) => "the reply to EHLO",
            Some(Await::StartTls) => "the reply to STARTTLS",
            Some(Await::AuthPlain | Await::AuthLogin | Await::AuthUser | Await::AuthPass) => {
                "the reply to AUTH"
            }
            Some(Await::Rset) => "the reply to RSET",
            Some(Await::Mail) => "the reply to MAIL",
            Some(Await::Rcpt(_)) => "the reply to RCPT",
            Some(Await::Data) => "the reply to DATA",
            Some(Await::Dot) => "the reply to the message",
            Some(Await::Quit) => "the reply to QUIT",
            None => "the next message",
        }
    }

    /// Number of replies awaited.
    #[must_use]
    pub fn awaited(&self) -> usize {
        self.awaited.len()
    }

    /// Whether the reply that is awaited is that to a message.
    #[must_use]
    pub fn awaits_dot(&self) -> bool {
        self.awaited.front() == Some(&Await::Dot)
    }

    /// Whether an envelope, or QUIT, was sent along with the body before it.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        self.envelope.is_some() || self.awaited.back() == Some(&Await::Quit)
    }

    /// Gives up the messages that had no reply yet.
    pub fn abandon(&mut self) -> impl Iterator<Item = Transaction> {
        [self.body.take(), self.envelope.take()].into_iter().flatten()
    }

    /// Asks the server to end the connection.
    pub fn quit(&mut self, out: &mut Outgoing) {
        self.ask(Await::Quit, b"QUIT\r\n", out);
    }

    /// Begins a message: its envelope, or the first command of it.
    pub fn begin(&mut self, job: Job, manners: &Manners, traffic: &Traffic, out: &mut Outgoing) {
        self.envelope =
            Some(Transaction { job, accepted: 0, refused: 0, refusal: None, mail_taken: false });
        let pipelining = self.pipelines(manners);
        if std::mem::take(&mut self.needs_reset) {
            self.ask(Await::Rset, b"RSET\r\n", out);
            if !pipelining {
                return;
            }
        }
        self.ask_mail(job, traffic, out);
        if pipelining {
            for index in 0..traffic.recipients() {
                self.ask_rcpt(job, index, traffic, out);
            }
            self.ask(Await::Data, b"DATA\r\n", out);
        }
    }

    /// Sends the body of the message the server waits for.
    pub fn send_body(&mut self, date: &str, traffic: &Traffic, out: &mut Outgoing) {
        if let Some(transaction) = self.envelope.take() {
            traffic.header(transaction.job.seq, date, out.text());
            out.push_body(traffic.content(transaction.job.seq).bytes.clone());
            self.awaited.push_back(Await::Dot);
            self.body = Some(transaction);
        }
    }

    /// Whether the next envelope may go along with a body.
    #[must_use]
    pub fn goes_ahead(&self, manners: &Manners) -> bool {
        manners.deep && self.pipelines(manners)
    }

    /// The connection is encrypted now: greets again.
    pub fn after_tls(&mut self, manners: &Manners, out: &mut Outgoing) {
        self.encrypted = true;
        self.greet(manners, out);
    }

    /// Takes a reply.
    ///
    /// # Errors
    /// When the dialogue cannot go on.
    pub fn on_reply(
        &mut self,
        reply: &Reply<'_>,
        manners: &Manners,
        traffic: &Traffic,
        out: &mut Outgoing,
    ) -> Result<Action, String> {
        let Some(awaited) = self.awaited.pop_front() else {
            return match reply.code {
                421 => Ok(Action::Bye(None)),
                _ => Err(format!("a reply nobody asked for: {}", told(reply))),
            };
        };
        if reply.code == 421 {
            if awaited.is_before_mail() {
                return Err(format!("turned away: {}", told(reply)));
            }
            return Ok(Action::Bye(self.ended_by(awaited, reply)));
        }
        match awaited {
            Await::Quit => Ok(Action::Bye(None)),
            Await::Banner | Await::Ehlo | Await::Helo | Await::StartTls => {
                self.on_greeting(awaited, reply, manners, out)
            }
            Await::AuthPlain | Await::AuthLogin | Await::AuthUser | Await::AuthPass => {
                self.on_auth(awaited, reply, manners, out)
            }
            Await::Rset | Await::Mail | Await::Rcpt(_) | Await::Data => {
                Ok(self.on_envelope(awaited, reply, manners, traffic, out))
            }
            Await::Dot => self.on_dot(reply),
        }
    }

    fn on_greeting(
        &mut self,
        awaited: Await,
        reply: &Reply<'_>,
        manners: &Manners,
        out: &mut Outgoing,
    ) -> Result<Action, String> {
        if awaited == Await::Ehlo && reply.code / 100 == 5 && !self.encrypted {
            self.ask(Await::Helo, format!("HELO {}\r\n", manners.helo).as_bytes(), out);
            return Ok(Action::Wait);
        }
        if !reply.is_positive() {
            return Err(match awaited {
                Await::Banner => format!("turned away: {}", told(reply)),
                Await::StartTls => format!("STARTTLS refused: {}", told(reply)),
                _ => format!("EHLO refused: {}", told(reply)),
            });
        }
        match awaited {
            Await::Banner => {
                self.greet(manners, out);
                Ok(Action::Wait)
            }
            Await::StartTls => Ok(Action::StartTls),
            _ => {
                self.caps = if awaited == Await::Ehlo {
                    Capabilities::read(reply)
                } else {
                    Capabilities::default()
                };
                self.after_greeting(manners, out)
            }
        }
    }

    fn after_greeting(&mut self, manners: &Manners, out: &mut Outgoing) -> Result<Action, String> {
        if manners.starttls && !self.encrypted {
            if !self.caps.starttls {
                return Err("the server does not offer STARTTLS".to_owned());
            }
            self.ask(Await::StartTls, b"STARTTLS\r\n", out);
            return Ok(Action::Wait);
        }
        let Some(credentials) = &manners.auth else {
            return Ok(Action::Ready);
        };
        if self.caps.auth_plain {
            self.ask(Await::AuthPlain, credentials.plain().as_bytes(), out);
        } else if self.caps.auth_login {
            self.ask(Await::AuthLogin, b"AUTH LOGIN\r\n", out);
        } else {
            return Err("the server offers neither AUTH PLAIN nor AUTH LOGIN".to_owned());
        }
        Ok(Action::Wait)
    }

    fn on_auth(
        &mut self,
        awaited: Await,
        reply: &Reply<'_>,
        manners: &Manners,
        out: &mut Outgoing,
    ) -> Result<Action, String> {
        match (awaited, reply.code, &manners.auth) {
            (Await::AuthLogin, 334, Some(credentials)) => {
                self.ask(Await::AuthUser, credentials.user_line().as_bytes(), out);
                Ok(Action::Wait)
            }
            (Await::AuthUser, 334, Some(credentials)) => {
                self.ask(Await::AuthPass, credentials.pass_line().as_bytes(), out);
                Ok(Action::Wait)
            }
            (Await::AuthPlain | Await::AuthPass, 235, _) => Ok(Action::Ready),
            _ => Err(format!("AUTH refused: {}", told(reply))),
        }
    }

    fn on_envelope(
        &mut self,
        awaited: Await,
        reply: &Reply<'_>,
        manners: &Manners,
        traffic: &Traffic,
        out: &mut Outgoing,
    ) -> Action {
        let stepwise = !self.pipelines(manners);
        let Some(transaction) = &mut self.envelope else {
            return Action::Wait;
        };
        let job = transaction.job;
        match awaited {
            // Whatever the answer to RSET, MAIL will tell.
            Await::Rset if stepwise => self.ask_mail(job, traffic, out),
            Await::Mail => {
                transaction.mail_taken = reply.is_positive();
                if !transaction.mail_taken {
                    transaction.refuse(reply);
                }
                match (stepwise, transaction.mail_taken) {
                    (true, true) => self.ask_rcpt(job, 0, traffic, out),
                    (true, false) => return self.finish_envelope(),
                    (false, _) => {}
                }
            }
            Await::Rcpt(index) => {
                transaction.count_recipient(reply);
                if stepwise {
                    return self.after_recipient(job, index + 1, traffic, out);
                }
            }
            Await::Data => return self.on_data(reply, out),
            _ => {}
        }
        Action::Wait
    }

    /// Without pipelining: asks for the next recipient, then for the body if there is anyone to have it.
    fn after_recipient(
        &mut self,
        job: Job,
        next: u32,
        traffic: &Traffic,
        out: &mut Outgoing,
    ) -> Action {
        if next < traffic.recipients() {
            self.ask_rcpt(job, next, traffic, out);
        } else if self.envelope.as_ref().is_some_and(|transaction| transaction.accepted > 0) {
            self.ask(Await::Data, b"DATA\r\n", out);
        } else {
            return self.finish_envelope();
        }
        Action::Wait
    }

    fn on_data(&mut self, reply: &Reply<'_>, out: &mut Outgoing) -> Action {
        let Some(transaction) = &mut self.envelope else {
            return Action::Wait;
        };
        if reply.code == 354 {
            if transaction.accepted > 0 {
                return Action::Body;
            }
            // Pipelined, and taken although nobody is to have it: an empty message gets us out (RFC 2920, 3.1).
            self.ask(Await::Dot, b".\r\n", out);
            self.body = self.envelope.take();
            return Action::Wait;
        }
        transaction.refuse(reply);
        self.finish_envelope()
    }

    fn finish_envelope(&mut self) -> Action {
        match self.envelope.take() {
            Some(transaction) => {
                self.needs_reset = transaction.mail_taken;
                Action::Done(transaction)
            }
            None => Action::Wait,
        }
    }

    fn on_dot(&mut self, reply: &Reply<'_>) -> Result<Action, String> {
        let Some(mut transaction) = self.body.take() else {
            return Err(format!("a reply to no message: {}", told(reply)));
        };
        if !reply.is_positive() {
            transaction.refuse(reply);
        }
        Ok(Action::Done(transaction))
    }

    /// The message that a 421 in place of the awaited reply refuses.
    fn ended_by(&mut self, awaited: Await, reply: &Reply<'_>) -> Option<Transaction> {
        let mut transaction = match awaited {
            Await::Dot => self.body.take(),
            Await::Mail | Await::Rcpt(_) | Await::Data => self.envelope.take(),
            _ => None,
        }?;
        transaction.refusal = Some(Refusal::from(reply));
        Some(transaction)
    }

    fn greet(&mut self, manners: &Manners, out: &mut Outgoing) {
        self.ask(Await::Ehlo, format!("EHLO {}\r\n", manners.helo).as_bytes(), out);
    }

    fn pipelines(&self, manners: &Manners) -> bool {
        manners.pipelining.unwrap_or(self.caps.pipelining)
    }

    fn ask(&mut self, awaited: Await, command: &[u8], out: &mut Outgoing) {
        out.text().extend_from_slice(command);
        self.awaited.push_back(awaited);
    }

    fn ask_mail(&mut self, job: Job, traffic: &Traffic, out: &mut Outgoing) {
        traffic.mail(job.seq, self.caps.eight_bit, out.text());
        self.awaited.push_back(Await::Mail);
    }

    fn ask_rcpt(&mut self, job: Job, index: u32, traffic: &Traffic, out: &mut Outgoing) {
        traffic.rcpt(job.seq, index, out.text());
        self.awaited.push_back(Await::Rcpt(index));
    }
}

impl Transaction {
    fn count_recipient(&mut self, reply: &Reply<'_>) {
        if reply.is_positive() {
            self.accepted += 1;
            if self.mail_taken {
                // An earlier refused recipient does not stand against the message any more.
                self.refusal = None;
            }
            return;
        }
        self.refused += 1;
        if self.accepted == 0 {
            self.refuse(reply);
        }
    }

    fn refuse(&mut self, reply: &Reply<'_>) {
        self.refusal.get_or_insert_with(|| Refusal::from(reply));
    }
}

impl From<&Reply<'_>> for Refusal {
    fn from(reply: &Reply<'_>) -> Self {
        Self { code: reply.code, text: String::from_utf8_lossy(reply.text).into_owned() }
    }
}

/// A reply for messages to people.
fn told(reply: &Reply<'_>) -> String {
    format!("{} {}", reply.code, String::from_utf8_lossy(reply.text))
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;

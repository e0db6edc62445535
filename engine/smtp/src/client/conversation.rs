//! One mail transaction with a next hop, as a machine without I/O (RFC 5321 sections 3.3, 4.2 and 4.3; RFC 2920
//! for pipelining; RFC 2033 for LMTP): answers in, what to send or to wait for out.
//!
//! Every answer is applied to the command it answers, and to the recipients that command stands for. Only 2yz
//! completes a command, and only 354 lets data go; anything else that is not a refusal means that the two sides
//! are out of step, and nobody is charged for that.

use crate::client::broken::Broken;
use crate::client::capabilities as client;
use crate::response::Response;
use ringmta_io::sim::planted::{is_planted, Bug};
use ringmta_mail::EnvelopeAddress;

/// What an answer is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// RSET, for what a transaction before left behind.
    Reset,
    /// MAIL FROM.
    Mail,
    /// RCPT TO of the recipient at this place.
    Rcpt(usize),
    /// DATA.
    Data,
    /// The dot that ends the data; for LMTP the answer of each accepted recipient in turn.
    Dot,
}

/// What the connection is to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Send what was appended to the buffer, then ask again.
    Send,
    /// Read one reply and give it to [`Conversation::answer`].
    Await(Ask),
    /// Send the message and its final dot, then call [`Conversation::body_sent`].
    Body,
    /// Nothing: call [`Conversation::verdict`].
    Over,
}

/// How a group of recipients fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fate {
    /// 2yz to the final dot.
    Delivered,
    /// 5yz to their RCPT, or to the MAIL, DATA or dot that carried them.
    Failed,
    /// Refused for now, or never answered: to be tried again.
    Deferred,
    /// Refused because the transaction had enough recipients (RFC 5321 section 4.5.3.1.10), while others were
    /// taken: to be offered in a further transaction at once.
    Again,
    /// Never offered to the peer.
    Unoffered,
}

/// Recipients with one fate by one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What became of them.
    pub fate: Fate,
    /// The answer, with the command it answers. Empty for [`Fate::Unoffered`].
    pub response: Response,
    /// Who.
    pub recipients: Vec<EnvelopeAddress>,
}

/// What a transaction came to.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Every recipient, in exactly one group.
    pub groups: Vec<Group>,
    /// The peer may still hold an unfinished transaction: RSET before the next.
    pub needs_reset: bool,
    /// Why this connection can carry no further transaction.
    pub end: Option<End>,
    /// The peer has answered none of it.
    pub unanswered: bool,
}

/// Why a connection ends with a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The peer said 421: it closes (RFC 5321 section 3.8).
    Closing,
    /// The connection failed.
    Broken(Broken),
    /// Answers no longer belong to the commands they follow. Nobody is charged an attempt for it.
    OutOfStep(String),
}

/// How a next hop is spoken to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    /// The whole envelope leaves in one write.
    pub pipelining: bool,
    /// Each accepted recipient is answered for after the dot (RFC 2033).
    pub lmtp: bool,
}

struct Recipient {
    address: EnvelopeAddress,
    /// The command has left.
    offered: bool,
    answer: Option<Response>,
    /// For LMTP: the answer after the dot.
    dot: Option<Response>,
}

/// The transaction.
pub struct Conversation {
    manner: Manner,
    reset: bool,
    mail_line: Vec<u8>,
    recipients: Vec<Recipient>,
    /// What is waited for, or would be next in a step-by-step dialogue.
    at: Ask,
    /// The command of `at` has left.
    sent: bool,
    /// Something of it has left at all, whatever the peer's answers are worth.
    left: bool,
    mail: Option<Response>,
    /// Anything but 354 to DATA.
    data: Option<Response>,
    /// 354 has come.
    go_ahead: bool,
    dot: Option<Response>,
    /// An answer that closes the channel, with its command.
    closing: Option<Response>,
    answers: usize,
    body_sent: bool,
    over: bool,
    end: Option<End>,
    /// What those get who were offered and not answered, once the connection has broken.
    broken: Option<Response>,
}

impl Conversation {
    /// A transaction that begins with `mail_line` (a whole MAIL command), after RSET when `reset`.
    pub fn new(
        manner: Manner,
        reset: bool,
        mail_line: Vec<u8>,
        recipients: Vec<EnvelopeAddress>,
    ) -> Conversation {
        let fresh = |address| Recipient { address, offered: false, answer: None, dot: None };
        Conversation {
            manner,
            reset,
            mail_line,
            recipients: recipients.into_iter().map(fresh).collect(),
            at: if reset { Ask::Reset } else { Ask::Mail },
            sent: false,
            left: false,
            mail: None,
            data: None,
            go_ahead: false,
            dot: None,
            closing: None,
            answers: 0,
            body_sent: false,
            over: false,
            end: None,
            broken: None,
        }
    }

    /// What is to be done now; commands are appended to `out`.
    pub fn next(&mut self, out: &mut Vec<u8>) -> Action {
        if self.over {
            return Action::Over;
        }
        if self.at == Ask::Dot && self.go_ahead && !self.body_sent {
            if self.takers() > 0 {
                return Action::Body;
            }
            if !self.sent {
                // The peer waits for data for nobody: it gets none (RFC 2920 section 3.1).
                self.sent = true;
                out.extend_from_slice(b".\r\n");
                return Action::Send;
            }
        }
        if self.sent {
            return Action::Await(self.at);
        }
        self.render(out);
        Action::Send
    }

    /// Appends what comes next: with pipelining the whole envelope, else one command.
    fn render(&mut self, out: &mut Vec<u8>) {
        (self.sent, self.left) = (true, true);
        if !self.manner.pipelining {
            return self.render_one(self.at, out);
        }
        if self.reset {
            self.render_one(Ask::Reset, out);
        }
        self.render_one(Ask::Mail, out);
        for place in 0..self.recipients.len() {
            self.render_one(Ask::Rcpt(place), out);
        }
        self.render_one(Ask::Data, out);
    }

    fn render_one(&mut self, ask: Ask, out: &mut Vec<u8>) {
        match ask {
            Ask::Reset => out.extend_from_slice(b"RSET\r\n"),
            Ask::Mail => out.extend_from_slice(&self.mail_line),
            Ask::Rcpt(place) => {
                if let Some(recipient) = self.recipients.get_mut(place) {
                    recipient.offered = true;
                    client::rcpt_to(out, &recipient.address);
                }
            }
            Ask::Data => out.extend_from_slice(b"DATA\r\n"),
            Ask::Dot => {}
        }
    }

    /// The message and its dot have left.
    pub fn body_sent(&mut self) {
        self.body_sent = true;
        self.sent = true;
    }

    /// The command an answer to `ask` belongs to, as records tell it.
    pub fn command(&self, ask: Ask) -> String {
        match ask {
            Ask::Reset => "RSET\r\n".into(),
            Ask::Mail => String::from_utf8_lossy(&self.mail_line).into_owned(),
            Ask::Rcpt(place) => {
                let mut line = Vec::new();
                if let Some(recipient) = self.recipients.get(place) {
                    client::rcpt_to(&mut line, &recipient.address);
                }
                String::from_utf8_lossy(&line).into_owned()
            }
            Ask::Data => "DATA\r\n".into(),
            Ask::Dot => ".\r\n".into(),
        }
    }

    /// Takes the peer's answer to what was waited for.
    pub fn answer(&mut self, mut response: Response) {
        if self.over || !self.sent {
            return;
        }
        if self.at != Ask::Reset {
            self.answers += 1;
        }
        // What goes as it should is told by the answer to the dot alone: the others need not name their command.
        let is_step = match self.at {
            Ask::Reset | Ask::Mail | Ask::Rcpt(_) => matches!(response.code, 200..=299),
            Ask::Data => response.code == 354,
            Ask::Dot => false,
        };
        if !is_step {
            response.command = Some(self.command(self.at));
        }
        if response.code == 421 && is_planted(Bug::ClosingForgotten) {
            return self.uncharged(End::Closing);
        }
        if response.code == 421 {
            self.closing = Some(response.clone());
        }
        match self.at {
            Ask::Reset => self.reset_answer(&response),
            Ask::Mail => self.mail_answer(response),
            Ask::Rcpt(place) => self.rcpt_answer(place, response),
            Ask::Data => self.data_answer(response),
            Ask::Dot => self.dot_answer(response),
        }
    }

    fn reset_answer(&mut self, response: &Response) {
        if response.is_success() {
            return self.proceed(Ask::Mail);
        }
        // The message was not offered yet: it is not charged for what the peer holds against RSET.
        if response.code == 421 {
            self.uncharged(End::Closing);
        } else {
            self.out_of_step(response);
        }
    }

    fn mail_answer(&mut self, response: Response) {
        if response.is_intermediate() {
            return self.fault(response);
        }
        let refused = !response.is_success();
        self.mail = Some(response);
        if refused && !self.manner.pipelining {
            return self.finish(None);
        }
        self.proceed(self.rcpt_or_data(0));
    }

    fn rcpt_answer(&mut self, place: usize, response: Response) {
        if response.is_intermediate() {
            return self.fault(response);
        }
        let closes = response.code == 421;
        if let Some(recipient) = self.recipients.get_mut(place) {
            recipient.answer = Some(response);
        }
        if closes && !self.manner.pipelining {
            return self.finish(None);
        }
        self.proceed(self.rcpt_or_data(place + 1));
    }

    fn rcpt_or_data(&self, place: usize) -> Ask {
        if place < self.recipients.len() {
            Ask::Rcpt(place)
        } else {
            Ask::Data
        }
    }

    fn data_answer(&mut self, response: Response) {
        if response.code == 354 {
            self.go_ahead = true;
            self.at = Ask::Dot;
            self.sent = false;
        } else if response.is_success() && !is_planted(Bug::OutOfStepGoesOn) {
            // The answers are one behind: no telling which of them was whose.
            self.out_of_step(&response);
        } else if response.is_intermediate() {
            self.fault(response);
        } else {
            self.data = Some(response);
            self.finish(None);
        }
    }

    fn dot_answer(&mut self, response: Response) {
        if !self.body_sent {
            // To the dot that nobody's data ended: of no meaning.
            return self.finish(None);
        }
        if response.is_intermediate() {
            return self.fault(response);
        }
        if !self.manner.lmtp {
            self.dot = Some(response);
            return self.finish(None);
        }
        let mut open = self.recipients.iter_mut().filter(|r| r.is_taken() && r.dot.is_none());
        if let Some(recipient) = open.next() {
            recipient.dot = Some(response);
        }
        if open.next().is_none() {
            self.finish(None);
        }
    }

    fn proceed(&mut self, ask: Ask) {
        self.at = ask;
        self.sent = self.manner.pipelining;
        let nobody = ask == Ask::Data && !self.sent && self.takers() == 0;
        if nobody {
            self.finish(None);
        }
    }

    /// 3yz where only 2yz completes the command (RFC 5321 section 4.2.1): who waits for it is tried again.
    fn fault(&mut self, response: Response) {
        self.broken = Some(response);
        self.finish(Some(End::OutOfStep("an intermediate reply where none belongs".into())));
    }

    fn out_of_step(&mut self, response: &Response) {
        let command = response.command.as_deref().unwrap_or_default().trim_end();
        let said = format!("{} {}", response.code, response.joined());
        self.unread(&format!("{said} to {command}"));
    }

    /// The peer has said something that nothing sent so far asks for, or something else shows that its answers
    /// belong to other commands: all that it said within this transaction counts for nothing.
    pub fn unread(&mut self, what: &str) {
        self.uncharged(End::OutOfStep(format!("answers out of step: {what}")));
    }

    /// Ends as if nothing of the transaction had been offered.
    fn uncharged(&mut self, end: End) {
        self.answers = 0;
        self.sent = false;
        (self.mail, self.data, self.dot) = (None, None, None);
        (self.broken, self.closing) = (None, None);
        for recipient in &mut self.recipients {
            (recipient.offered, recipient.answer, recipient.dot) = (false, None, None);
        }
        self.finish(Some(end));
    }

    fn finish(&mut self, end: Option<End>) {
        self.over = true;
        self.end = end.or(self.end.take());
    }

    /// The connection broke while an answer was waited for, or while something was sent; `response` tells the
    /// records so. What was answered before stands.
    pub fn broken(&mut self, why: Broken, response: Response) {
        if is_planted(Bug::AnswersForgotten) {
            (self.mail, self.data, self.closing) = (None, None, None);
            self.recipients.iter_mut().for_each(|recipient| recipient.answer = None);
        }
        let command = self.command(self.at);
        self.broken = Some(match &self.closing {
            // A 421 answers all that is still open.
            Some(closing) => closing.clone(),
            None => Response { command: response.command.clone().or(Some(command)), ..response },
        });
        self.finish(Some(End::Broken(why)));
    }

    /// The connection takes nothing more, whatever was still answered over it.
    pub fn lost(&mut self, why: Broken) {
        self.over = true;
        self.end.get_or_insert(End::Broken(why));
    }

    /// The peer has said that it closes where nothing was waited for. That answers all that is still open (RFC 5321
    /// section 3.8), and there is no further transaction here.
    pub fn closes(&mut self, response: Response) {
        let last = if self.at == Ask::Dot { Ask::Data } else { self.at };
        self.closing = Some(Response { command: Some(self.command(last)), ..response });
        self.finish(None);
    }

    /// The connection turned out to be of no use before anything was said.
    pub fn never_begun(&mut self, end: End) {
        self.finish(Some(end));
    }

    /// Something of it has left: the peer may have counted it as a message, whatever became of the connection.
    pub fn has_left(&self) -> bool {
        self.left
    }

    /// Nothing of it has left, or nothing that counts.
    pub fn is_fresh(&self) -> bool {
        !self.sent && self.answers == 0
    }

    /// It has come to its end by answers alone, none of which has delivered it: of what was accepted at the dot a later
    /// word takes nothing back.
    pub fn is_complete(&self) -> bool {
        let accepted = |r: &Response| r.is_success();
        let delivered = self.dot.as_ref().is_some_and(accepted)
            || self.recipients.iter().any(|r| r.dot.as_ref().is_some_and(accepted));
        self.over && self.end.is_none() && self.closing.is_none() && self.answers > 0 && !delivered
    }

    /// Nothing more is to be said or heard.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Some recipients were one too many for the peer, and will get a further transaction.
    pub fn is_crowded(&self) -> bool {
        let crowded = |answer: &Response| matches!(answer.code, 452 | 552);
        self.recipients.iter().any(|r| r.answer.as_ref().is_some_and(crowded))
    }

    /// A transaction of nobody, to stand in for one that is taken apart.
    pub fn empty() -> Conversation {
        Conversation::new(Manner::default(), false, Vec::new(), Vec::new())
    }

    /// What is waited for.
    pub fn awaited(&self) -> Ask {
        self.at
    }

    /// Recipients the peer has taken.
    fn takers(&self) -> usize {
        if !self.mail.as_ref().is_some_and(Response::is_success) {
            return 0;
        }
        self.recipients.iter().filter(|recipient| recipient.is_taken()).count()
    }

    /// What the transaction came to. To be asked when it is over.
    pub fn verdict(self) -> Verdict {
        let mut groups = Vec::new();
        for recipient in &self.recipients {
            let (fate, response) = self.judge(recipient);
            join(&mut groups, fate, response, recipient.address.clone());
        }
        let mail_taken = self.mail.as_ref().is_some_and(Response::is_success);
        let ended_by_dot = self.body_sent && self.end.is_none();
        Verdict {
            groups,
            needs_reset: mail_taken && !ended_by_dot,
            unanswered: self.answers == 0,
            end: match self.end {
                None if self.closing.is_some() => Some(End::Closing),
                end => end,
            },
        }
    }

    /// The fate of one recipient, and the answer that decided it.
    fn judge<'a>(&'a self, recipient: &'a Recipient) -> (Fate, Option<&'a Response>) {
        if let Some(mail) = self.mail.as_ref().filter(|mail| !mail.is_success()) {
            return (refusal(mail), Some(mail));
        }
        if let Some(answer) = recipient.answer.as_ref().filter(|answer| !answer.is_success()) {
            return (self.own_refusal(answer), Some(answer));
        }
        let carried = recipient.dot.as_ref().or(self.dot.as_ref());
        if let Some(dot) = carried {
            let fate = if dot.is_success() { Fate::Delivered } else { refusal(dot) };
            return (fate, Some(dot));
        }
        if let Some(data) = &self.data {
            return (refusal(data), Some(data));
        }
        // MAIL is the offer of all of them.
        let reached = recipient.offered || self.at == Ask::Mail && self.sent;
        match self.broken.as_ref().or(self.closing.as_ref()) {
            Some(response) if reached => (Fate::Deferred, Some(response)),
            _ => (Fate::Unoffered, None),
        }
    }

    /// What a refusal of the recipient's own RCPT means. 552 is to be read as 452 (RFC 5321 section
    /// 4.5.3.1.10).
    fn own_refusal(&self, answer: &Response) -> Fate {
        if !matches!(answer.code, 452 | 552) {
            return refusal(answer);
        }
        let goes_on = self.end.is_none() && self.closing.is_none();
        let others_delivered = self.dot.as_ref().is_some_and(Response::is_success)
            || self.recipients.iter().any(|r| r.dot.as_ref().is_some_and(Response::is_success));
        if goes_on && others_delivered {
            Fate::Again
        } else {
            Fate::Deferred
        }
    }
}

impl Recipient {
    fn is_taken(&self) -> bool {
        self.answer.as_ref().is_some_and(Response::is_success)
    }
}

fn refusal(answer: &Response) -> Fate {
    if answer.is_permanent() {
        Fate::Failed
    } else {
        Fate::Deferred
    }
}

/// Adds a recipient to the group of its fate and answer.
fn join(groups: &mut Vec<Group>, fate: Fate, response: Option<&Response>, who: EnvelopeAddress) {
    let same = |group: &&mut Group| match response {
        Some(response) => group.fate == fate && group.response == *response,
        None => group.fate == fate,
    };
    match groups.iter_mut().rev().find(same) {
        Some(group) => group.recipients.push(who),
        None => {
            let response = response.cloned().unwrap_or_default();
            groups.push(Group { fate, response, recipients: vec![who] });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_left_has_left_whatever_the_answers_are_worth() {
        let to = EnvelopeAddress::parse("u@dst.test").unwrap();
        let mail = b"MAIL FROM:<a@src.test>\r\n".to_vec();
        let mut talk = Conversation::new(Manner::default(), false, mail, vec![to]);
        assert!(!talk.has_left());
        talk.next(&mut Vec::new());
        talk.unread("one more");
        // Nobody is charged an attempt, but the peer may have counted a message.
        assert!(talk.is_fresh() && talk.has_left());
    }
}

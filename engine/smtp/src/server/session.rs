//! An ESMTP server session (RFC 5321) without any I/O: bytes in, steps out.
//!
//! The driver calls [`Session::step`] and does what it says; a question is answered with
//! [`Session::answer`]. Replies wait in [`Session::replies`] until the driver has nothing else
//! to do, so that the answers to pipelined commands leave in one write (RFC 2920).

use crate::limits;
use crate::reply::{Refusal, Reply};
use crate::server::buffer::RecvBuf;
use crate::server::command;
use crate::server::command::Command;
use crate::server::dot_reader::DataFault;
use crate::server::parameters::{MailParameters, RcptParameters};
use crate::server::patience::Patience;
use crate::server::redact::kept;
use crate::server::vocabulary::Answer;
use crate::server::vocabulary::Ask;
use crate::server::vocabulary::Asked;
use crate::server::vocabulary::DataState;
use crate::server::vocabulary::Params;
use crate::server::vocabulary::Pending;
use crate::server::vocabulary::Step;
use ringmta_io::receiving::{Held, Peer};
use ringmta_mail::{EnvelopeAddress, Meta};
use std::net::IpAddr;
use std::time::Duration;

#[derive(Debug)]
enum State {
    Start,
    Asking(Asked),
    Command,
    Auth(crate::server::vocabulary::Exchange),
    Data(Box<DataState>),
    Closing,
}

/// One client's session.
#[derive(Debug)]
pub struct Session {
    pub(super) params: Params,
    /// Who sends, for its share of the memory.
    pub(super) peer: Peer,
    state: State,
    replies: Vec<Pending>,
    pub(super) greeted: Option<String>,
    pub(super) extended: bool,
    pub(super) tls: bool,
    pub(super) authenticated: bool,
    pub(super) sender: Option<EnvelopeAddress>,
    pub(super) asked_address: Option<EnvelopeAddress>,
    pub(super) recipients: Vec<EnvelopeAddress>,
    pub(super) mail: MailParameters,
    pub(super) asked_rcpt: RcptParameters,
    /// What was asked for at each recipient, by address.
    pub(super) wanted: Meta,
    pub(super) messages: usize,
    patience: Patience,
    /// AUTH was given and no other command since: what is no command may be a response to it.
    after_auth: bool,
    keep_commands: bool,
    skipping_line: bool,
    current: String,
}

impl Session {
    /// A fresh session. `keep_commands`: every reply keeps its command (a rewriting handler needs
    /// it).
    pub fn new(params: Params, keep_commands: bool) -> Session {
        Session {
            params,
            peer: Peer::default(),
            state: State::Start,
            replies: Vec::new(),
            greeted: None,
            extended: false,
            tls: false,
            authenticated: false,
            sender: None,
            asked_address: None,
            recipients: Vec::new(),
            mail: MailParameters::default(),
            asked_rcpt: RcptParameters::default(),
            wanted: Meta::new(),
            messages: 0,
            patience: Patience::default(),
            after_auth: false,
            keep_commands,
            skipping_line: false,
            current: String::new(),
        }
    }

    /// The client is at this address: what it sends counts towards its share of the memory for that.
    pub fn receives_from(&mut self, ip: IpAddr) {
        self.peer = Peer::from(ip);
    }

    /// Replies that wait to be sent, in order.
    pub fn replies(&mut self) -> std::vec::Drain<'_, Pending> {
        self.replies.drain(..)
    }

    /// Whether replies wait.
    pub fn has_replies(&self) -> bool {
        !self.replies.is_empty()
    }

    /// The client's EHLO or HELO name.
    pub fn client_name(&self) -> Option<&str> {
        self.greeted.as_deref()
    }

    /// The protocol name for the Received header (RFC 3848).
    pub fn protocol(&self) -> &'static str {
        match (self.extended, self.tls, self.authenticated) {
            (false, ..) => "SMTP",
            (true, false, false) => "ESMTP",
            (true, true, false) => "ESMTPS",
            (true, false, true) => "ESMTPA",
            (true, true, true) => "ESMTPSA",
        }
    }

    /// The sender of the open transaction.
    pub fn sender(&self) -> Option<&EnvelopeAddress> {
        self.sender.as_ref()
    }

    /// The parameters in force.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Puts other parameters in force (a handler chose them for this client).
    pub fn set_params(&mut self, params: Params) {
        self.params = params;
    }

    /// Messages received so far, the one that is being received not counted.
    pub fn messages(&self) -> usize {
        self.messages
    }

    /// Whether message data is being received.
    pub fn in_data(&self) -> bool {
        matches!(self.state, State::Data(_))
    }

    /// Bytes of the message that is being received, if it holds a part of the memory for that.
    pub fn received(&self) -> Option<usize> {
        match &self.state {
            State::Data(data) if data.held.bytes() > 0 => Some(data.body.len()),
            _ => None,
        }
    }

    /// Gives up the message that is being received, and its memory: the client is told 452 at its dot.
    pub fn give_up_message(&mut self) {
        if let State::Data(data) = &mut self.state {
            data.reader.give_up(DataFault::NoMemory);
            (data.body, data.held) = (Vec::new(), Held::default());
        }
    }

    /// Whether every reply keeps its command from now on.
    pub fn keep_commands(&mut self, keep: bool) {
        self.keep_commands = keep;
    }

    /// Bytes worth reading at once now: small for commands, larger for data.
    pub fn read_size(&self) -> usize {
        match &self.state {
            State::Data(data) if data.body.len() >= 16 * 1024 => 64 * 1024,
            State::Data(_) => 16 * 1024,
            _ if self.messages > 0 || self.sender.is_some() => 16 * 1024,
            _ => limits::COMMAND_BUFFER_BYTES,
        }
    }

    /// Goes on with what is in `input`.
    pub fn step(&mut self, input: &mut RecvBuf) -> Step {
        loop {
            match &mut self.state {
                State::Start => {
                    return self.ask(Asked::Connected, Ask::Connected);
                }
                State::Closing => return Step::Close,
                State::Asking(_) => {
                    debug_assert!(false, "stepped before the question was answered");
                    return Step::Close;
                }
                State::Data(data) => {
                    let DataState { reader, body, held } = data.as_mut();
                    if reader.fault().is_none() && !held.reserve(body, input.bytes().len()) {
                        reader.give_up(DataFault::NoMemory);
                    }
                    let (used, done) = reader.read(input.bytes(), body);
                    if reader.fault().is_some() {
                        *body = Vec::new();
                        *held = Held::default();
                    }
                    input.consume(used);
                    if !done {
                        return Step::Read;
                    }
                    if let Some(step) = self.data_done() {
                        return step;
                    }
                }
                State::Command | State::Auth(_) => match self.next_line(input) {
                    Line::None => return Step::Read,
                    Line::Refused => {}
                    Line::Whole => {
                        if let Some(step) = self.line() {
                            if matches!(step, Step::StartTls) {
                                input.clear();
                            }
                            return step;
                        }
                    }
                },
            }
        }
    }

    /// Takes the answer to the open question.
    pub fn answer(&mut self, answer: Answer) {
        let State::Asking(asked) = self.state else {
            debug_assert!(false, "answered without a question");
            return;
        };
        self.state = State::Command;
        let auth_refused = asked == Asked::Auth && !matches!(answer, Answer::Accept);
        let (reply, close) = match answer {
            Answer::Refuse(reply) => {
                let close = reply.code == 421;
                (reply, close)
            }
            Answer::Disconnect(reply) => (reply, true),
            other => return self.accepted(asked, other),
        };
        self.push(reply);
        self.refused(asked);
        let too_many = match auth_refused {
            true => self.patience.guess(),
            false => self.patience.refusal(),
        };
        if let (Some(refusal), false) = (too_many, close) {
            self.push(refusal.reply());
            self.state = State::Closing;
        }
        // A client refused at the banner may only QUIT (RFC 5321 3.1); there is nothing to wait for.
        if close || asked == Asked::Connected {
            self.state = State::Closing;
        }
    }

    fn accepted(&mut self, asked: Asked, answer: Answer) {
        match asked {
            Asked::Connected => {
                let text = format!("{} {}", self.params.hostname, self.params.banner);
                self.push(Reply::new(220, text));
            }
            Asked::Ehlo => self.after_ehlo(answer),
            Asked::Auth => {
                self.authenticated = true;
                self.push(Reply::fixed(235, "2.7.0 Authentication successful"));
            }
            Asked::Xclient => self.after_xclient(),
            Asked::Mail => self.after_mail(),
            Asked::Rcpt => self.after_rcpt(),
            Asked::Data => self.after_data(),
            Asked::Message => {
                self.reset_transaction();
                if let Answer::Stored(reply) = answer {
                    self.patience.accepted();
                    self.push(reply);
                }
            }
        }
    }

    /// How long the replies that wait are held back for what the client did.
    pub fn take_penalty(&mut self) -> Duration {
        self.patience.take_penalty()
    }

    fn refused(&mut self, asked: Asked) {
        match asked {
            Asked::Ehlo => self.greeted = None,
            Asked::Message | Asked::Data => self.reset_transaction(),
            Asked::Mail => self.mail = MailParameters::default(),
            _ => {}
        }
        self.asked_address = None;
    }

    /// Ends the session with a last reply, from outside (time-out, stop).
    pub fn end(&mut self, refusal: Refusal) {
        self.current.clear();
        self.push(refusal.reply());
        self.state = State::Closing;
    }

    /// The open transaction is forgotten.
    pub(super) fn reset_transaction(&mut self) {
        self.sender = None;
        self.asked_address = None;
        self.recipients.clear();
        self.wanted.clear();
        self.mail = MailParameters::default();
    }

    pub(super) fn ask(&mut self, asked: Asked, ask: Ask) -> Step {
        self.state = State::Asking(asked);
        Step::Ask(ask)
    }

    pub(super) fn push(&mut self, reply: Reply) {
        let refusal = reply.is_refusal();
        let keep = self.keep_commands || refusal;
        let command = (keep && !self.current.is_empty()).then(|| self.current.clone());
        let mut pending = Pending { reply, command, sender: None, recipients: Vec::new() };
        if refusal {
            match &self.sender {
                Some(sender) => {
                    pending.sender = Some(sender.clone());
                    match &self.asked_address {
                        Some(recipient) => pending.recipients.push(recipient.clone()),
                        None => pending.recipients.clone_from(&self.recipients),
                    }
                }
                None => pending.sender.clone_from(&self.asked_address),
            }
        }
        self.replies.push(pending);
    }

    /// Refuses a command; too many of those end the session.
    pub(super) fn refuse(&mut self, refusal: Refusal) -> Option<Step> {
        self.push(refusal.reply());
        if let Some(enough) = self.patience.error() {
            self.push(enough.reply());
            self.state = State::Closing;
        }
        None
    }

    pub(super) fn enter_commands(&mut self) {
        self.state = State::Command;
    }

    pub(super) fn enter_auth(&mut self, exchange: crate::server::vocabulary::Exchange) {
        self.state = State::Auth(exchange);
    }

    pub(super) fn enter_data(&mut self, data: DataState) {
        self.state = State::Data(Box::new(data));
    }

    pub(super) fn take_data(&mut self) -> Option<Box<DataState>> {
        match std::mem::replace(&mut self.state, State::Command) {
            State::Data(data) => Some(data),
            other => {
                self.state = other;
                None
            }
        }
    }

    /// Takes the next line into `current`. The limit holds however slowly it comes.
    fn next_line(&mut self, input: &mut RecvBuf) -> Line {
        let limit = match self.state {
            State::Auth(_) => limits::AUTH_LINE_BYTES,
            // What holds for lines of data holds for commands, unless it is shorter than any client expects.
            _ => self
                .params
                .line_max
                .clamp(limits::COMMAND_LINE_BYTES_MIN, limits::COMMAND_LINE_BYTES),
        };
        let bytes = input.bytes();
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            // The CR of a line that is just short enough may be all that has come of its end.
            if bytes.len() > limit + usize::from(bytes.ends_with(b"\r")) {
                let all = bytes.len();
                input.consume(all);
                self.skipping_line = true;
            }
            return Line::None;
        };
        let mut line = &bytes[..end];
        if line.last() == Some(&b'\r') {
            line = &line[..line.len() - 1];
        }
        let too_long = std::mem::take(&mut self.skipping_line) || line.len() > limit;
        let text = if too_long { None } else { std::str::from_utf8(line).ok() };
        let clean = text.filter(|text| !text.bytes().any(|b| b < 0x20 && b != b'\t' || b == 0x7f));
        self.current.clear();
        let refusal = match clean {
            Some(text) => {
                self.current.push_str(text);
                None
            }
            None if too_long => Some(Refusal::LineTooLong),
            None => {
                let text = String::from_utf8_lossy(line);
                self.current.push_str(if self.after_auth { "" } else { kept(&text) });
                Some(Refusal::BadSyntax)
            }
        };
        input.consume(end + 1);
        match refusal {
            None => Line::Whole,
            Some(refusal) => {
                if matches!(self.state, State::Auth(_)) {
                    self.state = State::Command;
                    self.current.clear();
                    self.current.push_str("AUTH");
                }
                self.refuse(refusal);
                Line::Refused
            }
        }
    }

    fn line(&mut self) -> Option<Step> {
        if let State::Auth(_) = self.state {
            let State::Auth(exchange) = std::mem::replace(&mut self.state, State::Command) else {
                return None;
            };
            let line = std::mem::replace(&mut self.current, String::from("AUTH"));
            return self.auth_line(exchange, &line);
        }
        // The line is lent out so that the verb's handler may change the session; it comes back
        // for the reply that may have to name it.
        let line = std::mem::take(&mut self.current);
        let parsed = command::parse(&line);
        if let Command::Auth(argument) = parsed {
            self.current.push_str("AUTH");
            self.after_auth = true;
            return self.on_auth(argument);
        }
        let unknown = matches!(parsed, Command::Unknown);
        self.after_auth &= unknown;
        if !self.after_auth {
            self.current.push_str(if unknown { kept(&line) } else { &line });
        }
        self.dispatch(parsed)
    }

    fn dispatch(&mut self, command: Command<'_>) -> Option<Step> {
        match command {
            Command::Ehlo(domain) => self.on_ehlo(domain, true),
            Command::Helo(domain) => self.on_ehlo(domain, false),
            Command::Mail(argument) => self.on_mail(argument),
            Command::Rcpt(argument) => self.on_rcpt(argument),
            Command::Data => self.on_data(),
            Command::Auth(argument) => self.on_auth(argument),
            Command::StartTls => self.on_starttls(),
            Command::Xclient(argument) => self.on_xclient(argument),
            Command::Rset => {
                self.reset_transaction();
                self.push(Reply::fixed(250, "2.0.0 OK"));
                None
            }
            Command::Noop => {
                self.push(Reply::fixed(250, "2.0.0 OK"));
                None
            }
            Command::Quit => {
                self.push(Reply::new(221, format!("2.0.0 {} closing", self.params.hostname)));
                self.state = State::Closing;
                None
            }
            Command::Http => {
                self.push(Refusal::NotHttp.reply());
                self.state = State::Closing;
                None
            }
            Command::Unknown => self.refuse(Refusal::Unimplemented),
            Command::BadArgument => self.refuse(Refusal::BadParameter),
        }
    }
}

enum Line {
    None,
    Refused,
    Whole,
}

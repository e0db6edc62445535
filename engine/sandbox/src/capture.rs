//! The sandbox's SMTP side: the engine's own session, with a policy that takes every message
//! from everyone for anyone and keeps it, unless it was told otherwise.

use crate::chaos::{At, Chaos, Fault};
use crate::events::Event;
use crate::limits;
use crate::message::{Envelope, SessionInfo};
use crate::passwords::Verdict;
use crate::release::Outbound;
use crate::settings::Settings;
use crate::store::Store;
use ringmta_http::{accept_each, Bytes};
use ringmta_io::receiving::{Pace, LOOK};
use ringmta_io::{deadline, leave, mono_nanos, sleep, tls, yield_now, Conn, Listener};
use ringmta_smtp::reply::{Refusal, Reply};
use ringmta_smtp::server::buffer::RecvBuf;
use ringmta_smtp::server::dot_reader::BareEndings;
use ringmta_smtp::server::session::Session;
use ringmta_smtp::server::vocabulary::{Answer, Ask, Params, Step, Transaction};
use rustls::ServerConfig;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

const HOSTNAME: &str = "sandbox.ringmta.localhost";
const IDLE: Duration = Duration::from_secs(limits::SANDBOX_SESSION_IDLE_SECS);

/// What stands between SMTP sessions and the store.
pub struct Capture {
    store: Rc<Store>,
    settings: Rc<Settings>,
    chaos: Rc<Chaos>,
    outbound: Outbound,
    tls: Option<Arc<ServerConfig>>,
}

impl Capture {
    /// A capture into this store. Without a certificate in the settings STARTTLS has a fresh one, self-signed.
    pub fn new(
        store: Rc<Store>,
        settings: Rc<Settings>,
        chaos: Rc<Chaos>,
        outbound: Outbound,
    ) -> Capture {
        let made = || {
            tls::self_signed(HOSTNAME)
                .and_then(|(cert, key)| tls::server_config(cert.as_bytes(), key.as_bytes()))
                .inspect_err(|error| tracing::warn!(%error, "the sandbox offers no STARTTLS"))
                .ok()
        };
        let tls = settings.smtp.tls.clone().or_else(made);
        Capture { store, settings, chaos, outbound, tls }
    }

    fn params(&self) -> Params {
        let smtp = &self.settings.smtp;
        Params {
            hostname: HOSTNAME.into(),
            banner: "ESMTP ringmta sandbox: nothing leaves this machine".into(),
            size_max: smtp.max_message_bytes.unwrap_or(ringmta_smtp::limits::MESSAGE_BYTES_MAX),
            recipients_max: smtp.max_recipients.unwrap_or(limits::SANDBOX_RECIPIENTS),
            messages_max: limits::SANDBOX_SESSION_MESSAGES,
            line_max: limits::SANDBOX_LINE_BYTES,
            // The source is shown byte for byte, faults included.
            bare: BareEndings::Allow,
            tls: self.tls.is_some() && !smtp.implicit_tls,
            auth_in_clear: smtp.logins.is_none() || smtp.insecure_logins,
            xclient: false,
        }
    }

    fn is_taken(&self, recipient: &str) -> bool {
        self.settings.smtp.allowed_recipients.as_ref().is_none_or(|taken| taken.is_match(recipient))
    }
}

/// Takes mail for ever. Dropping the future closes the listener and every session.
pub async fn listen(listener: Listener, capture: Rc<Capture>) {
    accept_each(listener, limits::SANDBOX_SESSIONS, |stream, peer, full| {
        let capture = capture.clone();
        Box::pin(async move {
            let implicit = capture.tls.clone().filter(|_| capture.settings.smtp.implicit_tls);
            let conn = match implicit {
                None => Conn::Plain(stream),
                Some(tls) => match tls::accept(stream, tls).await {
                    Ok(conn) => conn,
                    Err(_) => return,
                },
            };
            let mut talk = Talk::new(conn, peer, &capture);
            if full {
                talk.session.end(Refusal::TooManyConnections);
            }
            // A client that breaks off is its own business.
            let _ = talk.run().await;
        })
    })
    .await;
}

/// One session and its connection.
struct Talk<'a> {
    capture: &'a Capture,
    conn: Conn,
    peer: IpAddr,
    session: Session,
    input: RecvBuf,
    info: SessionInfo,
    /// How fast its message comes.
    pace: Pace,
    /// The domain of the open transaction's sender.
    from: String,
}

impl<'a> Talk<'a> {
    fn new(conn: Conn, peer: SocketAddr, capture: &'a Capture) -> Talk<'a> {
        let tls = conn.tls_info();
        let mut session = Session::new(capture.params(), false);
        session.receives_from(peer.ip());
        if tls.is_some() {
            session.tls_started();
        }
        let info = SessionInfo { client: Some(peer), tls, ..SessionInfo::default() };
        let (input, pace) = (RecvBuf::new(), Pace::default());
        let peer = peer.ip();
        Talk { capture, conn, peer, session, input, info, pace, from: String::new() }
    }

    async fn run(mut self) -> io::Result<()> {
        loop {
            match self.session.step(&mut self.input) {
                Step::Ask(ask) => {
                    let answer = match self.strike(&ask).await? {
                        Some(reply) => Answer::Refuse(reply),
                        None => self.decide(ask).await,
                    };
                    if let Answer::Refuse(reply) = &answer {
                        let store = &self.capture.store;
                        store.count_rejected();
                        let client = self.info.client.map(|client| client.ip());
                        store.hub.publish(Event::Error("smtpd", client, &reply.text));
                    }
                    self.session.answer(answer);
                }
                Step::Read => {
                    self.flush().await?;
                    if !self.receive().await? {
                        return Ok(());
                    }
                }
                Step::StartTls => {
                    self.flush().await?;
                    self = self.secure().await?;
                }
                Step::Close => {
                    self.flush().await?;
                    leave(self.conn);
                    return Ok(());
                }
            }
        }
    }

    /// What chaos does at this step: silence, an end, or a refusal.
    async fn strike(&mut self, ask: &Ask) -> io::Result<Option<Reply>> {
        let at = match ask {
            Ask::Connected => At::Greeting,
            Ask::Ehlo { .. } => At::Ehlo,
            Ask::Auth { .. } => At::Authentication,
            Ask::Mail(_) => At::Sender,
            Ask::Rcpt(_) => At::Recipient,
            Ask::Data => At::Data,
            Ask::Message(_) => At::Message,
            Ask::Xclient(_) => return Ok(None),
        };
        let fault = match ask {
            Ask::Mail(sender) => self.capture.chaos.strikes(at, &[sender.domain()]),
            Ask::Rcpt(recipient) => self.capture.chaos.strikes(at, &[recipient.domain()]),
            Ask::Message(transaction) => {
                let domains: Vec<&str> =
                    transaction.recipients.iter().map(|to| to.domain()).collect();
                self.capture.chaos.strikes(at, &domains)
            }
            _ => self.capture.chaos.strikes(at, &[&self.from]),
        };
        self.suffer(fault).await
    }

    async fn suffer(&mut self, fault: Option<Fault>) -> io::Result<Option<Reply>> {
        let Some(fault) = fault else { return Ok(None) };
        if !fault.delay.is_zero() {
            // What was answered before it is not held up.
            self.flush().await?;
            sleep(fault.delay).await;
        }
        if fault.drop {
            return Err(io::Error::other("broken off by chaos"));
        }
        Ok(fault.reply)
    }

    /// The sandbox's policy: yes, unless it was told otherwise.
    async fn decide(&mut self, ask: Ask) -> Answer {
        let smtp = &self.capture.settings.smtp;
        match ask {
            Ask::Ehlo { domain, .. } => self.info.ehlo = domain,
            Ask::Auth { authc, password, .. } => {
                if let Some(logins) = &smtp.logins {
                    match logins.check(self.peer, &authc, &password.0).await {
                        Verdict::Right => {}
                        Verdict::Wrong => {
                            let text = "5.7.8 Authentication credentials invalid";
                            return Answer::Refuse(Reply::new(535, text));
                        }
                        Verdict::Later(_) => {
                            return Answer::Refuse(Refusal::TooManyGuesses.reply());
                        }
                    }
                }
                self.info.auth_user = Some(authc);
            }
            Ask::Mail(sender) => {
                if smtp.require_starttls && self.info.tls.is_none() {
                    let text = "5.7.0 Must issue a STARTTLS command first";
                    return Answer::Refuse(Reply::new(530, text));
                }
                if smtp.logins.is_some() && self.info.auth_user.is_none() {
                    return Answer::Refuse(Reply::new(530, "5.7.0 Authentication required"));
                }
                self.from = sender.domain().to_string();
            }
            Ask::Rcpt(to) if !smtp.ignore_rejected && !self.capture.is_taken(to.email()) => {
                return Answer::Refuse(Reply::new(550, "5.1.1 This recipient is not taken here"));
            }
            Ask::Message(transaction) => return self.keep(transaction).await,
            Ask::Connected | Ask::Xclient(_) | Ask::Rcpt(_) | Ask::Data => {}
        }
        Answer::Accept
    }

    async fn keep(&mut self, transaction: Transaction) -> Answer {
        let Capture { settings, store, outbound, .. } = self.capture;
        let source = Bytes::from(transaction.body);
        if settings.smtp.strict_headers && has_bare_returns(&source) {
            let text = "5.6.0 The header has lines that end with CR CR LF";
            return Answer::Refuse(Reply::new(550, text));
        }
        let all = transaction.recipients.iter().map(|to| to.email().to_string());
        let envelope = Envelope {
            mail_from: transaction.sender.email().to_string(),
            rcpt_to: all.filter(|to| self.capture.is_taken(to)).collect(),
        };
        if envelope.rcpt_to.is_empty() {
            return Answer::Stored(Reply::new(
                250,
                "2.0.0 OK, dropped: none of the recipients is taken here",
            ));
        }
        let (from, to) = (&envelope.mail_from, &envelope.rcpt_to);
        if let Err(error) = outbound.send(from, to, &source).await {
            let text: String = error.chars().filter(|c| !c.is_control()).take(400).collect();
            return Answer::Refuse(Reply::new(
                451,
                format!("4.4.0 The server behind said: {text}"),
            ));
        }
        self.info.protocol = self.session.protocol().to_string();
        match store.add(envelope, self.info.clone(), source).await {
            Ok(id) => Answer::Stored(Reply::new(250, format!("2.0.0 OK queued as {id}"))),
            Err(failed) => {
                tracing::error!(error = failed.0, "a message of the inbox");
                Answer::Refuse(Reply::new(451, "4.3.0 The inbox could not keep the message"))
            }
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        let mut out = Vec::new();
        for pending in self.session.replies() {
            pending.reply.render(&mut out);
        }
        if out.is_empty() {
            return Ok(());
        }
        deadline(IDLE, self.conn.write_all(&out)).await?
    }

    /// Receives more; false at the end of the stream. A message that comes too slowly for the memory it holds gives it up.
    async fn receive(&mut self) -> io::Result<bool> {
        let number = self.session.messages();
        let mut left = IDLE;
        loop {
            let mut look = left;
            if let Some(received) = self.session.received() {
                look = look.min(LOOK);
                if self.pace.is_too_slow(number, received, mono_nanos()) {
                    self.session.give_up_message();
                }
            }
            let space = self.input.space(self.session.read_size());
            let size = space.len();
            match deadline(look, self.conn.read(space)).await {
                Ok(read) => {
                    let read = read?;
                    self.input.filled(read);
                    if read == size {
                        // More is there already: others have their turn first.
                        yield_now().await;
                    }
                    return Ok(read > 0);
                }
                Err(_) if look < left => left -= look,
                Err(_) => {
                    self.session.end(Refusal::Timeout);
                    return Ok(true);
                }
            }
        }
    }

    async fn secure(mut self) -> io::Result<Talk<'a>> {
        let fault = self.capture.chaos.strikes(At::StartTls, &[]);
        self.suffer(fault).await?;
        let (Conn::Plain(stream), Some(config)) = (self.conn, self.capture.tls.clone()) else {
            return Err(io::Error::other("TLS within TLS"));
        };
        self.conn = tls::accept(stream, config).await?;
        self.info.tls = self.conn.tls_info();
        self.info.auth_user = None;
        self.session.tls_started();
        Ok(self)
    }
}

/// Whether a line of the header ends with CR CR LF.
fn has_bare_returns(source: &[u8]) -> bool {
    let lines = source.split(|byte| *byte == b'\n');
    lines.take_while(|line| !line.is_empty() && *line != b"\r").any(|line| line.ends_with(b"\r\r"))
}

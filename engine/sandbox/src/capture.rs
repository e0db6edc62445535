//! The sandbox's SMTP side: the engine's own session, with a policy that takes every message
//! from everyone for anyone, and keeps it.

use crate::limits;
use crate::message::{Envelope, SessionInfo};
use crate::store::Store;
use ringmta_http::accept_each;
use ringmta_io::{deadline, tls, Conn, Listener};
use ringmta_smtp::reply::{Refusal, Reply};
use ringmta_smtp::server::buffer::RecvBuf;
use ringmta_smtp::server::dot_reader::BareEndings;
use ringmta_smtp::server::session::Session;
use ringmta_smtp::server::vocabulary::{Answer, Ask, Params, Step, Transaction};
use rustls::ServerConfig;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

const HOSTNAME: &str = "sandbox.ringmta.localhost";
const IDLE: Duration = Duration::from_secs(limits::SANDBOX_SESSION_IDLE_SECS);

/// What stands between SMTP sessions and the store.
pub struct Capture {
    store: Rc<Store>,
    tls: Option<Arc<ServerConfig>>,
}

impl Capture {
    /// A capture into this store, with a fresh self-signed certificate for STARTTLS.
    pub fn new(store: Rc<Store>) -> Capture {
        let made = tls::self_signed(HOSTNAME)
            .and_then(|(cert, key)| tls::server_config(cert.as_bytes(), key.as_bytes()));
        if let Err(error) = &made {
            tracing::warn!(%error, "the sandbox offers no STARTTLS");
        }
        Capture { store, tls: made.ok() }
    }

    /// Keeps a message; gives back the id to answer with.
    pub fn store(&self, envelope: Envelope, session: SessionInfo, source: Vec<u8>) -> String {
        self.store.add(envelope, session, source)
    }

    fn params(&self) -> Params {
        Params {
            hostname: HOSTNAME.into(),
            banner: "ESMTP ringmta sandbox: nothing leaves this machine".into(),
            size_max: ringmta_smtp::limits::MESSAGE_BYTES_MAX,
            recipients_max: limits::SANDBOX_RECIPIENTS,
            messages_max: limits::SANDBOX_SESSION_MESSAGES,
            line_max: limits::SANDBOX_LINE_BYTES,
            // The source is shown byte for byte, faults included.
            bare: BareEndings::Allow,
            tls: self.tls.is_some(),
            auth_in_clear: true,
            xclient: false,
        }
    }
}

/// Takes mail for ever. Dropping the future closes the listener and every session.
pub async fn listen(listener: Listener, capture: Rc<Capture>) {
    accept_each(listener, limits::SANDBOX_SESSIONS, |stream, peer, full| {
        let capture = capture.clone();
        Box::pin(async move {
            let mut talk = Talk::new(Conn::Plain(stream), peer, &capture);
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
    session: Session,
    input: RecvBuf,
    info: SessionInfo,
}

impl<'a> Talk<'a> {
    fn new(conn: Conn, peer: SocketAddr, capture: &'a Capture) -> Talk<'a> {
        let info = SessionInfo { client: Some(peer), ..SessionInfo::default() };
        let session = Session::new(capture.params(), false);
        Talk { capture, conn, session, input: RecvBuf::new(), info }
    }

    async fn run(mut self) -> io::Result<()> {
        loop {
            match self.session.step(&mut self.input) {
                Step::Ask(ask) => {
                    let answer = self.decide(ask);
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
                    return deadline(IDLE, self.conn.close()).await?;
                }
            }
        }
    }

    /// The sandbox's policy: yes.
    fn decide(&mut self, ask: Ask) -> Answer {
        match ask {
            Ask::Ehlo { domain, .. } => self.info.ehlo = domain,
            Ask::Auth { authc, .. } => self.info.auth_user = Some(authc),
            Ask::Message(transaction) => return Answer::Stored(self.keep(transaction)),
            Ask::Connected | Ask::Xclient(_) | Ask::Mail(_) | Ask::Rcpt(_) | Ask::Data => {}
        }
        Answer::Accept
    }

    fn keep(&mut self, transaction: Transaction) -> Reply {
        let envelope = Envelope {
            mail_from: transaction.sender.email().to_string(),
            rcpt_to: transaction.recipients.iter().map(|to| to.email().to_string()).collect(),
        };
        self.info.protocol = self.session.protocol().to_string();
        let id = self.capture.store(envelope, self.info.clone(), transaction.body);
        Reply::new(250, format!("2.0.0 OK queued as {id}"))
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

    /// Receives more; false at the end of the stream.
    async fn receive(&mut self) -> io::Result<bool> {
        let space = self.input.space(self.session.read_size());
        match deadline(IDLE, self.conn.read(space)).await {
            Ok(read) => {
                let read = read?;
                self.input.filled(read);
                Ok(read > 0)
            }
            Err(_) => {
                self.session.end(Refusal::Timeout);
                Ok(true)
            }
        }
    }

    async fn secure(mut self) -> io::Result<Talk<'a>> {
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

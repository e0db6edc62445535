//! One connection of a source, from opening to closing; its buffers live on for the next.

use super::outgoing::Outgoing;
use super::pace::Pace;
use super::reply;
use super::session::{Action, Manners, Session};
use super::tally::Recorder;
use super::traffic::{DateLine, Traffic};
use crate::wire::Wire;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What all connections of a worker share.
#[derive(Debug)]
pub struct Shop {
    /// What is sent.
    pub traffic: Arc<Traffic>,
    /// How to talk.
    pub manners: Arc<Manners>,
    /// For STARTTLS.
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// Messages per connection.
    pub per_connection: u64,
    /// Longest wait for a reply.
    pub timeout: Duration,
    /// Which message is next, and when.
    pub pace: Pace,
    /// Counters and ledger.
    pub recorder: Recorder,
    /// The Date header of this second.
    pub date: DateLine,
    /// When this turn of the loop began.
    pub now: Instant,
}

/// Why a connection is over.
#[derive(Debug)]
pub enum Ending {
    /// As it should: QUIT, or closed by the server between two messages.
    Regular,
    /// Something failed; for people.
    Fault(String),
    /// The run cannot go on: the ledger cannot be written.
    Fatal(io::Error),
}

impl Ending {
    fn io(error: &io::Error, session: &Session) -> Self {
        Self::Fault(format!("{error} while waiting for {}", session.phase()))
    }
}

/// One place for a connection.
#[derive(Debug, Default)]
pub struct Slot {
    /// The connection, while there is one.
    pub wire: Option<Wire>,
    session: Session,
    input: Vec<u8>,
    out: Outgoing,
    /// When patience ends; `None` while nothing is awaited.
    pub deadline: Option<Instant>,
    /// Greeted, and no message under way.
    pub idle: bool,
    /// Whether the server sent anything.
    pub greeted: bool,
    begun: u64,
    /// Messages that came to their end on this connection.
    pub finished: u64,
    /// Failures in a row, which set the pause before the next try.
    pub failures: u32,
}

impl Slot {
    /// Takes a connection that is being opened.
    pub fn open(&mut self, wire: Wire, shop: &Shop) {
        self.wire = Some(wire);
        self.session.restart();
        self.input.clear();
        self.out.clear();
        self.deadline = Some(shop.now + shop.timeout);
        (self.idle, self.greeted) = (false, false);
        (self.begun, self.finished) = (0, 0);
    }

    /// Drops the connection; messages without a reply are lost.
    pub fn close(&mut self, shop: &mut Shop) {
        if let Some(mut wire) = self.wire.take() {
            wire.say_goodbye();
        }
        shop.recorder.tally.lost += self.session.abandon().count() as u64;
        self.deadline = None;
        self.idle = false;
    }

    /// What is awaited, for people.
    #[must_use]
    pub fn phase(&self) -> &'static str {
        if self.greeted {
            return self.session.phase();
        }
        "the banner"
    }

    /// Greeted, nothing under way: begins the next message if one is due, or says goodbye if there is none.
    pub fn proceed(&mut self, shop: &mut Shop) {
        self.idle = false;
        if self.begun >= shop.per_connection || shop.pace.is_over(shop.now) {
            self.session.quit(&mut self.out);
        } else if !self.begin_next(shop) {
            self.idle = true;
            self.deadline = None;
            return;
        }
        self.deadline = Some(shop.now + shop.timeout);
    }

    /// Sends along with a body what would follow its reply.
    fn go_ahead(&mut self, shop: &mut Shop) {
        if self.begun >= shop.per_connection {
            self.session.quit(&mut self.out);
        } else {
            self.begin_next(shop);
        }
    }

    fn begin_next(&mut self, shop: &mut Shop) -> bool {
        let Some(job) = shop.pace.take(shop.now) else {
            return false;
        };
        self.begun += 1;
        shop.recorder.tally.sent += 1;
        self.session.begin(job, &shop.manners, &shop.traffic, &mut self.out);
        true
    }

    /// Sends what waits.
    ///
    /// # Errors
    /// When the connection is over.
    pub fn send(&mut self) -> Result<(), Ending> {
        let Some(wire) = &mut self.wire else {
            return Ok(());
        };
        let sent = match self.out.is_empty() {
            true => wire.flush(),
            false => self.out.send(wire).map(|_| ()),
        };
        sent.map_err(|error| Ending::io(&error, &self.session))
    }

    /// The server closed the connection, or it broke.
    #[must_use]
    pub fn on_end(&self, error: Option<&io::Error>) -> Ending {
        if let Some(error) = error {
            return Ending::io(error, &self.session);
        }
        if self.greeted && self.session.awaited() == 0 {
            return Ending::Regular;
        }
        Ending::Fault(format!("closed by the server while waiting for {}", self.phase()))
    }

    /// Takes bytes from the server.
    ///
    /// # Errors
    /// When the connection is over.
    pub fn on_input(&mut self, bytes: &[u8], shop: &mut Shop) -> Result<(), Ending> {
        if !self.greeted {
            self.greeted = true;
            shop.recorder.tally.connections += 1;
        }
        let mut input = std::mem::take(&mut self.input);
        input.extend_from_slice(bytes);
        let mut at = 0;
        // What is asked while these bytes are read was not asked when the server sent them.
        let mut due = self.session.awaited();
        let result = loop {
            match reply::parse(&input[at..]) {
                Ok(Some(reply)) if due == 0 && reply.code != 421 => {
                    let text = String::from_utf8_lossy(reply.text);
                    break Err(Ending::Fault(format!(
                        "a reply nobody asked for: {} {text}",
                        reply.code
                    )));
                }
                Ok(Some(reply)) => {
                    due = due.saturating_sub(1);
                    at += reply.whole.len();
                    self.deadline = Some(shop.now + shop.timeout);
                    if let Err(ending) = self.on_reply(&reply, shop) {
                        break Err(ending);
                    }
                }
                Ok(None) => break Ok(()),
                Err(malformed) => {
                    let start = &input[at..input.len().min(at + 60)];
                    let start = String::from_utf8_lossy(start);
                    break Err(Ending::Fault(format!(
                        "{malformed}: {start:?} instead of {}",
                        self.phase()
                    )));
                }
            }
        };
        input.drain(..at);
        self.input = input;
        result
    }

    fn on_reply(&mut self, reply: &reply::Reply<'_>, shop: &mut Shop) -> Result<(), Ending> {
        let early = self.session.awaits_dot() && !self.out.is_empty();
        let action = self.session.on_reply(reply, &shop.manners, &shop.traffic, &mut self.out);
        match action.map_err(Ending::Fault)? {
            Action::Wait => {}
            Action::StartTls => self.start_tls(shop)?,
            Action::Ready => self.proceed(shop),
            Action::Body => {
                self.session.send_body(shop.date.text(), &shop.traffic, &mut self.out);
                if self.session.goes_ahead(&shop.manners) {
                    self.go_ahead(shop);
                }
            }
            Action::Done(transaction) => {
                self.record(&transaction, reply, shop)?;
                if early {
                    return Err(Ending::Fault(
                        "a reply to a message before its end was sent".to_owned(),
                    ));
                }
                if !self.session.is_ahead() {
                    self.proceed(shop);
                }
            }
            Action::Bye(transaction) => {
                if let Some(transaction) = transaction {
                    self.record(&transaction, reply, shop)?;
                }
                return Err(Ending::Regular);
            }
        }
        Ok(())
    }

    fn record(
        &mut self,
        transaction: &super::session::Transaction,
        reply: &reply::Reply<'_>,
        shop: &mut Shop,
    ) -> Result<(), Ending> {
        self.finished += 1;
        self.failures = 0;
        let bytes = shop.traffic.content(transaction.job.seq).bytes.len();
        let run = shop.traffic.run();
        shop.recorder.done(run, bytes, transaction, reply, shop.now).map_err(Ending::Fatal)
    }

    fn start_tls(&mut self, shop: &Shop) -> Result<(), Ending> {
        let (Some(wire), Some((config, name))) = (&mut self.wire, &shop.tls) else {
            return Err(Ending::Fault("STARTTLS was not prepared".to_owned()));
        };
        let fault = |error: &dyn std::fmt::Display| Ending::Fault(format!("TLS: {error}"));
        let connection = ClientConnection::new(Arc::clone(config), name.clone())
            .map_err(|error| fault(&error))?;
        wire.start_tls(connection.into()).map_err(|error| fault(&error))?;
        self.session.after_tls(&shop.manners, &mut self.out);
        Ok(())
    }
}

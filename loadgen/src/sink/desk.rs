//! What all sessions of a sink's worker share.

use super::counters::Counters;
use super::end_of_data::Needle;
use super::faults::{Drop, FailAt, Faults, Phase, Verdict};
use super::options::Options;
use super::save::Saver;
use crate::clock::SharedClock;
use crate::ledger::Writer;
use crate::limits;
use crate::stop::Stop;
use anyhow::{Context, Result};
use base64::prelude::{Engine, BASE64_STANDARD};
use rustls::ServerConfig;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Instant;

/// A worker's desk: replies rendered once, faults, counters, ledger.
#[derive(Debug)]
pub struct Desk {
    /// The greeting.
    pub banner: Vec<u8>,
    /// The reply to HELO.
    pub helo: Vec<u8>,
    /// The reply to EHLO on a plain connection.
    pub ehlo: Vec<u8>,
    /// The reply to EHLO on an encrypted connection.
    pub ehlo_encrypted: Vec<u8>,
    /// For STARTTLS, if offered.
    pub tls: Option<Arc<ServerConfig>>,
    /// Login asked for.
    pub auth: Option<Login>,
    /// Where sessions stop answering.
    pub stall: Option<Phase>,
    /// Whether replies to messages are held back.
    pub delays: bool,
    /// Stores messages.
    pub saver: Option<Saver>,
    /// Finds the end of messages.
    pub needle: Needle,
    /// What happened so far.
    pub counters: Arc<Counters>,
    /// When this turn of the loop began.
    pub now: Instant,
    ledger: Writer,
    /// When times are written down too.
    clock: Option<SharedClock>,
    faults: Faults,
    /// Number of this worker's next attempt, and the step to the one after: no two workers share a number.
    attempt: u64,
    message: u64,
    step: u64,
    goal: Goal,
}

/// The number of messages after which the sink ends, shared by all workers.
#[derive(Debug, Clone)]
pub struct Goal {
    left: Option<Arc<AtomicU64>>,
    stop: Stop,
}

impl Goal {
    /// Ends after `count` messages, or when stopped.
    #[must_use]
    pub fn new(count: Option<u64>, stop: Stop) -> Self {
        if count == Some(0) {
            stop.raise();
        }
        Self {
            left: count.filter(|&count| count > 0).map(|count| Arc::new(AtomicU64::new(count))),
            stop,
        }
    }

    fn count_one(&self) {
        if let Some(left) = &self.left {
            if left.fetch_sub(1, Ordering::SeqCst) == 1 {
                self.stop.raise();
            }
        }
    }
}

impl Desk {
    /// Sets up the desk of `worker` (from 0).
    ///
    /// # Errors
    /// When the ledger cannot be opened or an option makes no sense.
    pub fn new(
        options: &Options,
        worker: usize,
        counters: Arc<Counters>,
        tls: Option<Arc<ServerConfig>>,
        saver: Option<Saver>,
        goal: Goal,
    ) -> Result<Self> {
        let name = &options.name;
        Ok(Self {
            banner: format!("220 {name} ESMTP loadgen\r\n").into_bytes(),
            helo: format!("250 {name}\r\n").into_bytes(),
            ehlo: ehlo(options, tls.is_some()),
            ehlo_encrypted: ehlo(options, false),
            tls,
            auth: options.auth.as_deref().map(Login::parse).transpose()?,
            stall: options.stall,
            delays: options.delay > 0,
            saver,
            needle: Needle::default(),
            counters,
            now: Instant::now(),
            ledger: Writer::open(options.ledger.as_deref())?,
            clock: options.times.then(SharedClock::new),
            faults: options.faults(),
            attempt: worker as u64,
            message: worker as u64,
            step: options.workers as u64,
            goal,
        })
    }

    /// The verdict on the next attempt, if this is where attempts are judged.
    pub fn next_verdict(&mut self, at: FailAt) -> Verdict {
        if at != self.faults.at {
            return Verdict::Pass;
        }
        let verdict = self.faults.verdict(self.attempt);
        self.attempt += self.step;
        match verdict {
            Verdict::Pass => {}
            Verdict::Temporary => self.counters.temporary.add(1),
            Verdict::Permanent => self.counters.permanent.add(1),
            Verdict::Close421 => self.counters.closed_421.add(1),
        }
        verdict
    }

    /// How the connection of the next message is dropped.
    pub fn next_drop(&mut self) -> Drop {
        let drop = self.faults.drop(self.message);
        self.message += self.step;
        drop
    }

    /// Writes down and counts a message that is about to be acknowledged.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn taken(&mut self, id: &str, recipients: u32, bytes: usize) -> io::Result<()> {
        match &self.clock {
            // Not the turn's begin: many messages may come in one turn.
            Some(clock) => {
                let at = clock.us(Instant::now());
                self.ledger.line(self.now, format_args!("got {id} {recipients} {at}"))?;
            }
            None => self.ledger.line(self.now, format_args!("got {id} {recipients}"))?,
        }
        self.counters.messages.add(1);
        self.counters.recipients.add(u64::from(recipients));
        self.counters.bytes.add(bytes as u64);
        self.goal.count_one();
        Ok(())
    }

    /// Once per turn: writes the ledger when it is time.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn tick(&mut self) -> io::Result<()> {
        self.ledger.tick(self.now)
    }

    /// Writes the rest of the ledger.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn finish(&mut self) -> io::Result<()> {
        self.ledger.flush()
    }

    /// Whether the ledger has lines to write soon.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.ledger.is_dirty()
    }
}

fn ehlo(options: &Options, starttls: bool) -> Vec<u8> {
    let mut lines = vec![options.name.clone()];
    if !options.no_pipelining {
        lines.push("PIPELINING".to_owned());
    }
    lines.extend(["8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"].map(str::to_owned));
    if starttls {
        lines.push("STARTTLS".to_owned());
    }
    if options.auth.is_some() {
        lines.push("AUTH PLAIN LOGIN".to_owned());
    }
    let mut reply: String = lines.iter().map(|line| format!("250-{line}\r\n")).collect();
    reply.push_str(&format!("250 SIZE {}\r\n", limits::SINK_MESSAGE_BYTES));
    reply.into_bytes()
}

/// The login asked for.
#[derive(Debug)]
pub struct Login {
    user: String,
    pass: String,
}

impl Login {
    fn parse(text: &str) -> Result<Self> {
        let (user, pass) = text.split_once(':').context("--auth must be USER:PASS")?;
        Ok(Self { user: user.to_owned(), pass: pass.to_owned() })
    }

    /// Whether the argument of AUTH PLAIN is right.
    #[must_use]
    pub fn plain_matches(&self, encoded: &[u8]) -> bool {
        let Ok(decoded) = BASE64_STANDARD.decode(encoded) else { return false };
        let mut parts = decoded.splitn(3, |&byte| byte == 0).skip(1);
        parts.next() == Some(self.user.as_bytes()) && parts.next() == Some(self.pass.as_bytes())
    }

    /// Whether the two lines of AUTH LOGIN are right.
    #[must_use]
    pub fn login_matches(&self, user: &[u8], pass: &[u8]) -> bool {
        let is = |encoded, wanted: &String| {
            BASE64_STANDARD.decode(encoded).is_ok_and(|decoded| decoded == wanted.as_bytes())
        };
        is(user, &self.user) && is(pass, &self.pass)
    }
}

/// A desk for unit tests: no ledger, no files.
#[cfg(test)]
pub(super) fn test_desk(options: &Options) -> Desk {
    let goal = Goal::new(None, Stop::default());
    Desk::new(options, 0, Arc::default(), None, None, goal).unwrap()
}

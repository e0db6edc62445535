//! What a worker counts and writes down, and what the progress line sees of it.

use super::reply::Reply;
use super::session::{Refusal, Transaction};
use crate::clock::SharedClock;
use crate::ledger::{self, Writer};
use crate::limits;
use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Counters of one worker, added up over the workers at the end.
#[derive(Debug)]
pub struct Tally {
    /// Messages begun.
    pub sent: u64,
    /// Messages acknowledged.
    pub acknowledged: u64,
    /// Recipients of acknowledged messages.
    pub recipients: u64,
    /// Recipients refused within acknowledged messages.
    pub recipients_refused: u64,
    /// Bytes of acknowledged messages, as on the wire.
    pub bytes: u64,
    /// Messages refused, by code, with the first text seen.
    pub refused: BTreeMap<u16, (u64, String)>,
    /// Messages begun whose reply was never read.
    pub lost: u64,
    /// Connections that came to a banner.
    pub connections: u64,
    /// Connections that did not.
    pub connect_errors: u64,
    /// Connections that ended badly later.
    pub broken: u64,
    /// Why connections failed, with how often.
    pub faults: BTreeMap<String, u64>,
    /// Time from start (or due time) to the reply to the message, in microseconds, acknowledged messages only.
    pub latency_us: Histogram<u64>,
}

impl Tally {
    /// All zero.
    ///
    /// # Errors
    /// Never with the limits as they are.
    pub fn new() -> Result<Self> {
        let latency_us =
            Histogram::new_with_bounds(1, limits::LATENCY_MAX_US, limits::LATENCY_DIGITS)
                .context("the latency histogram's limits contradict each other")?;
        Ok(Self {
            sent: 0,
            acknowledged: 0,
            recipients: 0,
            recipients_refused: 0,
            bytes: 0,
            refused: BTreeMap::new(),
            lost: 0,
            connections: 0,
            connect_errors: 0,
            broken: 0,
            faults: BTreeMap::new(),
            latency_us,
        })
    }

    /// Adds another worker's counters.
    ///
    /// # Errors
    /// Never: all histograms have the same bounds.
    pub fn add(&mut self, other: Self) -> Result<()> {
        self.sent += other.sent;
        self.acknowledged += other.acknowledged;
        self.recipients += other.recipients;
        self.recipients_refused += other.recipients_refused;
        self.bytes += other.bytes;
        self.lost += other.lost;
        self.connections += other.connections;
        self.connect_errors += other.connect_errors;
        self.broken += other.broken;
        for (code, (count, text)) in other.refused {
            self.refused.entry(code).or_insert((0, text)).0 += count;
        }
        for (fault, count) in other.faults {
            *self.faults.entry(fault).or_default() += count;
        }
        self.latency_us.add(other.latency_us).context("cannot add histograms")
    }

    /// Messages refused, all codes together.
    #[must_use]
    pub fn refused_messages(&self) -> u64 {
        self.refused.values().map(|(count, _)| count).sum()
    }

    /// Connections that failed, early or late.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.connect_errors + self.broken
    }
}

/// Counters the progress line reads while the worker runs. Each has one writer.
#[derive(Debug, Default)]
pub struct Live {
    /// Messages acknowledged.
    pub acknowledged: AtomicU64,
    /// Messages refused.
    pub refused: AtomicU64,
    /// Connections that failed.
    pub errors: AtomicU64,
}

/// The worker's end of counters and ledger.
#[derive(Debug)]
pub struct Recorder {
    /// Counters so far.
    pub tally: Tally,
    ledger: Writer,
    /// When times are written down too.
    clock: Option<SharedClock>,
    refused: u64,
}

impl Recorder {
    /// Starts at zero with the given ledger, which gets times on request.
    ///
    /// # Errors
    /// See [`Tally::new`].
    pub fn new(ledger: Writer, times: bool) -> Result<Self> {
        let clock = times.then(SharedClock::new);
        Ok(Self { tally: Tally::new()?, ledger, clock, refused: 0 })
    }

    /// Counts a message that came to its end; `reply` is the last one read for it.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn done(
        &mut self,
        run: &str,
        bytes: usize,
        transaction: &Transaction,
        reply: &Reply<'_>,
        now: Instant,
    ) -> io::Result<()> {
        if let Some(refusal) = &transaction.refusal {
            return self.refused(run, transaction, refusal, now);
        }
        let seq = transaction.job.seq;
        self.tally.acknowledged += 1;
        self.tally.recipients += u64::from(transaction.accepted);
        self.tally.recipients_refused += u64::from(transaction.refused);
        self.tally.bytes += bytes as u64;
        let latency = now.saturating_duration_since(transaction.job.start);
        let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.tally.latency_us.saturating_record(latency_us.clamp(1, limits::LATENCY_MAX_US));
        let ids = reply.ids().unwrap_or(ledger::NO_ID);
        let accepted = transaction.accepted;
        let Some(clock) = &self.clock else {
            return self.ledger.line(now, format_args!("ack {run}-{seq} {accepted} {ids}"));
        };
        let (due, acked) = (clock.us(transaction.job.start), clock.us(now));
        self.ledger.line(now, format_args!("ack {run}-{seq} {accepted} {ids} {due} {acked}"))
    }

    fn refused(
        &mut self,
        run: &str,
        transaction: &Transaction,
        refusal: &Refusal,
        now: Instant,
    ) -> io::Result<()> {
        let example = || (0, refusal.text.chars().take(limits::EXAMPLE_CHARS).collect());
        self.tally.refused.entry(refusal.code).or_insert_with(example).0 += 1;
        self.refused += 1;
        self.ledger.line(now, format_args!("nak {run}-{} {}", transaction.job.seq, refusal.code))
    }

    /// Counts a failed connection.
    pub fn fault(&mut self, was_greeted: bool, why: String) {
        match was_greeted {
            true => self.tally.broken += 1,
            false => self.tally.connect_errors += 1,
        }
        *self.tally.faults.entry(why).or_default() += 1;
    }

    /// Once per turn: writes the ledger when it is time, and shows the counters.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn tick(&mut self, now: Instant, live: &Live) -> io::Result<()> {
        live.acknowledged.store(self.tally.acknowledged, Ordering::Relaxed);
        live.refused.store(self.refused, Ordering::Relaxed);
        live.errors.store(self.tally.errors(), Ordering::Relaxed);
        self.ledger.tick(now)
    }

    /// Writes the rest of the ledger and hands over the counters.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn finish(mut self) -> io::Result<Tally> {
        self.ledger.flush()?;
        Ok(self.tally)
    }
}

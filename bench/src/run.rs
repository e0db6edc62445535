//! One measurement: one engine, one cell, from the first message to the last delivered.

use crate::cell::{self, Cell, Source};
use crate::engine::{free_addr, Engine, Programs, Running};
use crate::limits::{LOOK, RUN};
use crate::perf::{Counter, Counts};
use crate::proc::{self, Reading};
use crate::sink::Sink;
use crate::source::{self, Latency};
use anyhow::{bail, Result};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tempfile::TempDir;

/// What came of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Messages sent and delivered.
    pub messages: u64,
    /// Accepted per second.
    pub accepted: f64,
    /// Delivered per second.
    pub delivered: f64,
    /// What the engine's processes used, over all messages.
    pub cost: Reading,
    /// What perf counted, if it was asked and could.
    pub counts: Option<Counts>,
    /// Writes to stable storage, where the engine's metrics tell.
    pub syncs: Option<u64>,
    /// CPU of the source, microseconds per message (loadgen only).
    pub source_us: Option<f64>,
    /// Messages that arrived twice (loadgen only).
    pub duplicates: Option<u64>,
    /// At half of full load as just measured (loadgen only).
    pub latency: Option<Latency>,
}

impl Outcome {
    /// Messages per second that count as full load. Where some are refused for now, the time until the
    /// last is delivered tells of pauses between attempts.
    pub fn full(&self, cell: &Cell) -> f64 {
        match cell.tempfail {
            0 => self.delivered,
            _ => self.accepted,
        }
    }
}

/// An engine that runs between a sink and whatever will send.
pub struct Site {
    /// Where it all is; gone with this.
    dir: TempDir,
    /// The engine.
    pub engine: Running,
    sink: Sink,
}

impl Site {
    /// Starts sink and engine in a fresh folder.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn start(engine: &Engine, programs: &Programs, cell: &Cell) -> Result<Site> {
        let dir = tempfile::Builder::new().prefix("compare-").tempdir_in("/var/tmp")?;
        let addr: SocketAddr = free_addr()?;
        let sink = Sink::start(programs, cell, addr, &dir.path().join("got"))?;
        let home = dir.path().join("engine");
        fs::create_dir(&home)?;
        let engine = Running::start(engine, programs, cell, &home, addr)?;
        Ok(Site { dir, engine, sink })
    }

    /// A file in its folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Sends `count` messages and waits until all are delivered.
    ///
    /// # Errors
    /// When a message is missing at the end: a run that loses mail counts for nothing.
    pub fn relay(&mut self, programs: &Programs, cell: &Cell, count: u64) -> Result<Outcome> {
        let (got, acked) = (self.file("got"), self.file("acked"));
        let syncs = syncs(&self.engine);
        let before = proc::read(self.engine.pid);
        let start = Instant::now();
        let report = source::full_speed(programs, cell, self.engine.smtp, count, &acked)?;
        let accepted = start.elapsed();
        let duplicates = match cell.source == Source::Loadgen && cell.sink == cell::Sink::Loadgen {
            true => duplicates(programs, &acked, &got)?,
            false => {
                self.wait(count)?;
                None
            }
        };
        let delivered = start.elapsed();
        let cost = proc::read(self.engine.pid).since(&before);
        Ok(Outcome {
            messages: count,
            accepted: count as f64 / accepted.as_secs_f64(),
            delivered: count as f64 / delivered.as_secs_f64(),
            cost,
            counts: None,
            syncs: syncs.and_then(|was| Some((self::syncs(&self.engine)? - was) as u64)),
            source_us: report.and_then(|report| report["cpu_us_per_message"].as_f64()),
            duplicates,
            latency: None,
        })
    }

    /// Latency at so many messages a second, with mail of its own.
    ///
    /// # Errors
    /// When mail is missing.
    pub fn latency(&self, programs: &Programs, cell: &Cell, rate: f64) -> Result<Latency> {
        let (acked, got) = (self.file("acked-at-rate"), self.file("got"));
        source::at_rate(programs, cell, self.engine.smtp, rate, &acked, &got)
    }

    fn wait(&mut self, count: u64) -> Result<()> {
        let end = Instant::now() + RUN;
        loop {
            let taken = self.sink.taken()?;
            if taken >= count {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("mail is missing: {taken} of {count} delivered");
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// Runs one measurement of `count` messages. With `counted` perf counts system calls, which itself
/// costs CPU, and nothing else of it should be used.
///
/// # Errors
/// When something does not start, or a message is missing at the end.
pub fn run(
    engine: &Engine,
    programs: &Programs,
    cell: &Cell,
    count: u64,
    counted: bool,
) -> Result<Outcome> {
    let mut site = Site::start(engine, programs, cell)?;
    let counter = counted.then(|| Counter::start(site.engine.pid)).flatten();
    let mut outcome = site.relay(programs, cell, count)?;
    outcome.counts = counter.and_then(Counter::finish);
    if cell.source == Source::Loadgen && !counted {
        outcome.latency = Some(site.latency(programs, cell, outcome.full(cell) / 2.0)?);
    }
    Ok(outcome)
}

/// Writes to stable storage so far.
fn syncs(engine: &Running) -> Option<f64> {
    Some(engine.metric("spool_flush_total")? + engine.metric("journal_flush_total")?)
}

fn duplicates(programs: &Programs, acked: &Path, got: &Path) -> Result<Option<u64>> {
    Ok(source::verify(programs, acked, got)?["duplicates"]["messages"].as_u64())
}

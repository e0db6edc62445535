//! `loadgen source`: sends messages and measures how they are taken.
//!
//! - [`options`]: the command line; `traffic`, `body`: what is sent; `pace`: when
//! - `session`, `reply`, `capabilities`, `auth`: the dialogue, without I/O
//! - `slot`, `outgoing`: one connection; `worker`: the event loop
//! - `tally`, `progress`, `report`: what came of it

mod auth;
mod body;
mod capabilities;
mod options;
mod outgoing;
mod pace;
mod progress;
mod reply;
mod report;
mod session;
mod slot;
mod tally;
mod traffic;
mod worker;

pub use options::Options;

use crate::ledger::Writer;
use crate::stop::Stop;
use crate::{clock, limits, tls};
use anyhow::{anyhow, bail, Context, Result};
use auth::Credentials;
use pace::Pace;
use report::Outcome;
use rustls::pki_types::ServerName;
use rustls::ClientConfig;
use session::Manners;
use slot::Shop;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;
use tally::{Live, Recorder, Tally};
use traffic::{DateLine, Traffic};
use worker::Post;

/// Runs a source; `true` when the run was completed and something was acknowledged.
///
/// # Errors
/// When an option makes no sense, or a file cannot be read or written.
pub fn run(options: &Options) -> Result<bool> {
    check(options)?;
    let stop = Stop::on_signals()?;
    let crew = Crew::prepare(options)?;
    let begin = Instant::now();
    let cpu_before = clock::process_cpu();
    let mut handles = Vec::new();
    let mut lives = Vec::new();
    for worker in 0..options.workers {
        let live = Arc::new(Live::default());
        lives.push(Arc::clone(&live));
        handles.push(crew.start(options, worker, begin, stop.clone(), live)?);
    }
    if !options.quiet {
        progress::show(options, begin, &lives, || handles.iter().all(JoinHandle::is_finished));
    }
    let tally = join(handles)?;
    let outcome = Outcome {
        run: crew.traffic.run().to_owned(),
        elapsed: begin.elapsed().saturating_sub(options.settle),
        cpu: clock::process_cpu().saturating_sub(cpu_before),
        interrupted: stop.raised(),
        wanted: options.count,
        tally,
    };
    report::write(&outcome, options)?;
    Ok(outcome.is_complete() && outcome.tally.acknowledged > 0)
}

fn check(options: &Options) -> Result<()> {
    if options.workers == 0 || options.workers > limits::WORKERS {
        bail!("--workers must be 1 to {}", limits::WORKERS);
    }
    if options.connections < options.workers || options.connections > limits::CONNECTIONS {
        bail!(
            "--connections must be {} (one per worker) to {}",
            options.workers,
            limits::CONNECTIONS
        );
    }
    if options.rate.is_some_and(|rate| !(1e-6..=1e9).contains(&rate)) {
        bail!("--rate must be above zero");
    }
    if options.timeout.is_zero() {
        bail!("--timeout must be above zero");
    }
    Ok(())
}

/// What all workers share.
struct Crew {
    targets: Vec<SocketAddr>,
    traffic: Arc<Traffic>,
    manners: Arc<Manners>,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl Crew {
    fn prepare(options: &Options) -> Result<Self> {
        let mut targets = Vec::new();
        for target in &options.target {
            let mut found =
                target.to_socket_addrs().with_context(|| format!("bad --target {target:?}"))?;
            targets
                .push(found.next().with_context(|| format!("--target {target:?} has no address"))?);
        }
        let manners = Manners {
            helo: options.helo.clone(),
            pipelining: match (options.pipelining, options.no_pipelining) {
                (true, _) => Some(true),
                (_, true) => Some(false),
                _ => None,
            },
            deep: options.deep_pipelining,
            starttls: options.starttls,
            auth: options.auth.as_deref().map(Credentials::parse).transpose()?,
        };
        let tls = match options.starttls {
            true => Some((tls::client()?, server_name(&options.target)?)),
            false => None,
        };
        Ok(Self {
            targets,
            traffic: Arc::new(Traffic::new(options)?),
            manners: Arc::new(manners),
            tls,
        })
    }

    fn start(
        &self,
        options: &Options,
        worker: usize,
        begin: Instant,
        stop: Stop,
        live: Arc<Live>,
    ) -> Result<JoinHandle<Result<Tally>>> {
        let first_due = begin + options.settle;
        let end = options.duration.and_then(|duration| first_due.checked_add(duration));
        let shop = Shop {
            traffic: Arc::clone(&self.traffic),
            manners: Arc::clone(&self.manners),
            tls: self.tls.clone(),
            per_connection: options.messages_per_connection.unwrap_or(u64::MAX),
            timeout: options.timeout,
            pace: Pace::new(worker, options.workers, options.count, options.rate, first_due)
                .until(end),
            recorder: Recorder::new(Writer::open(options.ledger.as_deref())?, options.times)?,
            date: DateLine::default(),
            now: begin,
        };
        let post = Post {
            targets: self.targets.clone(),
            connections: share(options.connections, worker, options.workers),
            keep_going: options.keep_going,
            stop,
            live,
        };
        std::thread::Builder::new()
            .name(format!("source-{worker}"))
            .spawn(move || worker::run(shop, post))
            .context("cannot start a thread")
    }
}

/// The part of `total` that falls to `worker` of `workers`.
fn share(total: usize, worker: usize, workers: usize) -> usize {
    total / workers + usize::from(worker < total % workers)
}

/// The name TLS asks the server for; any will do, since any certificate is taken.
fn server_name(targets: &[String]) -> Result<ServerName<'static>> {
    let target = targets.first().map_or("", String::as_str);
    let host = target.rsplit_once(':').map_or(target, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    ServerName::try_from(host.clone()).with_context(|| format!("{host:?} is no server name"))
}

fn join(handles: Vec<JoinHandle<Result<Tally>>>) -> Result<Tally> {
    let mut sum = Tally::new()?;
    let mut failure = None;
    for handle in handles {
        match handle.join() {
            Ok(Ok(tally)) => sum.add(tally)?,
            Ok(Err(error)) => failure = Some(error),
            Err(_) => failure = Some(anyhow!("a worker thread panicked")),
        }
    }
    failure.map_or(Ok(sum), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_shared_out() {
        let shares: Vec<_> = (0..3).map(|worker| share(10, worker, 3)).collect();
        assert_eq!(shares, [4, 3, 3]);
    }

    #[test]
    fn server_names_come_from_targets() {
        for target in ["127.0.0.1:25", "[::1]:25", "mx.example:25"] {
            assert!(server_name(&[target.to_owned()]).is_ok(), "{target}");
        }
    }
}

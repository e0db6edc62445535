//! `loadgen sink`: accepts messages at full speed, or fails them on demand.
//!
//! - [`options`]: the command line; `faults`: which attempt fails how
//! - `session`, `command`, `end_of_data`, `id_finder`: the dialogue, without I/O
//! - `desk`: what the sessions of a worker share; `save`: messages kept as files
//! - `conn`, `worker`: connections and the event loop
//! - `counters`, `report`: what came of it

mod command;
mod conn;
mod counters;
mod desk;
mod end_of_data;
mod faults;
mod id_finder;
mod options;
mod report;
mod save;
mod session;
mod worker;

pub use options::Options;

use crate::stop::Stop;
use crate::{clock, limits, tls};
use anyhow::{anyhow, bail, Context, Result};
use counters::Counters;
use desk::{Desk, Goal};
use report::Outcome;
use save::Saver;
use std::io::Write;
use std::net::{TcpListener, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use worker::Post;

/// Runs a sink until it is stopped; `true` always, since what it refuses was asked for.
///
/// # Errors
/// When an address cannot be used, or a file cannot be written.
pub fn run(options: &Options) -> Result<bool> {
    if options.workers == 0 || options.workers > limits::WORKERS {
        bail!("--workers must be 1 to {}", limits::WORKERS);
    }
    let stop = Stop::on_signals()?;
    let listeners = listen(options)?;
    let counters: Vec<_> = (0..options.workers).map(|_| Arc::new(Counters::default())).collect();
    let desks = desks(options, &counters, &stop)?;
    announce(options, &listeners)?;
    let mut handles = Vec::new();
    for desk in desks {
        handles.push(start(options, desk, &listeners, stop.clone())?);
    }
    let begin = Instant::now();
    let cpu_before = clock::process_cpu();
    let active = report::watch(options, &counters, || handles.iter().any(JoinHandle::is_finished));
    // One worker that failed ends them all.
    stop.raise();
    join(handles)?;
    let cpu = clock::process_cpu().saturating_sub(cpu_before);
    report::write(&Outcome::new(&counters, begin.elapsed(), active, cpu), options)?;
    Ok(true)
}

fn listen(options: &Options) -> Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for text in &options.listen {
        let addresses = text.to_socket_addrs().with_context(|| format!("bad --listen {text:?}"))?;
        for address in addresses {
            let context = || format!("cannot listen on {address}");
            let listener = TcpListener::bind(address).with_context(context)?;
            // A second call only makes the backlog longer than the standard library's.
            rustix::net::listen(&listener, limits::LISTEN_BACKLOG_CONNECTIONS)
                .with_context(context)?;
            // Accepted sockets inherit it, which spares a call for each.
            rustix::net::sockopt::set_tcp_nodelay(&listener, true).with_context(context)?;
            listener.set_nonblocking(true).with_context(context)?;
            listeners.push(listener);
        }
    }
    Ok(listeners)
}

fn desks(options: &Options, counters: &[Arc<Counters>], stop: &Stop) -> Result<Vec<Desk>> {
    let tls = match options.starttls {
        true => Some(tls::self_signed_server(&options.name)?),
        false => None,
    };
    let saver = options.save.as_deref().map(Saver::new).transpose()?;
    let goal = Goal::new(options.count, stop.clone());
    let desk = |(worker, counters): (usize, &Arc<Counters>)| {
        Desk::new(options, worker, Arc::clone(counters), tls.clone(), saver.clone(), goal.clone())
    };
    counters.iter().enumerate().map(desk).collect()
}

/// Tells where the sink listens, on stdout and in the port file.
fn announce(options: &Options, listeners: &[TcpListener]) -> Result<()> {
    let mut ports = String::new();
    let mut out = std::io::stdout().lock();
    for listener in listeners {
        let address = listener.local_addr().context("no local address")?;
        ports.push_str(&format!("{}\n", address.port()));
        writeln!(out, "listening on {address}")?;
    }
    out.flush()?;
    let Some(path) = &options.port_file else {
        return Ok(());
    };
    // Renamed into place, so that whoever waits for the file finds it complete.
    let context = || format!("cannot write {}", path.display());
    let mut name = path.clone().into_os_string();
    name.push(".new");
    std::fs::write(Path::new(&name), ports).with_context(context)?;
    std::fs::rename(Path::new(&name), path).with_context(context)
}

fn start(
    options: &Options,
    desk: Desk,
    listeners: &[TcpListener],
    stop: Stop,
) -> Result<JoinHandle<Result<()>>> {
    let mut own = Vec::new();
    for listener in listeners {
        let clone = listener.try_clone().context("cannot share a listening socket")?;
        own.push(mio::net::TcpListener::from_std(clone));
    }
    let post = Post {
        listeners: own,
        max_connections: options
            .max_connections
            .map_or(usize::MAX, |all| all.div_ceil(options.workers)),
        delay: Duration::from_millis(options.delay),
        timeout: options.timeout,
        stop,
    };
    std::thread::Builder::new()
        .name("sink".to_owned())
        .spawn(move || worker::run(desk, post))
        .context("cannot start a thread")
}

fn join(handles: Vec<JoinHandle<Result<()>>>) -> Result<()> {
    let mut result = Ok(());
    for handle in handles {
        match handle.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => result = Err(error),
            Err(_) => result = Err(anyhow!("a worker thread panicked")),
        }
    }
    result
}

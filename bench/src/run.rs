//! One measurement: one engine, one cell, from the first message to the last delivered.

use crate::cell::{Cell, Source};
use crate::engine::{free_addr, Engine, Programs, Running};
use crate::limits::{LOOK, RUN, STOP};
use crate::proc::{self, Reading};
use anyhow::{bail, Context, Result};
use serde_json::Value;
use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

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
    /// System calls, when perf can count them.
    pub syscalls: Option<u64>,
    /// Syncs to stable storage, when they can be counted.
    pub syncs: Option<u64>,
    /// CPU of the source, microseconds per message (loadgen only).
    pub source_us: Option<f64>,
    /// Duplicates the ledger found (loadgen only).
    pub duplicates: Option<u64>,
    /// Accept latency at half of the speed just measured, open loop: p50, p99, p99.9, ms.
    pub latency: Option<[f64; 3]>,
}

/// Kills a process when dropped.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs one measurement of `count` messages. With `syscalls` perf counts the system calls, which
/// itself costs CPU.
///
/// # Errors
/// When something does not start, or a message is missing at the end: a run that loses mail
/// counts for nothing.
pub fn run(
    engine: &Engine,
    programs: &Programs,
    cell: &Cell,
    count: u64,
    syscalls: bool,
) -> Result<Outcome> {
    let dir = tempfile::Builder::new().prefix("compare-").tempdir_in("/var/tmp")?;
    let got = dir.path().join("got");
    let sink = free_addr()?;
    let _sink = start_sink(programs, cell, sink, &got)?;
    let home = dir.path().join("engine");
    fs::create_dir(&home)?;
    let engine = Running::start(engine, programs, cell, &home, sink)?;
    let counter = syscalls.then(|| Counter::start(engine.pid)).flatten();
    let syncs = engine.metric("spool_flush_total").zip(engine.metric("journal_flush_total"));
    let before = proc::read(engine.pid);
    let start = Instant::now();
    let acked = dir.path().join("acked");
    let source = send(programs, cell, engine.smtp, count, &acked, dir.path())?;
    let accepted = start.elapsed();
    let duplicates = wait_delivered(programs, cell, count, &acked, &got)?;
    let delivered = start.elapsed();
    let cost = proc::read(engine.pid).since(&before);
    let after = engine.metric("spool_flush_total").zip(engine.metric("journal_flush_total"));
    let mut outcome = Outcome {
        messages: count,
        accepted: count as f64 / accepted.as_secs_f64(),
        delivered: count as f64 / delivered.as_secs_f64(),
        cost,
        syscalls: counter.and_then(Counter::finish),
        syncs: syncs.zip(after).map(|(was, now)| (now.0 - was.0 + now.1 - was.1) as u64),
        source_us: source.as_ref().and_then(|report| report["cpu_us_per_message"].as_f64()),
        duplicates,
        latency: None,
    };
    if cell.source == Source::Loadgen && !syscalls {
        outcome.latency = Some(latency(programs, cell, &engine, outcome.delivered / 2.0)?);
    }
    Ok(outcome)
}

fn start_sink(programs: &Programs, cell: &Cell, addr: SocketAddr, ledger: &Path) -> Result<Guard> {
    let mut command = Command::new(programs.bin.join("loadgen"));
    command.args(["sink", "--listen", &addr.to_string(), "--tempfail", &cell.tempfail.to_string()]);
    command.arg("--ledger").arg(ledger).stdout(Stdio::null()).stderr(Stdio::null());
    let guard = Guard(command.spawn().context("cannot run loadgen")?);
    let end = Instant::now() + STOP;
    while TcpStream::connect(addr).is_err() {
        if Instant::now() > end {
            bail!("loadgen sink does not listen on {addr}");
        }
        std::thread::sleep(LOOK);
    }
    Ok(guard)
}

/// Sends everything; returns the report of loadgen.
fn send(
    programs: &Programs,
    cell: &Cell,
    smtp: SocketAddr,
    count: u64,
    acked: &Path,
    dir: &Path,
) -> Result<Option<Value>> {
    let (smtp, count) = (smtp.to_string(), count.to_string());
    let (size, connections) = (cell.size.to_string(), cell.connections.to_string());
    if cell.source == Source::Loadgen {
        let report = dir.join("source.json");
        let mut command = loadgen_source(programs, cell, &smtp);
        command.args(["-n", &count, "--ledger"]).arg(acked).arg("--json").arg(&report);
        finish(command)?;
        let text = fs::read_to_string(report).context("report of loadgen")?;
        return Ok(Some(serde_json::from_str(&text)?));
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("smtp-source");
    command.env("PATH", format!("{path}:/usr/sbin"));
    command.args(["-N", "-s", &connections, "-m", &count, "-l", &size]);
    if cell.source == Source::SmtpSource {
        command.arg("-d");
    }
    command.args(["-f", "a@src.example", "-t", "b@dst.example", &smtp]);
    finish(command)?;
    Ok(None)
}

fn loadgen_source(programs: &Programs, cell: &Cell, smtp: &str) -> Command {
    let mut command = Command::new(programs.bin.join("loadgen"));
    command.args(["source", "--target", smtp, "--quiet", "-c", &cell.connections.to_string()]);
    command.args(["--size", &cell.size.to_string()]);
    if cell.domains > 1 {
        command.args(["--domain-count", &cell.domains.to_string()]);
    }
    command
}

/// Runs a program to its end, within the limit for a run.
fn finish(mut command: Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let spawned = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = Guard(spawned.with_context(|| format!("cannot run {name}"))?);
    let end = Instant::now() + RUN;
    loop {
        if let Some(status) = child.0.try_wait()? {
            if status.success() {
                return Ok(());
            }
            let mut text = String::new();
            if let Some(stderr) = &mut child.0.stderr {
                stderr.take(10_000).read_to_string(&mut text)?;
            }
            bail!("{name} failed: {}", text.trim());
        }
        if Instant::now() > end {
            bail!("{name} is not done after {} s", RUN.as_secs());
        }
        std::thread::sleep(LOOK / 5);
    }
}

/// Waits until the sink has everything. Returns the number of duplicates, where ids can tell.
fn wait_delivered(
    programs: &Programs,
    cell: &Cell,
    count: u64,
    acked: &Path,
    got: &Path,
) -> Result<Option<u64>> {
    if cell.source == Source::Loadgen {
        let mut command = Command::new(programs.bin.join("loadgen"));
        command.args(["verify", "--json", "--wait", &format!("{}s", RUN.as_secs()), "--acked"]);
        command.arg(acked).arg("--delivered").arg(got);
        let said = command.output().context("cannot run loadgen verify")?;
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        if !said.status.success() {
            bail!("mail is missing: {}", text.trim());
        }
        let report: Value = serde_json::from_str(&text).context("report of loadgen verify")?;
        return Ok(report["duplicates"].as_u64());
    }
    let end = Instant::now() + RUN;
    let mut seen = Lines::default();
    while seen.count(got)? < count {
        if Instant::now() > end {
            bail!("mail is missing: {} of {count} delivered", seen.lines);
        }
        std::thread::sleep(LOOK);
    }
    Ok(None)
}

/// Counts the lines of a file that grows.
#[derive(Default)]
struct Lines {
    at: u64,
    lines: u64,
}

impl Lines {
    fn count(&mut self, file: &Path) -> Result<u64> {
        use std::io::{Seek, SeekFrom};
        let Ok(mut file) = fs::File::open(file) else { return Ok(0) };
        file.seek(SeekFrom::Start(self.at))?;
        let mut bytes = Vec::new();
        self.at += file.read_to_end(&mut bytes)? as u64;
        self.lines += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        Ok(self.lines)
    }
}

/// Accept latency with messages sent when they are due, whether or not earlier ones are answered.
fn latency(programs: &Programs, cell: &Cell, engine: &Running, rate: f64) -> Result<[f64; 3]> {
    let mut command = loadgen_source(programs, cell, &engine.smtp.to_string());
    command.args(["--rate", &(rate.max(1.0) as u64).to_string(), "--duration", "3s"]);
    let output = command.args(["--json", "-"]).stderr(Stdio::null()).output()?;
    let report: Value = serde_json::from_slice(&output.stdout).context("report of loadgen")?;
    let of = |name: &str| report["latency_ms"][name].as_f64().unwrap_or(f64::NAN);
    Ok([of("p50"), of("p99"), of("p99.9")])
}

/// Counts system calls with perf, where it is installed and allowed.
struct Counter {
    perf: Child,
}

impl Counter {
    fn start(pid: u32) -> Option<Counter> {
        let pids: Vec<String> = proc::tree(pid).iter().map(ToString::to_string).collect();
        let mut command = Command::new("perf");
        command.args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", &pids.join(",")]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().ok().map(|perf| Counter { perf })
    }

    fn finish(mut self) -> Option<u64> {
        // perf prints its counts when it is interrupted.
        Command::new("kill").args(["-INT", &self.perf.id().to_string()]).status().ok()?;
        let mut text = String::new();
        self.perf.stderr.take()?.read_to_string(&mut text).ok()?;
        self.perf.wait().ok()?;
        text.lines().find(|line| line.contains("sys_enter"))?.split(',').next()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn lines_of_a_file_that_grows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("got");
        let mut lines = Lines::default();
        assert_eq!(lines.count(&path).unwrap(), 0);
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(b"a\nb").unwrap();
        assert_eq!(lines.count(&path).unwrap(), 1);
        file.write_all(b"\nc\n").unwrap();
        assert_eq!(lines.count(&path).unwrap(), 3);
    }

    #[test]
    fn a_program_that_fails_is_an_error_with_its_words() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no luck >&2; exit 1"]);
        assert!(finish(command).unwrap_err().to_string().contains("no luck"));
    }
}

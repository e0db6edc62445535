//! What sends: a run at full speed, and one at a rate, whose latencies count.

use crate::cell::{self, Cell, Source};
use crate::child::{finish, of_system};
use crate::engine::Programs;
use crate::limits::{LATENCY, RUN, SETTLE};
use anyhow::{bail, Context, Result};
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

/// p50, p99 and p99.9, milliseconds.
pub type Percentiles = [f64; 3];

/// Latencies, open loop: clocks start when a message is due, whether or not earlier ones are done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency {
    /// Messages per second that were due.
    pub rate: f64,
    /// From due to the reply to the dot.
    pub accept: Percentiles,
    /// From due to taken by the next hop; only where loadgen is the sink.
    pub deliver: Option<Percentiles>,
    /// From the reply to the dot to taken by the next hop.
    pub relay: Option<Percentiles>,
}

/// Sends `count` messages as fast as they are taken; returns the report of loadgen.
///
/// # Errors
/// When not everything was sent.
pub fn full_speed(
    programs: &Programs,
    cell: &Cell,
    smtp: SocketAddr,
    count: u64,
    acked: &Path,
) -> Result<Option<Value>> {
    let (smtp, count) = (smtp.to_string(), count.to_string());
    let (size, connections) = (cell.size.to_string(), cell.connections.to_string());
    if cell.source == Source::Loadgen {
        let report = acked.with_extension("json");
        let mut command = loadgen(programs, cell, &smtp);
        command.args(["-n", &count, "--ledger"]).arg(acked).arg("--json").arg(&report);
        finish(command)?;
        let text = fs::read_to_string(report).context("report of loadgen")?;
        return Ok(Some(serde_json::from_str(&text)?));
    }
    let mut command = of_system("smtp-source");
    command.args(["-N", "-s", &connections, "-m", &count, "-l", &size]);
    if cell.source == Source::SmtpSource {
        command.arg("-d");
    }
    command.args(["-f", "a@src.example", "-t", "b@dst.example", &smtp]);
    finish(command)?;
    Ok(None)
}

/// Sends for some seconds at `rate` messages per second over all connections of `cell`; all of it is
/// looked for in the ledger of the sink.
///
/// # Errors
/// When mail is missing.
pub fn at_rate(
    programs: &Programs,
    cell: &Cell,
    smtp: SocketAddr,
    rate: f64,
    acked: &Path,
    got: &Path,
) -> Result<Latency> {
    let rate = rate.max(1.0).round();
    let millis = |time: std::time::Duration| format!("{}ms", time.as_millis());
    let report = acked.with_extension("json");
    let mut command = loadgen(programs, cell, &smtp.to_string());
    command.args(["--rate", &rate.to_string(), "--duration", &millis(LATENCY)]);
    command.args(["--settle", &millis(SETTLE), "--times", "--ledger"]).arg(acked);
    command.arg("--json").arg(&report);
    finish(command)?;
    let report: Value =
        serde_json::from_str(&fs::read_to_string(report)?).context("report of loadgen")?;
    let names = ["p50", "p99", "p99.9"];
    let of = |values: &Value, unit: f64| {
        values
            .is_object()
            .then(|| names.map(|name| values[name].as_f64().unwrap_or(f64::NAN) * unit))
    };
    let accept = of(&report["latency_ms"], 1.0).context("loadgen tells no latency")?;
    let mut latency = Latency { rate, accept, deliver: None, relay: None };
    if cell.sink == cell::Sink::Loadgen {
        let books = verify(programs, acked, got)?;
        latency.deliver = of(&books["due_to_delivered_us"], 1e-3);
        latency.relay = of(&books["accepted_to_delivered_us"], 1e-3);
    }
    Ok(latency)
}

/// Waits until everything acknowledged has arrived; returns what `loadgen verify` says.
///
/// # Errors
/// When mail is missing.
pub fn verify(programs: &Programs, acked: &Path, got: &Path) -> Result<Value> {
    let mut command = Command::new(programs.bin.join("loadgen"));
    command.args(["verify", "--json", "--wait", &format!("{}s", RUN.as_secs()), "--acked"]);
    command.arg(acked).arg("--delivered").arg(got);
    let said = command.output().context("cannot run loadgen verify")?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    if !said.status.success() {
        bail!("mail is missing: {} {}", text.trim(), String::from_utf8_lossy(&said.stderr).trim());
    }
    serde_json::from_str(&text).context("report of loadgen verify")
}

fn loadgen(programs: &Programs, cell: &Cell, smtp: &str) -> Command {
    let mut command = Command::new(programs.bin.join("loadgen"));
    command.args(["source", "--target", smtp, "--quiet", "-c", &cell.connections.to_string()]);
    command.args(["--size", &cell.size.to_string()]);
    if cell.domains > 1 {
        command.args(["--domain-count", &cell.domains.to_string()]);
    }
    command
}

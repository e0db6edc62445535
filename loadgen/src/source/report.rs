//! The final report, for people on stderr or stdout and for programs as JSON.

use super::options::Options;
use super::tally::Tally;
use crate::units::{counted, thousands};
use anyhow::{Context, Result};
use serde_json::{json, Value};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// What a run came to.
#[derive(Debug)]
pub(super) struct Outcome {
    /// First part of all loadgen ids.
    pub run: String,
    /// Wall time from the start of the first connection to the last reply.
    pub elapsed: Duration,
    /// CPU time of this process, user and system.
    pub cpu: Duration,
    /// Ended by a signal.
    pub interrupted: bool,
    /// Messages asked for.
    pub wanted: Option<u64>,
    /// All counters.
    pub tally: Tally,
}

const PERCENTILES: [(&str, f64); 4] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9)];

impl Outcome {
    /// Whether all that was asked for was begun, and nothing ended the run early.
    pub(super) fn is_complete(&self) -> bool {
        !self.interrupted && self.wanted.is_none_or(|wanted| self.tally.sent >= wanted)
    }

    fn per_second(&self, amount: u64) -> f64 {
        amount as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    fn answered(&self) -> u64 {
        self.tally.acknowledged + self.tally.refused_messages()
    }

    fn cpu_us_per_message(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.answered().max(1) as f64
    }

    fn megabytes_per_second(&self) -> f64 {
        self.per_second(self.tally.bytes) / 1e6
    }

    fn latency_ms(&self, percentile: f64) -> f64 {
        self.tally.latency_us.value_at_quantile(percentile / 100.0) as f64 / 1e3
    }

    fn max_latency_ms(&self) -> f64 {
        self.tally.latency_us.max() as f64 / 1e3
    }
}

/// Writes the report wherever the options want it.
pub(super) fn write(outcome: &Outcome, options: &Options) -> Result<()> {
    let to_stdout = options.json.as_deref() == Some(Path::new("-"));
    if !options.quiet {
        // Keeps stdout clean for the JSON.
        match to_stdout {
            true => eprint!("{}", text(outcome)),
            false => print!("{}", text(outcome)),
        }
    }
    let Some(path) = &options.json else {
        return Ok(());
    };
    let json = format!("{:#}\n", json(outcome));
    if to_stdout {
        print!("{json}");
        return Ok(());
    }
    std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))
}

fn text(outcome: &Outcome) -> String {
    let tally = &outcome.tally;
    let mut out = String::new();
    let mut line = |name: &str, value: String, remark: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}", format!("{name:<13}{value:>12}  {remark}").trim_end());
    };
    let seconds = outcome.elapsed.as_secs_f64();
    line("sent", thousands(tally.sent), format!("in {seconds:.2} s, run {}", outcome.run));
    let rate = outcome.per_second(tally.acknowledged) as u64;
    let rates = format!("{} msg/s, {:.1} MB/s", thousands(rate), outcome.megabytes_per_second());
    line("acknowledged", thousands(tally.acknowledged), rates);
    line("refused", thousands(tally.refused_messages()), String::new());
    for (code, (count, example)) in &tally.refused {
        line("", thousands(*count), format!("{code} {example}"));
    }
    if tally.recipients_refused > 0 {
        line(
            "",
            thousands(tally.recipients_refused),
            "recipients of acknowledged messages refused".to_owned(),
        );
    }
    if tally.lost > 0 {
        line("unanswered", thousands(tally.lost), "cut off before the reply".to_owned());
    }
    let connections = format!(
        "{}, {} broken later",
        counted(tally.connect_errors, "connect error"),
        thousands(tally.broken)
    );
    line("connections", thousands(tally.connections), connections);
    for (fault, count) in &tally.faults {
        line("", thousands(*count), fault.clone());
    }
    latency_and_cpu(outcome, &mut out);
    out
}

fn latency_and_cpu(outcome: &Outcome, out: &mut String) {
    if outcome.tally.acknowledged > 0 {
        let _ = write!(out, "{:<13}", "latency ms");
        for (name, percentile) in PERCENTILES {
            let _ = write!(out, "  {name} {:.2}", outcome.latency_ms(percentile));
        }
        let _ = writeln!(out, "  max {:.2}", outcome.max_latency_ms());
    }
    let cpu = outcome.cpu_us_per_message();
    let _ =
        writeln!(out, "{:<13}{:>9.1} us  per message, of this source (user+sys)", "own CPU", cpu);
    if outcome.interrupted {
        let _ = writeln!(out, "interrupted");
    } else if !outcome.is_complete() {
        let _ = writeln!(out, "ended early: no connection left (--keep-going tries again)");
    }
}

fn json(outcome: &Outcome) -> Value {
    let tally = &outcome.tally;
    let refused: Vec<_> = tally
        .refused
        .iter()
        .map(
            |(code, (count, example))| json!({"code": code, "messages": count, "example": example}),
        )
        .collect();
    let mut latency: serde_json::Map<String, Value> = PERCENTILES
        .iter()
        .map(|&(name, percentile)| (name.to_owned(), json!(outcome.latency_ms(percentile))))
        .collect();
    latency.insert("max".to_owned(), json!(outcome.max_latency_ms()));
    latency.insert("mean".to_owned(), json!(tally.latency_us.mean() / 1e3));
    json!({
        "run": outcome.run,
        "complete": outcome.is_complete(),
        "elapsed_s": outcome.elapsed.as_secs_f64(),
        "sent": tally.sent,
        "acknowledged": tally.acknowledged,
        "recipients_acknowledged": tally.recipients,
        "recipients_refused": tally.recipients_refused,
        "refused": tally.refused_messages(),
        "refused_by_code": refused,
        "unanswered": tally.lost,
        "connections": tally.connections,
        "connect_errors": tally.connect_errors,
        "connections_broken": tally.broken,
        "faults": tally.faults,
        "messages_per_s": outcome.per_second(tally.acknowledged),
        "megabytes_per_s": outcome.megabytes_per_second(),
        "bytes": tally.bytes,
        "latency_ms": latency,
        "cpu_us_per_message": outcome.cpu_us_per_message(),
    })
}

//! What is told at the end: a table for people, CSV and JSON for programs.

use crate::cell::Cell;
use crate::conditions;
use crate::perf::Counts;
use crate::run::Outcome;
use crate::source::{Latency, Percentiles};
use serde_json::{json, Value};
use std::fmt::Write;

/// All runs of one engine in one cell.
#[derive(Debug, Clone)]
pub struct Row {
    /// The cell.
    pub cell: Cell,
    /// Name of the engine.
    pub engine: String,
    /// Each run that came to its end.
    pub runs: Vec<Outcome>,
    /// What perf counted, and over how many messages, in a run of its own.
    pub counted: Option<(Counts, u64)>,
}

/// The middle one of some numbers.
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Row {
    /// The median over the runs of what `of` reads.
    pub fn median(&self, of: impl Fn(&Outcome) -> f64) -> f64 {
        median(self.runs.iter().map(of).collect())
    }

    /// Engine CPU per message, microseconds.
    pub fn cpu(&self) -> f64 {
        self.median(|run| run.cost.cpu_us / run.messages as f64)
    }

    fn syncs(&self) -> Option<f64> {
        let each: Option<Vec<f64>> =
            self.runs.iter().map(|run| Some(run.syncs? as f64 / run.messages as f64)).collect();
        // An engine without such metrics calls the kernel for each.
        each.filter(|each| !each.is_empty()).map(median).or(self.counted(|counts| counts.syncs))
    }

    fn counted(&self, of: impl Fn(&Counts) -> u64) -> Option<f64> {
        self.counted.map(|(counts, messages)| of(&counts) as f64 / messages as f64)
    }

    /// A percentile of a latency (0: p50, 1: p99, 2: p99.9), milliseconds.
    pub fn latency(
        &self,
        which: usize,
        of: impl Fn(&Latency) -> Option<Percentiles>,
    ) -> Option<f64> {
        let each: Option<Vec<f64>> =
            self.runs.iter().map(|run| Some(of(&run.latency?)?[which])).collect();
        each.filter(|each| !each.is_empty()).map(median)
    }

    fn values(&self) -> Vec<(&'static str, Option<f64>)> {
        let per = |of: fn(&Outcome) -> f64| self.median(|run| of(run) / run.messages as f64);
        let switches = per(|run| run.cost.switches as f64);
        let megabytes = |of: fn(&Outcome) -> u64| Some(self.median(|run| of(run) as f64 / 1e6));
        let accept = |which| self.latency(which, |latency| Some(latency.accept));
        let deliver = |which| self.latency(which, |latency| latency.deliver);
        let relay = |which| self.latency(which, |latency| latency.relay);
        vec![
            ("cpu_us", Some(self.cpu())),
            ("accepted_per_s", Some(self.median(|run| run.accepted))),
            ("delivered_per_s", Some(self.median(|run| run.delivered))),
            ("written_bytes", Some(per(|run| run.cost.written as f64))),
            ("context_switches", self.counted(|counts| counts.switches).or(Some(switches))),
            ("syscalls", self.counted(|counts| counts.syscalls)),
            ("syncs", self.syncs()),
            ("memory_mb", megabytes(|run| run.cost.memory)),
            ("rss_mb", megabytes(|run| run.cost.resident)),
            ("rss_most_mb", megabytes(|run| run.cost.resident_most)),
            ("processes", Some(self.median(|run| f64::from(run.cost.processes)))),
            ("latency_at_per_s", self.latency(0, |latency| Some([latency.rate; 3]))),
            ("accept_p50_ms", accept(0)),
            ("accept_p99_ms", accept(1)),
            ("accept_p999_ms", accept(2)),
            ("deliver_p50_ms", deliver(0)),
            ("deliver_p99_ms", deliver(1)),
            ("deliver_p999_ms", deliver(2)),
            ("accepted_to_delivered_p50_ms", relay(0)),
            ("accepted_to_delivered_p99_ms", relay(1)),
            ("accepted_to_delivered_p999_ms", relay(2)),
        ]
    }
}

/// What the columns mean.
const LEGEND: &str = "CPU, KB written, context switches, system calls and syncs are those of the \
    engine, per message. MB: resident, shared pages once.\nLatencies in ms, p50/p99/p99.9, at half \
    of the full rate, from when a message was due to its 250 (accept)\nand to its arrival at \
    the sink (deliver); every message of a loadgen source and sink is checked by its id.\n";

/// The table.
pub fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.cell.to_string().len()).max().unwrap_or(0);
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:<width$}  {:<16} {:>7} {:>9} {:>9} {:>7} {:>6} {:>6} {:>6} {:>5}  {:>17}  {:>17}",
        "",
        "engine",
        "CPU us",
        "accept/s",
        "deliv/s",
        "KB disk",
        "switch",
        "sysc",
        "syncs",
        "MB",
        "accept ms",
        "deliver ms"
    );
    let mut before = String::new();
    for row in rows {
        let cell = row.cell.to_string();
        let shown = if cell == before { "" } else { cell.as_str() };
        let _ = writeln!(out, "{shown:<width$}  {}", line(row));
        before = cell;
    }
    let _ = write!(out, "\n{LEGEND}");
    out
}

fn line(row: &Row) -> String {
    let values = row.values();
    let value = |name: &str| {
        let found = values.iter().find(|(known, _)| *known == name);
        found.and_then(|(_, value)| *value).filter(|value| value.is_finite())
    };
    let text = |name: &str, digits: usize| {
        value(name).map_or("-".to_string(), |value| format!("{value:.digits$}"))
    };
    let three = |name: &str| {
        let each: Option<Vec<String>> = ["p50", "p99", "p999"]
            .iter()
            .map(|part| Some(format!("{:.1}", value(&format!("{name}_{part}_ms"))?)))
            .collect();
        each.map_or("-".to_string(), |each| each.join("/"))
    };
    let written = value("written_bytes").map_or("-".into(), |b| format!("{:.1}", b / 1024.0));
    format!(
        "{:<16} {:>7} {:>9} {:>9} {written:>7} {:>6} {:>6} {:>6} {:>5}  {:>17}  {:>17}",
        row.engine,
        text("cpu_us", 1),
        text("accepted_per_s", 0),
        text("delivered_per_s", 0),
        text("context_switches", 2),
        text("syscalls", 1),
        text("syncs", 3),
        text("memory_mb", 0),
        three("accept"),
        three("deliver"),
    )
}

/// A line per engine and cell; each names the conditions too, so that files can be put together.
pub fn csv(rows: &[Row], conditions: &Value) -> String {
    let mut out = String::new();
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "'"));
    let commit = quoted(conditions["commit"].as_str().unwrap_or(""));
    let where_ = quoted(&conditions::caption(conditions));
    for (number, row) in rows.iter().enumerate() {
        let values = row.values();
        if number == 0 {
            let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
            let _ = writeln!(out, "cell,engine,runs,{},commit,machine", names.join(","));
        }
        let values: Vec<String> = values
            .iter()
            .map(|(_, value)| value.filter(|value| value.is_finite()))
            .map(|value| value.map_or(String::new(), |value| format!("{value:.3}")))
            .collect();
        let (cell, engine) = (quoted(&row.cell.to_string()), quoted(&row.engine));
        let (runs, values) = (row.runs.len(), values.join(","));
        let _ = writeln!(out, "{cell},{engine},{runs},{values},{commit},{where_}");
    }
    out
}

/// Everything, with each single run.
pub fn json(rows: &[Row], conditions: &Value) -> Value {
    let row = |row: &Row| {
        let medians: serde_json::Map<String, Value> =
            row.values().into_iter().map(|(name, value)| (name.into(), json!(value))).collect();
        let runs: Vec<Value> = row.runs.iter().map(one).collect();
        let counted = row.counted.map(|(counts, messages)| {
            json!({
                "messages": messages, "syscalls": counts.syscalls, "switches": counts.switches,
                "syncs": counts.syncs,
            })
        });
        json!({
            "cell": row.cell.to_string(), "engine": row.engine, "median": medians, "runs": runs,
            "counted": counted,
        })
    };
    json!({"conditions": conditions, "rows": rows.iter().map(row).collect::<Vec<_>>()})
}

/// One run as it was.
fn one(run: &Outcome) -> Value {
    let latency = run.latency.map(|latency| {
        json!({
            "rate": latency.rate, "accept": latency.accept, "deliver": latency.deliver,
            "accepted_to_delivered": latency.relay,
        })
    });
    json!({
        "messages": run.messages, "accepted_per_s": run.accepted, "delivered_per_s": run.delivered,
        "cpu_us": run.cost.cpu_us / run.messages as f64, "written": run.cost.written,
        "switches": run.cost.switches, "memory": run.cost.memory, "rss": run.cost.resident,
        "rss_most": run.cost.resident_most, "processes": run.cost.processes, "syncs": run.syncs,
        "source_cpu_us": run.source_us, "duplicates": run.duplicates,
        "latency_ms_p50_p99_p999": latency,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::Reading;

    fn row(cpu_us: [f64; 3], latency: Option<Latency>) -> Row {
        let run = |cpu_us| Outcome {
            messages: 100,
            accepted: 1.0,
            delivered: 2.0,
            cost: Reading { cpu_us, switches: 500, ..Reading::default() },
            counts: None,
            syncs: None,
            source_us: None,
            duplicates: None,
            latency,
        };
        let runs = cpu_us.map(run).to_vec();
        Row { cell: Cell::default(), engine: "x".into(), runs, counted: None }
    }

    fn value(row: &Row, name: &str) -> Option<f64> {
        row.values().into_iter().find(|(known, _)| *known == name).unwrap().1
    }

    #[test]
    fn medians_per_message() {
        let mut row = row([900.0, 100.0, 300.0], None);
        assert_eq!(row.cpu(), 3.0);
        let csv = csv(std::slice::from_ref(&row), &json!({"commit": "abc"}));
        let line = csv.lines().nth(1).unwrap();
        assert!(line.starts_with("\"smtp-source -d, 10 KB, 50 conn\",\"x\",3,3.000,"), "{line}");
        assert!(line.contains(",\"abc\","), "{line}");
        let fields = |line: &str| line.split(',').count();
        // The name of the cell holds two commas.
        assert_eq!(fields(line), fields(csv.lines().next().unwrap()) + 2);
        assert_eq!((value(&row, "context_switches"), value(&row, "syncs")), (Some(5.0), None));
        row.counted = Some((Counts { syscalls: 30, switches: 20, syncs: 40 }, 10));
        assert_eq!((value(&row, "context_switches"), value(&row, "syncs")), (Some(2.0), Some(4.0)));
        assert!(table(&[row]).contains(" 3.0 "));
    }

    #[test]
    fn latencies_of_both_ways() {
        let latency = Latency {
            rate: 50.0,
            accept: [1.0, 2.0, 3.0],
            deliver: Some([4.0, 5.0, 6.0]),
            relay: None,
        };
        let table = table(&[row([1.0; 3], Some(latency))]);
        assert!(table.contains(" 1.0/2.0/3.0 ") && table.contains(" 4.0/5.0/6.0"), "{table}");
    }
}

//! What is told at the end: a table for people, CSV and JSON for programs.

use crate::cell::Cell;
use crate::run::Outcome;
use serde_json::{json, Value};
use std::fmt::Write;
use std::process::Command;

/// All runs of one engine in one cell.
#[derive(Debug, Clone)]
pub struct Row {
    /// The cell.
    pub cell: Cell,
    /// Name of the engine.
    pub engine: String,
    /// Each run that came to its end.
    pub runs: Vec<Outcome>,
    /// System calls per message, from a run of their own.
    pub syscalls: Option<f64>,
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
        each.filter(|each| !each.is_empty()).map(median)
    }

    fn latency(&self, which: usize) -> Option<f64> {
        let each: Option<Vec<f64>> =
            self.runs.iter().map(|run| Some(run.latency?[which])).collect();
        each.filter(|each| !each.is_empty()).map(median)
    }

    fn values(&self) -> Vec<(&'static str, Option<f64>)> {
        let per = |of: fn(&Outcome) -> f64| self.median(|run| of(run) / run.messages as f64);
        vec![
            ("cpu_us", Some(self.cpu())),
            ("accepted_per_s", Some(self.median(|run| run.accepted))),
            ("delivered_per_s", Some(self.median(|run| run.delivered))),
            ("written_bytes", Some(per(|run| run.cost.written as f64))),
            ("context_switches", Some(per(|run| run.cost.switches as f64))),
            ("syscalls", self.syscalls),
            ("syncs", self.syncs()),
            ("memory_mb", Some(self.median(|run| run.cost.memory as f64 / 1e6))),
            ("processes", Some(self.median(|run| f64::from(run.cost.processes)))),
            ("accept_p50_ms", self.latency(0)),
            ("accept_p99_ms", self.latency(1)),
            ("accept_p999_ms", self.latency(2)),
        ]
    }
}

/// The table. Per message where a unit allows it.
pub fn table(rows: &[Row]) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:<42} {:<16} {:>7} {:>9} {:>9} {:>7} {:>6} {:>6} {:>6} {:>7} {:>9}",
        "",
        "engine",
        "CPU us",
        "accept/s",
        "deliv/s",
        "KB disk",
        "switch",
        "sysc",
        "syncs",
        "MB mem",
        "p99 ms"
    );
    let mut before = String::new();
    for row in rows {
        let cell = row.cell.to_string();
        let shown = if cell == before { "" } else { cell.as_str() };
        let value = |name: &str| {
            row.values().into_iter().find(|(known, _)| *known == name).and_then(|(_, value)| value)
        };
        let text = |name: &str, digits: usize| {
            value(name).map_or("-".to_string(), |value| format!("{value:.digits$}"))
        };
        let written = value("written_bytes").map_or("-".into(), |b| format!("{:.1}", b / 1024.0));
        let _ = writeln!(
            out,
            "{shown:<42} {:<16} {:>7} {:>9} {:>9} {written:>7} {:>6} {:>6} {:>6} {:>7} {:>9}",
            row.engine,
            text("cpu_us", 1),
            text("accepted_per_s", 0),
            text("delivered_per_s", 0),
            text("context_switches", 2),
            text("syscalls", 1),
            text("syncs", 3),
            text("memory_mb", 0),
            text("accept_p99_ms", 1),
        );
        before = cell;
    }
    out
}

/// A line per engine and cell.
pub fn csv(rows: &[Row]) -> String {
    let mut out = String::new();
    for (number, row) in rows.iter().enumerate() {
        let values = row.values();
        if number == 0 {
            let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
            let _ = writeln!(out, "cell,engine,runs,{}", names.join(","));
        }
        let values: Vec<String> = values
            .iter()
            .map(|(_, value)| value.map_or(String::new(), |value| format!("{value:.3}")))
            .collect();
        let (cell, engine) = (&row.cell, &row.engine);
        let _ = writeln!(out, "\"{cell}\",{engine},{},{}", row.runs.len(), values.join(","));
    }
    out
}

/// Everything, with each single run.
pub fn json(rows: &[Row], conditions: &Value) -> Value {
    let one = |run: &Outcome| {
        json!({
            "messages": run.messages, "accepted_per_s": run.accepted, "delivered_per_s": run.delivered,
            "cpu_us": run.cost.cpu_us / run.messages as f64, "written": run.cost.written,
            "switches": run.cost.switches, "memory": run.cost.memory, "syncs": run.syncs,
            "source_cpu_us": run.source_us, "duplicates": run.duplicates, "accept_ms": run.latency,
        })
    };
    let row = |row: &Row| {
        let medians: serde_json::Map<String, Value> =
            row.values().into_iter().map(|(name, value)| (name.into(), json!(value))).collect();
        let runs: Vec<Value> = row.runs.iter().map(one).collect();
        json!({"cell": row.cell.to_string(), "engine": row.engine, "median": medians, "runs": runs})
    };
    json!({"conditions": conditions, "rows": rows.iter().map(row).collect::<Vec<_>>()})
}

/// Machine, kernel, disk, commit and settings.
pub fn conditions(settings: &str) -> Value {
    let said = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    json!({
        "cpu": model.map(|(_, name)| name),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "kernel": said("uname", &["-sr"]),
        "disk": said("findmnt", &["-no", "FSTYPE,SOURCE", "--target", "/var/tmp"]),
        "commit": said("git", &["describe", "--always", "--dirty"]),
        "postfix": said("sh", &["-c", "PATH=$PATH:/usr/sbin postconf -d mail_version 2>/dev/null"]),
        "settings": settings,
        "load_before": std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::Reading;

    fn row(cpu_us: [f64; 3]) -> Row {
        let run = |cpu_us| Outcome {
            messages: 100,
            accepted: 1.0,
            delivered: 2.0,
            cost: Reading { cpu_us, ..Reading::default() },
            syscalls: None,
            syncs: Some(10),
            source_us: None,
            duplicates: None,
            latency: None,
        };
        let runs = cpu_us.map(run).to_vec();
        Row { cell: Cell::default(), engine: "x".into(), runs, syscalls: None }
    }

    #[test]
    fn medians_per_message() {
        let row = row([900.0, 100.0, 300.0]);
        assert_eq!(row.cpu(), 3.0);
        let csv = csv(std::slice::from_ref(&row));
        assert!(csv
            .lines()
            .nth(1)
            .unwrap()
            .starts_with("\"smtp-source -d, 10 KB, 50 conn\",x,3,3.000,"));
        assert!(table(&[row.clone(), row]).contains("3.0"));
    }
}

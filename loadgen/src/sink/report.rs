//! Counters while running and the summary at the end.

use super::counters::{Counter, Counters};
use super::options::Options;
use crate::units::{counted, thousands};
use anyhow::{Context, Result};
use serde_json::json;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the state is looked at while waiting for the end.
const LOOK: Duration = Duration::from_millis(20);

/// Shows a line each second until `finished`; returns the time from the first to the last message seen.
pub(super) fn watch(
    options: &Options,
    counters: &[Arc<Counters>],
    finished: impl Fn() -> bool,
) -> Duration {
    let shown = options.stats || (std::io::stderr().is_terminal() && !options.quiet);
    let mut active: Option<(Instant, Instant)> = None;
    let (mut seen, mut shown_at, mut shown_count) = (0, Instant::now(), 0);
    while !finished() {
        std::thread::sleep(LOOK);
        let now = Instant::now();
        let messages = sum(counters, |one| &one.messages);
        if messages > seen {
            let first = active.map_or(now - LOOK, |(first, _)| first);
            active = Some((first, now));
            seen = messages;
        }
        let since = now - shown_at;
        if since < Duration::from_secs(1) {
            continue;
        }
        if shown && (messages > shown_count || options.stats) {
            let rate = (messages - shown_count) as f64 / since.as_secs_f64();
            let open = sum(counters, |one| &one.open);
            let open = counted(open, "connection");
            eprintln!(
                "{:>12} messages  {:>9} msg/s  {open} open",
                thousands(messages),
                thousands(rate as u64)
            );
        }
        (shown_at, shown_count) = (now, messages);
    }
    active.map_or(Duration::ZERO, |(first, last)| last - first)
}

fn sum(counters: &[Arc<Counters>], which: fn(&Counters) -> &Counter) -> u64 {
    counters.iter().map(|one| which(one).get()).sum()
}

/// What a run came to.
#[derive(Debug)]
pub(super) struct Outcome {
    counts: Vec<(&'static str, &'static str, u64)>,
    elapsed: Duration,
    active: Duration,
    cpu: Duration,
}

impl Outcome {
    /// Adds up the counters. `active` is the time from the first to the last message.
    pub(super) fn new(
        counters: &[Arc<Counters>],
        elapsed: Duration,
        active: Duration,
        cpu: Duration,
    ) -> Self {
        type Row = (&'static str, &'static str, fn(&Counters) -> &Counter);
        let rows: [Row; 12] = [
            ("messages", "messages taken", |one| &one.messages),
            ("recipients", "recipients of these", |one| &one.recipients),
            ("bytes", "bytes of these", |one| &one.bytes),
            ("connections", "connections", |one| &one.connections),
            ("refused_temporary", "refused for now", |one| &one.temporary),
            ("refused_permanent", "refused for good", |one| &one.permanent),
            ("closed_421", "answered 421 and closed", |one| &one.closed_421),
            ("dropped", "dropped without a reply", |one| &one.dropped),
            ("turned_away", "turned away by --max-connections", |one| &one.turned_away),
            ("bad_commands", "commands that made no sense", |one| &one.bad_commands),
            ("broken", "connections broken amid a message", |one| &one.broken),
            ("timeouts", "closed for their silence", |one| &one.timeouts),
        ];
        let counts = rows.map(|(key, name, which)| (key, name, sum(counters, which))).to_vec();
        Self { counts, elapsed, active, cpu }
    }

    fn count(&self, wanted: &str) -> u64 {
        self.counts.iter().find(|(key, ..)| *key == wanted).map_or(0, |(.., count)| *count)
    }

    fn messages_per_second(&self) -> f64 {
        self.count("messages") as f64 / self.active.as_secs_f64().max(0.001)
    }

    fn cpu_us_per_message(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.count("messages").max(1) as f64
    }
}

/// Writes the summary wherever the options want it.
pub(super) fn write(outcome: &Outcome, options: &Options) -> Result<()> {
    let to_stdout = options.json.as_deref() == Some(Path::new("-"));
    if !options.quiet {
        match to_stdout {
            true => eprint!("{}", text(outcome)),
            false => print!("{}", text(outcome)),
        }
    }
    let Some(path) = &options.json else {
        return Ok(());
    };
    let mut json: serde_json::Map<_, _> =
        outcome.counts.iter().map(|&(key, _, count)| (key.to_owned(), json!(count))).collect();
    json.insert("elapsed_s".to_owned(), json!(outcome.elapsed.as_secs_f64()));
    json.insert("active_s".to_owned(), json!(outcome.active.as_secs_f64()));
    json.insert("messages_per_s".to_owned(), json!(outcome.messages_per_second()));
    json.insert("cpu_us_per_message".to_owned(), json!(outcome.cpu_us_per_message()));
    let json = format!("{:#}\n", serde_json::Value::Object(json));
    if to_stdout {
        print!("{json}");
        return Ok(());
    }
    std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))
}

fn text(outcome: &Outcome) -> String {
    let mut out = String::new();
    for (key, name, count) in &outcome.counts {
        if *count > 0 || *key == "messages" {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{:>15}  {name}", thousands(*count));
        }
    }
    if outcome.count("messages") > 0 {
        let rate = thousands(outcome.messages_per_second() as u64);
        let _ = writeln!(out, "{rate:>15}  msg/s over {:.2} s", outcome.active.as_secs_f64());
        let _ = writeln!(
            out,
            "{:>15.1}  us of own CPU per message (user+sys)",
            outcome.cpu_us_per_message()
        );
    }
    out
}

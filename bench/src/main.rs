//! Measures engines side by side. See `--help`.

use anyhow::{bail, Context, Result};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use ringmta_bench::engine::{Engine, Programs};
use ringmta_bench::report::{self, Row};
use ringmta_bench::{cell, conditions};
use ringmta_bench::{plot, run};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Measure mail engines side by side, in alternation: what a relayed message costs, and how many
/// go through. Every run is checked: one that loses mail is an error, not a result.
///
/// Source, sink and engine share this machine. CPU is user and system time of all of the engine's
/// processes, from the first message to the last delivered. Latency is open loop, at half of the
/// speed measured before, over the same number of connections. System calls, context switches and
/// calls of fsync are counted by perf in runs of their own (root). Postfix needs root and its Debian
/// package; smtp-source and smtp-sink come with it.
#[derive(Parser, Debug)]
#[command(name = "compare")]
struct Args {
    /// Five cells instead of all: three minutes.
    #[arg(long)]
    short: bool,
    /// Engines: durable, relaxed, postfix, or NAME=COMMAND with {smtp}, {sink} and {dir}.
    #[arg(long, value_parser = Engine::parse, default_values = ["durable", "relaxed", "postfix"])]
    engine: Vec<Engine>,
    /// Only cells whose name holds this text.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Runs of each; the median is told.
    #[arg(long, default_value_t = 1, value_name = "N")]
    runs: u32,
    /// Messages of a run (a quarter of it for large ones and over one connection, half with a
    /// connection for each).
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    count: u64,
    /// Messages of a run of any engine that is not ours: they are slower.
    #[arg(long, default_value_t = 3_000, value_name = "N")]
    count_others: u64,
    /// No runs under perf: no system calls.
    #[arg(long)]
    no_syscalls: bool,
    /// Policy tree of ringmta.
    #[arg(long, default_value = "policy/example/init.lua", value_name = "FILE")]
    policy: PathBuf,
    /// Folder of ringmta and loadgen.
    #[arg(long, default_value = "target/dist", value_name = "DIR")]
    bin: PathBuf,
    /// Folder for table, CSV, JSON and plots; a new one under bench/runs unless given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    match measure(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("compare: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn measure(args: &Args) -> Result<bool> {
    let programs = Programs { bin: args.bin.clone(), policy: args.policy.clone() };
    for program in ["ringmta", "loadgen"] {
        if !args.bin.join(program).exists() {
            bail!(
                "{} is not there: cargo build --profile dist -p ringmta -p loadgen",
                args.bin.join(program).display()
            );
        }
    }
    let mut cells = if args.short { cell::short() } else { cell::full() };
    cells.retain(|cell| args.only.as_ref().is_none_or(|text| cell.to_string().contains(text)));
    let settings = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let conditions = conditions::read(&settings, &args.bin);
    let mut rows: Vec<Row> = Vec::new();
    for cell in &cells {
        for engine in args.engine.iter().filter(|engine| engine.can(cell)) {
            let (cell, engine) = (cell.clone(), engine.name().to_string());
            rows.push(Row { cell, engine, runs: Vec::new(), counted: None });
        }
    }
    if rows.is_empty() {
        bail!("no cell matches");
    }
    let all_well = run_all(args, &programs, &mut rows);
    let table = format!("{}\n{}", report::table(&rows), conditions::text(&conditions));
    print!("{table}");
    let out = write(args, &rows, &conditions, &table)?;
    eprintln!("table, CSV, JSON and plots are in {}", out.display());
    Ok(all_well)
}

/// Alternates between the engines: what disturbs the machine disturbs them all.
fn run_all(args: &Args, programs: &Programs, rows: &mut [Row]) -> bool {
    let times = u64::from(args.runs) + u64::from(!args.no_syscalls);
    let bar = ProgressBar::new(rows.len() as u64 * times);
    if let Ok(style) =
        ProgressStyle::with_template("[{elapsed}] {bar:30} {pos}/{len}, {eta} left · {msg}")
    {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_secs(1));
    let mut all_well = true;
    for turn in 0..times {
        for row in rows.iter_mut() {
            let Some(engine) = args.engine.iter().find(|engine| engine.name() == row.engine) else {
                continue;
            };
            bar.set_message(format!("{}: {}", row.engine, row.cell));
            let count = row.cell.messages(count_of(args, engine));
            let counted = turn >= u64::from(args.runs);
            // What is counted varies little: half of the messages tell as much.
            let count = if counted { count / 2 } else { count };
            match run::run(engine, programs, &row.cell, count, counted) {
                Ok(outcome) if counted => {
                    row.counted = outcome.counts.map(|counts| (counts, count));
                }
                Ok(outcome) => row.runs.push(outcome),
                Err(error) => {
                    all_well = false;
                    bar.suspend(|| eprintln!("{}: {}: {error:#}", row.engine, row.cell));
                }
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    all_well
}

fn count_of(args: &Args, engine: &Engine) -> u64 {
    match engine {
        Engine::Ringmta { .. } => args.count,
        Engine::Postfix | Engine::Other { .. } => args.count_others,
    }
}

fn write(args: &Args, rows: &[Row], conditions: &Value, table: &str) -> Result<PathBuf> {
    let out = args.out.clone().unwrap_or_else(|| {
        let seconds = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        PathBuf::from(format!("bench/runs/{seconds}"))
    });
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let json = serde_json::to_string_pretty(&report::json(rows, conditions))?;
    fs::write(out.join("runs.json"), json)?;
    fs::write(out.join("table.csv"), report::csv(rows, conditions))?;
    fs::write(out.join("table.txt"), table)?;
    for (name, svg) in plot::all(rows, &conditions::caption(conditions)) {
        picture(&out, name, &svg)?;
    }
    Ok(out)
}

/// Writes an SVG, and a PNG of it where rsvg-convert is installed.
fn picture(out: &Path, name: &str, svg: &str) -> Result<()> {
    let path = out.join(format!("{name}.svg"));
    fs::write(&path, svg)?;
    let png = out.join(format!("{name}.png"));
    match Command::new("rsvg-convert").arg(&path).arg("-o").arg(&png).status() {
        Ok(status) if status.success() => {}
        _ => eprintln!("no {name}.png: rsvg-convert (package librsvg2-bin) is not installed"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
        let count = |cells: Vec<cell::Cell>| cells.len();
        assert!(count(cell::short()) < count(cell::full()));
    }
}

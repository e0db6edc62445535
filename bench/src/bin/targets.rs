//! Figures that have a target of their own. See `--help`.

use anyhow::{bail, Context, Result};
use clap::Parser;
use ringmta_bench::cell::{Cell, Source};
use ringmta_bench::engine::{Engine, Programs};
use ringmta_bench::run::Site;
use ringmta_bench::{child, conditions, proc, report};
use serde_json::json;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// Measures what has a target of its own: CPU of an idle engine, CPU of a scrape of /metrics with many
/// queues, accept latency at half of full load over 50 and over 500 connections.
#[derive(Parser)]
#[command(name = "targets")]
struct Args {
    /// Folder of ringmta and loadgen.
    #[arg(long, default_value = "target/dist", value_name = "DIR")]
    bin: PathBuf,
    /// Policy tree of ringmta.
    #[arg(long, default_value = "policy/example/init.lua", value_name = "FILE")]
    policy: PathBuf,
    /// Only measurements whose name holds this text: idle, metrics, latency.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Seconds an idle engine is watched.
    #[arg(long, default_value_t = 10, value_name = "N")]
    idle_seconds: u64,
    /// Queues for the scrape: domains with a deferred message each.
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    queues: u64,
    /// Scrapes; the median is told.
    #[arg(long, default_value_t = 5, value_name = "N")]
    scrapes: u32,
    /// Messages at full speed before latency is measured at half of it.
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    count: u64,
    /// Latency measurements; the median of each percentile is told.
    #[arg(long, default_value_t = 3, value_name = "N")]
    runs: u32,
    /// Write the figures as JSON too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Shares of a core, in per cent, milliseconds and bytes, with what they should stay under.
const IDLE_PERCENT: f64 = 0.1;
const SCRAPE_MS: f64 = 100.0;
const ACCEPT_MS: f64 = 5.0;
/// The policy of the scrape.
const WAITING: &str = "bench/relay.lua";
/// How much worse 500 connections may be before it is more than how runs differ.
const NO_WORSE: f64 = 1.1;

/// A figure and what it should be.
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    /// What it should stay under; `None` for what is told beside.
    target: Option<f64>,
}

fn main() -> ExitCode {
    match measure(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("targets: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn measure(args: &Args) -> Result<()> {
    let programs = Programs { bin: args.bin.clone(), policy: args.policy.clone() };
    if !args.bin.join("ringmta").exists() {
        bail!(
            "there is no ringmta in {}: cargo build --profile dist -p ringmta -p loadgen",
            args.bin.display()
        );
    }
    let settings = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let conditions = conditions::read(&settings, &args.bin);
    let wanted = |name: &str| args.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    let mut figures = Vec::new();
    println!("{:<52} {:>12}          {:>8}", "", "measured", "target");
    let mut tell = |some: Vec<Figure>| {
        some.iter().for_each(show);
        figures.extend(some);
    };
    if wanted("idle") {
        tell(idle(args, &programs)?);
    }
    if wanted("metrics") {
        tell(metrics(args, &programs)?);
    }
    if wanted("latency") {
        tell(latency(args, &programs)?);
    }
    println!("\n{}", conditions::text(&conditions));
    let Some(file) = &args.json else { return Ok(()) };
    let figure = |figure: &Figure| {
        json!({
            "name": figure.name, "value": figure.value, "unit": figure.unit,
            "target": figure.target,
        })
    };
    let all: Vec<_> = figures.iter().map(figure).collect();
    let text = serde_json::to_string_pretty(&json!({"conditions": conditions, "figures": all}))?;
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn show(figure: &Figure) {
    let verdict = match figure.target {
        Some(target) if figure.value < target => format!("< {target:<6.3} met"),
        Some(target) => format!("< {target:<6.3} missed"),
        None => String::new(),
    };
    let Figure { name, value, unit, .. } = figure;
    println!("{}", format!("{name:<52} {value:>12.3} {unit:<8} {verdict}").trim_end());
}

/// CPU of an engine without mail, per cent of a core.
fn idle(args: &Args, programs: &Programs) -> Result<Vec<Figure>> {
    let site = Site::start(&Engine::Ringmta { relaxed: false }, programs, &Cell::default())?;
    // What starting leaves to do is not idleness.
    std::thread::sleep(Duration::from_secs(3));
    let switches = proc::read(site.engine.pid).switches;
    let (before, start) = (proc::cpu_nanos(site.engine.pid), Instant::now());
    std::thread::sleep(Duration::from_secs(args.idle_seconds.max(1)));
    let used = proc::cpu_nanos(site.engine.pid).saturating_sub(before) as f64;
    let value = 100.0 * used / start.elapsed().as_nanos() as f64;
    let seconds = start.elapsed().as_secs_f64();
    let after = proc::read(site.engine.pid);
    let woken = after.switches.saturating_sub(switches) as f64 / seconds;
    let rss = after.resident as f64 / 1e6;
    let name = format!("CPU of an idle engine over {} s", args.idle_seconds);
    Ok(vec![
        Figure { name, value, unit: "% core", target: Some(IDLE_PERCENT) },
        Figure { name: "how often it wakes".into(), value: woken, unit: "/s", target: None },
        Figure { name: "its resident memory".into(), value: rss, unit: "MB", target: None },
    ])
}

/// CPU and size of a scrape while every domain has a message that waits.
fn metrics(args: &Args, programs: &Programs) -> Result<Vec<Figure>> {
    let cell = Cell { tempfail: 100, ..Cell::default() };
    // Its mail waits for hours: nothing else happens meanwhile.
    let programs = &Programs { bin: programs.bin.clone(), policy: WAITING.into() };
    let site = Site::start(&Engine::Ringmta { relaxed: false }, programs, &cell)?;
    let rss_before = proc::read(site.engine.pid).resident as f64;
    let (smtp, queues) = (site.engine.smtp.to_string(), args.queues.to_string());
    let mut command = Command::new(programs.bin.join("loadgen"));
    command.args(["source", "--target", &smtp, "--quiet", "-c", "50", "--size", "1k"]);
    command.args(["-n", &queues, "--domain-count", &queues, "--in-turn"]);
    child::finish(command)?;
    settle(&site)?;
    let url = format!("http://{}/metrics", site.engine.http.context("the engine has no metrics")?);
    let (mut cpu, mut took, mut size) = (Vec::new(), Vec::new(), 0.0);
    for _ in 0..args.scrapes.max(1) {
        let before = proc::cpu_nanos(site.engine.pid);
        let start = Instant::now();
        size = scrape(&url)?;
        took.push(start.elapsed().as_secs_f64() * 1e3);
        cpu.push(proc::cpu_nanos(site.engine.pid).saturating_sub(before) as f64 / 1e6);
    }
    let waiting = site.engine.metric("message_count").context("no metric message_count")?;
    let rss = (proc::read(site.engine.pid).resident as f64 - rss_before) / waiting.max(1.0);
    let told = |name: &str, value, unit| Figure { name: name.into(), value, unit, target: None };
    Ok(vec![
        told("messages that wait, each in a queue of its own", waiting, ""),
        Figure {
            name: "CPU of a scrape of /metrics with them".into(),
            value: report::median(cpu),
            unit: "ms",
            target: Some(SCRAPE_MS),
        },
        told("time until it is answered", report::median(took), "ms"),
        told("size of the answer", size / 1e3, "KB"),
        told("resident memory per message and queue", rss, "bytes"),
    ])
}

/// Waits until the engine has tried every message once, and then until it rests.
fn settle(site: &Site) -> Result<()> {
    let end = Instant::now() + ringmta_bench::limits::RUN;
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let waiting = site.engine.metric("message_count").context("no metric message_count")?;
        let scheduled = site.engine.metric("scheduled_count_total").unwrap_or(0.0);
        let before = proc::cpu_nanos(site.engine.pid);
        std::thread::sleep(Duration::from_millis(500));
        let used = proc::cpu_nanos(site.engine.pid).saturating_sub(before);
        // Less than one per cent of a core is rest.
        if waiting > 0.0 && scheduled >= waiting && used < 5_000_000 {
            return Ok(());
        }
        if Instant::now() > end {
            bail!("{scheduled} of {waiting} messages wait for their next attempt, and the engine does not rest");
        }
    }
}

/// Bytes of the answer.
fn scrape(url: &str) -> Result<f64> {
    let output = Command::new("curl")
        .args(["-fsS", "-m", "60", "-o", "/dev/null", "-w", "%{size_download}", url])
        .output()
        .context("cannot run curl")?;
    if !output.status.success() {
        bail!("no metrics: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8_lossy(&output.stdout).trim().parse().context("curl tells no size")
}

/// Accept latency at half of the speed just measured.
fn latency(args: &Args, programs: &Programs) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut fifty = None;
    for connections in [50, 500] {
        let cell = Cell { source: Source::Loadgen, connections, ..Cell::default() };
        let (mut rates, mut accept, mut deliver) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..args.runs.max(1) {
            let mut site = Site::start(&Engine::Ringmta { relaxed: false }, programs, &cell)?;
            let full = site.relay(programs, &cell, args.count)?.delivered;
            let latency = site.latency(programs, &cell, full / 2.0)?;
            rates.push(latency.rate);
            accept.push(latency.accept);
            deliver.extend(latency.deliver);
        }
        let middle =
            |of: &[[f64; 3]], which: usize| report::median(of.iter().map(|p| p[which]).collect());
        let rate = report::median(rates);
        for (which, part) in ["p50", "p99", "p99.9"].into_iter().enumerate() {
            let value = middle(&accept, which);
            let name = format!("accept latency {part}, {connections} connections, {rate:.0}/s");
            let target = (part == "p99").then_some(ACCEPT_MS);
            figures.push(Figure { name, value, unit: "ms", target });
            if !deliver.is_empty() {
                let name = format!("  due to delivered {part}");
                let value = middle(&deliver, which);
                figures.push(Figure { name, value, unit: "ms", target: None });
            }
        }
        let p99 = middle(&accept, 1);
        match fifty {
            None => fifty = Some(p99),
            Some(fifty) => figures.push(Figure {
                name: "p99 of 500 connections, times that of 50".into(),
                value: p99 / fifty,
                unit: "",
                target: Some(NO_WORSE),
            }),
        }
    }
    Ok(figures)
}

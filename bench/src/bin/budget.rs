//! Where the CPU of a relayed message goes. See `--help`.

use anyhow::{bail, Context, Result};
use clap::Parser;
use ringmta_bench::cell::{Cell, Source};
use ringmta_bench::engine::{Engine, Programs};
use ringmta_bench::perf::Counter;
use ringmta_bench::run::{Outcome, Site};
use ringmta_bench::stacks::Recording;
use ringmta_bench::steps::Profile;
use ringmta_bench::{budget, conditions};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Shares out what a relayed message of 10 KB costs: receive, policy, spool, queue, egress, events, io
/// and executor, and the kernel under each; with system calls by kind, and allocations.
///
/// Each table takes runs of their own: one undisturbed (CPU per message), one sampled by perf (shares),
/// one that counts system calls, one that counts allocations. Bytes copied are not told: nothing counts
/// them cheaply. Needs root and perf.
#[derive(Parser)]
#[command(name = "budget")]
struct Args {
    /// Folder of ringmta and loadgen.
    #[arg(long, default_value = "target/dist", value_name = "DIR")]
    bin: PathBuf,
    /// Policy tree of ringmta.
    #[arg(long, default_value = "bench/relay.lua", value_name = "FILE")]
    policy: PathBuf,
    /// Messages of a run.
    #[arg(long, default_value_t = 40_000, value_name = "N")]
    count: u64,
    /// Connections of the source.
    #[arg(long, default_value_t = 50, value_name = "N")]
    connections: u32,
    /// Shards of the engine.
    #[arg(long, default_value_t = 2, value_name = "N")]
    shards: u32,
    /// Bytes of a message.
    #[arg(long, default_value_t = 10_240, value_name = "BYTES")]
    size: u64,
    /// How perf finds callers. `fp` disturbs less, but wants an engine and a C library with frame
    /// pointers: without them the calls that the library makes are not attributed.
    #[arg(long, default_value = "dwarf,16384", value_name = "HOW")]
    stacks: String,
    /// Only this source: loadgen or smtp-source.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

fn main() -> ExitCode {
    match measure(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("budget: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn measure(args: &Args) -> Result<()> {
    let programs = Programs { bin: args.bin.clone(), policy: args.policy.clone() };
    let ringmta = args.bin.join("ringmta");
    if !ringmta.exists() {
        bail!(
            "{} is not there: cargo build --profile dist -p ringmta -p loadgen",
            ringmta.display()
        );
    }
    let settings = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    for source in [Source::SmtpSource, Source::Loadgen] {
        let (size, connections, shards) = (args.size, args.connections, args.shards);
        let cell = Cell { source, size, connections, shards, ..Cell::default() };
        if args.only.as_ref().is_none_or(|text| cell.to_string().contains(text)) {
            tell(&programs, &cell, args.count, &args.stacks)?;
        }
    }
    println!("{}", conditions::text(&conditions::read(&settings, &args.bin)));
    Ok(())
}

fn tell(programs: &Programs, cell: &Cell, count: u64, stacks: &str) -> Result<()> {
    let plain = site(programs, cell)?.relay(programs, cell, count)?;
    let cpu = plain.cost.cpu_us / plain.messages as f64;
    println!(
        "### {cell}\n\n{:.0} delivered per second, {cpu:.1} us of CPU per message\n",
        plain.delivered
    );
    let (profile, disturbed) = sampled(programs, cell, count, stacks)?;
    let (samples, with) = (profile.total(), disturbed.cost.cpu_us / count as f64);
    println!("{}", budget::steps(&profile, cpu));
    println!("{}", budget::kernel(&profile, cpu));
    println!("{samples} samples; {with:.1} us per message while they were taken\n");
    println!("{}", budget::counts(&counted(programs, cell, count / 2)?, count / 2));
    if let Some(syncs) = plain.syncs {
        println!("{:.3} writes to stable storage per message", syncs as f64 / count as f64);
    }
    println!("{:.0} bytes written per message\n", plain.cost.written as f64 / count as f64);
    match allocations(programs, cell, count / 8) {
        Ok(counted) => println!("{}", budget::counts(&counted, count / 8)),
        Err(error) => println!("allocations were not counted: {error:#}\n"),
    }
    Ok(())
}

fn site(programs: &Programs, cell: &Cell) -> Result<Site> {
    Site::start(&Engine::Ringmta { relaxed: false }, programs, cell)
}

fn sampled(
    programs: &Programs,
    cell: &Cell,
    count: u64,
    stacks: &str,
) -> Result<(Profile, Outcome)> {
    let mut site = site(programs, cell)?;
    let program = programs.bin.join("ringmta");
    let file = site.file("perf.data");
    let recording = Recording::start(site.engine.pid, &program, file, stacks)?;
    let outcome = site.relay(programs, cell, count)?;
    Ok((recording.finish()?, outcome))
}

fn counted(programs: &Programs, cell: &Cell, count: u64) -> Result<Vec<(String, u64)>> {
    let calls = budget::CALLS.iter().map(|call| format!("syscalls:sys_enter_{call}"));
    let events: Vec<String> = budget::OTHERS.iter().map(ToString::to_string).chain(calls).collect();
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    count_of(programs, cell, count, &events)
}

fn count_of(
    programs: &Programs,
    cell: &Cell,
    count: u64,
    events: &[&str],
) -> Result<Vec<(String, u64)>> {
    let mut site = site(programs, cell)?;
    let counter = Counter::of(site.engine.pid, events).context("cannot run perf")?;
    site.relay(programs, cell, count)?;
    let counted = counter.all().context("perf tells no counts")?;
    if counted.is_empty() {
        bail!("perf counted nothing");
    }
    Ok(counted)
}

/// Functions of the allocator, and what their calls are.
const ALLOCATOR: [(&str, &str); 6] = [
    ("mi_malloc", "allocations"),
    ("mi_malloc_aligned", "allocations"),
    ("mi_zalloc", "allocations"),
    ("mi_zalloc_aligned", "allocations"),
    ("mi_realloc", "reallocations"),
    ("mi_realloc_aligned", "reallocations"),
];

/// Calls of the allocator, by probes that go with this.
fn allocations(programs: &Programs, cell: &Cell, count: u64) -> Result<Vec<(String, u64)>> {
    let program = programs.bin.join("ringmta").canonicalize()?;
    let _probes = Probes;
    let mut placed = Vec::new();
    for (function, what) in ALLOCATOR {
        let name = format!("{GROUP}:{function}={function}");
        let said =
            Command::new("perf").args(["probe", "-q", "-x"]).arg(&program).arg(&name).output();
        // A function that the program does not have is not called either.
        if said.is_ok_and(|said| said.status.success()) {
            placed.push((format!("{GROUP}:{function}"), what));
        }
    }
    if placed.is_empty() {
        bail!("perf places no probe on {}", shown(&program));
    }
    let events: Vec<&str> = placed.iter().map(|(event, _)| event.as_str()).collect();
    let counted = count_of(programs, cell, count, &events)?;
    let mut sums: Vec<(String, u64)> = Vec::new();
    for (event, calls) in counted {
        let Some((_, what)) = placed.iter().find(|(known, _)| *known == event) else { continue };
        match sums.iter_mut().find(|(known, _)| known == what) {
            Some((_, sum)) => *sum += calls,
            None => sums.push((what.to_string(), calls)),
        }
    }
    Ok(sums)
}

fn shown(path: &Path) -> String {
    path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned())
}

/// Name of our probes, so that only they are taken away.
const GROUP: &str = "ringmta_budget";

struct Probes;

impl Drop for Probes {
    fn drop(&mut self) {
        let all = format!("{GROUP}:*");
        let _ = Command::new("perf").args(["probe", "-q", "-d", &all]).output();
    }
}

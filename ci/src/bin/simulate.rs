//! Runs seeds of the simulation: `simulate --seeds 1000 --from 1 [--kind spool] [--jobs 2]`.

use ringmta::io::sim::planted::Bug;
use ringmta::simulation::{run, Failure, Kind, Options};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;
use std::time::Instant;

/// How often progress is told, seeds.
const TOLD_EVERY: u64 = 500;

struct Args {
    from: u64,
    seeds: u64,
    jobs: u64,
    kinds: Vec<Kind>,
    /// Go on after a failure, to see how many there are.
    all: bool,
    options: Options,
}

const USAGE: &str = "usage: simulate [--seeds N] [--from N] [--jobs N] [--all] [--verbose] \
                     [--kind spool|damage|engine] [--plant reply|tail|done]";

fn parse() -> Result<Args, String> {
    let mut args = Args {
        from: 1,
        seeds: 1000,
        jobs: std::thread::available_parallelism().map_or(1, |n| n.get() as u64),
        kinds: Kind::ALL.to_vec(),
        all: false,
        options: Options::default(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(USAGE);
        let number = |text: String| text.parse().map_err(|_| USAGE);
        match word.as_str() {
            "--seeds" => args.seeds = number(value()?)?,
            "--from" => args.from = number(value()?)?,
            "--jobs" => args.jobs = number(value()?)?,
            "--kind" => args.kinds = vec![Kind::parse(&value()?).ok_or(USAGE)?],
            "--all" => args.all = true,
            "--verbose" => args.options.verbose = true,
            "--plant" => args.options.planted = Some(bug(&value()?)?),
            _ => return Err(USAGE.into()),
        }
    }
    Ok(args)
}

fn bug(name: &str) -> Result<Bug, &'static str> {
    match name {
        "reply" => Ok(Bug::ReplyBeforeSync),
        "tail" => Ok(Bug::TailRewritten),
        "done" => Ok(Bug::DoneBeforeDelivery),
        _ => Err(USAGE),
    }
}

fn main() -> ExitCode {
    let args = match parse() {
        Ok(args) => args,
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::FAILURE;
        }
    };
    // A panic is a finding like any other; its text comes with the seed.
    std::panic::set_hook(Box::new(|_| {}));
    let next = AtomicU64::new(args.from);
    let [done, crashes, messages] = [(); 3].map(|()| AtomicU64::new(0));
    let failures: Mutex<Vec<Failure>> = Mutex::default();
    let started = Instant::now();
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        let over = seed >= args.from + args.seeds;
        let failed = failures.lock().is_ok_and(|failures| !failures.is_empty());
        if over || (failed && !args.all) {
            return;
        }
        for kind in &args.kinds {
            match run(*kind, seed, args.options) {
                Ok(summary) => {
                    crashes.fetch_add(summary.crashes, Ordering::Relaxed);
                    messages.fetch_add(summary.messages, Ordering::Relaxed);
                    if args.options.verbose {
                        eprintln!("{} seed {seed}: {summary:?}", kind.name());
                    }
                }
                Err(failure) => {
                    eprintln!("{failure}");
                    if let Ok(mut failures) = failures.lock() {
                        failures.push(failure);
                    }
                }
            }
        }
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(TOLD_EVERY) {
            eprintln!("{done} seeds, {:.0} s", started.elapsed().as_secs_f64());
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..args.jobs.max(1) {
            scope.spawn(work);
        }
    });
    let failed = failures.lock().map_or(1, |failures| failures.len());
    eprintln!(
        "{} seeds in {:.1} s: {} crashes, {} messages, {failed} failed",
        done.into_inner(),
        started.elapsed().as_secs_f64(),
        crashes.into_inner(),
        messages.into_inner()
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

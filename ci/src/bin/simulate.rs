//! Runs seeds of the simulation; see `--help`.

use ringmta_io::sim::planted::{Bug, CAN_PLANT};
use ringmta_simulation::failure::Failure;
use ringmta_simulation::options::{Kind, Options};
use ringmta_simulation::run;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often progress is told.
const TOLD_EVERY: Duration = Duration::from_secs(10);
/// Seeds when neither their number nor a time is given.
const SEEDS: u64 = 1000;
/// Seeds within which a planted mistake must be found.
const SEEDS_PLANTED: u64 = 200;

const USAGE: &str = "\
Runs seeds of the simulation: the engine, or a part of it, in a world of which the disk, the
network, the clock and the order of tasks follow from the seed. Every seed is run in each kind. A
seed that breaks a promise is printed with the command that runs it again, exactly.

usage: simulate [options]

  --kind NAME     only this kind; may be given again
                    spool   partitions of the spool, with crashes
                    damage  the same, with damage to what is on disk
                    engine  whole engines with clients and next hops, crashes and restarts
  --seeds N       so many seeds (1000; without a limit when there is a budget)
  --from N        the first seed (1)
  --fresh         seeds nobody has run, from the clock
  --budget TIME   no new seed after this long: 90s, 10m, 2h
  --jobs N        at once (one per core)
  --all           go on after a failure
  --verbose       tell the story of each seed
  --plant NAME    plant a mistake, and succeed when it is found within --seeds (200); needs a
                  build with --features planted-bugs:
                    reply      the reply to DATA leaves before the record is on stable storage
                    tail       the last block of a batch is written again by the next
                    checkpoint the first frame of a checkpoint, by which it counts, is written before the rest
                    done       a message is declared done before it is delivered
                    stray      a ready queue is looked up before policy is asked, and made after
                    idle       an idle connection is not told that its lease is waited for
                    suspended  suspensions are not looked at
                    reload     a reload that fails on one shard stays in force on the others
                    answers    answers read before a connection breaks are thrown away
                    closing    a 421 is nobody's answer
                    354        an intermediate reply completes a command
                    step       a connection whose answers are out of step goes on
                    partial    recipients that policy refuses are left out of a 250
                    failed     recipients whose handler fails are left out of a 250
                    backlog    each message that a rate holds up is deferred by itself
                    wall       rates go by the wall clock
                  (two more, turns and flush, are found by unit tests)
  --help          this text";

struct Args {
    from: u64,
    seeds: u64,
    budget: Option<Duration>,
    jobs: u64,
    kinds: Vec<Kind>,
    all: bool,
    options: Options,
}

fn parse() -> Result<Option<Args>, String> {
    let (mut from, mut seeds, mut fresh) = (None, None, false);
    let mut args = Args {
        from: 1,
        seeds: 0,
        budget: None,
        jobs: std::thread::available_parallelism().map_or(1, |n| n.get() as u64),
        kinds: Vec::new(),
        all: false,
        options: Options::default(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word}: a value is missing"));
        match word.as_str() {
            "--seeds" => seeds = Some(number(&word, &value()?)?),
            "--from" => from = Some(number(&word, &value()?)?),
            "--fresh" => fresh = true,
            "--budget" => args.budget = Some(time(&value()?)?),
            "--jobs" => args.jobs = number(&word, &value()?)?.max(1),
            "--kind" => {
                let name = value()?;
                args.kinds.push(Kind::parse(&name).ok_or(format!("no kind is called {name}"))?);
            }
            "--all" => args.all = true,
            "--verbose" => args.options.verbose = true,
            "--plant" => args.options.planted = Some(bug(&value()?)?),
            "--help" | "-h" => return Ok(None),
            other => return Err(format!("unknown option {other}; --help lists them")),
        }
    }
    if args.kinds.is_empty() {
        args.kinds = Kind::ALL.to_vec();
    }
    args.from = match (from, fresh) {
        (Some(_), true) => return Err("--from and --fresh do not go together".into()),
        (None, true) => fresh_seed(),
        (from, false) => from.unwrap_or(1),
    };
    let usual = match (args.options.planted, args.budget) {
        (Some(_), _) => SEEDS_PLANTED,
        (None, Some(_)) => u64::MAX,
        (None, None) => SEEDS,
    };
    args.seeds = seeds.unwrap_or(usual);
    Ok(Some(args))
}

/// Seeds of the clock are far from those people count.
fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    now as u64
}

fn number(option: &str, text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{option} {text}: not a number"))
}

fn time(text: &str) -> Result<Duration, String> {
    let bad = || format!("--budget {text}: not a time like 90s, 10m or 2h");
    let (digits, unit) = text.split_at(text.len() - usize::from(!text.is_empty()));
    let count: u64 = digits.parse().map_err(|_| bad())?;
    match unit {
        "s" => Ok(Duration::from_secs(count)),
        "m" => Ok(Duration::from_secs(count * 60)),
        "h" => Ok(Duration::from_secs(count * 3600)),
        _ => Err(bad()),
    }
}

fn bug(name: &str) -> Result<Bug, String> {
    if !CAN_PLANT {
        return Err("--plant needs a build with --features planted-bugs".into());
    }
    Bug::parse(name).ok_or(format!("no mistake is called {name}"))
}

/// What all workers share.
struct Campaign {
    args: Args,
    started: Instant,
    next: AtomicU64,
    done: AtomicU64,
    crashes: AtomicU64,
    messages: AtomicU64,
    failures: Mutex<Vec<Failure>>,
    told: Mutex<Instant>,
}

impl Campaign {
    fn new(args: Args) -> Campaign {
        let started = Instant::now();
        Campaign {
            args,
            started,
            next: AtomicU64::new(0),
            done: AtomicU64::new(0),
            crashes: AtomicU64::new(0),
            messages: AtomicU64::new(0),
            failures: Mutex::default(),
            told: Mutex::new(started),
        }
    }

    fn failed(&self) -> usize {
        self.failures.lock().map_or(1, |failures| failures.len())
    }

    fn is_over(&self) -> bool {
        let late = self.args.budget.is_some_and(|budget| self.started.elapsed() >= budget);
        late || (self.failed() > 0 && !self.args.all)
    }

    fn work(&self) {
        while !self.is_over() {
            let step = self.next.fetch_add(1, Ordering::Relaxed);
            if step >= self.args.seeds {
                return;
            }
            for kind in &self.args.kinds {
                self.one(*kind, self.args.from.wrapping_add(step));
            }
            self.done.fetch_add(1, Ordering::Relaxed);
            self.tell_now_and_then();
        }
    }

    fn one(&self, kind: Kind, seed: u64) {
        match run(kind, seed, self.args.options) {
            Ok(summary) => {
                self.crashes.fetch_add(summary.crashes, Ordering::Relaxed);
                self.messages.fetch_add(summary.messages, Ordering::Relaxed);
                if self.args.options.verbose {
                    eprintln!("{} seed {seed}: {summary:?}", kind.name());
                }
            }
            Err(failure) => {
                eprintln!("{failure}");
                if let Ok(mut failures) = self.failures.lock() {
                    failures.push(failure);
                }
            }
        }
    }

    fn tell_now_and_then(&self) {
        let Ok(mut told) = self.told.lock() else { return };
        if told.elapsed() >= TOLD_EVERY {
            *told = Instant::now();
            self.tell();
        }
    }

    fn tell(&self) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        eprintln!(
            "{} seeds from {} in {:.1} s: {} crashes, {} messages, {} failed",
            load(&self.done),
            self.args.from,
            self.started.elapsed().as_secs_f64(),
            load(&self.crashes),
            load(&self.messages),
            self.failed()
        );
    }
}

fn main() -> ExitCode {
    let args = match parse() {
        Ok(Some(args)) => args,
        Ok(None) => {
            // A reader that has gone is no fault.
            let _ = writeln!(std::io::stdout(), "{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("simulate: {why}");
            return ExitCode::FAILURE;
        }
    };
    if args.options.verbose {
        // What the engine itself says belongs to the story.
        if let Err(why) = ringmta::diagnostics::start("info") {
            eprintln!("simulate: {why}");
        }
    }
    // A panic is a finding like any other; its text comes with the seed.
    std::panic::set_hook(Box::new(|_| {}));
    let campaign = Campaign::new(args);
    std::thread::scope(|scope| {
        for _ in 0..campaign.args.jobs {
            scope.spawn(|| campaign.work());
        }
    });
    campaign.tell();
    let found = campaign.failed() > 0;
    match campaign.args.options.planted {
        Some(bug) if found => eprintln!("the planted mistake `{}` was found", bug.name()),
        Some(bug) => eprintln!("the planted mistake `{}` was NOT found", bug.name()),
        None => {}
    }
    if found == campaign.args.options.planted.is_some() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

//! What the shipped tree's webhook does and costs, with one event per POST and in batches, to a receiver that answers at
//! once and to one that takes its time: events/s from a backlog; events/s while mail comes at full speed, and the CPU it
//! adds to a message; the time from a delivery to its POST.
//!
//! ```text
//! cargo build --profile dist -p ringmta -p loadgen && cargo run --profile dist -p ringmta-bench --bin hooks
//! ```

use anyhow::{bail, Context};
use clap::Parser;
use hdrhistogram::Histogram;
use ringmta_bench::cell::{Cell, Source};
use ringmta_bench::engine::{Engine, Programs};
use ringmta_bench::run::Site;
use ringmta_bench::{proc, webhook};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longest one run may take.
const RUN_TIMEOUT: Duration = Duration::from_secs(300);
/// Pause between two looks at the counter.
const LOOK_EVERY: Duration = Duration::from_millis(2);

#[derive(Parser)]
#[command(about = "What the shipped webhook does and costs: from a backlog, and while mail comes")]
struct Args {
    /// The engine.
    #[arg(long, default_value = "target/dist/ringmta")]
    engine: PathBuf,
    /// The policy tree.
    #[arg(long, default_value = "policy/example/init.lua")]
    policy: PathBuf,
    /// Shards.
    #[arg(long, default_value_t = 2)]
    shards: usize,
    /// Events of a run with one event per POST; batches get ten times as many.
    #[arg(long, default_value_t = 50_000)]
    events: usize,
    /// Messages of a run with mail.
    #[arg(long, default_value_t = 40_000)]
    messages: u64,
    /// Leave out receivers that take their time to answer.
    #[arg(long)]
    instant: bool,
    /// Times each is measured with mail; the medians are told.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Messages per second while latencies are measured.
    #[arg(long, default_value_t = 400)]
    rate: u32,
    /// Leave out the backlog, or the mail.
    #[arg(long, value_parser = ["backlog", "mail"])]
    only: Option<String>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let is_wanted = |part: &str| args.only.as_ref().is_none_or(|only| only == part);
    if is_wanted("backlog") {
        backlog(&args)?;
    }
    if is_wanted("mail") {
        with_mail(&args)?;
    }
    Ok(())
}

/// What a receiver has heard.
#[derive(Default)]
struct Heard {
    events: AtomicUsize,
    /// From the time of a Delivery's record to its POST, microseconds.
    micros: Mutex<Option<Histogram<u64>>>,
}

impl Heard {
    fn post(&self, body: &[u8]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let text = String::from_utf8_lossy(body);
        self.events.fetch_add(text.matches("{\"type\":\"").count(), Ordering::SeqCst);
        let Ok(mut micros) = self.micros.lock() else { return };
        let Some(histogram) = micros.as_mut() else { return };
        for delivery in text.split("{\"type\":\"Delivery\"").skip(1) {
            let field =
                delivery.split("\"event_time\":\"").nth(1).and_then(|t| t.split('"').next());
            let at = field.and_then(ringmta_policy::time::parse_rfc3339).unwrap_or_default();
            let age = (now.as_nanos() as u64).saturating_sub(at) / 1000;
            histogram.saturating_record(age);
        }
    }
}

/// Batch, and milliseconds until it is answered; none is mail without a hook.
type Hook = Option<(u32, u64)>;
/// What is measured.
const HOOKS: [Hook; 5] = [None, Some((1, 0)), Some((1, 200)), Some((100, 0)), Some((100, 200))];

/// CPU that a hook adds to a message, and how late its events are told: the medians of rounds in which each has its turn, for
/// machines are quicker at one moment than at another.
fn with_mail(args: &Args) -> anyhow::Result<()> {
    let bin = args.engine.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let programs = Programs { bin, policy: args.policy.clone() };
    let is_wanted = |hook: &&Hook| !args.instant || hook.is_none_or(|(_, delay_ms)| delay_ms == 0);
    let hooks: Vec<Hook> = HOOKS.iter().filter(is_wanted).copied().collect();
    let mut rounds: Vec<Vec<Mail>> = Vec::new();
    for round in 1..=args.rounds {
        let mut results = Vec::new();
        for hook in &hooks {
            eprint!(
                "\rround {round} of {}: {} of {} ",
                args.rounds,
                results.len() + 1,
                hooks.len()
            );
            let hook = hook.map(|(batch, delay_ms)| (batch, Duration::from_millis(delay_ms)));
            results.push(mail(args, &programs, hook)?);
        }
        rounds.push(results);
    }
    eprintln!();
    println!(
        "{:>8} {:>12} {:>12} {:>12} {:>12} {:>12} {:>12}",
        "batch", "answer", "messages/s", "events/s", "us/message", "p50 ms", "p99 ms"
    );
    for (number, hook) in hooks.into_iter().enumerate() {
        let of = |value: &dyn Fn(&[Mail]) -> f64| median(rounds.iter().map(|round| value(round)));
        let messages = of(&|round| round[number].messages);
        let Some((batch, delay_ms)) = hook else {
            let micros = of(&|round| round[number].micros);
            println!("{:>8} {:>12} {messages:>12.0} {:>12} {micros:>12.1}", "none", "", "");
            continue;
        };
        println!(
            "{batch:>8} {delay_ms:>9} ms {messages:>12.0} {:>12.0} {:>12} {:>12.1} {:>12.1}",
            of(&|round| round[number].events),
            format!("{:+.1}", of(&|round| round[number].micros - round[0].micros)),
            of(&|round| round[number].p50),
            of(&|round| round[number].p99)
        );
    }
    Ok(())
}

/// The middle one, or the mean of the two in the middle.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get((values.len().max(1) - 1) / 2), values.get(values.len() / 2));
    low.zip(high).map_or(0.0, |(low, high)| (low + high) / 2.0)
}

/// What a run with mail came to.
#[derive(Default)]
struct Mail {
    /// Delivered per second.
    messages: f64,
    /// Told per second, from the first message sent to the last event told.
    events: f64,
    /// CPU of the engine, microseconds per message.
    micros: f64,
    /// Milliseconds from a delivery to its POST, at the rate of `Args`.
    p50: f64,
    p99: f64,
}

fn mail(args: &Args, programs: &Programs, hook: Option<(u32, Duration)>) -> anyhow::Result<Mail> {
    let heard = Arc::new(Heard::default());
    let receiver = match hook {
        Some((batch, delay)) => {
            let heard = heard.clone();
            let addr = webhook::start_with(move |body| {
                heard.post(body);
                if !delay.is_zero() {
                    std::thread::sleep(delay);
                }
            })?;
            Some((format!("http://{addr}"), batch))
        }
        None => None,
    };
    let cell =
        Cell { source: Source::Loadgen, shards: args.shards as u32, receiver, ..Cell::default() };
    let mut site = Site::start(&Engine::Ringmta { relaxed: false }, programs, &cell)?;
    let before = proc::read(site.engine.pid);
    let began = Instant::now();
    let outcome = site.relay(programs, &cell, args.messages)?;
    let all = if hook.is_some() { 2 * args.messages as usize } else { 0 };
    let wait_for = |count: usize| {
        while heard.events.load(Ordering::SeqCst) < count {
            if began.elapsed() > RUN_TIMEOUT {
                bail!("only {:?} of {count} events were told", heard.events);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    };
    wait_for(all)?;
    let mut mail = Mail {
        messages: outcome.delivered,
        events: all as f64 / began.elapsed().as_secs_f64(),
        micros: proc::read(site.engine.pid).since(&before).cpu_us / args.messages as f64,
        ..Mail::default()
    };
    if hook.is_some() {
        *heard.micros.lock().map_err(|_| anyhow::anyhow!("a receiver has panicked"))? =
            Some(Histogram::new_with_bounds(1, 600_000_000, 3)?);
        site.latency(programs, &cell, f64::from(args.rate))?;
        // Events that are still under way are few, and would be the latest.
        let told = heard.events.load(Ordering::SeqCst);
        wait_for(told.next_multiple_of(2))?;
        let micros = heard.micros.lock().map_err(|_| anyhow::anyhow!("a receiver has panicked"))?;
        let at = |q: f64| micros.as_ref().map_or(0.0, |h| h.value_at_quantile(q) as f64 / 1000.0);
        (mail.p50, mail.p99) = (at(0.5), at(0.99));
    }
    Ok(mail)
}

fn backlog(args: &Args) -> anyhow::Result<()> {
    println!("{:>8} {:>12} {:>10} {:>10} {:>12}", "batch", "answer", "events", "POSTs", "events/s");
    for (batch, delay_ms, events) in [
        (1, 0, args.events),
        (1, 200, args.events / 10),
        (100, 0, args.events * 10),
        (100, 200, args.events * 10),
    ] {
        let (posts, seconds) = drain(args, batch, Duration::from_millis(delay_ms), events)?;
        let rate = events as f64 / seconds;
        println!("{batch:>8} {delay_ms:>9} ms {events:>10} {posts:>10} {rate:>12.0}");
    }
    Ok(())
}

/// POSTs and seconds from the first event told to the last.
fn drain(
    args: &Args,
    batch: usize,
    delay: Duration,
    events: usize,
) -> anyhow::Result<(usize, f64)> {
    let dir = tempfile::tempdir()?;
    for shard in 0..args.shards {
        let share = events / args.shards + usize::from(shard < events % args.shards);
        write_backlog(&dir.path().join(format!("meta/hooks/webhook/{shard}")), shard, share)?;
    }
    let (told, posts) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (told_here, posts_here) = (told.clone(), posts.clone());
    let receiver = webhook::start_with(move |body| {
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
        let text = std::str::from_utf8(body).unwrap_or_default();
        told_here.fetch_add(text.matches("\"type\":\"").count(), Ordering::SeqCst);
        posts_here.fetch_add(1, Ordering::SeqCst);
    })?;
    let mut engine = start(args, dir.path(), receiver.port(), batch)?;
    let began = Instant::now();
    let mut first = None;
    let result = loop {
        let count = told.load(Ordering::SeqCst);
        if count > 0 && first.is_none() {
            first = Some(Instant::now());
        }
        if count >= events {
            break Ok(());
        }
        if began.elapsed() > RUN_TIMEOUT || engine.try_wait()?.is_some() {
            break Err(count);
        }
        std::thread::sleep(LOOK_EVERY);
    };
    let seconds = first.map_or(0.0, |first| first.elapsed().as_secs_f64());
    engine.kill()?;
    engine.wait()?;
    match result {
        Ok(()) => Ok((posts.load(Ordering::SeqCst), seconds)),
        Err(count) => bail!("only {count} of {events} events were told"),
    }
}

/// The event log of one shard, as if its receiver had been away.
fn write_backlog(dir: &Path, shard: usize, events: usize) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut text = String::new();
    for number in 0..events {
        let kind = if number % 2 == 0 { "Reception" } else { "Delivery" };
        let id = number / 2;
        writeln!(
            text,
            "{{\"type\":\"{kind}\",\"id\":\"{shard:08x}{id:024x}\",\"sender\":\"news@sender.example\",\
             \"recipient\":\"user{id}@recipient.example\",\"queue\":\"recipient.example\",\
             \"site\":\"unspecified->mx.recipient.example@smtp_client\",\"size\":4096,\
             \"response\":{{\"code\":250,\"enhanced_code\":{{\"class\":2,\"subject\":0,\"detail\":0}},\
             \"content\":\"OK ids=0123456789abcdef0123456789abcdef\",\"command\":\".\"}},\
             \"peer_address\":{{\"name\":\"mx.recipient.example\",\"addr\":\"192.0.2.1\"}},\
             \"timestamp\":{now},\"created\":{now},\
             \"created_time\":\"2026-01-01T00:00:00.000000Z\",\"num_attempts\":0,\
             \"bounce_classification\":\"Uncategorized\",\"egress_pool\":\"unspecified\",\
             \"egress_source\":\"unspecified\",\"source_address\":{{\"address\":\"192.0.2.2:40000\"}},\
             \"feedback_report\":null,\"meta\":{{\"tenant\":\"t1\",\"campaign\":\"c1\"}},\
             \"headers\":{{\"Subject\":\"The news of today\",\"Message-ID\":\"<{id}@sender.example>\"}},\
             \"delivery_protocol\":\"ESMTP\",\"reception_protocol\":\"ESMTP\",\
             \"nodeid\":\"00000000-0000-4000-8000-000000000000\"}}"
        )?;
    }
    std::fs::write(dir.join("events-0000000001.log"), text)?;
    Ok(())
}

fn start(args: &Args, dir: &Path, receiver: u16, batch: usize) -> anyhow::Result<Child> {
    Command::new(&args.engine)
        .args(["run", "--policy"])
        .arg(&args.policy)
        .args(["--shards", &args.shards.to_string()])
        .env("RINGMTA_ALLOW_ROOT", "1")
        .env("RINGMTA_MODE", "development")
        .env("RINGMTA_SPOOL", dir)
        .env("RINGMTA_LOG_DIR", dir.join("log"))
        .env("RINGMTA_SMTP_LISTEN", "127.0.0.1:0")
        .env("RINGMTA_HTTP_LISTEN", "127.0.0.1:0")
        .env("KUMOMTA_WEBHOOK_URL", format!("http://127.0.0.1:{receiver}"))
        .env("KUMOMTA_WEBHOOK_BATCH", batch.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .with_context(|| format!("{}: build it first", args.engine.display()))
}

//! How fast the shipped tree's webhook drains a backlog: events/s, with one event per POST and in batches, to a
//! receiver that answers at once and to one that takes its time.
//!
//! ```text
//! cargo build --release -p ringmta && cargo run --release -p ringmta-bench --bin hooks
//! ```

use anyhow::{bail, Context};
use clap::Parser;
use ringmta_bench::webhook;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longest one run may take.
const RUN_TIMEOUT: Duration = Duration::from_secs(300);
/// Pause between two looks at the counter.
const LOOK_EVERY: Duration = Duration::from_millis(2);

#[derive(Parser)]
#[command(about = "Events per second of the shipped webhook, from a backlog of events")]
struct Args {
    /// The engine.
    #[arg(long, default_value = "target/release/ringmta")]
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
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    println!("{:>8} {:>12} {:>10} {:>10} {:>12}", "batch", "answer", "events", "POSTs", "events/s");
    for (batch, delay_ms, events) in [
        (1, 0, args.events),
        (1, 200, args.events / 10),
        (100, 0, args.events * 10),
        (100, 200, args.events * 10),
    ] {
        let (posts, seconds) = drain(&args, batch, Duration::from_millis(delay_ms), events)?;
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
             \"timestamp\":{now},\"event_time\":\"2026-01-01T00:00:00.000000Z\",\"created\":{now},\
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

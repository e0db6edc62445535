//! How long `find` takes over a day of log files. See `--help`.

use anyhow::{ensure, Result};
use clap::Parser;
use ringmta_events::log_file::Series;
use ringmta_events::log_index::Key;
use ringmta_events::log_search::{search, Bounds};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Writes log files with an index as shards do, and looks up ids, addresses and Message-IDs in them.
#[derive(Parser)]
#[command(name = "find")]
struct Args {
    /// Records, over all segments.
    #[arg(long, default_value_t = 10_000_000, value_name = "N")]
    records: u64,
    /// Segments they are in: four shards, one segment an hour.
    #[arg(long, default_value_t = 96, value_name = "N")]
    segments: u64,
    /// Look-ups of each kind; the median and the slowest are told.
    #[arg(long, default_value_t = 20, value_name = "N")]
    lookups: u64,
    /// Folder for the files: made, and removed at the end.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Longest a look-up should take.
const TARGET: Duration = Duration::from_secs(1);

fn id(number: u64) -> String {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{mixed:016x}11f193f3ba7d0aa6")
}

fn line(out: &mut String, number: u64) {
    let id = id(number);
    let _ = writeln!(
        out,
        "{{\"type\":\"Delivery\",\"id\":\"{id}\",\"sender\":\"bounces+{number}@src.example\",\"recipient\":\
         \"user{number}@d{}.example\",\"queue\":\"c1:t1@d{}.example\",\"site\":\"ip1->mx.d{}.example@smtp_client\",\
         \"size\":10240,\"response\":{{\"code\":250,\"enhanced_code\":{{\"class\":2,\"subject\":0,\"detail\":0}},\"content\":\
         \"OK queued as {number:x}\",\"command\":\".\\r\\n\"}},\"peer_address\":{{\"name\":\"mx.example\",\"addr\":\
         \"192.0.2.1:25\"}},\"timestamp\":1795359769,\"num_attempts\":0,\"egress_pool\":\"pool\",\"egress_source\":\"ip1\",\
         \"meta\":{{\"tenant\":\"t1\",\"campaign\":\"c1\"}},\"headers\":{{\"Message-ID\":\"<{number}.x@src.example>\",\
         \"Subject\":\"Your order\"}},\"delivery_protocol\":\"ESMTP\",\"reception_protocol\":\"ESMTP\"}}",
        number % 5000,
        number % 5000,
        number % 5000
    );
}

fn write(args: &Args, folder: &std::path::Path) -> Result<()> {
    const BATCH: u64 = 1000;
    let each = args.records / args.segments;
    for segment in 0..args.segments {
        let age = Duration::from_secs(86_400);
        let mut series = Series::new(folder, "", 3, u64::MAX, age, "")?.with_index();
        let mut number = segment * each;
        while number < (segment + 1) * each {
            let mut lines = String::new();
            let end = (number + BATCH).min((segment + 1) * each);
            (number..end).for_each(|one| line(&mut lines, one));
            series.write(lines.as_bytes(), 1_795_359_769_000_000_000 + number)?;
            number = end;
        }
        series.close()?;
    }
    Ok(())
}

fn measure(
    args: &Args,
    folder: &std::path::Path,
    what: &str,
    text: impl Fn(u64) -> String,
) -> Result<bool> {
    let bounds = Bounds { since_nanos: 0, records: 100, time: Duration::from_secs(60) };
    let mut times = Vec::new();
    let all = args.records / args.segments * args.segments;
    for look in 0..args.lookups {
        let number = look.wrapping_mul(0x9e37_79b9) % all;
        let began = Instant::now();
        let found = search(folder, &Key::of(&text(number)), &bounds);
        times.push(began.elapsed());
        ensure!(
            found.records.len() == 1,
            "{what} {number}: {} records, {:?}",
            found.records.len(),
            found.problems
        );
    }
    times.sort();
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    let is_met = slowest <= TARGET;
    println!(
        "{what:<12} median {:>7.1} ms, slowest {:>7.1} ms: {}",
        median.as_secs_f64() * 1000.0,
        slowest.as_secs_f64() * 1000.0,
        if is_met { "within a second" } else { "TOO SLOW" }
    );
    Ok(is_met)
}

fn run(args: &Args) -> Result<bool> {
    let own = tempfile::tempdir()?;
    let folder = args.folder.clone().unwrap_or_else(|| own.path().to_path_buf());
    let began = Instant::now();
    write(args, &folder)?;
    let bytes = |folder: &std::path::Path| -> u64 {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.metadata().ok())
            .filter(|meta| meta.is_file())
            .map(|meta| meta.len())
            .sum()
    };
    println!(
        "{} records in {} segments: {} MB, index {} MB, written in {:.0} s",
        args.records,
        args.segments,
        bytes(&folder) / 1_000_000,
        bytes(&folder.join(".index")) / 1_000_000,
        began.elapsed().as_secs_f64()
    );
    let mut met = measure(args, &folder, "id", id)?;
    met &= measure(args, &folder, "address", |number| {
        format!("user{number}@d{}.example", number % 5000)
    })?;
    met &= measure(args, &folder, "Message-ID", |number| format!("<{number}.x@src.example>"))?;
    met &= measure(args, &folder, "either", |number| format!("{number}.x@src.example"))?;
    Ok(met)
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("find: {error:#}");
            ExitCode::from(2)
        }
    }
}

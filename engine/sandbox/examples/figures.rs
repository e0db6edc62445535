//! How long lists and searches take over many messages in a database, and what memory that takes:
//! `cargo run -p ringmta-sandbox --example figures -- 100000 32` (messages; senders at once). A third argument names the file,
//! which stays; one that has messages already is asked as it is. Beside each time is what of it a core has worked, for others
//! may use the machine as well.

use futures::stream::{FuturesUnordered, StreamExt};
use ringmta_io::ring::run_shard;
use ringmta_sandbox::database::Database;
use ringmta_sandbox::message::{Envelope, SessionInfo};
use ringmta_sandbox::search::Search;
use ringmta_sandbox::settings::{DatabaseFile, Keeping};
use ringmta_sandbox::store::Store;
use std::path::{Path, PathBuf};
use std::time::Instant;

fn main() -> Result<(), String> {
    let number = |at| std::env::args().nth(at).and_then(|number| number.parse().ok());
    let (count, at_once) = (number(1).unwrap_or(100_000), number(2).unwrap_or(32));
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = std::env::args().nth(3).map_or(dir.path().join("inbox.db"), PathBuf::from);
    let work = move || async move { measure(&path, count, at_once).await };
    let shard = run_shard("figures", None, work).map_err(|error| error.to_string())?;
    let ended = shard.join().map_err(|_| "the shard has panicked".to_string())?;
    ended.map_err(|error| error.to_string())?
}

fn mail(number: usize) -> String {
    let mut state = (number as u64).wrapping_mul(2_862_933_555_777_941_757);
    let mut body = String::new();
    while body.len() < 2000 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // As in any language, the n-th most frequent word is n times rarer than the first.
        let share = f64::from((state >> 33) as u32) / f64::from(u32::MAX >> 1);
        body.push_str(&word((4000_f64.powf(share)) as u64));
        body.push(if body.len() % 78 > 70 { '\n' } else { ' ' });
    }
    format!(
        "From: Sender {number} <s{number}@example.com>\r\nTo: Reader <reader{}@example.org>\r\nSubject: Message No. {number}\r\n\
         Message-ID: <{number}@example.com>\r\nX-Tags: batch{}\r\n\r\n{}\r\nunique{number}x\r\nunsubscribe here\r\n",
        number % 1000,
        number % 10,
        body.replace('\n', "\r\n")
    )
}

/// The n-th most frequent word.
fn word(n: u64) -> String {
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut word = String::new();
    for _ in 0..2 + n % 4 {
        let (first, second) = (state >> 40, state >> 52);
        word.push(char::from(b"bcdfghklmnprstvw"[(first % 16) as usize]));
        word.push(char::from(b"aeiou"[(second % 5) as usize]));
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(n);
    }
    word
}

async fn measure(path: &Path, count: usize, at_once: usize) -> Result<(), String> {
    let keeping = Keeping { max_messages: 0, ..Keeping::default() };
    let file =
        || DatabaseFile { path: PathBuf::from(path), compression: 1, wal: true, vacuum: true };
    let store = Store::in_database(Database::open(&file(), keeping.most())?, keeping.clone());
    if store.totals().0 == 0 {
        fill(&store, count, at_once).await?;
    }
    println!("file {} MB, memory {} MB", store.bytes() >> 20, resident() >> 20);
    ask(&store).await?;
    drop(store);
    let start = Instant::now();
    let store = loop {
        // The thread before lets go of the file when it has ended.
        match Database::open(&file(), keeping.most()) {
            Ok(database) => break Store::in_database(database, keeping.clone()),
            Err(_) => ringmta_io::sleep(std::time::Duration::from_millis(1)).await,
        }
    };
    println!("{:8.1} ms  to open it again", start.elapsed().as_secs_f64() * 1000.0);
    println!("memory {} MB, {} messages", resident() >> 20, store.totals().0);
    Ok(())
}

async fn fill(store: &Store, count: usize, at_once: usize) -> Result<(), String> {
    let (start, worked) = (Instant::now(), worked_ms());
    let mut senders = FuturesUnordered::new();
    for number in 0..count {
        senders.push(store.add(
            Envelope { mail_from: "a@b.test".into(), rcpt_to: vec!["c@d.test".into()] },
            SessionInfo::default(),
            mail(number).into_bytes(),
        ));
        if senders.len() >= at_once {
            senders.next().await.transpose().map_err(|error| error.0)?;
        }
    }
    while senders.next().await.transpose().map_err(|error| error.0)?.is_some() {}
    let took = start.elapsed().as_secs_f64();
    println!(
        "{count} messages taken in {took:.1} s, {:.0} a second, from {at_once} at once; {:.0} a second of a core's work",
        count as f64 / took,
        count as f64 / (worked_ms() - worked) * 1000.0
    );
    Ok(())
}

async fn ask(store: &Store) -> Result<(), String> {
    let (first, tenth, hundredth) = (word(1), word(10), word(100));
    let two = format!("\"{} {}\"", word(2), word(3));
    let phrase = format!("\"{} {} {}\" -{}", word(1), word(2), word(3), word(5));
    for query in [
        "",
        "unsubscribe",
        &first,
        &tenth,
        &hundredth,
        &two,
        "unique4242x",
        "subject:\"No. 77\"",
        "from:s99",
        "addressed:reader12",
        "tag:batch3",
        "is:unread unsubscribe",
        "-unsubscribe",
        "No",
        "zq",
        &phrase,
        "before:2020-01-01",
    ] {
        let search = Search::parse(query)?;
        let (mut best, mut least) = (f64::MAX, f64::MAX);
        let mut matching = 0;
        for _ in 0..5 {
            let (start, worked) = (Instant::now(), worked_ms());
            let page = store.page(&search, 0, 50).await.map_err(|error| error.0)?;
            best = best.min(start.elapsed().as_secs_f64() * 1000.0);
            least = least.min(worked_ms() - worked);
            matching = page.matching;
        }
        println!("{best:8.1} ms  {least:8.1} ms of work  {matching:7} match  `{query}`");
    }
    Ok(())
}

/// Milliseconds that cores have worked for this process.
fn worked_ms() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanos = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    nanos.sum::<f64>() / 1e6
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib =
        line.and_then(|line| line.split_whitespace().next()).and_then(|n| n.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

//! `loadgen verify`: is everything that was acknowledged accounted for?

mod account;
mod follow;
mod report;
mod spread;

pub use account::{Books, Summary};
pub use spread::Spread;

use crate::limits;
use crate::units::parse_duration;
use anyhow::{bail, Context, Result};
use clap::Args;
use follow::Follower;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Compare what was acknowledged to a source with what arrived in a sink.
///
/// Exit status: 0 nothing missing, 1 something missing, 2 usage or I/O error.
#[derive(Debug, Args)]
pub struct Options {
    /// Ledger of the source (may be repeated)
    #[arg(long, value_name = "FILE", required = true)]
    pub acked: Vec<PathBuf>,
    /// Ledger of the sink (may be repeated)
    #[arg(long, value_name = "FILE", required = true)]
    pub delivered: Vec<PathBuf>,
    /// Ids that failed for good and need not arrive: lines `<id>` (the whole message) or `<id> <recipients>`; a file, or a folder of files
    #[arg(long, value_name = "FILE_OR_DIR")]
    pub failed: Vec<PathBuf>,
    /// Look again until nothing is missing, for this long at most (e.g. 30s)
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub wait: Option<Duration>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// An empty source ledger is no error
    #[arg(long)]
    pub allow_empty: bool,
}

/// Runs the comparison; `true` when nothing is missing.
///
/// # Errors
/// When a ledger cannot be read, or the source's is empty.
pub fn run(options: &Options) -> Result<bool> {
    let deadline = Instant::now() + options.wait.unwrap_or_default();
    let mut books = Books::default();
    let mut ledgers = open(options)?;
    loop {
        for (follower, side) in &mut ledgers {
            read(follower, *side, &mut books)?;
        }
        if books.settled() || Instant::now() >= deadline {
            break;
        }
        std::thread::sleep(Duration::from_millis(limits::VERIFY_POLL_MS));
    }
    let summary = books.summary();
    if summary.acknowledged.messages == 0 && !options.allow_empty {
        bail!("the source ledger holds no acknowledged message (--allow-empty accepts that)");
    }
    report::print(&summary, options.json)?;
    Ok(summary.missing.messages == 0)
}

/// Which of the books a file feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Written by a source or a sink.
    Ledger,
    /// A list of ids that failed.
    Failed,
}

fn open(options: &Options) -> Result<Vec<(Follower, Side)>> {
    // With --wait a ledger may still be on its way; without it, a missing file is a mistake.
    let patient = options.wait.is_some();
    let mut ledgers = Vec::new();
    for path in options.acked.iter().chain(&options.delivered) {
        ledgers.push((Follower::open(path, patient)?, Side::Ledger));
    }
    for path in &options.failed {
        for file in files_in(path)? {
            ledgers.push((Follower::open(&file, patient)?, Side::Failed));
        }
    }
    Ok(ledgers)
}

fn files_in(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let context = || format!("cannot read folder {}", path.display());
    let mut files = Vec::new();
    for item in std::fs::read_dir(path).with_context(context)? {
        let file = item.with_context(context)?.path();
        if file.is_file() {
            files.push(file);
        }
    }
    Ok(files)
}

fn read(follower: &mut Follower, side: Side, books: &mut Books) -> Result<()> {
    follower.lines(|line| match side {
        Side::Ledger => books.ledger_line(line),
        Side::Failed => books.failed_line(line),
    })
}

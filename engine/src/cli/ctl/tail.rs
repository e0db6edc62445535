//! Records, filtered: as they happen, from the engine, or out of log files, which are read here without asking the engine
//! anything.

use super::api::Api;
use super::args::TailArgs;
use super::find_view;
use super::follow::follow;
use ringmta_events::log_index::read_from;
use ringmta_events::log_search::segments;
use ringmta_events::watch::RecordFilter;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time between two looks at the files.
const LOOK: Duration = Duration::from_millis(500);
/// Bytes of lines of one segment at the most.
const READ_MAX: u64 = 2 << 30;

/// The filter, as the engine reads it.
fn filter(args: &TailArgs) -> RecordFilter {
    RecordFilter {
        kinds: args.kind.clone(),
        id: args.id.clone(),
        sender: args.sender.clone(),
        recipient: args.recipient.clone(),
        domain: args.domain.clone(),
        queue: args.queue.clone(),
        source: args.source.clone(),
    }
}

/// Prints records as they happen until it is interrupted, or nobody reads.
///
/// # Errors
/// The engine cannot be reached, or has ended it.
pub fn live(api: &Api, args: &TailArgs, as_json: bool) -> Result<(), String> {
    let filter = serde_json::to_value(filter(args)).map_err(|error| error.to_string())?;
    follow(api, "/api/admin/tail/v1", &filter, |text| match as_json {
        true => Some(text),
        false => Some(find_view::row(&serde_json::from_str(&text).ok()?).join("  ")),
    })
}

/// Prints what is there, and with `--follow` what comes, until it is interrupted or nobody reads.
///
/// # Errors
/// The folder cannot be read.
pub fn tail(folder: &Path, args: &TailArgs, as_json: bool) -> Result<(), String> {
    let filter = filter(args);
    // Lines that were seen of each segment.
    let mut seen: BTreeMap<PathBuf, (u64, usize)> = BTreeMap::new();
    let mut is_first = true;
    loop {
        let all = segments(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for path in &all {
            let size = std::fs::metadata(path).map_or(0, |meta| meta.len());
            let entry = seen.entry(path.clone()).or_default();
            if entry.0 == size {
                continue;
            }
            let text = File::open(path).and_then(|file| read_from(&file, 0, true, READ_MAX));
            let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
            let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let lines: Vec<&[u8]> = text[..whole].split_inclusive(|byte| *byte == b'\n').collect();
            let skip =
                if is_first && args.follow && !args.from_start { lines.len() } else { entry.1 };
            for line in lines.iter().skip(skip) {
                if !show(&filter, line, as_json) {
                    return Ok(());
                }
            }
            *entry = (size, lines.len());
        }
        if !args.follow {
            return Ok(());
        }
        is_first = false;
        seen.retain(|path, _| all.contains(path));
        std::thread::sleep(LOOK);
    }
}

/// `false` when nobody reads any more.
fn show(filter: &RecordFilter, line: &[u8], as_json: bool) -> bool {
    let Ok(record) = serde_json::from_slice::<Value>(line) else { return true };
    if !filter.admits(&record) {
        return true;
    }
    let text = match as_json {
        true => String::from_utf8_lossy(line).trim_end().to_string(),
        false => find_view::row(&record).join("  "),
    };
    let mut out = std::io::stdout();
    writeln!(out, "{text}").and_then(|()| out.flush()).is_ok()
}

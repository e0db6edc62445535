//! Records out of log files, as they are written or from the beginning, filtered. The files are read here: the engine is
//! asked nothing.

use super::args::TailArgs;
use super::find_view;
use ringmta_events::log_index::read_from;
use ringmta_events::log_search::segments;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// Time between two looks at the files.
const LOOK: Duration = Duration::from_millis(500);
/// Bytes of lines of one segment at the most.
const READ_MAX: u64 = 2 << 30;

/// Whether a record is meant.
fn is_meant(args: &TailArgs, record: &Value) -> bool {
    let is = |wanted: &Option<String>, have: &Value| {
        wanted.as_ref().is_none_or(|wanted| {
            have.as_str().is_some_and(|have| have.eq_ignore_ascii_case(wanted))
        })
    };
    let recipients: Vec<&str> = match &record["recipient"] {
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    let to = |wanted: &Option<String>, part: fn(&str) -> &str| {
        wanted
            .as_ref()
            .is_none_or(|wanted| recipients.iter().any(|to| part(to).eq_ignore_ascii_case(wanted)))
    };
    (args.kind.is_empty() || args.kind.iter().any(|kind| is(&Some(kind.clone()), &record["type"])))
        && is(&args.id, &record["id"])
        && is(&args.sender, &record["sender"])
        && is(&args.queue, &record["queue"])
        && is(&args.source, &record["egress_source"])
        && to(&args.recipient, |to| to)
        && to(&args.domain, |to| to.rsplit_once('@').map_or("", |(_, domain)| domain))
}

/// Prints what is there, and with `--follow` what comes, until it is interrupted or nobody reads.
///
/// # Errors
/// The folder cannot be read.
pub fn tail(args: &TailArgs, as_json: bool) -> Result<(), String> {
    // Lines that were seen of each segment.
    let mut seen: BTreeMap<PathBuf, (u64, usize)> = BTreeMap::new();
    let mut is_first = true;
    loop {
        let all =
            segments(&args.logs).map_err(|error| format!("{}: {error}", args.logs.display()))?;
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
                if !show(args, line, as_json) {
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
fn show(args: &TailArgs, line: &[u8], as_json: bool) -> bool {
    let Ok(record) = serde_json::from_slice::<Value>(line) else { return true };
    if !is_meant(args, &record) {
        return true;
    }
    let text = match as_json {
        true => String::from_utf8_lossy(line).trim_end().to_string(),
        false => find_view::row(&record).join("  "),
    };
    let mut out = std::io::stdout();
    writeln!(out, "{text}").and_then(|()| out.flush()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn records_are_filtered_by_each_part() {
        let record = json!({"type": "Delivery", "id": "1", "sender": "a@src.test", "recipient": ["u@D.test", "v@e.test"],
            "queue": "t@d.test", "egress_source": "ip1"});
        let plain = TailArgs::default();
        assert!(is_meant(&plain, &record));
        let some = |text: &str| Some(text.to_string());
        for (args, meant) in [
            (TailArgs { kind: vec!["delivery".into()], ..TailArgs::default() }, true),
            (TailArgs { kind: vec!["Bounce".into()], ..TailArgs::default() }, false),
            (TailArgs { domain: some("d.test"), ..TailArgs::default() }, true),
            (TailArgs { domain: some("src.test"), ..TailArgs::default() }, false),
            (TailArgs { recipient: some("v@e.test"), ..TailArgs::default() }, true),
            (TailArgs { source: some("ip2"), ..TailArgs::default() }, false),
        ] {
            assert_eq!(is_meant(&args, &record), meant, "{args:?}");
        }
    }
}
